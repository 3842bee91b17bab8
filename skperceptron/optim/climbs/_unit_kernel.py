"""Decisions over candidates that move one unit of a network each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._candidates import PENALTY, VALUE, Candidates
from skperceptron.optim.climbs._penalty_kernel import (
    change_of_penalty,
    slope_of_penalty,
)
from skperceptron.optim.climbs._rule_kernel import decide, is_kept
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_INLINE,
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
from skperceptron.optim.kernels._without_refcount import without_refcount


class Memory(NamedTuple):
    """What is known of the current network, and room for a candidate.

    Attributes
    ----------
    layer_of : ndarray of int of shape (n_units,)
        Layer of each unit.

    row_of : ndarray of int of shape (n_units,)
        Its row among the sums and outputs, where it has one.

    sums : ndarray of shape (n_rows, n)
        Sums of units. The last rows belong to the layers behind the first, the others
        to units of the first: to all of them, or to those that candidates move.

    outputs : ndarray of shape (n_rows - n_outputs, n)
        Outputs of the hidden ones.

    slope : ndarray of shape (n_outputs, n)
        Derivative of the total loss by the sums of the output units. (No rows where
        the accuracy is maximised.)

    slope_is_exact : ndarray of bool of shape (1,)
        Whether it is; not where odds are too large for a number.

    row : ndarray of shape (2, n)
        Room for the sums and the outputs of the unit that a candidate moves; of one
        that was kept, the second holds the former outputs.

    new_sums, new_outputs : ndarray of shape (n_units_behind_the_first_layer, n)
        Room for what is behind it.
    """

    layer_of: NDArray
    row_of: NDArray
    sums: NDArray
    outputs: NDArray
    slope: NDArray
    slope_is_exact: NDArray
    row: NDArray
    new_sums: NDArray
    new_outputs: NDArray


class Added(NamedTuple):
    """What the noise of candidates adds to the sums of the units that they move.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n)
        At step size 1; updated.

    place : ndarray of int of shape (n_prepared,)
        The row of each candidate; -1 where the noise is still to be multiplied with the
        outputs of the layer before.
    """

    rows: NDArray
    place: NDArray


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
    network, targets, terms, memory, groups, added, manner, params, candidates
):
    """Decide over candidates that each move one unit, one after the other.

    Parameters
    ----------
    network : Network
    targets : Targets
    terms : Terms
    memory : Memory
        Updated.

    groups : Groups
        Of each unit, the parameters into it, its bias, and those out of it.

    added : Added
        Updated.

    manner : Manner
    params : ndarray of shape (n_params,)
        Current parameters; updated.

    candidates : tuple, see Candidates
        Updated.
    """
    network, targets, terms, memory, groups, added, candidates = without_refcount(
        (network, targets, terms, memory, groups, added, Candidates(*candidates))
    )
    noise, group_of = candidates.noise, candidates.group_of
    moved = np.empty(noise.shape[1], params.dtype)
    for i in range(candidates.values.size):
        group = max(group_of[i], 0)
        sigma = candidates.step_size[group]
        mine = groups.position[groups.start[group] : groups.start[group + 1]]
        value, penalty = np.nan, 0.0
        if _move(params, mine, sigma, noise[i], moved) and _sums_of_unit(
            network, memory, added, group, sigma, noise[i], i
        ):
            value, penalty = _try(
                network,
                targets,
                terms,
                memory,
                manner,
                params,
                group,
                params[mine],
                moved[: mine.size],
                candidates,
            )
        if decide(candidates, i, value, penalty):
            for q in range(mine.size):
                params[mine[q]] = moved[q]
            if memory.layer_of[group] == 0:
                _follow(memory, added, group, candidates, i)


@njit(**COMPILE_INLINE)
def _move(params, mine, sigma, noise, moved):
    """Compute a candidate's parameters; tell whether all are finite."""
    finite = True
    for q in range(mine.size):
        moved[q] = params[mine[q]] + sigma * noise[q]
        finite &= abs(moved[q]) < np.inf
    return finite


