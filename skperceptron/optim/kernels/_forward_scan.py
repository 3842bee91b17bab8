"""Decisions over candidates that each change a whole network."""

from __future__ import annotations

import numpy as np
from numba import njit

from skperceptron.optim.kernels._borrow import borrowed
from skperceptron.optim.kernels._compile import COMPILE
from skperceptron.optim.kernels._elementwise import all_finite
from skperceptron.optim.kernels._network import forward
from skperceptron.optim.kernels._outputs import evaluate
from skperceptron.optim.kernels._screened_forward import screened_accuracy


@njit(**COMPILE)
def scan_networks(
    network,
    targets,
    terms,
    single,
    is_screened,
    data,
    sums,
    outputs,
    params,
    noise,
    group_of,
    step_size,
    rates,
    state,
    values,
):
    """Decide over candidates that each move any weights, one after the other.

    Parameters
    ----------
    network : tuple, see Network
    targets : tuple, see Targets
    terms : tuple, see Terms
    single : tuple, see Single
    is_screened : bool
        Whether to try float32 first; `single` is not used otherwise.

    data : ndarray of shape (n_features + 1, n)
        Samples, one column each, and ones.

    sums : ndarray of shape (n_units, n)
    outputs : ndarray of shape (n_hidden_units, n)
        Room for a candidate's.

    params : ndarray of shape (n_params,)
        Current parameters; updated.

    noise : ndarray of shape (n_candidates, n_params)
        Noise of the candidates.

    group_of : ndarray of int of shape (n_candidates,)
        -1 where the noise is all zero.

    step_size : ndarray of shape (1,)
        Standard deviation of the noise; updated.

    rates : tuple of 3 floats
        Factor after a kept and after a rejected candidate, and where growth ends.

    state : ndarray of shape (2,)
        Current value and number of kept candidates; updated.

    values : ndarray of shape (n_candidates,)
        Receives the current value after each candidate.
    """
    network, targets, terms = borrowed(network), borrowed(targets), borrowed(terms)
    single, data = borrowed(single), borrowed(data)
    sums, outputs = borrowed(sums), borrowed(outputs)
    growth, shrinkage, largest_step = rates
    moved = np.empty_like(params)
    for i in range(noise.shape[0]):
        sigma = step_size[0]
        finite = True
        for q in range(params.size):
            moved[q] = params[q] + sigma * noise[i, q]
            finite &= abs(moved[q]) < np.inf
        accepted = False
        value = np.nan
        if finite and is_screened:
            value = screened_accuracy(
                network, targets[0][-1], single, moved, data, state[0]
            )
            accepted = value >= state[0]
        if finite and np.isnan(value):
            forward(network, moved, data, sums, outputs)
            value, _ = evaluate(sums, outputs.shape[0], targets, terms, state[0])
            accepted = value >= state[0]
            for unit in range(sums.shape[0]):
                accepted = accepted and all_finite(sums, unit)
        if accepted:
            state[0] = value
            state[1] += 1
            params[:] = moved
        if group_of[i] >= 0:
            factor = growth if accepted else shrinkage
            step_size[0] = min(sigma * factor, largest_step)
        values[i] = state[0]
