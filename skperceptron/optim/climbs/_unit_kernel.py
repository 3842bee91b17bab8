"""Decisions over candidates that move one unit of a network each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.kernels._borrow import borrowed
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import (
    activate,
    all_finite,
    copy_row,
)
from skperceptron.optim.kernels._network import propagate
from skperceptron.optim.kernels._outputs import evaluate, update_slope
from skperceptron.optim.kernels._penalty import change_of_penalty, slope_of_penalty
from skperceptron.optim.kernels._rule import adapt, is_kept


class Groups(NamedTuple):
    """The parameters that move together: those into a unit, its bias, those out of it.

    Attributes
    ----------
    layer_of : ndarray of int of shape (n_units,)
        Layer of each unit.

    start : ndarray of int of shape (n_units + 1,)
        Where the positions of each unit's parameters begin.

    position : ndarray of int of shape (n_positions,)
        Positions among the parameters.
    """

    layer_of: NDArray[np.intp]
    start: NDArray[np.intp]
    position: NDArray[np.intp]


class Memory(NamedTuple):
    """What is known of the current network, and room for a candidate.

    Attributes
    ----------
    sums : ndarray of shape (n_rows, n)
        Sums of units. The last rows belong to the layers behind the first, the others
        to units of the first: to all of them, or to those that candidates move.

    outputs : ndarray of shape (n_rows - n_outputs, n)
        Outputs of the hidden ones.

    slope : ndarray of shape (n_outputs, n)
        Derivative of the total loss by the sums of the output units. (No rows where
        the accuracy is maximised.)

    row : ndarray of shape (2, n)
        Room for the sums and the outputs of the unit that a candidate moves; of one
        that was kept, the second holds the former outputs.

    new_sums, new_outputs : ndarray of shape (n_units_behind_the_first_layer, n)
        Room for what is behind it.
    """

    sums: NDArray
    outputs: NDArray
    slope: NDArray
    row: NDArray
    new_sums: NDArray
    new_outputs: NDArray


class Manner(NamedTuple):
    """How a climb on the log loss goes about.

    Attributes
    ----------
    decay : float
        Penalty of a squared weight.

    descends : bool
        Whether noise that raises the loss to first order is subtracted.
    """

    decay: float
    descends: bool


@njit(**COMPILE)
def scan_units(
    network,
    groups,
    targets,
    memory,
    terms,
    params,
    noise,
    group_of,
    row_of,
    added,
    place,
    step_size,
    rule,
    manner,
    state,
    values,
):
    """Decide over candidates that each move one unit, one after the other.

    Parameters
    ----------
    network : tuple, see Network
    groups : tuple, see Groups
    targets : tuple, see Targets
    memory : tuple, see Memory
        Updated.

    terms : tuple, see Terms
    params : ndarray of shape (n_params,)
        Current parameters; updated.

    noise : ndarray of shape (n_prepared, largest_group)
        Noise of the parameters that each candidate moves: of those to decide over, and
        of those that come later.

    group_of : ndarray of int of shape (n_prepared,)
        The unit that it moves.

    row_of : ndarray of int of shape (n_units,)
        The row of each unit in the memory, where it has one.

    added : ndarray of shape (n_rows, n)
        What noise adds, at step size 1, to the sums of the moved units; updated.

    place : ndarray of int of shape (n_prepared,)
        The row of each candidate there; -1 where the noise is still to be multiplied
        with the outputs of the layer before.

    step_size : ndarray of shape (n_units,)
        Standard deviation of each unit's noise; updated.

    rule : tuple, see Rule

    manner : tuple, see Manner

    state : ndarray of shape (4,)
        Current value, number of kept candidates, 1 where the slope is exact, and the
        penalty of the current weights, which is part of the value; updated.

    values : ndarray of shape (n_candidates,)
        Receives the current value, without its penalty, after each candidate.
    """
    layer_of, start, position = groups
    network, groups, targets = borrowed(network), borrowed(groups), borrowed(targets)
    memory, terms, added = borrowed(memory), borrowed(terms), borrowed(added)
    noise, group_of, place = borrowed(noise), borrowed(group_of), borrowed(place)
    moved = np.empty(noise.shape[1], params.dtype)
    for i in range(values.size):
        group, at = group_of[i], row_of[group_of[i]]
        sigma = step_size[group]
        size = start[group + 1] - start[group]
        mine = position[start[group] : start[group] + size]
        before, value = state[0], np.nan
        if _move(params, mine, sigma, noise[i], moved) and _sums_of_unit(
            network, groups, memory, group, at, sigma, noise[i], added, place[i]
        ):
            value = _try(
                network,
                groups,
                targets,
                memory,
                terms,
                rule,
                manner,
                params,
                group,
                at,
                moved[:size],
                state,
            )
        accepted = is_kept(value, before, rule)
        if accepted:
            state[1] += 1
            for q in range(size):
                params[mine[q]] = moved[q]
            if layer_of[group] == 0:
                _follow(memory, layer_of, group, at, i, noise, group_of, added, place)
        adapt(step_size, group, not value >= before, rule)
        values[i] = state[0] + state[3]


@njit(**COMPILE_PRIVATE)
def _move(params, mine, sigma, noise, moved):
    """Compute a candidate's parameters; tell whether all are finite."""
    finite = True
    for q in range(mine.size):
        moved[q] = params[mine[q]] + sigma * noise[q]
        finite &= abs(moved[q]) < np.inf
    return finite


