"""The accuracy of a network in float64, mostly computed in float32.

The error of a float32 forward pass has a bound. A sample is only computed again where
the bound is as large as what decides about it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from skperceptron.optim.kernels._elementwise import VECTORIZE_SUM, activate_one
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
# Samples are counted in pieces of this size.
_TILE = 128


class Single(NamedTuple):
    """Room for a pass in float32.

    Attributes
    ----------
    params : ndarray of float32 of shape (n_params,)
    data : ndarray of float32 of shape (n_features + 1, n)
    sums, outputs : ndarray of float32 of shape (n_rows, n)
        As for the pass in float64.

    bounds : ndarray of float64 of shape (4, largest_layer)
        Error and size of the outputs of a layer, and of the next one's.

    row : ndarray of float64 of shape (2, largest_layer)
        Outputs of two layers for one sample.

    length : float
        Largest Euclidean length of a sample with a 1 appended.
    """

    params: NDArray[np.float32]
    data: NDArray[np.float32]
    sums: NDArray[np.float32]
    outputs: NDArray[np.float32]
    bounds: NDArray[np.float64]
    row: NDArray[np.float64]
    length: float


@njit(cache=True, nogil=True)
def screened_accuracy(network, targets, single, params, data):
    """Compute the accuracy times the total weight.

    Parameters
    ----------
    network : tuple, see Network
    targets : tuple, see Targets
    single : tuple, see Single
    params : ndarray of float64 of shape (n_params,)
    data : ndarray of float64 of shape (n_features + 1, n)

    Returns
    -------
    float
        NaN where it takes a pass in float64: where too much is in doubt.
    """
    params_single, data_single, sums, outputs, bounds, row, length = single
    class_start, weight, _ = targets
    error, largest = _bound_error(network, params, bounds, length)
    if not largest < _LARGEST:
        return np.nan
    params_single[:] = params
    forward(network, params_single, data_single, sums, outputs)
    output, n_outputs = outputs.shape[0], sums.shape[0] - outputs.shape[0]
    bound = np.float32(error if n_outputs == 1 else 2 * error)
    value, n_doubtful = 0.0, 0
    for c in range(class_start.size - 1):
        for start in range(class_start[c], class_start[c + 1], _TILE):
            stop = min(start + _TILE, class_start[c + 1])
            if n_outputs == 1 and weight.size == 0:
                n_right, n_sure = _count_signs(sums, output, start, stop, c == 1, bound)
                if n_sure == stop - start:
                    value += n_right
                    continue
            for j in range(start, stop):
                verdict = _verdict(sums, output, c, j, bound)
                if verdict < 0:
                    verdict = _is_right(network, params, data, row, c, j)
                    n_doubtful += 1
                value += verdict if weight.size == 0 else verdict * weight[j]
        if n_doubtful > 16 + class_start[-1] // 16:
            return np.nan
    return value


@njit(cache=True, nogil=True)
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
    return error[: units[-1]].max(), largest


@njit(**VECTORIZE_SUM)
def _count_signs(sums, output, start, stop, positive, bound):
    """Count the sums of the right sign, and those whose sign is sure."""
    # Counted in float32, as wide as the sums: a tile is small enough for that.
    i = np.uint64(output)
    zero, one = np.float32(0), np.float32(1)
    n_positive, n_sure = zero, zero
    for j in range(np.uint64(start), np.uint64(stop)):
        n_positive += one if sums[i, j] > zero else zero
        n_sure += one if abs(sums[i, j]) > bound else zero
    n_right = int(n_positive) if positive else stop - start - int(n_positive)
    return n_right, int(n_sure)


@njit(cache=True, nogil=True)
def _verdict(sums, output, c, j, bound):
    """Tell whether a sample is right: 1 if so, 0 if not, -1 if it is in doubt."""
    n_outputs = sums.shape[0] - output
    if n_outputs == 1:
        if not abs(sums[output, j]) > bound:
            return -1
        return 1 if (sums[output, j] > 0) == (c == 1) else 0
    smallest = np.inf
    for k in range(n_outputs):
        if k != c:
            lead = sums[output + c, j] - sums[output + k, j]
            smallest = min(smallest, lead)
    if not abs(smallest) > bound:
        return -1
    return 1 if smallest > 0 else 0


@njit(cache=True, nogil=True)
def _is_right(network, params, data, row, c, j):
    """Classify one sample in float64."""
    units, codes, coef_start, bias_start, _ = network
    n_layers = units.size - 1
    here, there = row
    for layer in range(n_layers):
        n_in, n_out = units[layer], units[layer + 1]
        for k in range(n_out):
            total = params[bias_start[layer] + k]
            first = coef_start[layer] + k
            for i in range(n_in):
                x = data[i, j] if layer == 0 else here[i]
                total += params[first + i * n_out] * x
            there[k] = total
            if layer < n_layers - 1:
                there[k] = activate_one(codes[layer], total)
        here, there = there, here
    if units[-1] == 1:
        return 1 if (here[0] > 0) == (c == 1) else 0
    for k in range(units[-1]):
        if here[k] > here[c] or (here[k] == here[c] and k < c):
            return 0
    return 1
