"""Losses of numbers, computed from the sums of the output units, and their slopes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.special import xlogy

from skperceptron.optim._regression_metric import (
    REGRESSION_KINDS,
    SUMS,
    RegressionMetric,
)
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_INLINE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import exp, padded

# Samples that are worked off before the value is compared with what is enough.
_TILE = 1024
_N_SUMS = len(SUMS)
_SQUARED = REGRESSION_KINDS.index("squared_error")
_ABSOLUTE = REGRESSION_KINDS.index("absolute_error")
_QUANTILE = REGRESSION_KINDS.index("quantile")
_POISSON = REGRESSION_KINDS.index("poisson")
_GAMMA = REGRESSION_KINDS.index("gamma")
_ROOT = REGRESSION_KINDS.index("root_squared_error")
_VARIANCE = REGRESSION_KINDS.index("variance")
_MEDIAN = REGRESSION_KINDS.index("median")


class RegressionTargets(NamedTuple):
    """Numbers that a network is to predict.

    Attributes
    ----------
    y : ndarray of shape (n_outputs, n)
        The numbers, in the order of the sums.

    rest : ndarray of shape (1 or 0, n)
        The part of a deviance that does not depend on the sums; no row for others.

    weight : ndarray of shape (n_outputs, 1 or 0; n)
        Weights: of the samples for each output, of the samples, or no row where all
        count the same.

    factors : ndarray of float64 of shape (n_outputs,)
        How much each output counts.

    kind : int
        Place in `REGRESSION_KINDS`.

    below, above : float
        Absolute slope of the loss where the output is too small, and too large.

    total : float
        Total weight of the samples.

    n_samples : int
        Number of samples; what follows in the rows is none.
    """

    y: NDArray
    rest: NDArray
    weight: NDArray
    factors: NDArray
    kind: int
    below: float
    above: float
    total: float
    n_samples: int


def make_regression_targets(
    metric: RegressionMetric, sample_weight: NDArray, dtype: DTypeLike
) -> RegressionTargets:
    """Describe samples and what is maximised on them.

    Parameters
    ----------
    metric : RegressionMetric
    sample_weight : ndarray of shape (n_samples,) or (0,)
        Empty when all samples count the same.

    dtype : numpy dtype
        Type of the sums.
    """
    n, width = len(metric.y), padded(len(metric.y))

    def rows(values: Any) -> NDArray:
        result = np.zeros((len(values), width), dtype)
        result[:, :n] = values
        return result

    y: Any = metric.y.T
    rest, weight = y[:0], y[:0]
    if metric.kind == "poisson":
        rest = xlogy(y, y) - y
    elif metric.kind == "gamma":
        rest = -np.log(y) - 1
    if sample_weight.size:
        weight = sample_weight[np.newaxis]
    if metric.importance is not None:
        weight = metric.importance.T * (weight if len(weight) else 1.0)
    is_quantile = metric.kind == "quantile"
    return RegressionTargets(
        y=rows(y),
        rest=rows(rest),
        weight=rows(weight),
        factors=np.asarray(metric.factors, np.float64),
        kind=REGRESSION_KINDS.index(metric.kind),
        below=float(metric.quantile) if is_quantile else 1.0,
        above=1.0 - float(metric.quantile) if is_quantile else 1.0,
        total=float(sample_weight.sum()) if sample_weight.size else float(n),
        n_samples=n,
    )


@njit(**COMPILE)
def evaluate_regression(z, output, targets, room, enough):
    """Compute the loss, negated, times the total weight of the samples.

    Parameters
    ----------
    z, output : ndarray of shape (n_rows, n), and int
        Sums, and which row is the first output unit's: the others follow.

    targets : RegressionTargets
    room : ndarray of shape (n,)
        Room for the errors.

    enough : float
        A value below this need not be computed to the end.

    Returns
    -------
    float
    """
    n, factors = targets.n_samples, targets.factors
    tile = _TILE if targets.kind < _N_SUMS else n
    value = 0.0
    for start in range(0, n, tile):
        stop = min(start + tile, n)
        for k in range(factors.size):
            loss = _loss_of_output(z, output + k, targets, k, start, stop, room)
            value -= factors[k] * loss
        if value < enough:
            break
    return value


@njit(**COMPILE_INLINE)
def _loss_of_output(z, row, targets, k, start, stop, room):
    y, rest, weight, kind = targets.y, targets.rest, targets.weight, targets.kind
    if kind in (_ABSOLUTE, _QUANTILE):
        below, above = targets.below, targets.above
        return _shares(z, row, y, k, weight, start, stop, below, above)
    if kind == _POISSON:
        return _poisson(z, row, y, k, rest, weight, start, stop)
    if kind == _GAMMA:
        return _gamma(z, row, y, k, rest, weight, start, stop)
    if kind == _MEDIAN:
        _absolute_errors(z, row, y, k, stop, room)
        return targets.total * _median(room, stop)
    centre = _mean_error(z, row, targets, k) if kind == _VARIANCE else 0.0
    half = _half_squares(z, row, y, k, weight, start, stop, centre)
    return math.sqrt(2 * half * targets.total) if kind == _ROOT else half


@njit(**COMPILE_PRIVATE)
def _row_of_weight(weight, k):
    return min(k, weight.shape[0] - 1)


@njit(**COMPILE_PRIVATE)
def _mean_error(z, row, targets, k):
    y, weight, n = targets.y, targets.weight, targets.n_samples
    return _sum_of_errors(z, row, y, k, weight, n) / targets.total


@njit(**VECTORIZE_SUM_PRIVATE)
def _sum_of_errors(z, row, y, k, weight, n):
    i, o, total = np.uint64(row), np.uint64(k), z.dtype.type(0)
    if weight.shape[0]:
        w = np.uint64(_row_of_weight(weight, k))
        for j in range(np.uint64(n)):
            total += weight[w, j] * (z[i, j] - y[o, j])
    else:
        for j in range(np.uint64(n)):
            total += z[i, j] - y[o, j]
    return np.float64(total)


@njit(**VECTORIZE_SUM_PRIVATE)
def _half_squares(z, row, y, k, weight, start, stop, centre):
    i, o, c = np.uint64(row), np.uint64(k), z.dtype.type(centre)
    total = z.dtype.type(0)
    if weight.shape[0]:
        w = np.uint64(_row_of_weight(weight, k))
        for j in range(np.uint64(start), np.uint64(stop)):
            error = z[i, j] - y[o, j] - c
            total += weight[w, j] * (error * error)
    else:
        for j in range(np.uint64(start), np.uint64(stop)):
            error = z[i, j] - y[o, j] - c
            total += error * error
    return np.float64(total) / 2


@njit(**VECTORIZE_SUM_PRIVATE)
def _shares(z, row, y, k, weight, start, stop, below, above):
    i, o = np.uint64(row), np.uint64(k)
    zero, total = z.dtype.type(0), z.dtype.type(0)
    low, high = z.dtype.type(-below), z.dtype.type(above)
    if weight.shape[0]:
        w = np.uint64(_row_of_weight(weight, k))
        for j in range(np.uint64(start), np.uint64(stop)):
            error = z[i, j] - y[o, j]
            total += weight[w, j] * (error * (high if error > zero else low))
    else:
        for j in range(np.uint64(start), np.uint64(stop)):
            error = z[i, j] - y[o, j]
            total += error * (high if error > zero else low)
    return np.float64(total)


@njit(**VECTORIZE_SUM_PRIVATE)
def _poisson(z, row, y, k, rest, weight, start, stop):
    i, o, total = np.uint64(row), np.uint64(k), z.dtype.type(0)
    if weight.shape[0]:
        w = np.uint64(_row_of_weight(weight, k))
        for j in range(np.uint64(start), np.uint64(stop)):
            total += weight[w, j] * (exp(z[i, j]) - y[o, j] * z[i, j] + rest[o, j])
    else:
        for j in range(np.uint64(start), np.uint64(stop)):
            total += exp(z[i, j]) - y[o, j] * z[i, j] + rest[o, j]
    return np.float64(total)


@njit(**VECTORIZE_SUM_PRIVATE)
def _gamma(z, row, y, k, rest, weight, start, stop):
    i, o, total = np.uint64(row), np.uint64(k), z.dtype.type(0)
    if weight.shape[0]:
        w = np.uint64(_row_of_weight(weight, k))
        for j in range(np.uint64(start), np.uint64(stop)):
            total += weight[w, j] * (y[o, j] * exp(-z[i, j]) + z[i, j] + rest[o, j])
    else:
        for j in range(np.uint64(start), np.uint64(stop)):
            total += y[o, j] * exp(-z[i, j]) + z[i, j] + rest[o, j]
    return np.float64(total)


@njit(**VECTORIZE_PRIVATE)
def _absolute_errors(z, row, y, k, n, errors):
    i, o = np.uint64(row), np.uint64(k)
    for j in range(np.uint64(n)):
        errors[j] = abs(z[i, j] - y[o, j])


@njit(**COMPILE_PRIVATE)
def _median(x, n):
    """Find the median of the first `n` numbers, and bring them into another order.

    Hoare's selection of the upper one of two middle numbers; no number before its place
    is larger then.
    """
    middle, low, high = n // 2, 0, n - 1
    while low < high:
        pivot, i, j = x[(low + high) // 2], low, high
        while i <= j:
            while x[i] < pivot:
                i += 1
            while pivot < x[j]:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i += 1
                j -= 1
        if j < middle:
            low = i
        if middle < i:
            high = j
    upper = np.float64(x[middle])
    if n % 2:
        return upper
    lower = x[0]
    for j in range(1, middle):
        lower = max(lower, x[j])
    return (np.float64(lower) + upper) / 2


@njit(**COMPILE)
def slope_of_regression(slope, z, output, targets):
    """Compute the derivative of the loss by the output sums, times the total weight.

    Parameters
    ----------
    slope : ndarray of shape (n_outputs, n)
        Receives the derivative.

    z, output, targets
        As in `evaluate_regression`. Not for the median.
    """
    y, _, weight, factors, kind, below, above, _, n = targets
    for k in range(factors.size):
        row, factor = output + k, factors[k]
        if kind in (_ABSOLUTE, _QUANTILE):
            low, high = -factor * below, factor * above
            _slope_of_shares(slope, z, row, y, k, n, low, high)
        elif kind == _POISSON:
            _slope_of_poisson(slope, z, row, y, k, n, factor)
        elif kind == _GAMMA:
            _slope_of_gamma(slope, z, row, y, k, n, factor)
        else:
            centre = 0.0
            if kind == _ROOT:
                root = math.sqrt(
                    2 * _half_squares(z, row, y, k, weight, 0, n, 0.0) / targets.total
                )
                factor = factor / root if root > 0 else 0.0
            elif kind == _VARIANCE:
                centre = _mean_error(z, row, targets, k)
            _slope_of_squares(slope, z, row, y, k, n, factor, centre)
        if weight.shape[0]:
            _weigh(slope, k, weight, n)
    slope[:, n:] = 0  # there is no sample


@njit(**VECTORIZE_PRIVATE)
def _slope_of_squares(slope, z, row, y, k, n, factor, centre):
    i, o = np.uint64(row), np.uint64(k)
    f, c = z.dtype.type(factor), z.dtype.type(centre)
    for j in range(np.uint64(n)):
        slope[o, j] = f * (z[i, j] - y[o, j] - c)


@njit(**VECTORIZE_PRIVATE)
def _slope_of_shares(slope, z, row, y, k, n, below, above):
    i, o, zero = np.uint64(row), np.uint64(k), z.dtype.type(0)
    low, high = z.dtype.type(below), z.dtype.type(above)
    for j in range(np.uint64(n)):
        error = z[i, j] - y[o, j]
        rising = high if error > zero else zero
        slope[o, j] = low if error < zero else rising


@njit(**VECTORIZE_PRIVATE)
def _slope_of_poisson(slope, z, row, y, k, n, factor):
    i, o, f = np.uint64(row), np.uint64(k), z.dtype.type(factor)
    for j in range(np.uint64(n)):
        slope[o, j] = f * (exp(z[i, j]) - y[o, j])


@njit(**VECTORIZE_PRIVATE)
def _slope_of_gamma(slope, z, row, y, k, n, factor):
    i, o, f, one = np.uint64(row), np.uint64(k), z.dtype.type(factor), z.dtype.type(1)
    for j in range(np.uint64(n)):
        slope[o, j] = f * (one - y[o, j] * exp(-z[i, j]))


@njit(**VECTORIZE_PRIVATE)
def _weigh(slope, k, weight, n):
    o, w = np.uint64(k), np.uint64(_row_of_weight(weight, k))
    for j in range(np.uint64(n)):
        slope[o, j] *= weight[w, j]
