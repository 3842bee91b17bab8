"""Decisions over candidates for one threshold unit of few inputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim._metric import Description
from skperceptron.optim.climbs._candidates import VALUE, Candidates
from skperceptron.optim.climbs._rule_kernel import decide
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_INLINE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import copy_into
from skperceptron.optim.kernels._metrics import ACCURACY, value_of_counts
from skperceptron.optim.kernels._without_refcount import without_refcount

# Inputs that a sum has, the unused ones being 0: the compiler then knows how many.
N_INPUTS = 8
# Rounding errors of a sum, relative to the length of the vectors that are multiplied.
_ROUNDING = 1e-4


# Places among the numbers of a selection.
REACH, N_NEAR, N_NEAR_NEGATIVE, SHOWN = 0, 1, 2, 3


class Samples(NamedTuple):
    """Samples, sorted by class.

    Attributes
    ----------
    columns : ndarray of shape (N_INPUTS, n_samples)
        One column each, those of class 0 first.

    lengths : ndarray of shape (n_samples,)
        Euclidean length of each with a 1 appended, for the bias.

    n_negative : int
        Number of samples of class 0.

    weight : ndarray of shape (n_samples,) or (0,)
        Their weights; empty when all count the same.
    """

    columns: NDArray[np.floating]
    lengths: NDArray[np.floating]
    n_negative: int
    weight: NDArray[np.float64]


class Selection(NamedTuple):
    """The samples near the hyperplane, and what is known of the others.

    Attributes
    ----------
    numbers : ndarray of shape (4,)
        How far steps may go from the reference (negative before there is one); how many
        samples are near, and how many of these are of class 0; and the current value as
        it is shown. (What state has is how the selection adds it up.)

    far : ndarray of shape (2, 2)
        Confusion matrix of the samples that are not near the hyperplane; of the
        accuracy, only how many are right, in its first place.

    near : ndarray of int of shape (n_samples,)
    columns : ndarray of shape (N_INPUTS, n_samples)
        Samples near the hyperplane, as long as they are so.

    reference : ndarray of shape (n_features + 1,)
        Parameters when they were selected.
    """

    numbers: NDArray[np.float64]
    far: NDArray[np.float64]
    near: NDArray[np.intp]
    columns: NDArray[np.floating]
    reference: NDArray[np.floating]


@njit(**COMPILE)
def scan_hyperplanes(samples, metric, selection, params, candidates, norms):
    """Decide over candidates, one after the other.

    A sum changes by no more than the length of the step times that of the sample. So
    only samples near the hyperplane need be looked at; which ones those are is found
    anew where the steps since then could have moved others across it.

    Parameters
    ----------
    samples : tuple, see Samples
    metric : tuple, see Description
    selection : tuple, see Selection
        Updated.

    params : ndarray of shape (n_features + 1,)
        Current parameters, the bias last; updated.

    candidates : tuple, see Candidates
        Updated.

    norms : ndarray of shape (n_candidates,)
        Euclidean lengths of their noise.
    """
    samples, metric, selection, candidates = without_refcount(
        (
            Samples(*samples),
            Description(*metric),
            Selection(*selection),
            Candidates(*candidates),
        )
    )
    bias, noise, state = params.size - 1, candidates.noise, candidates.state
    numbers, reference = selection.numbers, selection.reference
    moved = np.zeros(N_INPUTS + 1, params.dtype)
    longest = norms.max()
    for i in range(noise.shape[0]):
        sigma = candidates.step_size[0]
        distance = 0.0
        for q in range(params.size):
            weight_or_bias = params[q] + sigma * noise[i, q]
            moved[q if q < bias else N_INPUTS] = weight_or_bias
            distance += (weight_or_bias - reference[q]) ** 2
        value = np.nan
        if distance < np.inf:
            if not np.sqrt(distance) <= numbers[REACH]:
                # Far enough for every step to come, while the step size is what it is.
                reach = sigma * longest
                state[VALUE] = _select(samples, metric, selection, params, reach)
            value = _value(samples, metric, selection, moved)
        before = state[VALUE]
        if decide(candidates, i, value, 0.0):
            # Weights add up to something else, by rounding, in another order.
            if value > before:
                numbers[SHOWN] = value
            copy_into(moved, params, bias)
            params[bias] = moved[N_INPUTS]
        candidates.values[i] = numbers[SHOWN]


@njit(**COMPILE_INLINE)
def _select(samples, metric, selection, params, reach):
    """Find the samples that steps from the current parameters can move across.

    Returns the value of the current parameters.
    """
    bias = params.size - 1
    current = np.zeros(N_INPUTS + 1, params.dtype)
    copy_into(params, current, bias)
    current[N_INPUTS] = params[bias]
    length = np.sqrt(np.sum(current**2))
    margin = reach + _ROUNDING * (length + reach)
    n_near, n_near_negative = 0, 0
    selection.far[:] = 0
    for j in range(samples.lengths.size):
        z = _sum(samples.columns, current, np.uint64(j))
        is_positive = j >= samples.n_negative
        # The comparison is false for NaN.
        if abs(z) > margin * samples.lengths[j]:
            w = 1.0 if samples.weight.size == 0 else samples.weight[j]
            _add(selection.far, is_positive, z >= 0, w, metric)
        else:
            selection.near[n_near] = j
            n_near += 1
            n_near_negative += not is_positive
    for q in range(N_INPUTS):
        for k in range(n_near):
            selection.columns[q, k] = samples.columns[q, selection.near[k]]
    numbers = selection.numbers
    numbers[REACH] = reach
    numbers[N_NEAR], numbers[N_NEAR_NEGATIVE] = n_near, n_near_negative
    copy_into(params, selection.reference, params.size)
    return _value(samples, metric, selection, current)


@njit(**COMPILE_PRIVATE)
def _add(counts, true, predicted, w, metric):
    """Add a sample to a confusion matrix, or where it is right to the accuracy."""
    if metric.kind != ACCURACY:
        counts[int(true), int(predicted)] += w
    elif true == predicted:
        counts[0, 0] += w


@njit(**COMPILE_PRIVATE)
def _value(samples, metric, selection, w):
    """Compute the metric; NaN where a sum of the samples selected overflows."""
    numbers, near, columns, far = (
        selection.numbers,
        selection.near,
        selection.columns,
        selection.far,
    )
    n_near, n_negative = int(numbers[N_NEAR]), int(numbers[N_NEAR_NEGATIVE])
    counts, weight = metric.counts, samples.weight
    if weight.size == 0:
        right_0, right_1, n_finite = _count(columns, w, n_negative, n_near)
        if n_finite < n_near:
            return np.nan
        if metric.kind == ACCURACY:
            return far[0, 0] + (right_0 + right_1)
        counts[0, 0] = far[0, 0] + right_0
        counts[0, 1] = far[0, 1] + (n_negative - right_0)
        counts[1, 0] = far[1, 0] + (n_near - n_negative - right_1)
        counts[1, 1] = far[1, 1] + right_1
        return value_of_counts(metric)
    counts[:] = 0
    for k in range(n_near):
        z = _sum(columns, w, np.uint64(k))
        if not abs(z) < np.inf:
            return np.nan
        _add(counts, k >= n_negative, z >= 0, weight[near[k]], metric)
    if metric.kind == ACCURACY:
        return far[0, 0] + counts[0, 0]
    for c in range(2):
        for k in range(2):
            counts[c, k] += far[c, k]
    return value_of_counts(metric)


@njit(**VECTORIZE_PRIVATE)
def _count(data, w, n_negative, n):
    """Count the sums on the right side, for each class, and those that are finite."""
    right_0, right_1, n_finite = 0, 0, 0
    for k in range(np.uint64(n_negative)):
        z = _sum(data, w, k)
        right_0 += z < 0
        n_finite += abs(z) < np.inf
    for k in range(np.uint64(n_negative), np.uint64(n)):
        z = _sum(data, w, k)
        right_1 += z >= 0
        n_finite += abs(z) < np.inf
    return right_0, right_1, n_finite


@njit(**VECTORIZE_PRIVATE)
def _sum(data, w, j):
    # Written out: of a loop the compiler does not make one for many samples.
    z = w[8] + w[0] * data[0, j]
    z += w[1] * data[1, j]
    z += w[2] * data[2, j]
    z += w[3] * data[3, j]
    z += w[4] * data[4, j]
    z += w[5] * data[5, j]
    z += w[6] * data[6, j]
    return z + w[7] * data[7, j]
