"""Metrics, computed from a confusion matrix as scikit-learn computes them.

Sums are added up in NumPy's order: what is a tie to scikit-learn is one here.

A metric is a tuple: its kind and how classes are combined (places in `KINDS` and
`AVERAGES` of `optim/_metric.py`), its sign, a number (beta, or 1 for "adjusted"), the
limit above which a sum stands for the second of two classes, the classes that count,
costs, the confusion matrix (rows are true classes), and room for numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skperceptron.optim._metric import ADDITIVE, KINDS
from skperceptron.optim.kernels._compile import COMPILE, COMPILE_PRIVATE, njit

# As in NumPy, nothing is raised where something is divided by 0.
_DIVIDE: dict[str, Any] = {**COMPILE, "error_model": "numpy"}
_DIVIDE_PRIVATE: dict[str, Any] = {**COMPILE_PRIVATE, "error_model": "numpy"}

N_ADDITIVE = len(ADDITIVE)  # those come first
LOG_LOSS = KINDS.index("log_loss")
ACCURACY = KINDS.index("accuracy")
_BALANCED_ACCURACY = KINDS.index("balanced_accuracy")
_PRECISION = KINDS.index("precision")
_RECALL = KINDS.index("recall")
_JACCARD = KINDS.index("jaccard")
_MATTHEWS = KINDS.index("matthews")
_KAPPA = KINDS.index("kappa")
_COSTS = KINDS.index("costs")
_MICRO, _MACRO = 0, 1


@njit(**_DIVIDE)
def value_of_counts(metric):
    """Compute a metric, with its sign, from the confusion matrix in it."""
    kind, _, sign, number, _, _, costs, counts, room = metric
    if kind == _BALANCED_ACCURACY:
        value = _balanced_accuracy(counts, number > 0, room)
    elif kind == _MATTHEWS:
        value = _matthews(counts)
    elif kind == _KAPPA:
        value = _kappa(counts, costs, room)
    elif kind == _COSTS:
        value = -_weighted_sum(counts, costs, room) / counts.sum()
    else:
        value = _mean_of_classes(metric)
    return sign * value


@njit(**_DIVIDE_PRIVATE)
def _trace(counts):
    result = 0.0
    for c in range(counts.shape[0]):
        result += counts[c, c]
    return result


@njit(**_DIVIDE_PRIVATE)
def sum_in_order(x, n):
    """Add up numbers in the order in which NumPy does, at least up to 128 of them."""
    result = 0.0
    if n < 8:
        for i in range(n):
            result += x[i]
        return result
    whole = n - n % 8
    for i in range(8, whole):
        x[i % 8] += x[i]
    result = (x[0] + x[1]) + (x[2] + x[3])
    result += (x[4] + x[5]) + (x[6] + x[7])
    for i in range(whole, n):
        result += x[i]
    return result


@njit(**_DIVIDE_PRIVATE)
def _balanced_accuracy(counts, is_adjusted, room):
    n = 0
    for c in range(counts.shape[0]):
        total = counts[c].sum()
        if total != 0:  # a class without weight does not count
            room[0, n] = counts[c, c] / total
            n += 1
    score = sum_in_order(room[0], n) / n if n > 0 else np.nan
    if is_adjusted:
        score = (score - 1 / n) / (1 - 1 / n)
    return score


@njit(**_DIVIDE_PRIVATE)
def _matthews(counts):
    n_samples = counts.sum()
    both, true, predicted = 0.0, 0.0, 0.0
    for c in range(counts.shape[0]):
        n_true, n_predicted = counts[c].sum(), counts[:, c].sum()
        both += n_true * n_predicted
        true += n_true * n_true
        predicted += n_predicted * n_predicted
    square = n_samples * n_samples
    spread = (square - predicted) * (square - true)
    if spread == 0:
        return 0.0
    return (_trace(counts) * n_samples - both) / math.sqrt(spread)


@njit(**_DIVIDE_PRIVATE)
def _weighted_sum(counts, weights, room):
    n_classes = counts.shape[0]
    for c in range(n_classes):
        for k in range(n_classes):
            room[0, c * n_classes + k] = weights[c, k] * counts[c, k]
    return sum_in_order(room[0], n_classes * n_classes)


@njit(**_DIVIDE_PRIVATE)
def _kappa(counts, weights, room):
    n_classes, n_samples = counts.shape[0], counts.sum()
    numerator = _weighted_sum(counts, weights, room)
    for c in range(n_classes):
        # Transposed, as in scikit-learn; the weights are symmetric.
        n_predicted = counts[:, c].sum()
        for k in range(n_classes):
            expected = n_predicted * counts[k].sum() / n_samples
            room[0, c * n_classes + k] = weights[c, k] * expected
    denominator = sum_in_order(room[0], n_classes * n_classes)
    return np.nan if denominator == 0 else 1 - numerator / denominator


@njit(**_DIVIDE_PRIVATE)
def _mean_of_classes(metric):
    """Compute what precision, recall and the like have in common."""
    kind, average, _, beta, _, chosen, _, counts, room = metric
    n = chosen.size
    for i in range(n):
        c = chosen[i]
        room[0, i], room[1, i] = counts[c, c], counts[:, c].sum()
        room[2, i] = counts[c].sum()
    if average == _MICRO:
        for row in range(3):
            room[row, 0] = sum_in_order(room[row], n)
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
    if average <= _MACRO:
        return sum_in_order(room[0], n) / n
    total = sum_in_order(room[2], n)
    if total == 0:
        return sum_in_order(room[0], n) / n
    return sum_in_order(room[3], n) / total
