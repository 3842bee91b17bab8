"""Decisions over candidates for samples that are read anew each time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._forward_kernel import (
    add_block,
    begin,
    bound_sums,
    finish,
    most_of,
)
from skperceptron.optim.kernels._borrow import borrowed
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import (
    activate,
    add_number,
    all_finite,
    copy_row,
)
from skperceptron.optim.kernels._network import propagate
from skperceptron.optim.kernels._penalty import penalty_of
from skperceptron.optim.kernels._rule import adapt, is_kept


class Rows(NamedTuple):
    """Samples where they are, seen in blocks of one size.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        Samples.

    tail : ndarray of shape (block_size, n_features)
        Those of the last block, with zeros behind them.

    order : ndarray of uint16 of shape (n_blocks, block_size)
        The samples of each block in the order of their classes.

    class_start : ndarray of int of shape (n_blocks, n_classes + 1)
        Where in this order the samples of each class begin, and how many there are.

    largest : float
        Largest absolute value of the samples.
    """

    X: NDArray[np.floating]
    tail: NDArray[np.floating]
    order: NDArray[np.uint16]
    class_start: NDArray[np.intp]
    largest: float


class Room(NamedTuple):
    """Room for what is computed of one block.

    Attributes
    ----------
    sums : ndarray of shape (n_units, block_size)
    outputs : ndarray of shape (n_hidden_units, block_size)
        Of all units, in the order of the samples.

    pair, sorted_pair : ndarray of shape (2, block_size)
        Sums, then outputs, of the unit that a candidate moves: before and after. In the
        order of the samples, and in that of the classes.

    weights : ndarray of shape (2, n_features)
        Weights into that unit, before and after.

    new : ndarray of shape (n_outputs, block_size)
        Sums of the output units in the order of the classes.
    """

    sums: NDArray[np.floating]
    outputs: NDArray[np.floating]
    pair: NDArray[np.floating]
    sorted_pair: NDArray[np.floating]
    weights: NDArray[np.floating]
    new: NDArray[np.floating]


@njit(**COMPILE)
def scan_rows(
    network,
    groups,
    targets,
    terms,
    rows,
    room,
    kept,
    params,
    noise,
    group_of,
    step_size,
    rule,
    decay,
    state,
    values,
):
    """Decide over candidates, one after the other.

    Parameters
    ----------
    network : tuple, see Network
    groups : tuple of 2 ndarrays of int
        Where the positions of each group's parameters begin; and these positions.

    targets : tuple of ndarray and tuple
        Weights of the samples in the order of the blocks, empty when all count the
        same; and what is maximised, see `Metric.describe`.

    terms : tuple, see Terms
        Room for those of a block.

    rows : tuple, see Rows
    room : tuple, see Room
    kept : ndarray of shape (n_blocks, n_outputs, block_size)
        Sums of the output units in the order of the classes; updated. No blocks where
        every candidate takes a pass through the whole network.

    params : ndarray of shape (n_params,)
        Current parameters; updated.

    noise : ndarray of shape (n_candidates, largest_group)
        Noise of the parameters that each candidate moves.

    group_of : ndarray of int of shape (n_candidates,)
        Their group; -1 where the noise is all zero.

    step_size : ndarray of shape (n_groups,)
        Standard deviation of each group's noise; updated.

    rule : tuple, see Rule

    decay : tuple of float and int
        Penalty of a squared weight, and number of weights.

    state : ndarray of shape (3,)
        Current value, number of kept candidates, and penalty of the current weights,
        which is part of the value; updated.

    values : ndarray of shape (n_candidates,)
        Receives the current value, without its penalty, after each candidate.
    """
    network, groups, targets = borrowed(network), borrowed(groups), borrowed(targets)
    terms, rows, room = borrowed(terms), borrowed(rows), borrowed(room)
    kept = borrowed(kept)
    start, position = groups
    moved = params.copy()
    for i in range(values.size):
        group = max(group_of[i], 0)
        sigma = step_size[group]
        mine = position[start[group] : start[group + 1]]
        finite = True
        for q in range(mine.size):
            at = mine[q]
            moved[at] = params[at] + sigma * noise[i, q]
            finite &= abs(moved[at]) < np.inf
        unit = group if kept.shape[0] > 0 and group < network[0][1] else -1
        accepted = False
        value, penalty = np.nan, 0.0
        if finite:
            penalty = penalty_of(moved, decay)
            enough = state[0] + penalty
            value = evaluate_rows(
                network, targets, terms, rows, room, kept, unit, params, moved, enough
            )
            value -= penalty
            accepted = is_kept(value, state[0], rule)
        if accepted:
            keep_rows(network, rows, room, kept, unit, params, moved)
            state[0], state[2] = value, penalty
            state[1] += 1
        for q in range(mine.size):
            at = mine[q]
            if accepted:
                params[at] = moved[at]
            else:
                moved[at] = params[at]
        if group_of[i] >= 0:
            adapt(step_size, group, not value >= state[0], rule)
        values[i] = state[0] + state[2]


@njit(**COMPILE)
def evaluate_rows(
    network, targets, terms, rows, room, kept, unit, params, moved, enough
):
    """Compute the objective of a candidate times the total weight, block after block.

    Parameters
    ----------
    network, targets, terms, rows, room, kept
        As in `scan_rows`.

    unit : int
        The unit of the only hidden layer that has moved. -1 for all of the network: it
        takes a pass through it, and nothing of what is kept.

    params, moved : ndarray of shape (n_params,)
        Current parameters and those of the candidate.

    enough : float
        A candidate that cannot reach this need not be evaluated to the end.

    Returns
    -------
    float
        NaN where a sum is not finite. Something below `enough` where that is out of
        reach.
    """
    weight, metric = targets
    begin(metric)
    X, _, order, class_start, _ = rows
    size = order.shape[1]
    is_bounded = _are_bounded(network, rows, moved)
    _weights_into(network, unit, params, moved, room)
    value, n_left = 0.0, X.shape[0]
    for block in range(order.shape[0]):
        if not _sums_of_block(
            network, rows, room, kept, unit, params, moved, block, is_bounded
        ):
            return np.nan
        start = block * size
        part = (class_start[block], weight[start : start + size], metric)
        value += add_block(room[-1], 0, part, terms, start)
        n_left -= class_start[block, -1]
        # As in `evaluate_blocks`: not compared with what is left of `enough`.
        if value + most_of(n_left, weight.size > 0, metric[0]) < enough:
            break
    return value + finish((class_start[0], weight, metric), terms, enough)


@njit(**COMPILE)
def keep_rows(network, rows, room, kept, unit, params, moved):
    """Keep the output sums of a candidate, if they are kept at all.

    Parameters are those of `evaluate_rows`.

    Returns
    -------
    bool
        Whether all sums are finite.
    """
    _weights_into(network, unit, params, moved, room)
    is_bounded, is_finite, new = _are_bounded(network, rows, moved), True, room[-1]
    for block in range(kept.shape[0]):
        is_finite &= _sums_of_block(
            network, rows, room, kept, unit, params, moved, block, is_bounded
        )
        for k in range(new.shape[0]):
            copy_row(new, k, kept[block], k)
    return is_finite


@njit(**COMPILE)
def evaluate_kept(targets, terms, rows, kept):
    """Compute the objective times the total weight from the sums that are kept."""
    weight, metric = targets
    begin(metric)
    _, _, order, class_start, _ = rows
    size, value = order.shape[1], 0.0
    for block in range(kept.shape[0]):
        start = block * size
        part = (class_start[block], weight[start : start + size], metric)
        value += add_block(kept[block], 0, part, terms, start)
    return value + finish((class_start[0], weight, metric), terms, -np.inf)


@njit(**COMPILE_PRIVATE)
def _are_bounded(network, rows, params):
    """Tell whether no sum can be too large for a number."""
    return bound_sums(network, params, rows[4]) < 1e-3 * np.finfo(params.dtype).max


@njit(**COMPILE_PRIVATE)
def _weights_into(network, unit, params, moved, room):
    if unit < 0:
        return
    units, weights = network[0], room[4]
    for f in range(units[0]):
        weights[0, f] = params[f * units[1] + unit]
        weights[1, f] = moved[f * units[1] + unit]


@njit(**COMPILE_PRIVATE)
def _samples_of(rows, block):
    X, tail, order = rows[:3]
    start = block * order.shape[1]
    # The same length for all, as that of the rows that receive products.
    return tail if block == order.shape[0] - 1 else X[start : start + order.shape[1]]


@njit(**COMPILE_PRIVATE)
def _sums_of_block(network, rows, room, kept, unit, params, moved, block, is_bounded):
    """Compute a candidate's output sums; tell whether all sums are finite."""
    if unit >= 0:
        return _exchange_unit(
            network, rows, room, kept, unit, params, moved, block, is_bounded
        )
    return _pass_all(network, rows, room, moved, block, is_bounded)