@njit(**COMPILE_INLINE)
def _sums_of_unit(network, memory, added, group, sigma, noise, i):
    """Compute the moved unit's sums; tell whether all are finite."""
    sums, row = memory.sums, memory.row
    at, place = memory.row_of[group], added.place[i]
    step = sums.dtype.type(sigma)
    if place >= 0:
        _add_multiple(sums, at, added.rows, place, step, row)
    else:
        layer, n_left_out = memory.layer_of[group], _n_left_out(memory)
        before, fan_in = network.row_start[layer - 1] - n_left_out, network.units[layer]
        np.dot(noise[:fan_in], memory.outputs[before : before + fan_in], row[1])
        _add_number_and_multiple(sums, at, noise[fan_in], step, row)
    # Saturating activations would hide from the outputs what overflows here.
    return all_finite(row, 0)


@njit(**COMPILE_PRIVATE)
def _n_left_out(memory):
    """Count the units of the first layer that have no row."""
    return memory.layer_of.size - memory.sums.shape[0]


@njit(**COMPILE_INLINE)
def _try(
    network, targets, terms, memory, manner, params, group, old, moved, candidates
):
    """Evaluate a candidate, and remember its sums and outputs if it is good enough.

    What is returned is its value, which is NaN where it is known to be worse, or not to
    be finite; and its penalty.
    """
    sums, outputs, row = memory.sums, memory.outputs, memory.row
    new_sums, new_outputs = memory.new_sums, memory.new_outputs
    layer, n_layers = memory.layer_of[group], network.units.size - 1
    if layer == n_layers - 1:
        return _try_output(
            targets, terms, memory, manner, group, old, moved, candidates
        )
    at, code, output = memory.row_of[group], network.codes[layer], outputs.shape[0]
    value, penalty = candidates.state[VALUE], candidates.state[PENALTY]
    is_exact = memory.slope_is_exact[0]
    activate(code, row, 0, row, 1)
    # What follows is known to the next layer as weights out of the unit.
    n_next, outgoing = network.units[layer + 2], network.units[layer] + 1
    next_layer_is_last = layer == n_layers - 2
    if next_layer_is_last and is_exact:
        if manner.descends and not _turn_to_descent(
            code, memory, manner, at, outgoing, old, moved
        ):
            return np.nan, 0.0
        # The loss is convex in the sums of the outputs: it changes by no less than its
        # slope says, and most bad candidates need no exponential.
        change = change_of_penalty(manner.decay, outgoing - 1, old, moved)
        for k in range(outgoing, outgoing + n_next):
            change += _change(memory, k - outgoing, moved[k], old[k], at)
        if change > _rounding(memory) * abs(value):
            return np.nan, 0.0
    n_left_out, n_first = _n_left_out(memory), network.units[1]
    first, behind = n_first - n_left_out, network.row_start[layer + 1] - n_left_out
    for attempt in range(2):
        for k in range(n_next):
            new, gone = moved[outgoing + k], old[outgoing + k]
            _exchange(sums, behind + k, new_sums, first, new, gone, row, outputs, at)
        if next_layer_is_last:
            break
        propagate(network, layer + 1, params, new_sums, n_first, new_outputs, n_first)
        turns = attempt == 0 and manner.descends and is_exact
        if not turns or not _rises(memory, manner, output, first, outgoing, old, moved):
            break
        if not _turn_all(code, memory, at, old, moved):
            return np.nan, 0.0
    penalty += change_of_penalty(manner.decay, outgoing - 1, old, moved)
    value, exact = evaluate(new_sums, output - first, targets, terms, value + penalty)
    if not is_kept(value - penalty, candidates):
        return value - penalty, penalty
    for k in range(behind, sums.shape[0]):
        if not all_finite(new_sums, k - first):
            return np.nan, 0.0
    copy_row(row, 0, sums, at)
    _swap(row, 1, outputs, at)
    for k in range(behind, sums.shape[0]):
        copy_row(new_sums, k - first, sums, k)
    for k in range(behind, output):
        copy_row(new_outputs, k - first, outputs, k)
    _renew_slope(targets, terms, memory, exact)
    return value - penalty, penalty


