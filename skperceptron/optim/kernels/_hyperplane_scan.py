"""Decisions over candidates for one threshold unit of few inputs."""

from __future__ import annotations

import numpy as np
from numba import njit

from skperceptron.optim.kernels._elementwise import VECTORIZE

# Rounding errors of a sum, relative to the length of the vectors that are multiplied.
_ROUNDING = 1e-4


@njit(cache=True, nogil=True)
def scan_hyperplanes(
    data,
    lengths,
    n_negative,
    weight,
    near,
    near_data,
    params,
    reference,
    noise,
    norms,
    group_of,
    step_size,
    rates,
    state,
    values,
):
    """Decide over candidates, one after the other.

    A sum changes by no more than the length of the step times that of the sample. So
    only samples near the hyperplane need be looked at; which ones those are is found
    anew where the steps since then could have moved others across it.

    Parameters
    ----------
    data : ndarray of shape (n_inputs, n_samples)
        Samples, one column each, those of class 0 first; the last input is 1.

    lengths : ndarray of shape (n_samples,)
        Euclidean length of each.

    n_negative : int
        Number of samples of class 0.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights of the samples; empty when all count the same.

    near : ndarray of int of shape (n_samples,)
    near_data : ndarray of shape (n_inputs + 1, n_samples)
        Samples near the hyperplane, as long as they are so, and room for their sums.

    params : ndarray of shape (n_inputs,)
        Current parameters; updated.

    reference : ndarray of shape (n_inputs,)
        Parameters at the last selection.

    noise, norms : ndarray of shape (n_candidates, n_inputs) and (n_candidates,)
        Noise of the candidates, and its Euclidean length.

    group_of : ndarray of int of shape (n_candidates,)
        -1 where the noise is all zero.

    step_size : ndarray of shape (1,)
        Standard deviation of the noise; updated.

    rates : tuple of 3 floats
        Factor after a kept and after a rejected candidate, and where growth ends.

    state : ndarray of shape (7,)
        Current value, number of kept candidates; then, of the selection: how far steps
        may go from the reference (negative before there is one), the value of all
        other samples, the number of those selected, and of those of class 0 among
        them; and the current value as the selection adds it up.

    values : ndarray of shape (n_candidates,)
        Receives the current value after each candidate.
    """
    growth, shrinkage, largest_step = rates
    moved = np.empty_like(params)
    longest = norms.max()
    for i in range(noise.shape[0]):
        sigma = step_size[0]
        distance = 0.0
        finite = True
        for q in range(params.size):
            moved[q] = params[q] + sigma * noise[i, q]
            finite &= abs(moved[q]) < np.inf
            distance += (moved[q] - reference[q]) ** 2
        accepted = False
        if finite:
            if not np.sqrt(distance) <= state[2]:
                # Far enough for every step to come, while the step size is what it is.
                reach = sigma * longest
                _select(
                    data,
                    lengths,
                    n_negative,
                    weight,
                    near,
                    near_data,
                    params,
                    reach,
                    state,
                )
                reference[:] = params
            value = _value(near_data, near, weight, moved, state)
            accepted = value >= state[6]
        if accepted:
            # Weights add up to something else, by a rounding error, in another order.
            if value > state[6]:
                state[0] = value
            state[6] = value
            state[1] += 1
            params[:] = moved
        if group_of[i] >= 0:
            factor = growth if accepted else shrinkage
            step_size[0] = min(sigma * factor, largest_step)
        values[i] = state[0]


@njit(cache=True, nogil=True)
def _select(data, lengths, n_negative, weight, near, near_data, params, reach, state):
    """Find the samples that steps from the current parameters can move across."""
    n_inputs, n_samples = data.shape
    sums = near_data[n_inputs]
    _add_up(data, params, n_samples, sums)
    length = 0.0
    for q in range(n_inputs):
        length += params[q] ** 2
    margin = reach + _ROUNDING * (np.sqrt(length) + reach)
    n_near, n_near_negative, far = 0, 0, 0.0
    for j in range(n_samples):
        # The comparison is false for NaN.
        if abs(sums[j]) > margin * lengths[j]:
            if (sums[j] >= 0) == (j >= n_negative):
                far += 1.0 if weight.size == 0 else weight[j]
        else:
            near[n_near] = j
            n_near += 1
            n_near_negative += j < n_negative
    for q in range(n_inputs):
        for k in range(n_near):
            near_data[q, k] = data[q, near[k]]
    state[2], state[3], state[4], state[5] = reach, far, n_near, n_near_negative
    state[6] = _value(near_data, near, weight, params, state)


@njit(cache=True, nogil=True)
def _value(near_data, near, weight, params, state):
    """Compute the value of some parameters; NaN where a sum overflows."""
    n_inputs = params.size
    n_near, n_negative = int(state[4]), int(state[5])
    sums = near_data[n_inputs]
    _add_up(near_data, params, n_near, sums)
    if not _all_finite(sums, n_near):
        return np.nan
    if weight.size == 0:
        n_right = _count_negative(sums, n_negative)
        return state[3] + n_right + _count_others(sums, n_negative, n_near)
    value = state[3]
    for k in range(n_near):
        if (sums[k] >= 0) == (k >= n_negative):
            value += weight[near[k]]
    return value


@njit(**VECTORIZE)
def _all_finite(sums, n):
    n_finite = 0
    for k in range(np.uint64(n)):
        n_finite += abs(sums[k]) < np.inf
    return n_finite == n


@njit(**VECTORIZE)
def _count_negative(sums, n):
    count = 0
    for k in range(np.uint64(n)):
        count += sums[k] < 0
    return count


@njit(**VECTORIZE)
def _count_others(sums, start, stop):
    count = 0
    for k in range(np.uint64(start), np.uint64(stop)):
        count += sums[k] >= 0
    return count


@njit(**VECTORIZE)
def _add_up(data, params, n, sums):
    """Multiply the first columns with the parameters."""
    size = np.uint64(n)
    # The last input is 1. Two at a time halve the passes over the sums.
    last = params.size - 1
    for j in range(size):
        sums[j] = params[last]
    for q in range(0, last - 1, 2):
        first, second = np.uint64(q), np.uint64(q + 1)
        for j in range(size):
            sums[j] += params[q] * data[first, j] + params[q + 1] * data[second, j]
    if last % 2 == 1:
        first = np.uint64(last - 1)
        for j in range(size):
            sums[j] += params[last - 1] * data[first, j]
