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

# Doubtful sums are looked for in pieces of this size.
_TILE = 128
# Of the multiplication, the additions and the step size, in float32.
_ROUNDING = 4 * 2.0**-24
# Beyond this size float32 may overflow: then everything is in doubt.
_LARGEST = 1e37


@njit(**COMPILE)
def scan_screened(
    X,
    order,
    n_negative,
    weight,
    sums,
    added,
    bias,
    reach,
    precision,
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

    order : ndarray of int of shape (n_samples,)
        Samples in the order of all other arrays: those of class 0 first.

    n_negative : int
        Number of samples of class 0.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights of the samples; empty when all count the same.

    sums : ndarray of float32 of shape (n_samples,)
        Sums of the current parameters; updated.

    added : ndarray of float32 of shape (n_candidates, n_samples)
        What each candidate's noise, at step size 1, adds to them, but for the bias.

    bias : ndarray of float32 of shape (n_candidates,)
        What the noise adds to the bias.

    reach : ndarray of shape (n_candidates,)
        How large the sum of `added` and `bias` can be.

    precision : float
        How wrong it can be, relative to that.

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
        error = state[2] + precision * sigma * reach[i] + _ROUNDING * largest
        if not largest < _LARGEST:
            error = np.inf
        accepted = False
        if finite and largest < np.inf:
            value = _value(
                X, order, n_negative, weight, sums, added, bias, i, sigma, error, moved
            )
            accepted = value >= state[0]
        if accepted:
            state[0] = value
            state[1] += 1
            state[2], state[3] = error, largest
            _add(sums, added, i, np.float32(sigma), bias[i])
            params[:] = moved
        if group_of[i] >= 0:
            factor = growth if accepted else shrinkage
            step_size[0] = min(sigma * factor, largest_step)
        values[i] = state[0]


@njit(**COMPILE_PRIVATE)
def _value(X, order, n_negative, weight, sums, added, bias, i, sigma, error, moved):
    """Count, or weigh, the samples on the right side; NaN for an overflow."""
    n_samples = sums.size
    step, bound = np.float32(sigma), np.float32(error)
    value = 0.0
    for start in range(0, n_samples, _TILE):
        stop = min(start + _TILE, n_samples)
        middle = min(max(n_negative, start), stop)
        n_right, n_doubtful = _count(
            sums, added, bias[i], i, step, bound, start, middle, stop
        )
        if n_doubtful == 0 and weight.size == 0:
            value += n_right
            continue
        for j in range(start, stop):
            z = np.float64(sums[j] + step * (added[i, j] + bias[i]))
            if not abs(z) > bound:
                z = moved[-1]
                for f in range(X.shape[1]):
                    z += X[order[j], f] * moved[f]
                if not abs(z) < np.inf:
                    return np.nan
            if (z >= 0) == (j >= n_negative):
                value += 1.0 if weight.size == 0 else weight[j]
    return value


@njit(**VECTORIZE_SUM_PRIVATE)
def _count(sums, added, bias, i, step, bound, start, middle, stop):
    """Count sums on the right side, and those that may be on the other."""
    k = np.uint64(i)
    # Counted in float32, as wide as the sums: a tile is small enough for that.
    zero, one = np.float32(0), np.float32(1)
    n_right, n_sure = zero, zero
    for j in range(np.uint64(start), np.uint64(middle)):
        z = sums[j] + step * (added[k, j] + bias)
        n_right += one if z < zero else zero
        n_sure += one if abs(z) > bound else zero
    for j in range(np.uint64(middle), np.uint64(stop)):
        z = sums[j] + step * (added[k, j] + bias)
        n_right += one if z >= zero else zero
        n_sure += one if abs(z) > bound else zero
    return int(n_right), stop - start - int(n_sure)


@njit(**VECTORIZE_PRIVATE)
def _add(sums, added, i, step, bias):
    k = np.uint64(i)
    for j in range(np.uint64(sums.size)):
        sums[j] += step * (added[k, j] + bias)
