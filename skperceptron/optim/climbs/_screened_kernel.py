"""Decisions over candidates for one threshold unit, mostly in single precision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim._metric import Description
from skperceptron.optim.climbs._candidates import Candidates
from skperceptron.optim.climbs._rule_kernel import decide
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_INLINE,
    COMPILE_PRIVATE,
    VECTORIZE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM,
    VECTORIZE_SUM_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import copy_into
from skperceptron.optim.kernels._metrics import value_of_counts
from skperceptron.optim.kernels._without_refcount import without_refcount

# Doubtful sums are looked for in pieces of the larger size, and there in smaller ones.
_LARGE_TILE, _TILE = 1024, 64
# Of two multiplications and an addition in float32.
_ROUNDING = 4 * 2.0**-24
# Beyond this length of the parameters float32 may overflow, and beyond this sum float64
# might: then everything is in doubt.
_LONGEST = 1e37
_LARGEST = 1e300


@njit(**VECTORIZE_SUM)
def scale_rows(X, scale, params, start, rows, sums):
    """Copy samples, each with a 1 for the bias, and scale them and their sums.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Samples.

    scale : ndarray of float64 of shape (n_samples,)
        What they are multiplied by.

    params : ndarray of shape (n_features + 1,)
        Weights and bias.

    start : int
        The first of the samples.

    rows : ndarray of float32 of shape (n_rows, n_features + 1)
        Receives them; at the end of the data, fewer than it has rows for.

    sums : ndarray of float32 of shape (n_samples,)
        Receives their sums. While a sample is read, that costs hardly anything.
    """
    first, n_features = np.uint64(start), np.uint64(X.shape[1])
    for i in range(np.uint64(min(len(rows), len(X) - start))):
        j = first + i
        factor, z = scale[j], 0.0
        for f in range(n_features):
            x = X[j, f]
            rows[i, f] = np.float32(x * factor)
            z += x * params[f]
        rows[i, n_features] = factor
        sums[j] = factor * (z + params[-1])


@njit(**VECTORIZE)
def round_products(products, rounded, start):
    """Round products to 16 bits.

    Parameters
    ----------
    products : ndarray of float32 of shape (n_candidates, n_columns)
        Numbers between -32767 and 32767.

    rounded : ndarray of int16 of shape (n_candidates, n_samples)
        Receives them; at the end of the data, fewer than it has columns for.

    start : int
        The first sample.
    """
    first = np.uint64(start)
    n = np.uint64(min(products.shape[1], rounded.shape[1] - start))
    # Cutting off what follows the point rounds positive numbers if a half was added.
    # 16 bits do not hold the rest of it.
    offset = np.float32(2**16 + 0.5)
    for i in range(np.uint64(len(products))):
        for j in range(n):
            rounded[i, first + j] = np.int16(np.int32(products[i, j] + offset))


class Samples(NamedTuple):
    """Samples.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        The samples.

    scale : ndarray of float64 of shape (n_samples,)
        One over the length of each sample with a 1 for the bias; negative where the
        class is not 1.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights of the samples; empty when all count the same.

    positive : ndarray of float32 of shape (n_samples,) or (0,)
        1 for the samples of class 1, else 0; empty where the accuracy is maximised.

    n_positive : int
        How many of them are of class 1.

    longest : float
        Length of the longest sample.
    """

    X: NDArray[np.floating]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]
    positive: NDArray[np.float32]
    n_positive: int
    longest: float


class Sums(NamedTuple):
    """Sums in single precision, and what the noise of candidates adds to them.

    Attributes
    ----------
    sums : ndarray of float32 of shape (n_samples,)
        Sums of the current parameters times the scale: right where positive; updated.

    error : ndarray of shape (1,)
        How wrong they can be; updated.

    added : ndarray of int16 of shape (n_candidates, n_samples)
        What each candidate's noise adds to them, divided by the length of the noise, in
        units.

    lengths : ndarray of shape (n_candidates,)
        Lengths of the noise at step size 1.

    doubt, unit : float
        How wrong, but for units, `added` can be; and the unit.
    """

    sums: NDArray[np.float32]
    error: NDArray[np.float64]
    added: NDArray[np.int16]
    lengths: NDArray[np.float64]
    doubt: float
    unit: float


@njit(**COMPILE)
def scan_screened(samples, sums, metric, params, candidates):
    """Decide over candidates, one after the other.

    Sums are float32, and known to be wrong by no more than a bound. Those that are not
    further from 0 than that are computed anew.

    Parameters
    ----------
    samples : tuple, see Samples
    sums : tuple, see Sums
        Updated.

    metric : tuple, see Description
    params : ndarray of shape (n_features + 1,)
        Current parameters; updated.

    candidates : tuple, see Candidates
        Updated.
    """
    samples, sums, metric, candidates = without_refcount(
        (Samples(*samples), Sums(*sums), Description(*metric), Candidates(*candidates))
    )
    moved, noise = np.empty_like(params), candidates.noise
    for i in range(noise.shape[0]):
        sigma = candidates.step_size[0]
        squares = 0.0
        for q in range(params.size):
            moved[q] = params[q] + sigma * noise[i, q]
            squares += moved[q] * moved[q]
        distance, length = sigma * sums.lengths[i], np.sqrt(squares)
        step = np.float32(distance * sums.unit)
        error = sums.error[0] + sums.doubt * distance + _ROUNDING * (distance + length)
        if not (distance + length < _LONGEST and samples.longest * length < _LARGEST):
            error = np.inf
        value = _value(samples, sums, metric, i, step, error, moved)
        if decide(candidates, i, value, 0.0):
            sums.error[0] = error
            _add(sums.sums, sums.added, i, step)
            copy_into(moved, params, params.size)


@njit(**COMPILE_INLINE)
def _value(samples, sums, metric, i, step, error, moved):
    """Compute the metric; NaN for an overflow."""
    X, scale, weight, positive = (
        samples.X,
        samples.scale,
        samples.weight,
        samples.positive,
    )
    z_of, added, bound = sums.sums, sums.added, np.float32(error)
    counts, n_positive = metric.counts, samples.n_positive
    counts[:] = 0
    # Of the accuracy, all that is right is counted in the first place.
    by_class = positive.size > 0
    right_0, right_1 = 0.0, 0.0
    for start in range(0, z_of.size, _LARGE_TILE):
        stop = min(start + _LARGE_TILE, z_of.size)
        if weight.size == 0:
            n_0, n_1, n_doubtful = _count(
                z_of, added, positive, i, step, bound, start, stop
            )
            if n_doubtful == 0:
                right_0 += n_0
                right_1 += n_1
                continue
        for first in range(start, stop, _TILE):
            last = min(first + _TILE, stop)
            n_0, n_1, n_doubtful = _count(
                z_of, added, positive, i, step, bound, first, last
            )
            if n_doubtful == 0 and weight.size == 0:
                right_0 += n_0
                right_1 += n_1
                continue
            for j in range(first, last):
                z = np.float64(z_of[j] + step * np.float32(added[i, j]))
                is_right = z > 0
                true = scale[j] > 0
                if not abs(z) > bound:
                    z = _sum(X, j, moved)
                    if not abs(z) < np.inf:
                        return np.nan
                    is_right = (z >= 0) == true
                w = 1.0 if weight.size == 0 else weight[j]
                if by_class and weight.size > 0:
                    counts[int(true), int(true == is_right)] += w
                elif is_right and by_class and true:
                    right_1 += w
                elif is_right:
                    right_0 += w
    if not by_class:
        return right_0
    if weight.size == 0:
        counts[0, 0], counts[0, 1] = right_0, z_of.size - n_positive - right_0
        counts[1, 0], counts[1, 1] = n_positive - right_1, right_1
    return value_of_counts(metric)


@njit(**VECTORIZE_SUM_PRIVATE)
def _sum(X, j, params):
    k, z = np.uint64(j), 0.0
    for f in range(np.uint64(X.shape[1])):
        z += X[k, f] * params[f]
    return z + params[-1]


@njit(**COMPILE_PRIVATE)
def _count(sums, added, positive, i, step, bound, start, stop):
    """Count sums that are surely right, those of class 1 apart, and those in doubt."""
    if positive.size == 0:
        n_right, n_doubtful = _count_right(sums, added, i, step, bound, start, stop)
        return n_right, 0, n_doubtful
    return _count_by_class(sums, added, positive, i, step, bound, start, stop)


@njit(**VECTORIZE_SUM_PRIVATE)
def _count_right(sums, added, i, step, bound, start, stop):
    k = np.uint64(i)
    # Counted in float32, as wide as the sums: a tile is small enough for that.
    zero, one = np.float32(0), np.float32(1)
    n_right, n_sure = zero, zero
    for j in range(np.uint64(start), np.uint64(stop)):
        z = sums[j] + step * np.float32(added[k, j])
        n_right += one if z > bound else zero
        n_sure += one if abs(z) > bound else zero
    return int(n_right), stop - start - int(n_sure)


@njit(**VECTORIZE_SUM_PRIVATE)
def _count_by_class(sums, added, positive, i, step, bound, start, stop):
    k = np.uint64(i)
    zero, one = np.float32(0), np.float32(1)
    n_right, n_positive, n_sure = zero, zero, zero
    for j in range(np.uint64(start), np.uint64(stop)):
        z = sums[j] + step * np.float32(added[k, j])
        right = one if z > bound else zero
        n_right += right
        n_positive += positive[j] * right
        n_sure += one if abs(z) > bound else zero
    n_1 = int(n_positive)
    return int(n_right) - n_1, n_1, stop - start - int(n_sure)


@njit(**VECTORIZE_PRIVATE)
def _add(sums, added, i, step):
    k = np.uint64(i)
    for j in range(np.uint64(sums.size)):
        sums[j] += step * np.float32(added[k, j])
