"""Losses of numbers, computed from the sums of the output units, and their slopes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim._number_metric import KINDS, NumberMetric
from skperceptron.optim.kernels._compile import (
    COMPILE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)

# Samples that are worked off before the value is compared with what is enough.
_TILE = 1024
_SQUARED, _ABSOLUTE, _QUANTILE = range(len(KINDS))


class NumberTargets(NamedTuple):
    """Numbers that a network should say.

    Attributes
    ----------
    y : ndarray of shape (n_outputs, n)
        The numbers, in the order of the sums.

    weight : ndarray of shape (n,), or (0,)
        Weights of the samples; empty when all count the same.

    factors : ndarray of float64 of shape (n_outputs,)
        How much the outputs matter to each other.

    kind : int
        Place in `KINDS`.

    quantile : float
        Which quantile the pinball loss is for.

    n_samples : int
        Number of samples; what follows in the rows is none.
    """

    y: NDArray
    weight: NDArray
    factors: NDArray
    kind: int
    quantile: float
    n_samples: int


def make_number_targets(metric: NumberMetric, order, weight, width, dtype):
    """Describe samples that are brought into an order.

    Parameters
    ----------
    metric : NumberMetric
    order : ndarray of int of shape (n_samples,)
    weight : ndarray of shape (n_samples,) or (0,)
        In that order.

    width : int
        Length of the rows.

    dtype : numpy dtype
        Type of the sums.
    """
    y = np.zeros((metric.y.shape[1], width), dtype)
    y[:, : len(order)] = metric.y[order].T
    weights = np.zeros(width if weight.size else 0, dtype)
    weights[: weight.size] = weight
    return NumberTargets(
        y=y,
        weight=weights,
        factors=np.asarray(metric.factors, np.float64),
        kind=KINDS.index(metric.kind),
        quantile=float(metric.quantile),
        n_samples=len(order),
    )


@njit(**COMPILE)
def evaluate_numbers(z, output, targets, enough):
    """Compute the total loss, negated.

    Parameters
    ----------
    z, output : ndarray of shape (n_rows, n), and int
        Sums, and which row is the first output unit's: the others follow.

    targets : NumberTargets
    enough : float
        A value below this need not be computed to the end.

    Returns
    -------
    float
    """
    y, weight, factors, kind, quantile, n = targets
    value = 0.0
    for start in range(0, n, _TILE):
        stop = min(start + _TILE, n)
        for k in range(y.shape[0]):
            row = output + k
            if kind == _SQUARED:
                loss = _half_squares(z, row, y, k, weight, start, stop)
            else:
                below = quantile if kind == _QUANTILE else 1.0
                above = 1 - quantile if kind == _QUANTILE else 1.0
                loss = _shares(z, row, y, k, weight, start, stop, below, above)
            value -= factors[k] * loss
        if value < enough:
            break
    return value


@njit(**VECTORIZE_SUM_PRIVATE)
def _half_squares(z, row, y, k, weight, start, stop):
    i, o = np.uint64(row), np.uint64(k)
    half, total = z.dtype.type(0.5), z.dtype.type(0)
    if weight.size:
        for j in range(np.uint64(start), np.uint64(stop)):
            error = z[i, j] - y[o, j]
            total += weight[j] * (half * error * error)
    else:
        for j in range(np.uint64(start), np.uint64(stop)):
            error = z[i, j] - y[o, j]
            total += half * error * error
    return np.float64(total)


@njit(**VECTORIZE_SUM_PRIVATE)
def _shares(z, row, y, k, weight, start, stop, below, above):
    i, o = np.uint64(row), np.uint64(k)
    zero, total = z.dtype.type(0), z.dtype.type(0)
    low, high = z.dtype.type(-below), z.dtype.type(above)
    if weight.size:
        for j in range(np.uint64(start), np.uint64(stop)):
            error = z[i, j] - y[o, j]
            total += weight[j] * (error * (high if error > zero else low))
    else:
        for j in range(np.uint64(start), np.uint64(stop)):
            error = z[i, j] - y[o, j]
            total += error * (high if error > zero else low)
    return np.float64(total)


@njit(**COMPILE)
def slope_of_numbers(slope, z, output, targets):
    """Compute the derivative of the total loss by the output sums.

    Parameters
    ----------
    slope : ndarray of shape (n_outputs, n)
        Receives the derivative.

    z, output, targets
        As in `evaluate_numbers`.
    """
    y, weight, factors, kind, quantile, n = targets
    for k in range(y.shape[0]):
        factor = factors[k]
        if kind == _SQUARED:
            _slope_of_squares(slope, z, output + k, y, k, weight, n, factor)
        else:
            below = quantile if kind == _QUANTILE else 1.0
            above = 1 - quantile if kind == _QUANTILE else 1.0
            _slope_of_shares(
                slope, z, output + k, y, k, weight, n, -factor * below, factor * above
            )
    slope[:, n:] = 0  # there is no sample


@njit(**VECTORIZE_PRIVATE)
def _slope_of_squares(slope, z, row, y, k, weight, n, factor):
    i, o, f = np.uint64(row), np.uint64(k), z.dtype.type(factor)
    for j in range(np.uint64(n)):
        slope[o, j] = f * (z[i, j] - y[o, j])
    for j in range(np.uint64(weight.size)):
        slope[o, j] *= weight[j]


@njit(**VECTORIZE_PRIVATE)
def _slope_of_shares(slope, z, row, y, k, weight, n, below, above):
    i, o, zero = np.uint64(row), np.uint64(k), z.dtype.type(0)
    low, high = z.dtype.type(below), z.dtype.type(above)
    for j in range(np.uint64(n)):
        error = z[i, j] - y[o, j]
        rising = high if error > zero else zero
        slope[o, j] = low if error < zero else rising
    for j in range(np.uint64(weight.size)):
        slope[o, j] *= weight[j]
