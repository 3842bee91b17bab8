"""The accuracy of a network in float64, mostly computed in float32.

The error of a float32 forward pass has a bound. A sample is only computed again where
the bound is as large as what decides about it. And samples that the current network
gets wrong, or only just right, come first: most bad candidates are known before the
rest.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import (
    activate_one,
    copy_into,
)
from skperceptron.optim.kernels._network import forward

# Lipschitz constant of each activation, in the order of their codes, and a bound of its
# absolute values: on top of the constant times that of the sum (no constant in it where
# the function itself is bounded).
LIPSCHITZ = np.array([1, 0.25, 1, 1, 1, 1, 1, 1.1, 1.13, np.inf, np.inf])
_GROWS = np.array([1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0])
_OFFSET = np.array([0, 1, 1, 0, 0, 1, 0.7, 0.3, 0.2, 1, 1])
# float32 rounds by at most this, relatively.
_UNIT = 2.0**-24
# An activation is computed to this many of them.
_ACTIVATION_ERROR = 8
# Beyond this size a sum may overflow in float32.
_LARGEST = 1e37
# Samples are worked off in pieces of this size, and a candidate may end after each.
TILE = 128


class Single(NamedTuple):
    """What a pass in float32 works with.

    Attributes
    ----------
    data : ndarray of float32 of shape (n_tiles, n_features + 1, TILE)
        Samples, one column each, those in danger first; the last row is 1.

    order : ndarray of int of shape (n_tiles * TILE,)
        Which sample each column is; of no meaning behind the last one.

    class_of : ndarray of int32 of shape (n_tiles, TILE)
        The true class of each column; -1 behind the last sample.

    params : ndarray of float32 of shape (n_params,)
    sums, outputs : ndarray of float32 of shape (n_rows, TILE)
    margins : ndarray of float32 of shape (TILE,)
        Room for one tile.

    bounds : ndarray of float64 of shape (4, largest_layer)
        Error and size of the outputs of a layer, and of the next one's.

    row : ndarray of float64 of shape (2, largest_layer)
        Outputs of two layers for one sample.

    length : float
        Largest Euclidean length of a sample with a 1 appended.
    """

    data: NDArray[np.float32]
    order: NDArray[np.intp]
    class_of: NDArray[np.int32]
    params: NDArray[np.float32]
    sums: NDArray[np.float32]
    outputs: NDArray[np.float32]
    margins: NDArray[np.float32]
    bounds: NDArray[np.float64]
    row: NDArray[np.float64]
    length: float


@njit(**COMPILE)
def screened_accuracy(network, targets, single, params, columns, enough):
    """Count the samples that a network classifies correctly.

    Parameters
    ----------
    network : Network
    targets : Targets
    single : Single
    params : ndarray of float64 of shape (n_params,)
    columns : ndarray of float64 of shape (n_blocks, n_features + 1, block_size)
        Samples in blocks, one column each.

    enough : float
        A candidate that cannot reach this need not be counted to the end.

    Returns
    -------
    float
        -inf if that is so. NaN where it takes a pass in float64, because too much is in
        doubt.
    """
    tiles, sums, outputs, margins = (
        single.data,
        single.sums,
        single.outputs,
        single.margins,
    )
    order, class_of = single.order, single.class_of
    error, largest = _bound_error(network, params, single.bounds, single.length)
    if not largest < _LARGEST:
        return np.nan
    copy_into(params, single.params, params.size)
    output, n_outputs = outputs.shape[0], sums.shape[0] - outputs.shape[0]
    bound = np.float32(error if n_outputs == 1 else 2 * error)
    n_samples, limit = targets.class_start[-1], targets.metric.limit
    n_right, n_doubtful, n_left = 0, 0, n_samples
    for tile in range(tiles.shape[0]):
        size = min(TILE, n_left)
        n_left -= size
        forward(network, single.params, tiles[tile], sums, outputs)
        _margins(sums, output, class_of[tile], margins)
        n_sure, n_wrong = _count(margins, size, bound)
        n_right += n_sure
        if n_sure + n_wrong < size:
            for j in range(size):
                if not abs(margins[j]) > bound:
                    at, c = order[tile * TILE + j], class_of[tile, j]
                    row = single.row
                    n_right += _is_right(network, params, columns, row, c, at, limit)
                    n_doubtful += 1
            if n_doubtful > 16 + n_samples // 16:
                return np.nan
        if n_right + n_left < enough:
            return -np.inf
    return float(n_right)


@njit(**VECTORIZE_PRIVATE)
def _margins(sums, output, class_of, margins):
    """By how much the sums speak for the true class."""
    size, first = np.uint64(class_of.size), np.uint64(output)
    if sums.shape[0] - output == 1:
        for j in range(size):
            z = sums[first, j]
            margins[j] = z if class_of[j] == np.int32(1) else -z
        return
    # The sum of the true class less the largest of the others.
    largest = np.full(class_of.size, -np.inf, np.float32)
    for k in range(sums.shape[0] - output):
        i, mine = np.uint64(output + k), np.int32(k)
        for j in range(size):
            is_mine, is_larger = class_of[j] == mine, not sums[i, j] <= largest[j]
            margins[j] = sums[i, j] if is_mine else margins[j]
            largest[j] = sums[i, j] if is_larger & (not is_mine) else largest[j]
    for j in range(size):
        margins[j] -= largest[j]


@njit(**VECTORIZE_SUM_PRIVATE)
def _count(margins, size, bound):
    """Count the samples that are surely right, and those that are surely wrong."""
    # Counted in float32, as wide as the margins: a tile is small enough for that.
    zero, one = np.float32(0), np.float32(1)
    n_right, n_wrong = zero, zero
    for j in range(np.uint64(size)):
        n_right += one if margins[j] > bound else zero
        n_wrong += one if margins[j] < -bound else zero
    return int(n_right), int(n_wrong)


@njit(**COMPILE_PRIVATE)
def _bound_error(network, params, bounds, length):
    """Bound the error of the output sums, and the size of all sums."""
    units, codes, coef_start, bias_start, _ = network
    error, size, next_error, next_size = bounds
    n_layers = units.size - 1
    largest = 0.0
    for layer in range(n_layers):
        n_in, n_out = units[layer], units[layer + 1]
        # Of a sum of n products in any order (Higham, 2002, section 3.1), and of the
        # rounding of both factors.
        rounding = (n_in + 5) * _UNIT
        for k in range(n_out):
            bias = abs(params[bias_start[layer] + k])
            first = coef_start[layer] + k
            sum_error = 0.0
            if layer == 0:
                sum_size = bias**2
                for i in range(n_in):
                    sum_size += params[first + i * n_out] ** 2
                sum_size = math.sqrt(sum_size) * length
                sum_error = rounding * sum_size
            else:
                sum_size = bias
                sum_error = rounding * bias
                for i in range(n_in):
                    w = abs(params[first + i * n_out])
                    sum_size += w * size[i]
                    sum_error += w * (error[i] + rounding * size[i])
            largest = max(largest, sum_size)
            next_error[k], next_size[k] = sum_error, sum_size
        for k in range(n_out):
            error[k], size[k] = next_error[k], next_size[k]
            if layer < n_layers - 1:
                code = codes[layer]
                size[k] = _GROWS[code] * LIPSCHITZ[code] * size[k] + _OFFSET[code]
                error[k] = LIPSCHITZ[code] * error[k]
                error[k] += _ACTIVATION_ERROR * _UNIT * size[k]
    worst = 0.0
    for k in range(units[-1]):
        if error[k] > worst or np.isnan(error[k]):
            worst = error[k]
    return worst, largest


@njit(**COMPILE_PRIVATE)
def _is_right(network, params, columns, row, c, at, limit):
    """Classify one sample in float64."""
    block, j = divmod(at, columns.shape[2])
    units, codes, coef_start, bias_start, _ = network
    n_layers = units.size - 1
    here, there = row
    for layer in range(n_layers):
        n_in, n_out = units[layer], units[layer + 1]
        for k in range(n_out):
            total = params[bias_start[layer] + k]
            first = coef_start[layer] + k
            for i in range(n_in):
                x = columns[block, i, j] if layer == 0 else here[i]
                total += params[first + i * n_out] * x
            there[k] = total
            if layer < n_layers - 1:
                there[k] = activate_one(codes[layer], total)
        here, there = there, here
    if units[-1] == 1:
        return 1 if (here[0] > limit) == (c == 1) else 0
    for k in range(units[-1]):
        if here[k] > here[c] or (here[k] == here[c] and k < c):
            return 0
    return 1
