"""Decisions over candidates for one threshold unit, mostly in single precision."""

from __future__ import annotations

import numpy as np

from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM,
    VECTORIZE_SUM_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._metrics import value_of_counts
from skperceptron.optim.kernels._rule import adapt, is_kept

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
    X : ndarray of float64 of shape (n_samples, n_features)
        Samples.

    scale : ndarray of float64 of shape (n_samples,)
        What they are multiplied by.

    params : ndarray of float64 of shape (n_features + 1,)
        Weights and bias.

    start : int
        The first of the samples.

    rows : ndarray of float32 of shape (n_rows, n_features + 1)
        Receives them, as far as there are so many.

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
        Receives them, as far as there are so many samples.

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


@njit(**COMPILE)
def scan_screened(
    X,
    scale,
    weight,
    metric,
    positive,
    n_positive,
    sums,
    added,
    lengths,
    bounds,
    params,
    noise,
    group_of,
    step_size,
    rule,
    state,
    values,
):
    """Decide over candidates, one after the other.

    Sums are float32, and known to be wrong by no more than a bound. Those that are not
    further from 0 than that are computed anew in float64.

    Parameters
    ----------
    X : ndarray of float64 of shape (n_samples, n_features)
        Samples.

    scale : ndarray of float64 of shape (n_samples,)
        One over the length of each sample with a 1 for the bias; negative where the
        class is not 1.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights of the samples; empty when all count the same.

    metric : tuple
        What is maximised, see `Metric.describe`.

    positive : ndarray of float32 of shape (n_samples,) or (0,)
        1 for the samples of class 1, else 0; empty where the accuracy is maximised.

    n_positive : int
        How many of them are of class 1.

    sums : ndarray of float32 of shape (n_samples,)
        Sums of the current parameters times the scale: right where positive; updated.

    added : ndarray of int16 of shape (n_candidates, n_samples)
        What each candidate's noise adds to them, divided by the length of the noise, in
        units.

    lengths : ndarray of shape (n_candidates,)
        Lengths of the noise at step size 1.

    bounds : tuple of 3 floats
        How wrong, but for units, `added` can be; the unit; the length of the longest
        sample.

    params : ndarray of float64 of shape (n_features + 1,)
        Current parameters; updated.

    noise : ndarray of float64 of shape (n_candidates, n_features + 1)
        Noise of the candidates.

    group_of : ndarray of int of shape (n_candidates,)
        -1 where the noise is all zero.

    step_size : ndarray of shape (1,)
        Standard deviation of the noise; updated.

    rule : tuple, see Rule

    state : ndarray of shape (3,)
        Current value, number of kept candidates, and how wrong `sums` can be; updated.

    values : ndarray of shape (n_candidates,)
        Receives the current value after each candidate.
    """
    doubt, unit, longest = bounds
    moved = np.empty_like(params)
    for i in range(noise.shape[0]):
        sigma = step_size[0]
        squares = 0.0
        for q in range(params.size):
            moved[q] = params[q] + sigma * noise[i, q]
            squares += moved[q] * moved[q]
        distance, length = sigma * lengths[i], np.sqrt(squares)
        step = np.float32(distance * unit)
        error = state[2] + doubt * distance + _ROUNDING * (distance + length)
        if not (distance + length < _LONGEST and longest * length < _LARGEST):
            error = np.inf
        value = _value(
            X,
            scale,
            weight,
            metric,
            positive,
            n_positive,
            sums,
            added,
            i,
            step,
            error,
            moved,
        )
        accepted = is_kept(value, state[0], rule)
        if accepted:
            state[0] = value
            state[1] += 1
            state[2] = error
            _add(sums, added, i, step)
            params[:] = moved
        if group_of[i] >= 0:
            adapt(step_size, 0, not value >= state[0], rule)
        values[i] = state[0]


@njit(**COMPILE_PRIVATE)
def _value(
    X,
    scale,
    weight,
    metric,
    positive,
    n_positive,
    sums,
    added,
    i,
    step,
    error,
    moved,
):
    """Compute the metric; NaN for an overflow."""
    bound = np.float32(error)
    counts = metric[7]
    counts[:] = 0
    # Of the accuracy, all that is right is counted in the first place.
    by_class = positive.size > 0
    right_0, right_1 = 0.0, 0.0
    for start in range(0, sums.size, _LARGE_TILE):
        stop = min(start + _LARGE_TILE, sums.size)
        if weight.size == 0:
            n_0, n_1, n_doubtful = _count(
                sums, added, positive, i, step, bound, start, stop
            )
            if n_doubtful == 0:
                right_0 += n_0
                right_1 += n_1
                continue
        for first in range(start, stop, _TILE):
            last = min(first + _TILE, stop)
            n_0, n_1, n_doubtful = _count(
                sums, added, positive, i, step, bound, first, last
            )
            if n_doubtful == 0 and weight.size == 0:
                right_0 += n_0
                right_1 += n_1
                continue
            for j in range(first, last):
                z = np.float64(sums[j] + step * np.float32(added[i, j]))
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
        counts[0, 0], counts[0, 1] = right_0, sums.size - n_positive - right_0
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
