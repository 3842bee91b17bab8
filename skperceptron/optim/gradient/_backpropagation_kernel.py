"""The loss of a network over samples, and its gradient, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.gradient._loss_kernel import as_row, evaluate_loss, flush
from skperceptron.optim.gradient._products_kernel import (
    multiply,
    multiply_by_transposed,
    multiply_transposed,
)
from skperceptron.optim.gradient._slopes_kernel import multiply_by_slope
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import ACTIVATION_CODES, activate
from skperceptron.optim.kernels._without_refcount import matrix

Array = NDArray[np.floating]

# Its outputs and slopes are no smaller than what goes into them, or 0.
_RELU = ACTIVATION_CODES["relu"]


class Samples(NamedTuple):
    """Samples and their targets; one of the two forms of the inputs is empty.

    Attributes
    ----------
    dense : ndarray of shape (n_samples, n_features) or (0, 0)
        Inputs.

    data, indices, indptr : ndarray of shape (n_values,), (n_values,), (n_samples + 1,)
        Inputs as a CSR matrix; all of shape (0,) otherwise.

    targets : ndarray of shape (n_samples, n_outputs)
        What the output units should be: bool for classes, else of the dtype of inputs.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights; empty when all samples count the same.

    masks : ndarray of shape (n_samples, n_hidden) or (0, 0)
        What dropout multiplies the outputs of the hidden units with.
    """

    dense: Array
    data: Array
    indices: NDArray[np.intp]
    indptr: NDArray[np.intp]
    targets: NDArray
    weight: Array
    masks: Array


class Workspace(NamedTuple):
    """Memory for a batch: of each layer one block, behind those of the layers before.

    Attributes
    ----------
    batch_size : int
        Maximum number of samples of a batch.

    sums, outputs, deltas : ndarray of shape (batch_size * n_units,)
        Sums of the units, their outputs, and the derivatives of the loss by the sums.

    dropped : ndarray of shape (batch_size * n_hidden,) or (0,)
        Outputs after dropout.
    """

    batch_size: int
    sums: Array
    outputs: Array
    deltas: Array
    dropped: Array


@njit(**COMPILE)
def backpropagate(network, loss, params, samples, begin, count, work, gradient):
    """Compute the loss of some samples and its gradient, both as sums, no penalty.

    Rumelhart, Hinton and Williams (1986).

    Parameters
    ----------
    network : tuple, see `skperceptron.optim.kernels._network.Network`
    loss : tuple, see `skperceptron.optim.gradient._loss_kernel.Loss`
    params : ndarray of shape (n_params,)
        Where to evaluate.

    samples : Samples
    begin, count : int
        The first sample, and how many.

    work : Workspace
    gradient : ndarray of shape (n_params,)
        Receives the gradient.

    Returns
    -------
    float
        The loss.
    """
    units, codes, coef_start, bias_start, row_start = network
    masks = samples.masks
    size, sums, outputs, deltas, dropped = work
    n_layers = units.size - 1
    _propagate(network, params, samples, begin, count, work)
    last = n_layers - 1
    z = matrix(sums, size * row_start[last], count, units[-1])
    delta = matrix(deltas, size * row_start[last], count, units[-1])
    value = evaluate_loss(loss, z, delta, samples, begin)

    for layer in range(last, -1, -1):
        n_in, n_out = units[layer], units[layer + 1]
        delta = matrix(deltas, size * row_start[layer], count, n_out)
        start, bias = coef_start[layer], bias_start[layer]
        by_coef = matrix(gradient, start, n_in, n_out)
        _add_rows(delta, gradient[bias : bias + n_out])
        if layer == 0:
            _multiply_inputs_transposed(samples, begin, delta, by_coef)
            break
        below = row_start[layer - 1]
        inputs = matrix(dropped if masks.size else outputs, size * below, count, n_in)
        multiply_transposed(inputs, delta, by_coef)
        coefs = matrix(params, start, n_in, n_out)
        delta_below = matrix(deltas, size * below, count, n_in)
        multiply_by_transposed(delta, coefs, delta_below)
        if masks.size:
            _mask(delta_below, masks, begin, below, delta_below)
        multiply_by_slope(
            codes[layer - 1],
            matrix(sums, size * below, 1, count * n_in),
            matrix(outputs, size * below, 1, count * n_in),
            as_row(delta_below),
        )
        if codes[layer - 1] != _RELU:
            flush(as_row(delta_below))
    return value


@njit(**COMPILE_PRIVATE)
def _propagate(network, params, samples, begin, count, work):
    units, codes, coef_start, bias_start, row_start = network
    size, sums, outputs, _, dropped = work
    masks = samples.masks
    for layer in range(units.size - 1):
        n_in, n_out, row = units[layer], units[layer + 1], row_start[layer]
        start, bias = coef_start[layer], bias_start[layer]
        coefs = matrix(params, start, n_in, n_out)
        biases = params[bias : bias + n_out]
        is_hidden = layer < units.size - 2
        is_relu = is_hidden and codes[layer] == _RELU
        # The slope of relu is seen from its output: its sums are not kept.
        z = matrix(outputs if is_relu else sums, size * row, count, n_out)
        if layer == 0:
            _multiply_inputs(samples, begin, coefs, z)
        else:
            a = dropped if masks.size else outputs
            below = matrix(a, size * row_start[layer - 1], count, n_in)
            multiply(below, coefs, z)
        if is_relu:
            _add_to_rows_and_rectify(z, biases)
        else:
            _add_to_rows(z, biases)
        if not is_hidden:
            continue
        a = matrix(outputs, size * row, count, n_out)
        if not is_relu:
            activate(codes[layer], as_row(z), 0, as_row(a), 0)
            flush(as_row(a))
        if masks.size:
            kept = matrix(dropped, size * row, count, n_out)
            _mask(a, masks, begin, row, kept)


@njit(**COMPILE_PRIVATE)
def _multiply_inputs(samples, begin, coefs, z):
    dense, indptr = samples.dense, samples.indptr
    if indptr.size == 0:
        inputs = matrix(dense, begin * dense.shape[1], len(z), dense.shape[1])
        multiply(inputs, coefs, z)
        return
    z[:] = 0
    for b in range(len(z)):
        for k in range(indptr[begin + b], indptr[begin + b + 1]):
            _add_multiple(samples.data[k], coefs, samples.indices[k], z, b)


@njit(**COMPILE_PRIVATE)
def _multiply_inputs_transposed(samples, begin, delta, by_coef):
    dense, indptr = samples.dense, samples.indptr
    if indptr.size == 0:
        inputs = matrix(dense, begin * dense.shape[1], len(delta), dense.shape[1])
        multiply_transposed(inputs, delta, by_coef)
        return
    by_coef[:] = 0
    for b in range(len(delta)):
        for k in range(indptr[begin + b], indptr[begin + b + 1]):
            _add_multiple(samples.data[k], delta, b, by_coef, samples.indices[k])


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
def _add_to_rows_and_rectify(z, bias):
    zero = z.dtype.type(0)
    for b in range(np.uint64(len(z))):
        for j in range(np.uint64(bias.size)):
            v = z[b, j] + bias[j]
            z[b, j] = zero if v < zero else v


@njit(**VECTORIZE_PRIVATE)
def _add_rows(delta, total):
    total[:] = 0
    n_columns, b = np.uint64(total.size), np.uint64(0)
    # Four at a time: then the totals are read and written less often.
    for _ in range(len(delta) // 4):
        b1, b2, b3 = b + np.uint64(1), b + np.uint64(2), b + np.uint64(3)
        for j in range(n_columns):
            total[j] += (delta[b, j] + delta[b1, j]) + (delta[b2, j] + delta[b3, j])
        b += np.uint64(4)
    for _ in range(len(delta) % 4):
        for j in range(n_columns):
            total[j] += delta[b, j]
        b += np.uint64(1)


@njit(**VECTORIZE_PRIVATE)
def _mask(a, masks, begin, first, out):
    start, column = np.uint64(begin), np.uint64(first)
    for b in range(np.uint64(len(a))):
        for j in range(np.uint64(a.shape[1])):
            out[b, j] = a[b, j] * masks[start + b, column + j]