@njit(**COMPILE_PRIVATE)
def _exchange_unit(network, rows, room, kept, unit, params, moved, block, is_bounded):
    """Compute output sums with one hidden unit exchanged for its candidate."""
    _, codes, coef_start, bias_start, _ = network
    _, _, pair, sorted_pair, weights, new = room
    samples = _samples_of(rows, block)
    # Two products with a vector take less time than one with two rows.
    np.dot(samples, weights[0], pair[0])
    np.dot(samples, weights[1], pair[1])
    bias = bias_start[0] + unit
    add_number(pair, 0, params[bias])
    add_number(pair, 1, moved[bias])
    # Saturating activations would hide from the outputs what overflows here.
    is_finite = is_bounded or all_finite(pair, 1)
    for i in range(2):
        activate(codes[0], pair, i, pair, i)
        _sort_row(pair, i, rows[2], block, sorted_pair, i)
    n_outputs = new.shape[0]
    outgoing = coef_start[1] + unit * n_outputs
    for k in range(n_outputs):
        at = outgoing + k
        _exchange(kept[block], k, params[at], moved[at], sorted_pair, new)
        is_finite &= is_bounded or all_finite(new, k)
    return is_finite


@njit(**COMPILE_PRIVATE)
def _pass_all(network, rows, room, params, block, is_bounded):
    """Compute output sums by a pass through the whole network."""
    units, _, _, bias_start, _ = network
    sums, outputs, new = room[0], room[1], room[5]
    n_features, n_first = units[0], units[1]
    weights = params[: n_features * n_first].reshape(n_features, n_first)
    np.dot(weights.T, _samples_of(rows, block).T, sums[:n_first])
    for k in range(n_first):
        add_number(sums, k, params[bias_start[0] + k])
    propagate(network, 0, params, sums, 0, outputs, 0)
    for k in range(new.shape[0]):
        _sort_row(sums, outputs.shape[0] + k, rows[2], block, new, k)
    return is_bounded or all_finite(sums.reshape(1, -1), 0)


@njit(**VECTORIZE_PRIVATE)
def _sort_row(x, i, order, block, out, k):
    p, q, b = np.uint64(i), np.uint64(k), np.uint64(block)
    for j in range(np.uint64(out.shape[1])):
        out[q, j] = x[p, np.uint64(order[b, j])]


@njit(**VECTORIZE_PRIVATE)
def _exchange(kept, k, old, new, pair, sums):
    """Compute the sums of an output unit: the old part goes, the new one comes."""
    i, before, after = np.uint64(k), np.uint64(0), np.uint64(1)
    for j in range(np.uint64(sums.shape[1])):
        sums[i, j] = kept[i, j] + (new * pair[after, j] - old * pair[before, j])