@njit(**COMPILE_PRIVATE)
def _sums_of_unit(network, groups, memory, group, at, sigma, noise, added, place):
    """Compute the moved unit's sums; tell whether all are finite."""
    units, _, _, _, row_start = network
    sums, outputs, _, row, _, _ = memory
    layer_of, _, _ = groups
    step = sums.dtype.type(sigma)
    if place >= 0:
        _add_multiple(sums, at, added, place, step, row)
    else:
        layer, n_left_out = layer_of[group], layer_of.size - sums.shape[0]
        before, fan_in = row_start[layer - 1] - n_left_out, units[layer]
        np.dot(noise[:fan_in], outputs[before : before + fan_in], row[1])
        _add_number_and_multiple(sums, at, noise[fan_in], step, row)
    # Saturating activations would hide from the outputs what overflows here.
    return all_finite(row, 0)


@njit(**COMPILE_PRIVATE)
def _try(
    network,
    groups,
    targets,
    memory,
    terms,
    rule,
    manner,
    params,
    group,
    at,
    moved,
    state,
):
    """Evaluate a candidate, and keep it if it is good enough.

    What is returned is its value; NaN where it is known to be worse, or not to be
    finite.
    """
    units, codes, _, _, row_start = network
    layer_of, start, position = groups
    sums, outputs, slope, row, new_sums, new_outputs = memory
    layer, n_layers = layer_of[group], units.size - 1
    output = outputs.shape[0]
    old = params[position[start[group] : start[group + 1]]]
    if layer == n_layers - 1:
        return _try_output(
            targets, memory, terms, rule, manner, at, output, old, moved, state
        )
    activate(codes[layer], row, 0, row, 1)
    # What follows is known to the next layer as weights out of the unit.
    n_next, outgoing = units[layer + 2], units[layer] + 1
    next_layer_is_last = layer == n_layers - 2
    if next_layer_is_last and state[2] == 1:
        if manner[1] and not _turn_to_descent(
            codes[layer], memory, manner, at, outgoing, old, moved
        ):
            return np.nan
        # The loss is convex in the sums of the outputs: it changes by no less than its
        # slope says, and most bad candidates need no exponential.
        change = change_of_penalty(manner, outgoing - 1, old, moved)
        for k in range(outgoing, outgoing + n_next):
            change += _change(slope, k - outgoing, moved[k], old[k], row, outputs, at)
        if change > _rounding(slope) * abs(state[0]):
            return np.nan
    n_left_out = layer_of.size - sums.shape[0]
    first, behind = units[1] - n_left_out, row_start[layer + 1] - n_left_out
    for attempt in range(2):
        for k in range(n_next):
            new, gone = moved[outgoing + k], old[outgoing + k]
            _exchange(sums, behind + k, new_sums, first, new, gone, row, outputs, at)
        if next_layer_is_last:
            break
        propagate(network, layer + 1, params, new_sums, units[1], new_outputs, units[1])
        turns = attempt == 0 and manner[1] and state[2] == 1
        if not turns or not _rises(memory, manner, output, first, outgoing, old, moved):
            break
        if not _turn_all(codes[layer], memory, at, old, moved):
            return np.nan
    penalty = state[3] + change_of_penalty(manner, outgoing - 1, old, moved)
    value, exact = evaluate(
        new_sums, output - first, targets, terms, state[0] + penalty
    )
    if not is_kept(value - penalty, state[0], rule):
        return value - penalty
    for k in range(behind, sums.shape[0]):
        if not all_finite(new_sums, k - first):
            return np.nan
    copy_row(row, 0, sums, at)
    _swap(row, 1, outputs, at)
    for k in range(behind, sums.shape[0]):
        copy_row(new_sums, k - first, sums, k)
    for k in range(behind, output):
        copy_row(new_outputs, k - first, outputs, k)
    _keep(targets, slope, terms, value, exact, penalty, state)
    return state[0]


