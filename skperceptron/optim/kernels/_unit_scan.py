"""Decisions over candidates that move one unit of a network each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from skperceptron.optim.kernels._borrow import borrowed
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
)
from skperceptron.optim.kernels._elementwise import (
    activate,
    all_finite,
    copy_row,
)
from skperceptron.optim.kernels._network import propagate
from skperceptron.optim.kernels._outputs import evaluate, update_slope


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
    sums : ndarray of shape (n_units, n)
        Sums of all units.

    outputs : ndarray of shape (n_hidden_units, n)
        Outputs of the hidden ones.

    slope : ndarray of shape (n_outputs, n)
        Derivative of the total loss by the sums of the output units. (No rows where
        the accuracy is maximised.)

    row : ndarray of shape (2, n)
        Room for the sums and the outputs of the unit that a candidate moves.

    new_sums, new_outputs : ndarray of shape (n_units_behind_the_first_layer, n)
        Room for what is behind it.
    """

    sums: NDArray
    outputs: NDArray
    slope: NDArray
    row: NDArray
    new_sums: NDArray
    new_outputs: NDArray


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
    added,
    place,
    step_size,
    rates,
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

    noise : ndarray of shape (n_candidates, largest_group)
        Noise of the parameters that each candidate moves.

    group_of : ndarray of int of shape (n_candidates,)
        The unit that it moves.

    added : ndarray of shape (n_rows, n)
        What noise adds, at step size 1, to the sums of units of the first layer.

    place : ndarray of int of shape (n_candidates,)
        The row of each candidate there.

    step_size : ndarray of shape (n_units,)
        Standard deviation of each unit's noise; updated.

    rates : tuple of 3 floats
        Factor after a kept and after a rejected candidate, and where growth ends.

    state : ndarray of shape (3,)
        Current value, number of kept candidates, and 1 where the slope is exact.

    values : ndarray of shape (n_candidates,)
        Receives the current value after each candidate.
    """
    _, start, position = groups
    network, groups, targets = borrowed(network), borrowed(groups), borrowed(targets)
    memory, terms, added = borrowed(memory), borrowed(terms), borrowed(added)
    growth, shrinkage, largest_step = rates
    moved = np.empty(noise.shape[1], params.dtype)
    for i in range(noise.shape[0]):
        group = group_of[i]
        sigma = step_size[group]
        size = start[group + 1] - start[group]
        mine = position[start[group] : start[group] + size]
        accepted = (
            _move(params, mine, sigma, noise[i], moved)
            and _sums_of_unit(
                network, groups, memory, group, sigma, noise[i], added, place[i]
            )
            and _try(
                network, groups, targets, memory, terms, params, group, moved, state
            )
        )
        if accepted:
            state[1] += 1
            for q in range(size):
                params[mine[q]] = moved[q]
        factor = growth if accepted else shrinkage
        step_size[group] = min(sigma * factor, largest_step)
        values[i] = state[0]


@njit(**COMPILE_PRIVATE)
def _move(params, mine, sigma, noise, moved):
    """Compute a candidate's parameters; tell whether all are finite."""
    finite = True
    for q in range(mine.size):
        moved[q] = params[mine[q]] + sigma * noise[q]
        finite &= abs(moved[q]) < np.inf
    return finite


@njit(**COMPILE_PRIVATE)
def _sums_of_unit(network, groups, memory, group, sigma, noise, added, place):
    """Compute the moved unit's sums; tell whether all are finite."""
    units, _, _, _, row_start = network
    sums, outputs, _, row, _, _ = memory
    layer = groups[0][group]
    step = sums.dtype.type(sigma)
    if layer == 0:
        _add_multiple(sums, group, added, place, step, row)
    else:
        before, fan_in = row_start[layer - 1], units[layer]
        np.dot(noise[:fan_in], outputs[before : before + fan_in], row[1])
        _add_number_and_multiple(sums, group, noise[fan_in], step, row)
    # Saturating activations would hide from the outputs what overflows here.
    return all_finite(row, 0)


