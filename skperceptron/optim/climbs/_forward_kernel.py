"""Decisions over candidates that each change a whole network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from skperceptron.optim.climbs._forward_screening_kernel import screened_accuracy
from skperceptron.optim.kernels._borrow import borrowed
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import all_finite
from skperceptron.optim.kernels._metrics import (
    ACCURACY,
    N_ADDITIVE,
    TOP_K,
    value_of_counts,
)
from skperceptron.optim.kernels._network import forward
from skperceptron.optim.kernels._outputs import add_counts, evaluate, is_of_ranks
from skperceptron.optim.kernels._penalty import penalty_of
from skperceptron.optim.kernels._ranks import value_of_ranks
from skperceptron.optim.kernels._rule import adapt, is_kept


class Blocks(NamedTuple):
    """Samples in blocks of one size; columns behind the last sample are 0.

    Attributes
    ----------
    data : ndarray of shape (n_blocks, n_features + 1, block_size)
        Samples, one column each; the last row is 1.

    class_start : ndarray of int of shape (n_blocks, n_classes + 1)
        Where in each block the samples of each class begin, and how many there are.

    largest : float
        Largest absolute value of the data.
    """

    data: NDArray[np.floating]
    class_start: NDArray[np.intp]
    largest: float


@njit(**COMPILE)
def scan_networks(
    network,
    targets,
    terms,
    single,
    is_screened,
    blocks,
    sums,
    outputs,
    params,
    noise,
    group_of,
    step_size,
    rule,
    decay,
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

    blocks : tuple, see Blocks
    sums : ndarray of shape (n_units, block_size)
    outputs : ndarray of shape (n_hidden_units, block_size)
        Room for those of a block.

    params : ndarray of shape (n_params,)
        Current parameters; updated.

    noise : ndarray of shape (n_candidates, n_params)
        Noise of the candidates.

    group_of : ndarray of int of shape (n_candidates,)
        -1 where the noise is all zero.

    step_size : ndarray of shape (1,)
        Standard deviation of the noise; updated.

    rule : tuple, see Rule

    decay : tuple of float and int
        Penalty of a squared weight, and number of weights.

    state : ndarray of shape (3,)
        Current value, number of kept candidates, and penalty of the current weights,
        which is part of the value; updated.

    values : ndarray of shape (n_candidates,)
        Receives the current value, without its penalty, after each candidate.
    """
    network, targets, terms = borrowed(network), borrowed(targets), borrowed(terms)
    single, blocks = borrowed(single), borrowed(blocks)
    sums, outputs = borrowed(sums), borrowed(outputs)
    moved = np.empty_like(params)
    for i in range(noise.shape[0]):
        sigma = step_size[0]
        finite = True
        for q in range(params.size):
            moved[q] = params[q] + sigma * noise[i, q]
            finite &= abs(moved[q]) < np.inf
        accepted = False
        value, penalty = np.nan, 0.0
        if finite and is_screened:
            value = screened_accuracy(
                network, targets[0][-1], single, moved, blocks[0], state[0]
            )
            accepted = is_kept(value, state[0], rule)
        if finite and np.isnan(value):
            penalty = penalty_of(moved, decay)
            enough = state[0] + penalty
            value = evaluate_blocks(
                network, targets, terms, blocks, sums, outputs, moved, enough
            )
            value -= penalty
            accepted = is_kept(value, state[0], rule)
        if accepted:
            state[0], state[2] = value, penalty
            state[1] += 1
            params[:] = moved
        if group_of[i] >= 0:
            adapt(step_size, 0, not value >= state[0], rule)
        values[i] = state[0] + state[2]


