"""Decisions over candidates that each need a forward pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._candidates import VALUE, Candidates
from skperceptron.optim.climbs._forward_screening_kernel import screened_accuracy
from skperceptron.optim.climbs._penalty_kernel import penalty_of
from skperceptron.optim.climbs._rule_kernel import decide
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_INLINE,
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
from skperceptron.optim.kernels._metrics import (
    ACCURACY,
    N_ADDITIVE,
    TOP_K,
    value_of_counts,
)
from skperceptron.optim.kernels._network import forward, propagate
from skperceptron.optim.kernels._outputs import (
    Targets,
    add_counts,
    evaluate,
)
from skperceptron.optim.kernels._without_refcount import without_refcount


class Blocks(NamedTuple):
    """Samples in blocks of one size, copied or where they are.

    Attributes
    ----------
    columns : ndarray of shape (n_blocks, n_features + 1, block_size)
        Copied samples in the order of their classes, one column each; the last row is
        1. No blocks where they are not copied; else there are neither `X` nor `tail`.

    X : ndarray of shape (n_samples, n_features), read-only
        Samples where they are.

    tail : ndarray of shape (block_size, n_features), read-only
        Those of the last block, with zeros behind them.

    order : ndarray of uint16 of shape (n_blocks, block_size)
        The samples of each block in the order of their classes.

    class_start : ndarray of int of shape (n_blocks, n_classes + 1)
        Where in each block the samples of each class begin, and how many there are.
    """

    columns: NDArray[np.floating]
    X: NDArray[np.floating]
    tail: NDArray[np.floating]
    order: NDArray[np.uint16]
    class_start: NDArray[np.intp]


class Room(NamedTuple):
    """Room for what is computed of one block, and what is kept of all.

    Attributes
    ----------
    sums : ndarray of shape (n_units, block_size)
    outputs : ndarray of shape (n_hidden_units, block_size)
        Of all units, in the order of the samples.

    sorted_sums : ndarray of shape (n_outputs, block_size)
        Sums of the output units in the order of the classes. Part of `sums` where the
        samples are in this order.

    pair, sorted_pair : ndarray of shape (2, block_size)
        Sums, then outputs, of the unit that a candidate moves: before and after. In the
        order of the samples, and in that of the classes.

    weights : ndarray of shape (2, n_features)
        Weights into that unit, before and after.

    kept : ndarray of shape (n_blocks, n_outputs, block_size)
        Sums of the output units in the order of the classes. No blocks where every
        candidate takes a pass through the whole network.
    """

    sums: NDArray[np.floating]
    outputs: NDArray[np.floating]
    sorted_sums: NDArray[np.floating]
    pair: NDArray[np.floating]
    sorted_pair: NDArray[np.floating]
    weights: NDArray[np.floating]
    kept: NDArray[np.floating]


@njit(**COMPILE)
def scan_networks(
    network, targets, terms, blocks, room, groups, single, params, candidates, decay
):
    """Decide over candidates, one after the other.

    Parameters
    ----------
    network : Network
    targets : Targets
        Its weights are in the order of the blocks.

    terms : Terms
        Room for those of a block.

    blocks : Blocks
    room : Room
        Updated.

    groups : Groups
    single : Single
        For trying float32 first; no data where that is not to be done.

    params : ndarray of shape (n_params,)
        Current parameters; updated.

    candidates : tuple, see Candidates
        Updated.

    decay : tuple of float and int
        Penalty of a squared weight, and number of weights.
    """
    network, targets, terms, blocks = without_refcount(
        (network, targets, terms, blocks)
    )
    room, groups, single = without_refcount((room, groups, single))
    candidates = without_refcount(Candidates(*candidates))
    noise, group_of, state = candidates.noise, candidates.group_of, candidates.state
    moved = params.copy()
    for i in range(candidates.values.size):
        group = max(group_of[i], 0)
        sigma = candidates.step_size[group]
        mine = groups.position[groups.start[group] : groups.start[group + 1]]
        finite = True
        for q in range(mine.size):
            at = mine[q]
            moved[at] = params[at] + sigma * noise[i, q]
            finite &= abs(moved[at]) < np.inf
        keeps_sums = room.kept.shape[0] > 0
        unit = group if keeps_sums and group < network.units[1] else -1
        value, penalty = np.nan, 0.0
        if finite and single.data.shape[0] > 0:
            value = screened_accuracy(
                network, targets, single, moved, blocks.columns, state[VALUE]
            )
        if finite and np.isnan(value):
            penalty = penalty_of(moved, decay)
            enough = state[VALUE] + penalty
            value = evaluate_blocks(
                *(network, targets, terms, blocks, room),
                *(unit, params, moved, enough, False),
            )
            value -= penalty
        is_kept = decide(candidates, i, value, penalty)
        if is_kept and keeps_sums:
            evaluate_blocks(
                *(network, targets, terms, blocks, room),
                *(unit, params, moved, -np.inf, True),
            )
        for q in range(mine.size):
            at = mine[q]
            if is_kept:
                params[at] = moved[at]
            else:
                moved[at] = params[at]


@njit(**COMPILE)
def evaluate_blocks(
    network, targets, terms, blocks, room, unit, params, moved, enough, keeps
):
    """Compute the objective of a candidate times the total weight, block after block.

    Parameters
    ----------
    network, targets, terms, blocks, room
        As in `scan_networks`.

    unit : int
        The unit of the only hidden layer that has moved. -1 for all of the network: it
        takes a pass through it, and nothing of what is kept.

    params, moved : ndarray of shape (n_params,)
        Current parameters and those of the candidate.

    enough : float
        A candidate that cannot reach this need not be evaluated to the end.

    keeps : bool
        Whether to keep its output sums, where there is room for that.

    Returns
    -------
    float
        NaN where a sum is not finite. Something below `enough` where that is out of
        reach.
    """
    targets.metric.counts[:] = 0
    is_finite = True
    keeps &= room.kept.shape[0] > 0
    _copy_weights(network, unit, params, moved, room)
    value, n_left = 0.0, targets.class_start[-1]
    is_weighted, kind = targets.weight.size > 0, targets.metric.kind
    for block in range(blocks.class_start.shape[0]):
        is_finite &= _sums_of_block(network, blocks, room, unit, params, moved, block)
        if keeps:
            for k in range(room.kept.shape[1]):
                copy_row(room.sorted_sums, k, room.kept[block], k)
        elif not is_finite:
            return np.nan
        value += _add_block(room.sorted_sums, targets, terms, blocks, block)
        n_left -= blocks.class_start[block, -1]
        # Not compared with what is left of `enough`: that would round otherwise than
        # the sum does, and a tie would not be one.
        if value + _most_of(n_left, is_weighted, kind) < enough:
            break
    metric = targets.metric
    if metric.gathered.shape[1] > 0:
        value = evaluate(metric.gathered, 0, targets, terms, enough)[0]
    elif kind >= N_ADDITIVE:
        value = value_of_counts(metric)
    return value if is_finite else np.nan


@njit(**COMPILE_INLINE)
def _add_block(sums, targets, terms, blocks, block):
    """Compute what a block adds to a sum over the samples, or note what it has."""
    metric, start = targets.metric, block * sums.shape[1]
    weight = targets.weight[start : start + sums.shape[1]]
    part = Targets(blocks.class_start[block], weight, metric)
    if metric.kind < N_ADDITIVE:
        return evaluate(sums, 0, part, terms, -np.inf)[0]
    if metric.gathered.shape[1] == 0:
        add_counts(sums, 0, part, terms)
    else:
        for k in range(sums.shape[0]):
            for j in range(part.class_start[-1]):
                metric.gathered[k, start + j] = sums[k, j]
    return 0.0


@njit(**COMPILE_INLINE)
def _most_of(n_samples, is_weighted, kind):
    """Bound what a number of samples may add to the objective."""
    if kind >= N_ADDITIVE:
        return np.inf
    if (kind not in (ACCURACY, TOP_K)) or n_samples == 0:
        return 0.0
    # Weights would have to be added up in the order in which they are counted.
    return np.inf if is_weighted else float(n_samples)


@njit(**COMPILE_INLINE)
def _copy_weights(network, unit, params, moved, room):
    if unit < 0:
        return
    for f in range(network.units[0]):
        at = f * network.units[1] + unit
        room.weights[0, f] = params[at]
        room.weights[1, f] = moved[at]


@njit(**COMPILE_PRIVATE)
def _samples_of(blocks, block):
    start, size = block * blocks.order.shape[1], blocks.order.shape[1]
    # The same length for all, as that of the rows that receive products.
    is_last = block == blocks.order.shape[0] - 1
    return blocks.tail if is_last else blocks.X[start : start + size]


@njit(**COMPILE_INLINE)
def _sums_of_block(network, blocks, room, unit, params, moved, block):
    """Compute a candidate's output sums; tell whether all sums are finite."""
    if unit >= 0:
        return _exchange_unit(network, blocks, room, unit, params, moved, block)
    sums, outputs = room.sums, room.outputs
    if blocks.columns.shape[0] > 0:
        forward(network, moved, blocks.columns[block], sums, outputs)
    else:
        n_features, n_first = network.units[0], network.units[1]
        weights = moved[: n_features * n_first].reshape(n_features, n_first)
        np.dot(weights.T, _samples_of(blocks, block).T, sums[:n_first])
        for k in range(n_first):
            add_number(sums, k, moved[network.bias_start[0] + k])
        propagate(network, 0, moved, sums, 0, outputs, 0)
        for k in range(room.sorted_sums.shape[0]):
            row = outputs.shape[0] + k
            _sort_row(sums, row, blocks.order, block, room.sorted_sums, k)
    return all_finite(sums.reshape(1, -1), 0)


@njit(**COMPILE_INLINE)
def _exchange_unit(network, blocks, room, unit, params, moved, block):
    """Compute output sums with one hidden unit exchanged for its candidate."""
    samples, pair, sorted_pair = _samples_of(blocks, block), room.pair, room.sorted_pair
    # Two products with a vector take less time than one with two rows.
    np.dot(samples, room.weights[0], pair[0])
    np.dot(samples, room.weights[1], pair[1])
    bias = network.bias_start[0] + unit
    add_number(pair, 0, params[bias])
    add_number(pair, 1, moved[bias])
    # Saturating activations would hide from the outputs what overflows here.
    is_finite = all_finite(pair, 1)
    for i in range(2):
        activate(network.codes[0], pair, i, pair, i)
        _sort_row(pair, i, blocks.order, block, sorted_pair, i)
    new = room.sorted_sums
    outgoing = network.coef_start[1] + unit * new.shape[0]
    for k in range(new.shape[0]):
        at = outgoing + k
        _exchange(room.kept[block], k, params[at], moved[at], sorted_pair, new)
        is_finite &= all_finite(new, k)
    return is_finite


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
