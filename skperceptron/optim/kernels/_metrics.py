"""Metrics, computed from a confusion matrix as scikit-learn computes them.

Sums are added up in NumPy's order: what is a tie to scikit-learn is one here.

A metric is given as its `Description`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skperceptron.optim._metric import ADDITIVE, KINDS, OF_COUNTS
from skperceptron.optim.kernels._compile import COMPILE, COMPILE_PRIVATE, njit

# As in NumPy, nothing is raised where something is divided by 0.
DIVIDE: dict[str, Any] = {**COMPILE, "error_model": "numpy"}
DIVIDE_PRIVATE: dict[str, Any] = {**COMPILE_PRIVATE, "error_model": "numpy"}

# The first kinds are sums over the samples, the next ones follow from counts.
N_ADDITIVE = len(ADDITIVE)
N_OF_COUNTS = len(OF_COUNTS)
LOG_LOSS = KINDS.index("log_loss")
ACCURACY = KINDS.index("accuracy")
CLIPPED_LOG_LOSS = KINDS.index("clipped_log_loss")
TOP_K = KINDS.index("top_k")
BRIER = KINDS.index("brier")
_BALANCED_ACCURACY = KINDS.index("balanced_accuracy")
_PRECISION = KINDS.index("precision")
_RECALL = KINDS.index("recall")
_JACCARD = KINDS.index("jaccard")
_MATTHEWS = KINDS.index("matthews")
_KAPPA = KINDS.index("kappa")
_COSTS = KINDS.index("costs")
MICRO, MACRO = 0, 1
# NumPy's pairwise summation adds at most this many numbers one after the other.
_MAX_IN_LEAF = 128


@njit(**DIVIDE)
def value_of_counts(metric):
    """Compute a metric, with its sign, from the confusion matrix in it."""
    kind, costs, counts, room = metric.kind, metric.costs, metric.counts, metric.room
    if kind == _BALANCED_ACCURACY:
        value = _balanced_accuracy(counts, metric.number > 0, room)
    elif kind == _MATTHEWS:
        value = _matthews(counts)
    elif kind == _KAPPA:
        value = _kappa(counts, costs, room)
    elif kind == _COSTS:
        value = -_weighted_sum(counts, costs, room) / _total(counts)
    else:
        value = _mean_of_classes(metric)
    return metric.sign * value


# Written out: numba takes long to compile slices and their methods.
@njit(**DIVIDE_PRIVATE)
def _total(counts):
    result = 0.0
    for c in range(counts.shape[0]):
        for k in range(counts.shape[1]):
            result += counts[c, k]
    return result


@njit(**DIVIDE_PRIVATE)
def _total_of_row(counts, c):
    result = 0.0
    for k in range(counts.shape[1]):
        result += counts[c, k]
    return result


@njit(**DIVIDE_PRIVATE)
def _total_of_column(counts, k):
    result = 0.0
    for c in range(counts.shape[0]):
        result += counts[c, k]
    return result


@njit(**DIVIDE_PRIVATE)
def _trace(counts):
    result = 0.0
    for c in range(counts.shape[0]):
        result += counts[c, c]
    return result


@njit(**DIVIDE)
def sum_in_order(x, start, n):
    """Add up numbers, up to 128 of them in the order in which NumPy does."""
    if n < 8:
        result = 0.0
        for i in range(start, start + n):
            result += x[i]
        return result
    a, b, c, d = x[start], x[start + 1], x[start + 2], x[start + 3]
    e, f, g, h = x[start + 4], x[start + 5], x[start + 6], x[start + 7]
    stop = start + n - n % 8
    for i in range(start + 8, stop, 8):
        a += x[i]
        b += x[i + 1]
        c += x[i + 2]
        d += x[i + 3]
        e += x[i + 4]
        f += x[i + 5]
        g += x[i + 6]
        h += x[i + 7]
    result = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(stop, start + n):
        result += x[i]
    return result


@njit(**DIVIDE)
def pairwise_sum(x, start, n):
    """Add up `n` numbers in the order in which NumPy does: halves, and halves of them.

    Not by recursion: numba's cache cannot load a function that calls itself where
    another one calls it.
    """
    if n <= _MAX_IN_LEAF:
        return sum_in_order(x, start, n)
    # The second halves that are left, and the sums of the first ones where known.
    left = np.empty((64, 2), np.intp)
    first_sum, is_known = np.empty(64), np.zeros(64, np.bool_)
    depth = 0
    while True:
        while n > _MAX_IN_LEAF:
            half = n // 2
            half -= half % 8
            left[depth, 0], left[depth, 1] = start + half, n - half
            is_known[depth] = False
            depth += 1
            n = half
        result = sum_in_order(x, start, n)
        while depth > 0 and is_known[depth - 1]:
            depth -= 1
            result = first_sum[depth] + result
        if depth == 0:
            return result
        first_sum[depth - 1], is_known[depth - 1] = result, True
        start, n = left[depth - 1]


@njit(**DIVIDE_PRIVATE)
def _balanced_accuracy(counts, is_adjusted, room):
    n = 0
    for c in range(counts.shape[0]):
        total = _total_of_row(counts, c)
        if total != 0:  # a class without weight does not count
            room[0, n] = counts[c, c] / total
            n += 1
    score = sum_in_order(room[0], 0, n) / n if n > 0 else np.nan
    if is_adjusted:
        score = (score - 1 / n) / (1 - 1 / n)
    return score


@njit(**DIVIDE_PRIVATE)
def _matthews(counts):
    n_samples = _total(counts)
    both, true, predicted = 0.0, 0.0, 0.0
    for c in range(counts.shape[0]):
        n_true, n_predicted = _total_of_row(counts, c), _total_of_column(counts, c)
        both += n_true * n_predicted
        true += n_true * n_true
        predicted += n_predicted * n_predicted
    square = n_samples * n_samples
    spread = (square - predicted) * (square - true)
    if spread == 0:
        return 0.0
    return (_trace(counts) * n_samples - both) / math.sqrt(spread)


@njit(**DIVIDE_PRIVATE)
def _weighted_sum(counts, weights, room):
    n_classes = counts.shape[0]
    for c in range(n_classes):
        for k in range(n_classes):
            room[0, c * n_classes + k] = weights[c, k] * counts[c, k]
    return pairwise_sum(room[0], 0, n_classes * n_classes)


@njit(**DIVIDE_PRIVATE)
def _kappa(counts, weights, room):
    n_classes, n_samples = counts.shape[0], _total(counts)
    numerator = _weighted_sum(counts, weights, room)
    for c in range(n_classes):
        # Transposed, as in scikit-learn; the weights are symmetric.
        n_predicted = _total_of_column(counts, c)
        for k in range(n_classes):
            expected = n_predicted * _total_of_row(counts, k) / n_samples
            room[0, c * n_classes + k] = weights[c, k] * expected
    denominator = pairwise_sum(room[0], 0, n_classes * n_classes)
    return np.nan if denominator == 0 else 1 - numerator / denominator


@njit(**DIVIDE_PRIVATE)
def _mean_of_classes(metric):
    """Compute what precision, recall and the like have in common."""
    kind, average, beta = metric.kind, metric.average, metric.number
    chosen, counts, room = metric.classes, metric.counts, metric.room
    n = chosen.size
    for i in range(n):
        c = chosen[i]
        room[0, i], room[1, i] = counts[c, c], _total_of_column(counts, c)
        room[2, i] = _total_of_row(counts, c)
    if average == MICRO:
        for row in range(3):
            room[row, 0] = sum_in_order(room[row], 0, n)
        n = 1
    for i in range(n):
        right, predicted, true = room[0, i], room[1, i], room[2, i]
        if kind == _JACCARD:
            numerator = right
            denominator = right + (predicted - right) + (true - right)
        elif kind == _PRECISION or (kind != _RECALL and beta == 0):
            numerator, denominator = right, predicted
        elif kind == _RECALL or beta == np.inf:
            numerator, denominator = right, true
        else:
            square = beta * beta
            numerator = (1 + square) * right
            denominator = square * true + predicted
        room[0, i] = 0.0 if denominator == 0 else numerator / denominator
        room[3, i] = room[0, i] * true
    if average <= MACRO:
        return sum_in_order(room[0], 0, n) / n
    total = sum_in_order(room[2], 0, n)
    if total == 0:
        return sum_in_order(room[0], 0, n) / n
    return sum_in_order(room[3], 0, n) / total