@njit(**COMPILE)
def evaluate_blocks(network, targets, terms, blocks, sums, outputs, params, enough):
    """Compute the objective times the total weight, block after block.

    Parameters
    ----------
    network : tuple, see Network
    targets : tuple, see Targets
    terms : tuple, see Terms
        Room for those of a block.

    blocks : tuple, see Blocks
    sums : ndarray of shape (n_units, block_size)
    outputs : ndarray of shape (n_hidden_units, block_size)
        Room for those of a block.

    params : ndarray of shape (n_params,)
    enough : float
        A network that cannot reach this need not be evaluated to the end.

    Returns
    -------
    float
        NaN where a sum is not finite. Something below `enough` where that is out of
        reach.
    """
    data, class_start, largest = blocks
    class_start_of_all, weight, metric = targets
    begin(metric)
    is_bounded = bound_sums(network, params, largest) < 1e-3 * np.finfo(data.dtype).max
    size = data.shape[2]
    value, n_left = 0.0, class_start_of_all[-1]
    for block in range(data.shape[0]):
        forward(network, params, data[block], sums, outputs)
        start = block * size
        part = (class_start[block], weight[start : start + size], metric)
        value += add_block(sums, outputs.shape[0], part, terms, start)
        n_left -= class_start[block, -1]
        # Not compared with what is left of `enough`: that would round otherwise than
        # the sum does, and a tie would not be one.
        if value + most_of(n_left, weight.size > 0, metric[0]) < enough:
            break
        if not is_bounded and not all_finite(sums.reshape(1, -1), 0):
            return np.nan
    return value + finish(targets, terms, enough)


@njit(**COMPILE_PRIVATE)
def begin(metric):
    """Forget the samples that were added to a confusion matrix."""
    metric[7][:] = 0


def add_block(sums, output, part, terms, start):
    """Compute what a block adds to a sum over the samples, or note what it has."""
    add = _gather if part[2][9] is not None else _add_samples
    return add(sums, output, part, terms, start)


@overload(add_block, jit_options=COMPILE)
def _add_block_of_type(sums, output, part, terms, start):
    return _gather if is_of_ranks(part) else _add_samples


def _add_samples(sums, output, part, terms, start):
    if part[-1][0] < N_ADDITIVE:
        return evaluate(sums, output, part, terms, -np.inf)[0]
    add_counts(sums, output, part, terms)
    return 0.0


def _gather(sums, output, part, terms, start):
    gathered = part[-1][10]
    for k in range(gathered.shape[0]):
        for j in range(part[0][-1]):
            gathered[k, start + j] = sums[output + k, j]
    return 0.0


def finish(targets, terms, enough):
    """Compute what is no sum over the samples when all blocks are done."""
    finish_it = _finish_ranks if targets[2][9] is not None else _finish_samples
    return finish_it(targets, terms, enough)


@overload(finish, jit_options=COMPILE)
def _finish_for_type(targets, terms, enough):
    return _finish_ranks if is_of_ranks(targets) else _finish_samples


def _finish_samples(targets, terms, enough):
    metric = targets[2]
    return value_of_counts(metric) if metric[0] >= N_ADDITIVE else 0.0


def _finish_ranks(targets, terms, enough):
    return value_of_ranks(targets[2][10], 0, targets, terms, enough)


@njit(**COMPILE_PRIVATE)
def most_of(n_samples, is_weighted, kind):
    """Bound what so many samples may add to the objective."""
    if kind >= N_ADDITIVE:
        return np.inf
    if (kind not in (ACCURACY, TOP_K)) or n_samples == 0:
        return 0.0
    # Weights would have to be added up in the order in which they are counted.
    return np.inf if is_weighted else float(n_samples)


@njit(**COMPILE_PRIVATE)
def bound_sums(network, params, size):
    """Bound the sums of all units; `size` bounds the inputs and is at least 1."""
    weight = _add_sizes(params)
    largest = 0.0
    for _ in range(network[0].size - 1):
        largest = max(largest, weight * size)
        # No activation is further from 0 than its argument by more than 1.
        size = weight * size + 1.0
    return largest


@njit(**VECTORIZE_SUM_PRIVATE)
def _add_sizes(x):
    result = x.dtype.type(0)
    for j in range(np.uint64(x.size)):
        result += abs(x[j])
    return np.float64(result)
