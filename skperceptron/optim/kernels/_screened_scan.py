"""Decisions over candidates for one threshold unit, mostly in single precision."""

from __future__ import annotations

import numpy as np
from numba import njit

from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
)

# Samples whose products are rounded together; the last chunk may have fewer.
CHUNK = 1024
# Doubtful sums are looked for in pieces of this size, which divides a chunk.
_TILE = 64
# What products are rounded to: whole multiples, up to so many, of a unit.
_MOST_UNITS = 32767
# A unit of 0 could not be divided by; this is less than any other error.
_SMALLEST = 1e-30
# Of the multiplications, the additions and the step size, in float32.
_ROUNDING = 8 * 2.0**-24
# Beyond this size float32 may overflow: then everything is in doubt.
_LARGEST = 1e37


@njit(**COMPILE)
def round_products(products, biases, signs, units, rounded, start):
    """Round what candidates add to the sums of a chunk of samples to 16 bits.

    Parameters
    ----------
    products : ndarray of float32 of shape (n_candidates, CHUNK)
        Products of their weights and the samples of the chunk. In the last chunk, only
        those that are there count.

    biases : ndarray of float32 of shape (n_candidates,)
        What they add to that.

    signs : ndarray of float32 of shape (n_samples,)
        What the sums are multiplied by.

    units : ndarray of float32 of shape (n_candidates,)
        Receives the unit of each candidate; infinite where there was an overflow.

    rounded : ndarray of int16 of shape (n_candidates, n_samples)
        Receives the results as multiples of the unit.

    start : int
        First sample of the chunk.
    """
    # Read as integers, floats are in the order of their sizes, and infinity and NaN are
    # the largest. Integers are faster to compare.
    bits, largest = products.view(np.int32), np.empty(1, np.float32)
    stop = min(start + CHUNK, rounded.shape[1])
    for i in range(len(products)):
        largest.view(np.int32)[0] = _largest_size(bits, i, stop - start)
        size = max(largest[0] + abs(biases[i]), np.float32(_SMALLEST))
        if size < np.inf:
            units[i] = size / np.float32(_MOST_UNITS)
            _round(products, biases[i], signs, 1 / units[i], rounded, i, start, stop)
        else:
            units[i] = np.inf
            rounded[i, start:stop] = 0


@njit(**VECTORIZE_PRIVATE)
def _largest_size(bits, i, n):
    k, largest, size = np.uint64(i), np.int32(0), np.int32(0x7FFFFFFF)
    for j in range(np.uint64(n)):
        largest = max(largest, bits[k, j] & size)
    return largest


@njit(**VECTORIZE_PRIVATE)
def _round(products, bias, signs, scale, rounded, i, start, stop):
    k, first = np.uint64(i), np.uint64(start)
    # Cutting off what follows the point rounds positive numbers if a half was added.
    # 16 bits do not hold the rest of it.
    offset = np.float32(2**16 + 0.5)
    for j in range(np.uint64(stop - start)):
        multiple = (products[k, j] + bias) * (scale * signs[first + j])
        rounded[k, first + j] = np.int16(np.int32(multiple + offset))