@njit(**COMPILE_INLINE)
def _try_output(targets, terms, memory, manner, group, old, moved, candidates):
    """Do the same for a unit of the last layer."""
    sums, row, at, decay = memory.sums, memory.row, memory.row_of[group], manner.decay
    output, n_weights = memory.outputs.shape[0], old.size - 1
    value, penalty = candidates.state[VALUE], candidates.state[PENALTY]
    if memory.slope_is_exact[0]:
        change = _change_of_row(memory.slope, at - output, row, 0, sums, at)
        slope = slope_of_penalty(decay, n_weights, old, moved, n_weights)
        if manner.descends and change + slope > 0:
            change = -change
            if not _reflect_all(sums, at, row, old, moved, 0, old.size):
                return np.nan, 0.0
        change += change_of_penalty(decay, n_weights, old, moved)
        if change > _rounding(memory) * abs(value):
            return np.nan, 0.0
    copy_row(sums, at, row, 1)
    copy_row(row, 0, sums, at)
    penalty += change_of_penalty(decay, n_weights, old, moved)
    value, exact = evaluate(sums, output, targets, terms, value + penalty)
    if is_kept(value - penalty, candidates):
        _renew_slope(targets, terms, memory, exact)
    else:
        copy_row(row, 1, sums, at)
    return value - penalty, penalty


@njit(**COMPILE_INLINE)
def _turn_to_descent(code, memory, manner, at, outgoing, old, moved):
    """Turn the noise of a unit of the last hidden layer to where the loss falls.

    First that of what leads into it, as a whole; then that of each weight out of it.
    What is left is finite, or the answer is False.
    """
    row = memory.row
    change = slope_of_penalty(manner.decay, outgoing - 1, old, moved, outgoing)
    for k in range(outgoing, old.size):
        change += _change(memory, k - outgoing, old[k], old[k], at)
    if change > 0:
        if not _reflect_all(memory.sums, at, row, old, moved, 0, outgoing):
            return False
        activate(code, row, 0, row, 1)
    for k in range(outgoing, old.size):
        noise = moved[k] - old[k]
        change = _change(memory, k - outgoing, noise, noise * 0, at)
        if change + 2 * manner.decay * old[k] * noise > 0:
            moved[k] = old[k] - noise
            if not abs(moved[k]) < np.inf:
                return False
    return True


@njit(**COMPILE_INLINE)
def _rises(memory, manner, output, first, outgoing, old, moved):
    """Tell whether a candidate raises the loss, to first order in the output sums."""
    slope = memory.slope
    change = slope_of_penalty(manner.decay, outgoing - 1, old, moved, old.size)
    for k in range(slope.shape[0]):
        new, old_one = output + k - first, output + k
        change += _change_of_row(slope, k, memory.new_sums, new, memory.sums, old_one)
    return change > 0


@njit(**COMPILE_INLINE)
def _turn_all(code, memory, at, old, moved):
    """Turn all noise of a hidden unit; tell whether everything is finite."""
    row = memory.row
    is_finite = _reflect_all(memory.sums, at, row, old, moved, 0, old.size)
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


@njit(**COMPILE_INLINE)
def _follow(memory, added, group, candidates, i):
    """Tell what is prepared for the second layer that a unit of the first has moved."""
    noise, group_of, at = candidates.noise, candidates.group_of, memory.row_of[group]
    for later in range(i + 1, group_of.size):
        place = added.place[later]
        if place >= 0 and memory.layer_of[group_of[later]] == 1:
            factor = noise[later, group]
            _add_change(added.rows, place, factor, memory.outputs, at, memory.row)


@njit(**COMPILE_PRIVATE)
def _renew_slope(targets, terms, memory, exact):
    if memory.slope.shape[0] > 0:
        output = memory.outputs.shape[0]
        update_slope(memory.slope, memory.sums, output, targets, terms)
        memory.slope_is_exact[0] = exact


@njit(**COMPILE_PRIVATE)
def _rounding(memory):
    """By which part of it a loss must grow to be called worse before it is known."""
    return 1e-12 if memory.slope.itemsize == 8 else 1e-5


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
def _change(memory, k, new, old, at):
    """Sum up how the loss changes, to first order, through one unit that follows."""
    slope, row, outputs = memory.slope, memory.row, memory.outputs
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
