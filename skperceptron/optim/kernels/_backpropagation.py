"""The loss of a network over samples, and its gradient, compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
)
from skperceptron.optim.kernels._elementwise import activate, exp
from skperceptron.optim.kernels._slopes import multiply_by_slope

Array = NDArray[np.floating]


class Samples(NamedTuple):
    """Samples and their targets; one of the two forms of the inputs is empty.

    Attributes
    ----------
    dense : ndarray of shape (n_samples, n_features) or (0, 0)
        Inputs.

    data, indices, indptr : ndarray of shape (n_values,), (n_values,), (n_samples + 1,)
        Inputs as a CSR matrix; all of shape (0,) otherwise.

    targets : ndarray of bool of shape (n_samples, n_outputs)
        What the output units should be.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights; empty when all samples count the same.

    masks : ndarray of shape (n_samples, n_hidden) or (0, 0)
        What dropout multiplies the outputs of the hidden units with.
    """

    dense: Array
    data: Array
    indices: NDArray[np.intp]
    indptr: NDArray[np.intp]
    targets: NDArray[np.bool_]
    weight: Array
    masks: Array


class Workspace(NamedTuple):
    """Memory for a batch: of each layer one block, where the unit's row would begin.

    Attributes
    ----------
    sums, outputs, deltas : ndarray of shape (batch_size * n_units,)
        Sums of the units, their outputs, and the derivatives of the loss by the sums.

    dropped : ndarray of shape (batch_size * n_hidden,) or (0,)
        Outputs after dropout.
    """

    sums: Array
    outputs: Array
    deltas: Array
    dropped: Array


@njit(**COMPILE)
def backpropagate(
    network, is_softmax, is_squared, params, samples, begin, count, work, gradient
):
    """Compute the loss of some samples and its gradient, both as sums, no penalty.

    Rumelhart, Hinton and Williams (1986).

    Parameters
    ----------
    network : tuple, see `skperceptron.optim.kernels._network.Network`
    is_softmax : bool
        Whether the output units share one probability; otherwise each is logistic.

    is_squared : bool
        Whether the loss is half the squared error; otherwise it is the log loss.

    params : ndarray of shape (n_params,)
        Where to evaluate.

    samples : tuple, see Samples
    begin, count : int
        The first sample, and how many.

    work : tuple, see Workspace
    gradient : ndarray of shape (n_params,)
        Receives the gradient.

    Returns
    -------
    float
        The loss.
    """
    units, codes, coef_start, bias_start, row_start = network
    _, _, _, _, targets, weight, masks = samples
    sums, outputs, deltas, dropped = work
    n_layers = units.size - 1
    _propagate(network, params, samples, begin, count, work)
    last = n_layers - 1
    z = _block(sums, row_start[last], count, units[-1], work, network)
    delta = _block(deltas, row_start[last], count, units[-1], work, network)
    if is_softmax:
        _softmax(z, delta)
    else:
        activate(1, z.reshape(1, -1), 0, delta.reshape(1, -1), 0)
    if is_squared:
        value = _squared_error(delta, targets, weight, begin, is_softmax)
    else:
        value = _log_loss(delta, targets, weight, begin, is_softmax)

    for layer in range(last, -1, -1):
        n_in, n_out = units[layer], units[layer + 1]
        delta = _block(deltas, row_start[layer], count, n_out, work, network)
        start, bias = coef_start[layer], bias_start[layer]
        by_coef = gradient[start : start + n_in * n_out].reshape(n_in, n_out)
        _add_rows(delta, gradient[bias : bias + n_out])
        if layer == 0:
            _multiply_inputs_transposed(samples, begin, delta, by_coef)
            break
        below = row_start[layer - 1]
        inputs = _block(
            dropped if masks.size else outputs, below, count, n_in, work, network
        )
        np.dot(inputs.T, delta, by_coef)
        coefs = params[start : start + n_in * n_out].reshape(n_in, n_out)
        delta_below = _block(deltas, below, count, n_in, work, network)
        np.dot(delta, coefs.T, delta_below)
        if masks.size:
            _mask(delta_below, masks, begin, below, delta_below)
        multiply_by_slope(
            codes[layer - 1],
            _block(sums, below, count, n_in, work, network).reshape(-1),
            _block(outputs, below, count, n_in, work, network).reshape(-1),
            delta_below.reshape(-1),
        )
    return value


@njit(**COMPILE_PRIVATE)
def _block(flat, row, count, n_units, work, network):
    """Find the block of a layer for so many samples."""
    n_rows = network[4][-1] + network[0][-1]
    start = work[0].size // n_rows * row
    return flat[start : start + count * n_units].reshape(count, n_units)


@njit(**COMPILE_PRIVATE)
def _propagate(network, params, samples, begin, count, work):
    units, codes, coef_start, bias_start, row_start = network
    sums, outputs, _, dropped = work
    masks = samples[6]
    for layer in range(units.size - 1):
        n_in, n_out, row = units[layer], units[layer + 1], row_start[layer]
        start, bias = coef_start[layer], bias_start[layer]
        coefs = params[start : start + n_in * n_out].reshape(n_in, n_out)
        z = _block(sums, row, count, n_out, work, network)
        if layer == 0:
            _multiply_inputs(samples, begin, coefs, z)
        else:
            a = dropped if masks.size else outputs
            below = _block(a, row_start[layer - 1], count, n_in, work, network)
            np.dot(below, coefs, z)
        _add_to_rows(z, params[bias : bias + n_out])
        if layer < units.size - 2:
            a = _block(outputs, row, count, n_out, work, network)
            activate(codes[layer], z.reshape(1, -1), 0, a.reshape(1, -1), 0)
            if masks.size:
                kept = _block(dropped, row, count, n_out, work, network)
                _mask(a, masks, begin, row, kept)


@njit(**COMPILE_PRIVATE)
def _multiply_inputs(samples, begin, coefs, z):
    dense, data, indices, indptr, _, _, _ = samples
    if indptr.size == 0:
        np.dot(dense[begin : begin + len(z)], coefs, z)
        return
    z[:] = 0
    for b in range(len(z)):
        for k in range(indptr[begin + b], indptr[begin + b + 1]):
            _add_multiple(data[k], coefs, indices[k], z, b)


@njit(**COMPILE_PRIVATE)
def _multiply_inputs_transposed(samples, begin, delta, by_coef):
    dense, data, indices, indptr, _, _, _ = samples
    if indptr.size == 0:
        np.dot(dense[begin : begin + len(delta)].T, delta, by_coef)
        return
    by_coef[:] = 0
    for b in range(len(delta)):
        for k in range(indptr[begin + b], indptr[begin + b + 1]):
            _add_multiple(data[k], delta, b, by_coef, indices[k])


@njit(**VECTORIZE_PRIVATE)
def _add_multiple(factor, source, i, target, k):
    p, q = np.uint64(i), np.uint64(k)
    for j in range(np.uint64(source.shape[1])):
        target[q, j] += factor * source[p, j]


@njit(**VECTORIZE_PRIVATE)
def _add_to_rows(z, bias):
    for b in range(np.uint64(len(z))):
        for j in range(np.uint64(bias.size)):
            z[b, j] += bias[j]


@njit(**VECTORIZE_PRIVATE)
def _add_rows(delta, total):
    total[:] = 0
    for b in range(np.uint64(len(delta))):
        for j in range(np.uint64(total.size)):
            total[j] += delta[b, j]


@njit(**VECTORIZE_PRIVATE)
def _mask(a, masks, begin, first, out):
    start, column = np.uint64(begin), np.uint64(first)
    for b in range(np.uint64(len(a))):
        for j in range(np.uint64(a.shape[1])):
            out[b, j] = a[b, j] * masks[start + b, column + j]


@njit(**VECTORIZE_PRIVATE)
def _softmax(z, p):
    # Shifting by the largest sum changes nothing and keeps exp from overflowing.
    n, n_outputs = np.uint64(len(z)), np.uint64(z.shape[1])
    for b in range(n):
        largest = z[b, 0]
        for k in range(n_outputs):
            largest = z[b, k] if z[b, k] > largest else largest
        for k in range(n_outputs):
            p[b, k] = z[b, k] - largest
    _exp_all(p.reshape(-1))
    for b in range(n):
        total = z.dtype.type(0)
        for k in range(n_outputs):
            total += p[b, k]
        for k in range(n_outputs):
            p[b, k] /= total


@njit(**VECTORIZE_PRIVATE)
def _exp_all(x):
    for j in range(np.uint64(x.size)):
        x[j] = exp(x[j])


@njit(**COMPILE_PRIVATE)
def _log_loss(p, targets, weight, begin, is_softmax):
    """Add up the log loss, clipped as in MLPClassifier; turn `p` into its slope."""
    # For both kinds of outputs the slope is the difference, whatever the clipping.
    low = np.finfo(p.dtype).eps
    high = p.dtype.type(1) - low
    total = 0.0
    for b in range(len(p)):
        value = 0.0
        for k in range(p.shape[1]):
            share = low if p[b, k] < low else p[b, k]  # NaN stays NaN
            share = high if share > high else share
            if targets[begin + b, k]:
                value -= math.log(share)
                p[b, k] -= 1
            elif not is_softmax:
                value -= math.log(1 - share)
        total += _weigh(p, b, weight, begin) * value
    return total


@njit(**COMPILE_PRIVATE)
def _squared_error(p, targets, weight, begin, is_softmax):
    """Add up half the squared error; turn `p` into its slope."""
    total = 0.0
    for b in range(len(p)):
        value, mean = 0.0, 0.0
        for k in range(p.shape[1]):
            error = p[b, k] - targets[begin + b, k]
            value += 0.5 * error * error
            mean += error * p[b, k]
        for k in range(p.shape[1]):
            error = p[b, k] - targets[begin + b, k]
            p[b, k] *= (error - mean) if is_softmax else error * (1 - p[b, k])
        total += _weigh(p, b, weight, begin) * value
    return total


@njit(**COMPILE_PRIVATE)
def _weigh(delta, b, weight, begin):
    """Multiply the slope of a sample by its weight, and return the weight."""
    if weight.size == 0:
        return 1.0
    for k in range(delta.shape[1]):
        delta[b, k] *= weight[begin + b]
    return float(weight[begin + b])


@njit(**COMPILE)
def finish_gradient(network, alpha, total, params, gradient, norms):
    """Turn sums into means over the total weight, penalty included.

    Parameters
    ----------
    network : tuple, see `skperceptron.optim.kernels._network.Network`
    alpha : float
        Strength of the penalty.

    total : float
        Weight of the samples.

    params : ndarray of shape (n_params,)
        Where the gradient was computed.

    gradient : ndarray of shape (n_params,)
        Sum over the samples; updated.

    norms : ndarray of shape (n_layers,)
        Receives the square of the gradient's norm for each layer.

    Returns
    -------
    float
        The penalty.
    """
    units, _, coef_start, bias_start, _ = network
    cast = params.dtype.type
    share, zero = cast(1 / total), cast(0)
    squares = 0.0
    for layer in range(units.size - 1):
        start, n_out = coef_start[layer], units[layer + 1]
        stop = start + units[layer] * n_out
        bias = bias_start[layer]
        of_params, of_coefs = _finish(params, gradient, start, stop, cast(alpha), share)
        _, of_biases = _finish(params, gradient, bias, bias + n_out, zero, share)
        squares += of_params
        norms[layer] = of_coefs + of_biases
    return 0.5 * alpha * squares / total


@njit(**VECTORIZE_SUM_PRIVATE)
def _finish(params, gradient, start, stop, alpha, share):
    zero = params.dtype.type(0)
    of_params, of_gradient = zero, zero
    for q in range(np.uint64(start), np.uint64(stop)):
        w = params[q]
        g = (gradient[q] + alpha * w) * share
        gradient[q] = g
        of_params += w * w
        of_gradient += g * g
    return of_params, of_gradient