@njit(**COMPILE_PRIVATE)
def _try(network, groups, targets, memory, terms, params, group, moved, state):
    """Evaluate a candidate, and keep it when it is not worse."""
    units, codes, _, _, row_start = network
    layer_of, start, position = groups
    sums, outputs, slope, row, new_sums, new_outputs = memory
    layer, n_layers = layer_of[group], units.size - 1
    if layer == n_layers - 1:
        return _try_output(targets, memory, terms, group, row_start[layer], state)
    activate(codes[layer], row, 0, row, 1)
    # What follows is known to the next layer as weights out of the unit.
    n_next, outgoing = units[layer + 2], units[layer] + 1
    new = moved[outgoing : outgoing + n_next]
    old = params[position[start[group] + outgoing : start[group + 1]]]
    next_layer_is_last = layer == n_layers - 2
    if next_layer_is_last and state[2] == 1:
        # The loss is convex in the sums of the outputs: it changes by no less than its
        # slope says, and most bad candidates need no exponential.
        change = 0.0
        for k in range(n_next):
            change += _change(slope, k, new[k], old[k], row, outputs, group)
        if change > _rounding(slope) * abs(state[0]):
            return False
    offset = units[1]
    behind, output = row_start[layer + 1], row_start[n_layers - 1]
    for k in range(n_next):
        _exchange(
            sums, behind + k, new_sums, offset, new[k], old[k], row, outputs, group
        )
    if not next_layer_is_last:
        propagate(network, layer + 1, params, new_sums, offset, new_outputs, offset)
    value, exact = evaluate(new_sums, output - offset, targets, terms, state[0])
    if not value >= state[0]:
        return False
    for unit in range(behind, sums.shape[0]):
        if not all_finite(new_sums, unit - offset):
            return False
    copy_row(row, 0, sums, group)
    copy_row(row, 1, outputs, group)
    for unit in range(behind, sums.shape[0]):
        copy_row(new_sums, unit - offset, sums, unit)
    for unit in range(behind, output):
        copy_row(new_outputs, unit - offset, outputs, unit)
    _keep(targets, slope, terms, value, exact, state)
    return True


@njit(**COMPILE_PRIVATE)
def _try_output(targets, memory, terms, group, output, state):
    """Do the same for a unit of the last layer."""
    sums, _, slope, row, _, _ = memory
    if state[2] == 1:
        change = _change_of_row(slope, group - output, row, sums, group)
        if change > _rounding(slope) * abs(state[0]):
            return False
    copy_row(sums, group, row, 1)
    copy_row(row, 0, sums, group)
    value, exact = evaluate(sums, output, targets, terms, state[0])
    if not value >= state[0]:
        copy_row(row, 1, sums, group)
        return False
    _keep(targets, slope, terms, value, exact, state)
    return True


@njit(**COMPILE_PRIVATE)
def _keep(targets, slope, terms, value, exact, state):
    state[0] = value
    if slope.shape[0] > 0:
        update_slope(slope, targets, terms)
        state[2] = 1.0 if exact else 0.0


@njit(**COMPILE_PRIVATE)
def _rounding(slope):
    """By which part of it a loss must grow to be called worse before it is known."""
    return 1e-12 if slope.itemsize == 8 else 1e-5


@njit(**VECTORIZE_PRIVATE)
def _add_multiple(sums, group, added, place, step, row):
    g, p = np.uint64(group), np.uint64(place)
    for j in range(np.uint64(sums.shape[1])):
        row[0, j] = sums[g, j] + step * added[p, j]


@njit(**VECTORIZE_PRIVATE)
def _add_number_and_multiple(sums, group, number, step, row):
    g = np.uint64(group)
    for j in range(np.uint64(sums.shape[1])):
        row[0, j] = sums[g, j] + step * (row[1, j] + number)


@njit(**VECTORIZE_SUM_PRIVATE)
def _change(slope, k, new, old, row, outputs, group):
    """Sum up how the loss changes, to first order, through one unit that follows."""
    i, g = np.uint64(k), np.uint64(group)
    result = slope.dtype.type(0)
    for j in range(np.uint64(slope.shape[1])):
        result += slope[i, j] * (new * row[1, j] - old * outputs[g, j])
    return np.float64(result)


@njit(**VECTORIZE_SUM_PRIVATE)
def _change_of_row(slope, k, row, sums, unit):
    """Sum up how the loss changes, to first order, with the sums of one output."""
    i, u = np.uint64(k), np.uint64(unit)
    result = slope.dtype.type(0)
    for j in range(np.uint64(slope.shape[1])):
        result += slope[i, j] * (row[0, j] - sums[u, j])
    return np.float64(result)


@njit(**VECTORIZE_PRIVATE)
def _exchange(sums, unit, new_sums, offset, new, old, row, outputs, group):
    """Compute the sums of a unit that follows: the old part goes, the new one comes."""
    u, v, g = np.uint64(unit), np.uint64(unit - offset), np.uint64(group)
    for j in range(np.uint64(sums.shape[1])):
        new_sums[v, j] = sums[u, j] + (new * row[1, j] - old * outputs[g, j])
