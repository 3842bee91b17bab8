"""Decisions over candidates for a layer of threshold units."""

from __future__ import annotations

import numpy as np

from skperceptron.optim.climbs._candidates import Candidates
from skperceptron.optim.climbs._rule_kernel import decide
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._without_refcount import without_refcount

# Rows that the multiclass kernel handles at a time: their best sums stay in registers
# and in the first-level cache.
_TILE = 128


@njit(**COMPILE_PRIVATE)
def _count_binary(z, p, sigma, y):
    """Count the samples that ``z + sigma * p`` puts on their side of zero."""
    count = 0
    for j in range(z.size):
        count += ((z[j] + sigma * p[j]) >= 0) == y[j]
    return count


@njit(**COMPILE_PRIVATE)
def _weigh_binary(z, p, sigma, y, weight):
    """Add up the weights of the samples that ``z + sigma * p`` puts on their side."""
    total = 0.0
    for j in range(z.size):
        if ((z[j] + sigma * p[j]) >= 0) == y[j]:
            total += weight[j]
    return total


@njit(**COMPILE_PRIVATE)
def _correct_multiclass(z, p, first, sigma, y, weight):
    """Weight (or number) of the samples whose largest sum is that of their class.

    Unit ``first + m`` has the sums ``z[first + m] + sigma * p[m]``, all others have
    theirs from `z`. Of equal sums the first counts, as in `numpy.argmax`.
    """
    n_units, n_samples = z.shape
    best = np.empty(_TILE, z.dtype)
    winner = np.empty(_TILE, np.int64)
    total = 0.0
    for start in range(0, n_samples, _TILE):
        size = min(_TILE, n_samples - start)
        best[:] = -np.inf
        winner[:] = 0
        for k in range(n_units):
            m = k - first
            if 0 <= m < p.shape[0]:
                for j in range(size):
                    value = z[k, start + j] + sigma * p[m, start + j]
                    if value > best[j]:
                        best[j] = value
                        winner[j] = k
            else:
                for j in range(size):
                    value = z[k, start + j]
                    if value > best[j]:
                        best[j] = value
                        winner[j] = k
        for j in range(size):
            if winner[j] == y[start + j]:
                total += 1.0 if weight.size == 0 else weight[start + j]
    return total


@njit(**COMPILE)
def correct(z, p, first, sigma, y, weight):
    """Weight (or number) of the samples that threshold units classify correctly."""
    if z.shape[0] == 1:
        if weight.size == 0:
            return float(_count_binary(z[0], p[0], sigma, y))
        return _weigh_binary(z[0], p[0], sigma, y, weight)
    return _correct_multiclass(z, p, first, sigma, y, weight)


@njit(**COMPILE_PRIVATE)
def _all_finite(z, p, first, sigma):
    for m in range(p.shape[0]):
        for j in range(p.shape[1]):
            if not np.isfinite(z[first + m, j] + sigma * p[m, j]):
                return False
    return True


@njit(**COMPILE)
def scan(z, p, reach, limits, y, weight, groups, params, candidates):
    """Decide over candidates, one after the other.

    Parameters
    ----------
    z : ndarray of shape (n_units, n_samples)
        Sums of the current parameters; updated.

    p : ndarray of shape (n_candidates, n_moved_units, n_samples)
        What each candidate's noise, at step size 1, adds to the sums of the units that
        it moves: all of them, or the one of its group.

    reach : ndarray of shape (n_candidates,)
        Bound of the absolute values of `p`.

    limits : ndarray of shape (2,)
        Bound of the absolute values of `z`, updated; and up to where a sum is surely
        finite.

    y : ndarray of shape (n_samples,)
        Index of the true class; bool for two classes.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights of the samples; empty when all count the same.

    groups : ndarray of int of shape (n_groups, group_size)
        Positions of the parameters of each group.

    params : ndarray of shape (n_params,)
        Current parameters; updated.

    candidates : tuple, see Candidates
        Updated.
    """
    candidates = without_refcount(Candidates(*candidates))
    one_unit, noise = p.shape[1] < z.shape[0], candidates.noise
    for i in range(p.shape[0]):
        group = max(candidates.group_of[i], 0)
        sigma = candidates.step_size[group]
        first = group if one_unit else 0
        value = np.nan
        bound = limits[0] + sigma * reach[i]
        if bound < limits[1] or _all_finite(z, p[i], first, sigma):
            value = correct(z, p[i], first, sigma, y, weight)
        if decide(candidates, i, value, 0.0):
            limits[0] = bound
            for m in range(p.shape[1]):
                for j in range(z.shape[1]):
                    z[first + m, j] += sigma * p[i, m, j]
            for q in range(noise.shape[1]):
                params[groups[group, q]] += sigma * noise[i, q]
