"""Decisions over candidates for one threshold unit of few inputs."""

from __future__ import annotations

import numpy as np

from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._metrics import ACCURACY, value_of_counts
from skperceptron.optim.kernels._rule import adapt, is_kept

# Inputs that a sum has, the unused ones being 0: the compiler then knows how many.
N_INPUTS = 8
# Rounding errors of a sum, relative to the length of the vectors that are multiplied.
_ROUNDING = 1e-4


@njit(**COMPILE)
def scan_hyperplanes(
    data,
    lengths,
    n_negative,
    weight,
    metric,
    far,
    near,
    near_data,
    params,
    reference,
    noise,
    norms,
    group_of,
    step_size,
    rule,
    state,
    values,
):
    """Decide over candidates, one after the other.

    A sum changes by no more than the length of the step times that of the sample. So
    only samples near the hyperplane need be looked at; which ones those are is found
    anew where the steps since then could have moved others across it.

    Parameters
    ----------
    data : ndarray of shape (N_INPUTS, n_samples)
        Samples, one column each, those of class 0 first.

    lengths : ndarray of shape (n_samples,)
        Euclidean length of each with a 1 appended, for the bias.

    n_negative : int
        Number of samples of class 0.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights of the samples; empty when all count the same.

    metric : tuple
        What is maximised, see `Metric.describe`.

    far : ndarray of shape (2, 2)
        Confusion matrix of the samples that are not near the hyperplane; of the
        accuracy, only how many are right, in its first place.

    near : ndarray of int of shape (n_samples,)
    near_data : ndarray of shape (N_INPUTS, n_samples)
        Samples near the hyperplane, as long as they are so.

    params : ndarray of shape (n_features + 1,)
        Current parameters, the bias last; updated.

    reference : ndarray of shape (n_features + 1,)
        Parameters at the last selection.

    noise, norms : ndarray of shape (n_candidates, n_features + 1) and (n_candidates,)
        Noise of the candidates, and its Euclidean length.

    group_of : ndarray of int of shape (n_candidates,)
        -1 where the noise is all zero.

    step_size : ndarray of shape (1,)
        Standard deviation of the noise; updated.

    rule : tuple, see Rule

    state : ndarray of shape (6,)
        Current value, number of kept candidates; then, of the selection: how far steps
        may go from the reference (negative before there is one), the number of those
        selected, and of those of class 0 among them; and the current value as the
        selection adds it up.

    values : ndarray of shape (n_candidates,)
        Receives the current value after each candidate.
    """
    bias = params.size - 1
    moved = np.zeros(N_INPUTS + 1, params.dtype)
    longest = norms.max()
    for i in range(noise.shape[0]):
        sigma = step_size[0]
        distance = 0.0
        for q in range(params.size):
            weight_or_bias = params[q] + sigma * noise[i, q]
            moved[q if q < bias else N_INPUTS] = weight_or_bias
            distance += (weight_or_bias - reference[q]) ** 2
        accepted, value = False, np.nan
        if distance < np.inf:
            if not np.sqrt(distance) <= state[2]:
                # Far enough for every step to come, while the step size is what it is.
                reach = sigma * longest
                _select(
                    data,
                    lengths,
                    n_negative,
                    weight,
                    metric,
                    far,
                    near,
                    near_data,
                    params,
                    reach,
                    state,
                )
                reference[:] = params
            value = _value(near_data, near, weight, metric, far, moved, state)
            accepted = is_kept(value, state[5], rule)
            if accepted:
                # Weights add up to something else, by rounding, in another order.
                if value > state[5]:
                    state[0] = value
                state[5] = value
                state[1] += 1
                params[:bias] = moved[:bias]
                params[bias] = moved[N_INPUTS]
        if group_of[i] >= 0:
            adapt(step_size, 0, not value >= state[5], rule)
        values[i] = state[0]


@njit(**COMPILE_PRIVATE)
def _select(
    data,
    lengths,
    n_negative,
    weight,
    metric,
    far,
    near,
    near_data,
    params,
    reach,
    state,
):
    """Find the samples that steps from the current parameters can move across."""
    bias = params.size - 1
    current = np.zeros(N_INPUTS + 1, params.dtype)
    current[:bias], current[N_INPUTS] = params[:bias], params[bias]
    length = np.sqrt(np.sum(current**2))
    margin = reach + _ROUNDING * (length + reach)
    n_near, n_near_negative = 0, 0
    far[:] = 0
    for j in range(lengths.size):
        z = _sum(data, current, np.uint64(j))
        # The comparison is false for NaN.
        if abs(z) > margin * lengths[j]:
            w = 1.0 if weight.size == 0 else weight[j]
            _add(far, j >= n_negative, z >= 0, w, metric)
        else:
            near[n_near] = j
            n_near += 1
            n_near_negative += j < n_negative
    for q in range(N_INPUTS):
        for k in range(n_near):
            near_data[q, k] = data[q, near[k]]
    state[2], state[3], state[4] = reach, n_near, n_near_negative
    state[5] = _value(near_data, near, weight, metric, far, current, state)


@njit(**COMPILE_PRIVATE)
def _add(counts, true, predicted, w, metric):
    """Add a sample to a confusion matrix, or where it is right to the accuracy."""
    if metric[0] != ACCURACY:
        counts[int(true), int(predicted)] += w
    elif true == predicted:
        counts[0, 0] += w


@njit(**COMPILE_PRIVATE)
def _value(near_data, near, weight, metric, far, w, state):
    """Compute the metric; NaN where a sum of the samples selected overflows."""
    n_near, n_negative = int(state[3]), int(state[4])
    counts = metric[7]
    if weight.size == 0:
        right_0, right_1, n_finite = _count(near_data, w, n_negative, n_near)
        if n_finite < n_near:
            return np.nan
        if metric[0] == ACCURACY:
            return far[0, 0] + (right_0 + right_1)
        counts[0, 0] = far[0, 0] + right_0
        counts[0, 1] = far[0, 1] + (n_negative - right_0)
        counts[1, 0] = far[1, 0] + (n_near - n_negative - right_1)
        counts[1, 1] = far[1, 1] + right_1
        return value_of_counts(metric)
    counts[:] = 0
    for k in range(n_near):
        z = _sum(near_data, w, np.uint64(k))
        if not abs(z) < np.inf:
            return np.nan
        _add(counts, k >= n_negative, z >= 0, weight[near[k]], metric)
    if metric[0] == ACCURACY:
        return far[0, 0] + counts[0, 0]
    counts += far
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