@njit(**COMPILE_PRIVATE)
def _try_output(targets, memory, terms, rule, manner, at, output, old, moved, state):
    """Do the same for a unit of the last layer."""
    sums, _, slope, row, _, _ = memory
    n_weights = old.size - 1
    if state[2] == 1:
        change = _change_of_row(slope, at - output, row, 0, sums, at)
        if (
            manner[1]
            and change + slope_of_penalty(manner, n_weights, old, moved, n_weights) > 0
        ):
            change = -change
            if not _reflect_all(sums, at, row, old, moved, 0, old.size):
                return np.nan
        change += change_of_penalty(manner, n_weights, old, moved)
        if change > _rounding(slope) * abs(state[0]):
            return np.nan
    copy_row(sums, at, row, 1)
    copy_row(row, 0, sums, at)
    penalty = state[3] + change_of_penalty(manner, n_weights, old, moved)
    value, exact = evaluate(sums, output, targets, terms, state[0] + penalty)
    if not is_kept(value - penalty, state[0], rule):
        copy_row(row, 1, sums, at)
        return value - penalty
    _keep(targets, slope, terms, value, exact, penalty, state)
    return state[0]


@njit(**COMPILE_PRIVATE)
def _turn_to_descent(code, memory, manner, at, outgoing, old, moved):
    """Turn the noise of a unit of the last hidden layer to where the loss falls.

    First that of what leads into it, as a whole; then that of each weight out of it.
    What is left is finite, or the answer is False.
    """
    sums, outputs, slope, row, _, _ = memory
    change = slope_of_penalty(manner, outgoing - 1, old, moved, outgoing)
    for k in range(outgoing, old.size):
        change += _change(slope, k - outgoing, old[k], old[k], row, outputs, at)
    if change > 0:
        if not _reflect_all(sums, at, row, old, moved, 0, outgoing):
            return False
        activate(code, row, 0, row, 1)
    for k in range(outgoing, old.size):
        noise = moved[k] - old[k]
        change = _change(slope, k - outgoing, noise, noise * 0, row, outputs, at)
        if change + 2 * manner[0] * old[k] * noise > 0:
            moved[k] = old[k] - noise
            if not abs(moved[k]) < np.inf:
                return False
    return True


@njit(**COMPILE_PRIVATE)
def _rises(memory, manner, output, first, outgoing, old, moved):
    """Tell whether a candidate raises the loss, to first order in the output sums."""
    sums, _, slope, _, new_sums, _ = memory
    change = slope_of_penalty(manner, outgoing - 1, old, moved, old.size)
    for k in range(slope.shape[0]):
        new, old_one = output + k - first, output + k
        change += _change_of_row(slope, k, new_sums, new, sums, old_one)
    return change > 0


@njit(**COMPILE_PRIVATE)
def _turn_all(code, memory, at, old, moved):
    """Turn all noise of a hidden unit; tell whether everything is finite."""
    sums, _, _, row, _, _ = memory
    is_finite = _reflect_all(sums, at, row, old, moved, 0, old.size)
    activate(code, row, 0, row, 1)
    return is_finite