@njit(**COMPILE)
def scan_screened(
    X,
    signs,
    weight,
    sums,
    added,
    units,
    reach,
    doubt,
    params,
    noise,
    group_of,
    step_size,
    rates,
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

    signs : ndarray of float32 of shape (n_samples,)
        1 for samples of class 1, -1 for the others.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights of the samples; empty when all count the same.

    sums : ndarray of float32 of shape (n_samples,)
        Sums of the current parameters times the signs: right
        where positive; updated.

    added : ndarray of int16 of shape (n_candidates, n_samples)
        What each candidate's noise, at step size 1, adds to them, in units.

    units : ndarray of float32 of shape (n_chunks, n_candidates)
        The units, for each chunk of samples.

    reach : ndarray of shape (n_candidates,)
        How large that can be.

    doubt : ndarray of shape (n_candidates,)
        How wrong it can be.

    params : ndarray of float64 of shape (n_features + 1,)
        Current parameters; updated.

    noise : ndarray of float64 of shape (n_candidates, n_features + 1)
        Noise of the candidates.

    group_of : ndarray of int of shape (n_candidates,)
        -1 where the noise is all zero.

    step_size : ndarray of shape (1,)
        Standard deviation of the noise; updated.

    rates : tuple of 3 floats
        Factor after a kept and after a rejected candidate, and where growth ends.

    state : ndarray of shape (4,)
        Current value, number of kept candidates, how wrong `sums` can be, and how large
        they can be; updated.

    values : ndarray of shape (n_candidates,)
        Receives the current value after each candidate.
    """
    growth, shrinkage, largest_step = rates
    moved = np.empty_like(params)
    for i in range(noise.shape[0]):
        sigma = step_size[0]
        finite = True
        for q in range(params.size):
            moved[q] = params[q] + sigma * noise[i, q]
            finite &= abs(moved[q]) < np.inf
        largest = state[3] + sigma * reach[i]
        error = state[2] + sigma * doubt[i] + _ROUNDING * largest
        if not largest < _LARGEST:
            error = np.inf
        accepted = False
        if finite and largest < np.inf:
            value = _value(X, signs, weight, sums, added, units, i, sigma, error, moved)
            accepted = value >= state[0]
        if accepted:
            state[0] = value
            state[1] += 1
            state[2], state[3] = error, largest
            for chunk in range(len(units)):
                step = np.float32(sigma) * units[chunk, i]
                start = chunk * CHUNK
                _add(sums, added, i, step, start, min(start + CHUNK, sums.size))
            params[:] = moved
        if group_of[i] >= 0:
            factor = growth if accepted else shrinkage
            step_size[0] = min(sigma * factor, largest_step)
        values[i] = state[0]


@njit(**COMPILE_PRIVATE)
def _value(X, signs, weight, sums, added, units, i, sigma, error, moved):
    """Count, or weigh, the samples on the right side; NaN for an overflow."""
    n_samples = sums.size
    bound = np.float32(error)
    value = 0.0
    for start in range(0, n_samples, _TILE):
        stop = min(start + _TILE, n_samples)
        step = np.float32(sigma) * units[start // CHUNK, i]
        n_right, n_doubtful = _count(sums, added, i, step, bound, start, stop)
        if n_doubtful == 0 and weight.size == 0:
            value += n_right
            continue
        for j in range(start, stop):
            z = np.float64(sums[j] + step * np.float32(added[i, j]))
            is_right = z > 0
            if not abs(z) > bound:
                z = moved[-1]
                for f in range(X.shape[1]):
                    z += X[j, f] * moved[f]
                if not abs(z) < np.inf:
                    return np.nan
                is_right = (z >= 0) == (signs[j] > 0)
            if is_right:
                value += 1.0 if weight.size == 0 else weight[j]
    return value


@njit(**VECTORIZE_SUM_PRIVATE)
def _count(sums, added, i, step, bound, start, stop):
    """Count sums that are surely right, and those in doubt."""
    k = np.uint64(i)
    # Counted in float32, as wide as the sums: a tile is small enough for that.
    zero, one = np.float32(0), np.float32(1)
    n_right, n_sure = zero, zero
    for j in range(np.uint64(start), np.uint64(stop)):
        z = sums[j] + step * np.float32(added[k, j])
        n_right += one if z > bound else zero
        n_sure += one if abs(z) > bound else zero
    return int(n_right), stop - start - int(n_sure)


@njit(**VECTORIZE_PRIVATE)
def _add(sums, added, i, step, start, stop):
    k = np.uint64(i)
    for j in range(np.uint64(start), np.uint64(stop)):
        sums[j] += step * np.float32(added[k, j])
