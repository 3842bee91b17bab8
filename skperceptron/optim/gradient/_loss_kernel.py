"""The outputs of a network, their loss, and its slope, compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from skperceptron.optim.kernels._compile import (
    COMPILE_PRIVATE,
    VECTORIZE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import ACTIVATION_CODES, activate, exp
from skperceptron.optim.kernels._without_refcount import matrix

# Codes under which the kernels know what becomes of the sums of the output units, ...
LOGISTIC, SOFTMAX, IDENTITY, EXP = range(4)
OUTPUT_CODES = {
    "logistic": LOGISTIC,
    "softmax": SOFTMAX,
    "identity": IDENTITY,
    "exp": EXP,
}
# ... and the losses.
LOG_LOSS, SQUARED_ERROR, POISSON, ABSOLUTE_ERROR, HUBER, QUANTILE = range(6)
LOSS_CODES = {
    "log_loss": LOG_LOSS,
    "squared_error": SQUARED_ERROR,
    "poisson": POISSON,
    "absolute_error": ABSOLUTE_ERROR,
    "huber": HUBER,
    "quantile": QUANTILE,
}
_LOGISTIC_ACTIVATION = ACTIVATION_CODES["logistic"]
# Products of at most this many probabilities of 2e-16 or more are normal numbers.
_MAX_FACTORS = 16


class Loss(NamedTuple):
    """A loss with its penalty, as compiled code wants to know it.

    Attributes
    ----------
    output : int
        A value of `OUTPUT_CODES`.

    kind : int
        A value of `LOSS_CODES`. "identity" and "exp" are outputs of regressors, the
        others of classifiers.

    parameter : float
        Where the Huber loss becomes linear, or the quantile; 0 for the others.

    alpha : float
        Strength of the L2 penalty.
    """

    output: int
    kind: int
    parameter: float
    alpha: float


@njit(**COMPILE_PRIVATE)
def evaluate_loss(loss, z, delta, samples, begin):
    """Add up the losses of some samples, without the penalty.

    Parameters
    ----------
    loss : tuple, see `Loss`
    z : ndarray of shape (n, n_outputs)
        Sums of the output units.

    delta : ndarray of shape (n, n_outputs)
        Receives the derivatives of the loss by the sums.

    samples : tuple, see `skperceptron.optim.gradient._backpropagation_kernel.Samples`
    begin : int
        The first of the samples.

    Returns
    -------
    float
    """
    output, kind, parameter, _ = loss
    targets, weight = samples.targets, samples.weight
    is_softmax = output == SOFTMAX
    if is_softmax:
        _softmax(z, delta)
    elif output == LOGISTIC:
        activate(_LOGISTIC_ACTIVATION, as_row(z), 0, as_row(delta), 0)
    elif output == EXP:
        _exp_all(as_row(z), as_row(delta))
    if output in (IDENTITY, EXP):
        value = _loss_of_numbers(kind, parameter, z, delta, targets, weight, begin)
    elif kind == SQUARED_ERROR:
        value = _squared_error(delta, targets, weight, begin, is_softmax)
    else:
        value = _log_loss(delta, targets, weight, begin, is_softmax)
    flush(as_row(delta))
    return value


@njit(**COMPILE_PRIVATE)
def _softmax(z, p):
    _exp_all(as_row(z), as_row(p))
    # `exp` cuts what would overflow or be subnormal. Within these bounds, nothing that
    # matters was cut.
    most = np.sqrt(np.finfo(z.dtype).max)
    least = np.sqrt(np.finfo(z.dtype).tiny)
    for b in range(len(z)):
        total = _sum_of_row(p, b)
        if not least < total < most:
            _shift(z, p, b)
            total = _sum_of_row(p, b)
        _scale_row(p, b, z.dtype.type(1) / total)


@njit(**VECTORIZE_PRIVATE)
def _exp_all(z, p):
    for j in range(np.uint64(z.size)):
        p[0, j] = exp(z[0, j])


@njit(**VECTORIZE_SUM_PRIVATE)
def _sum_of_row(p, b):
    row, total = np.uint64(b), p.dtype.type(0)
    for k in range(np.uint64(p.shape[1])):
        total += p[row, k]
    return total


@njit(**VECTORIZE_PRIVATE)
def _scale_row(p, b, factor):
    row = np.uint64(b)
    for k in range(np.uint64(p.shape[1])):
        p[row, k] *= factor


# Not made a part of its caller, where it would be in the way: it is hardly ever called.
@njit(**VECTORIZE)
def _shift(z, p, b):
    """Shift the sums of a row by the largest, which changes no probability."""
    row, n_outputs = np.uint64(b), np.uint64(z.shape[1])
    largest = z[row, 0]
    for k in range(n_outputs):
        largest = z[row, k] if z[row, k] > largest else largest
    for k in range(n_outputs):
        p[row, k] = exp(z[row, k] - largest)


@njit(**COMPILE_PRIVATE)
def _log_loss(p, targets, weight, begin, is_softmax):
    """Add up the log loss, clipped as in MLPClassifier; turn `p` into its slope."""
    low = np.finfo(p.dtype).eps
    high = p.dtype.type(1) - low
    # As float64 by name: Python adds a plain number in the precision of the other one.
    total, product, n_factors = np.float64(0), np.float64(1), 0
    n_shares = 1 if is_softmax else p.shape[1]
    for b in range(len(p)):
        for k in range(n_shares):
            if is_softmax:
                share = _share_of_class(p, b, targets, begin + b)
            else:
                share = p[b, k] if targets[begin + b, k] else 1 - p[b, k]
            share = low if share < low else share  # NaN stays NaN
            share = high if share > high else share
            if weight.size:
                total -= weight[begin + b] * math.log(share)
                continue
            # Logarithms take time, and a product of few factors does not underflow.
            product *= share
            n_factors += 1
            if n_factors == _MAX_FACTORS:
                total -= math.log(product)
                product, n_factors = np.float64(1), 0
    # For both kinds of outputs the slope is the difference, whatever the clipping.
    _subtract(p, targets, begin)
    if weight.size:
        _multiply_rows(p, weight, begin)
    return total - math.log(product)


@njit(**VECTORIZE_SUM_PRIVATE)
def _share_of_class(p, b, targets, row):
    """Find the probability of the true class, without jumps."""
    i, j = np.uint64(b), np.uint64(row)
    zero = p.dtype.type(0)
    share = zero
    for k in range(np.uint64(p.shape[1])):
        share += p[i, k] if targets[j, k] else zero
    return share


@njit(**VECTORIZE_PRIVATE)
def _subtract(p, targets, begin):
    zero, one = p.dtype.type(0), p.dtype.type(1)
    targets = matrix(targets, begin * p.shape[1], 1, p.size)
    p = as_row(p)
    for j in range(np.uint64(p.size)):
        p[0, j] -= one if targets[0, j] else zero


@njit(**COMPILE_PRIVATE)
def _squared_error(p, targets, weight, begin, is_softmax):
    """Add up half the squared error; turn `p` into its slope."""
    total = np.float64(0)
    for b in range(len(p)):
        value, mean = np.float64(0), np.float64(0)
        for k in range(p.shape[1]):
            error = p[b, k] - targets[begin + b, k]
            value += 0.5 * error * error
            mean += error * p[b, k]
        for k in range(p.shape[1]):
            error = p[b, k] - targets[begin + b, k]
            p[b, k] *= (error - mean) if is_softmax else error * (1 - p[b, k])
        total += value * weight[begin + b] if weight.size else value
    if weight.size:
        _multiply_rows(p, weight, begin)
    return total


@njit(**COMPILE_PRIVATE)
def _loss_of_numbers(kind, parameter, z, delta, targets, weight, begin):
    """Add up a loss of targets that are numbers, and compute its slope.

    For the Poisson loss `delta` has the outputs, the exponentials of the sums.
    """
    total = np.float64(0)
    for b in range(len(z)):
        value = np.float64(0)
        for k in range(z.shape[1]):
            target = targets[begin + b, k]
            if kind == POISSON:
                of_output, slope = _poisson(z[b, k], delta[b, k], target)
            else:
                of_output, slope = _of_error(kind, parameter, z[b, k] - target)
            value += of_output
            delta[b, k] = slope
        if kind == SQUARED_ERROR:  # MLPRegressor's mean, whose slope is that of the sum
            value /= z.shape[1]
        total += value * weight[begin + b] if weight.size else value
    if weight.size:
        _multiply_rows(delta, weight, begin)
    return total


@njit(**COMPILE_PRIVATE)
def _poisson(z, output, target):
    """Compute half the Poisson deviance, and its slope."""
    value = output - target
    if target > 0:
        value += target * (math.log(np.float64(target)) - z)
    return value, output - target


@njit(**COMPILE_PRIVATE)
def _of_error(kind, parameter, error):
    """Compute the loss of an output that is too large by `error`, and its slope."""
    size = abs(error)
    sign = np.sign(error)
    if kind == ABSOLUTE_ERROR:
        return size, sign
    if kind == QUANTILE:
        share = 1 - parameter if error > 0 else parameter
        return share * size, share * sign
    if kind == HUBER and size > parameter:
        return parameter * (size - 0.5 * parameter), parameter * sign
    return 0.5 * error * error, error


@njit(**VECTORIZE_PRIVATE)
def _multiply_rows(delta, weight, begin):
    first = np.uint64(begin)
    for b in range(np.uint64(len(delta))):
        for k in range(np.uint64(delta.shape[1])):
            delta[b, k] *= weight[first + b]


@njit(**COMPILE_PRIVATE)
def as_row(x):
    """See a matrix as one long row."""
    return matrix(x, 0, 1, x.size)


@njit(**VECTORIZE_PRIVATE)
def flush(x):
    """Replace by 0 what is so small that its products may be subnormal.

    Processors are a hundred times slower with such numbers, and saturated units make
    many of them.
    """
    zero, least = x.dtype.type(0), np.sqrt(np.finfo(x.dtype).tiny)
    for j in range(np.uint64(x.size)):
        x[0, j] = zero if abs(x[0, j]) < least else x[0, j]