@njit(**COMPILE_PRIVATE)
def _reflect_all(sums, at, row, old, moved, low, high):
    """Subtract noise that was added, from some parameters and the unit's sums."""
    is_finite = True
    for q in range(low, high):
        moved[q] = old[q] - (moved[q] - old[q])
        is_finite &= abs(moved[q]) < np.inf
    _reflect_row(sums, at, row)
    return is_finite and all_finite(row, 0)


@njit(**COMPILE_PRIVATE)
def _follow(memory, layer_of, group, at, i, noise, group_of, added, place):
    """Tell what is prepared for the second layer that a unit of the first has moved."""
    _, outputs, _, row, _, _ = memory
    for later in range(i + 1, group_of.size):
        if place[later] >= 0 and layer_of[group_of[later]] == 1:
            _add_change(added, place[later], noise[later, group], outputs, at, row)


@njit(**COMPILE_PRIVATE)
def _keep(targets, slope, terms, value, exact, penalty, state):
    state[0] = value - penalty
    state[3] = penalty
    if slope.shape[0] > 0:
        update_slope(slope, targets, terms)
        state[2] = 1.0 if exact else 0.0


@njit(**COMPILE_PRIVATE)
def _rounding(slope):
    """By which part of it a loss must grow to be called worse before it is known."""
    return 1e-12 if slope.itemsize == 8 else 1e-5


@njit(**VECTORIZE_PRIVATE)
def _add_multiple(sums, at, added, place, step, row):
    i, p = np.uint64(at), np.uint64(place)
    for j in range(np.uint64(sums.shape[1])):
        row[0, j] = sums[i, j] + step * added[p, j]


@njit(**VECTORIZE_PRIVATE)
def _add_number_and_multiple(sums, at, number, step, row):
    i = np.uint64(at)
    for j in range(np.uint64(sums.shape[1])):
        row[0, j] = sums[i, j] + step * (row[1, j] + number)


@njit(**VECTORIZE_PRIVATE)
def _swap(x, i, y, k):
    p, q = np.uint64(i), np.uint64(k)
    for j in range(np.uint64(x.shape[1])):
        x[p, j], y[q, j] = y[q, j], x[p, j]


@njit(**VECTORIZE_PRIVATE)
def _add_change(added, place, factor, outputs, at, row):
    p, i = np.uint64(place), np.uint64(at)
    for j in range(np.uint64(added.shape[1])):
        added[p, j] += factor * (outputs[i, j] - row[1, j])


@njit(**VECTORIZE_SUM_PRIVATE)
def _change(slope, k, new, old, row, outputs, at):
    """Sum up how the loss changes, to first order, through one unit that follows."""
    i, g = np.uint64(k), np.uint64(at)
    result = slope.dtype.type(0)
    for j in range(np.uint64(slope.shape[1])):
        result += slope[i, j] * (new * row[1, j] - old * outputs[g, j])
    return np.float64(result)


@njit(**VECTORIZE_SUM_PRIVATE)
def _change_of_row(slope, k, new, at_new, sums, at):
    """Sum up how the loss changes, to first order, with the sums of one output."""
    i, u, v = np.uint64(k), np.uint64(at), np.uint64(at_new)
    result = slope.dtype.type(0)
    for j in range(np.uint64(slope.shape[1])):
        result += slope[i, j] * (new[v, j] - sums[u, j])
    return np.float64(result)


@njit(**VECTORIZE_PRIVATE)
def _reflect_row(sums, at, row):
    i = np.uint64(at)
    for j in range(np.uint64(sums.shape[1])):
        row[0, j] = sums[i, j] - (row[0, j] - sums[i, j])


@njit(**VECTORIZE_PRIVATE)
def _exchange(sums, k, new_sums, first, new, old, row, outputs, at):
    """Compute the sums of a unit that follows: the old part goes, the new one comes."""
    u, v, g = np.uint64(k), np.uint64(k - first), np.uint64(at)
    for j in range(np.uint64(sums.shape[1])):
        new_sums[v, j] = sums[u, j] + (new * row[1, j] - old * outputs[g, j])
