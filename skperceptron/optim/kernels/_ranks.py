"""Metrics of ranks, computed from scores as scikit-learn computes them.

The scores are put into buckets of equal width. How many samples of each class are in
these bounds the metric: most candidates that make it worse need not be sorted. For the
others, each bucket is sorted, and all sums are added up in scikit-learn's order.
"""

from __future__ import annotations

import math

import numpy as np

from skperceptron.optim._metric import KINDS
from skperceptron.optim.kernels._compile import VECTORIZE_PRIVATE, njit
from skperceptron.optim.kernels._elementwise import exp, rough_log2
from skperceptron.optim.kernels._metrics import (
    DIVIDE,
    DIVIDE_PRIVATE,
    MACRO,
    pairwise_sum,
)
from skperceptron.optim.kernels._without_refcount import without_refcount

_ROC_AUC = KINDS.index("roc_auc")
_ONE_VS_ONE = KINDS.index("roc_auc_ovo")
# More scores than this are not sorted by insertion.
_MAX_INSERTED = 32
# A bound must be below by this to be believed, whatever was rounded in it.
_ROUNDING = 1e-9
# Below these, the exponentials of float64 and of float32 are no normal numbers.
_MIN_64, _MIN_32 = -708.0, -87.0
# Probabilities below 2**-64 share a bucket.
_MIN_LOG = -64.0


@njit(**DIVIDE)
def value_of_ranks(z, output, targets, terms, enough):
    """Compute a metric, with its sign, from the sums of all samples.

    Parameters and the value are those of `evaluate`.
    """
    class_start, weight, metric = targets
    kind, average, sign = metric.kind, metric.average, metric.sign
    of_proba, chosen, results = metric.number > 0, metric.classes, metric.room
    if z.shape[0] - output == 1:
        _scores_of_sign(z, output, of_proba, chosen[-1] == 0, metric.ranking.scores)
        return sign * _value_of_class(chosen[-1], class_start, weight, metric, enough)
    if of_proba:
        _probabilities(z, output, terms)
    n_classes = class_start.size - 1
    if kind != _ONE_VS_ONE and sign > 0:
        for c in range(n_classes):
            _scores_of_class(z, output, terms, c, of_proba, metric.ranking.scores)
            results[0, c] = _bound(c, class_start, weight, metric)
        most = _mean_of_classes(class_start, weight, average, results)
        if most < enough - _ROUNDING:
            return -np.inf
    for c in range(n_classes):
        _scores_of_class(z, output, terms, c, of_proba, metric.ranking.scores)
        results[0, c] = _value_of_class(c, class_start, weight, metric, -np.inf)
    if kind == _ONE_VS_ONE:
        return sign * _mean_of_pairs(class_start, average, metric)
    return sign * _mean_of_classes(class_start, weight, average, results)


@njit(**DIVIDE_PRIVATE)
def _mean_of_classes(class_start, weight, average, results):
    n_classes = class_start.size - 1
    if average <= MACRO:
        return pairwise_sum(results[0], 0, n_classes) / n_classes
    for c in range(n_classes):
        low, high = class_start[c], class_start[c + 1]
        share = float(high - low) if weight.size == 0 else weight[low:high].sum()
        results[1, c] = share
        results[2, c] = 0.0 if share == 0 else results[0, c] * share
    total = pairwise_sum(results[1], 0, n_classes)
    return pairwise_sum(results[2], 0, n_classes) / total


@njit(**DIVIDE_PRIVATE)
def _mean_of_pairs(class_start, average, metric):
    """Combine the areas of each class against each other one."""
    areas, results = metric.counts, metric.room
    n_classes, n_samples = class_start.size - 1, class_start[-1]
    n = 0
    for a in range(n_classes):
        for b in range(a + 1, n_classes):
            size = class_start[a + 1] - class_start[a]
            size += class_start[b + 1] - class_start[b]
            share = 1.0 if average <= MACRO else size / n_samples
            results[1, n] = share
            results[2, n] = share * ((areas[a, b] + areas[b, a]) / 2)
            n += 1
    return pairwise_sum(results[2], 0, n) / pairwise_sum(results[1], 0, n)


@njit(**DIVIDE_PRIVATE)
def _scores_of_sign(z, row, of_proba, is_negated, scores):
    if not of_proba:
        _copy_sign(z, row, is_negated, scores)
    elif _all_above(z, row, _MIN_64 if z.itemsize == 8 else _MIN_32):
        _normal_probabilities(z, row, is_negated, scores)
    else:
        one = z.dtype.type(1)
        for j in range(scores.size):
            p = one / (one + z.dtype.type(math.exp(-z[row, j])))
            scores[j] = one - p if is_negated else p


@njit(**VECTORIZE_PRIVATE)
def _copy_sign(z, row, is_negated, scores):
    i = np.uint64(row)
    for j in range(np.uint64(scores.size)):
        scores[j] = -z[i, j] if is_negated else z[i, j]


@njit(**VECTORIZE_PRIVATE)
def _normal_probabilities(z, row, is_negated, scores):
    i, one = np.uint64(row), z.dtype.type(1)
    for j in range(np.uint64(scores.size)):
        p = one / (one + exp(-z[i, j]))
        scores[j] = one - p if is_negated else p


@njit(**DIVIDE_PRIVATE)
def _scores_of_class(z, output, terms, c, of_proba, scores):
    if of_proba:
        _copy(terms.odds, c, scores)
    else:
        _copy(z, output + c, scores)


@njit(**VECTORIZE_PRIVATE)
def _copy(x, row, scores):
    i = np.uint64(row)
    for j in range(np.uint64(scores.size)):
        scores[j] = x[i, j]


@njit(**DIVIDE_PRIVATE)
def _probabilities(z, output, terms):
    odds, total = terms.odds, terms.total
    n_outputs = odds.shape[0]
    _copy(z, output, total)
    for k in range(1, n_outputs):
        _take_larger(z, output + k, total)
    for k in range(n_outputs):
        _subtract(z, output + k, total, odds, k)
        _exponentials(odds, k)
    _copy(odds, 0, total)
    for k in range(1, n_outputs):
        _add(odds, k, total)
    for k in range(n_outputs):
        _divide(odds, k, total)


@njit(**VECTORIZE_PRIVATE)
def _take_larger(z, row, largest):
    i = np.uint64(row)
    for j in range(np.uint64(largest.size)):
        largest[j] = z[i, j] if z[i, j] > largest[j] else largest[j]


@njit(**VECTORIZE_PRIVATE)
def _subtract(z, row, largest, odds, k):
    i, c = np.uint64(row), np.uint64(k)
    for j in range(np.uint64(largest.size)):
        odds[c, j] = z[i, j] - largest[j]


@njit(**DIVIDE_PRIVATE)
def _exponentials(x, row):
    """Compute exponentials, also those that are no normal numbers: 0 has ties."""
    limit = _MIN_64 if x.itemsize == 8 else _MIN_32
    if _all_above(x, row, limit):
        _normal_exponentials(x, row)
        return
    for j in range(x.shape[1]):
        v = x[row, j]
        x[row, j] = exp(v) if v > limit else math.exp(v)


@njit(**VECTORIZE_PRIVATE)
def _all_above(x, row, limit):
    i, bound = np.uint64(row), x.dtype.type(limit)
    n_above = 0
    for j in range(np.uint64(x.shape[1])):
        n_above += x[i, j] > bound
    return n_above == x.shape[1]


@njit(**VECTORIZE_PRIVATE)
def _normal_exponentials(x, row):
    i = np.uint64(row)
    for j in range(np.uint64(x.shape[1])):
        x[i, j] = exp(x[i, j])


@njit(**VECTORIZE_PRIVATE)
def _add(odds, k, total):
    c = np.uint64(k)
    for j in range(np.uint64(total.size)):
        total[j] += odds[c, j]


@njit(**VECTORIZE_PRIVATE)
def _divide(odds, k, total):
    c = np.uint64(k)
    for j in range(np.uint64(total.size)):
        odds[c, j] /= total[j]


@njit(**DIVIDE)
def _value_of_class(c, class_start, weight, metric, enough):
    """Compute the metric of one class against the others, from the scores."""
    bound = _bound(c, class_start, weight, metric)
    if metric.sign > 0 and bound < enough - _ROUNDING:
        return -np.inf
    ranking = without_refcount(metric.ranking)
    _sort(ranking, c, metric.number > 0)
    if metric.kind == _ONE_VS_ONE:
        _areas_of_pairs(c, class_start, metric.counts, ranking)
        return 0.0
    n = _make_curve(class_start[c], class_start[c + 1], weight, ranking)
    if metric.kind == _ROC_AUC:
        return _area(ranking.curve, n)
    return _average_precision(ranking.curve, n)


@njit(**DIVIDE)
def _bound(c, class_start, weight, metric):
    """Find the bucket of each score, and what the metric is at most.

    That is what it would be if in each bucket those of the class came first. For one
    class against one, there is no bound.
    """
    ranking = without_refcount(metric.ranking)
    scores, bucket, counts = ranking.scores, ranking.bucket, ranking.counts
    _find_buckets(scores, ranking.limits[c], metric.number > 0, bucket, counts.shape[1])
    if metric.kind == _ONE_VS_ONE:
        return np.inf
    counts[:] = 0
    low, high = class_start[c], class_start[c + 1]
    _add_to_buckets(bucket, weight, low, high, counts, 0)
    _add_to_buckets(bucket, weight, 0, low, counts, 1)
    _add_to_buckets(bucket, weight, high, scores.size, counts, 1)
    right, wrong, result = 0.0, 0.0, 0.0
    if metric.kind == _ROC_AUC:
        for b in range(counts.shape[1] - 1, -1, -1):
            right += counts[0, b]
            wrong += counts[1, b]
            result += counts[1, b] * right
        return result / (right * wrong)
    for b in range(counts.shape[1] - 1, -1, -1):
        if counts[0, b] > 0:
            right += counts[0, b]
            result += counts[0, b] * right / (right + wrong)
        wrong += counts[1, b]
    return result / right


@njit(**DIVIDE_PRIVATE)
def _add_to_buckets(bucket, weight, low, high, counts, row):
    for j in range(low, high):
        counts[row, bucket[j]] += 1.0 if weight.size == 0 else weight[j]


@njit(**DIVIDE_PRIVATE)
def _find_buckets(scores, limits, of_proba, bucket, n_buckets):
    if not limits[0] < limits[1]:
        lowest, highest = _extremes(scores)
        limits[0], limits[1] = _level(lowest, of_proba), _level(highest, of_proba)
    # Not inf where all scores are the same: 0 times that would be no number.
    width = n_buckets / max(limits[1] - limits[0], 1e-300)
    _put_into_buckets(scores, limits[0], width, of_proba, bucket, n_buckets - 1)


@njit(**VECTORIZE_PRIVATE)
def _extremes(scores):
    lowest, highest = scores[0], scores[0]
    for j in range(np.uint64(scores.size)):
        lowest = scores[j] if scores[j] < lowest else lowest
        highest = scores[j] if scores[j] > highest else highest
    return lowest, highest


@njit(**VECTORIZE_PRIVATE)
def _level(score, of_proba):
    """Stretch probabilities near 0 and 1: the buckets are of equal width in this."""
    if not of_proba:
        return score
    return max(rough_log2(score), _MIN_LOG) - max(rough_log2(1.0 - score), _MIN_LOG)


@njit(**VECTORIZE_PRIVATE)
def _put_into_buckets(scores, lowest, width, of_proba, bucket, last):
    most = float(last)
    if of_proba:
        for j in range(np.uint64(scores.size)):
            x = (_level(scores[j], True) - lowest) * width
            x = x if x > 0.0 else 0.0
            bucket[j] = np.int32(x if x < most else most)
    else:
        for j in range(np.uint64(scores.size)):
            x = (scores[j] - lowest) * width
            # In this form, NaN gets a bucket too.
            x = x if x > 0.0 else 0.0
            bucket[j] = np.int32(x if x < most else most)


@njit(**DIVIDE)
def _sort(ranking, c, of_proba):
    """Sort the scores of a class by their buckets."""
    scores, bucket, start = ranking.scores, ranking.bucket, ranking.start
    keys, order, limits = ranking.keys, ranking.order, ranking.limits
    n = scores.size
    start[:] = 0
    for j in range(n):
        start[bucket[j] + 1] += 1
    for b in range(start.size - 1):
        start[b + 1] += start[b]
    for j in range(n):
        b = bucket[j]
        keys[start[b]], order[start[b]] = scores[j], j
        start[b] += 1
    # Each bucket now begins where the one before it is said to begin.
    begin = 0
    for b in range(start.size - 1):
        end = start[b]
        if end - begin > _MAX_INSERTED:
            _sort_part(keys, order, begin, end)
        begin = end
    _insert(keys, order)
    # Next time, most scores will be about here; each end has room for a quarter more.
    low = _level(keys[n // 64], of_proba)
    high = _level(keys[n - 1 - n // 64], of_proba)
    limits[c, 0], limits[c, 1] = low - (high - low) / 4, high + (high - low) / 4


@njit(**DIVIDE_PRIVATE)
def _sort_part(keys, order, begin, end):
    part, mine = keys[begin:end].copy(), order[begin:end].copy()
    by_key = np.argsort(part)
    for i in range(end - begin):
        keys[begin + i], order[begin + i] = part[by_key[i]], mine[by_key[i]]


@njit(**DIVIDE_PRIVATE)
def _insert(keys, order):
    for i in range(1, keys.size):
        key = keys[i]
        if not keys[i - 1] > key:
            continue
        j, at = order[i], i
        while at > 0 and keys[at - 1] > key:
            keys[at], order[at] = keys[at - 1], order[at - 1]
            at -= 1
        keys[at], order[at] = key, j


@njit(**DIVIDE_PRIVATE)
def _make_curve(low, high, weight, ranking):
    """Add up, for each score from the largest on, what is right and what is wrong.

    Returns how many different scores there are.
    """
    keys, order, curve = ranking.keys, ranking.order, ranking.curve
    right, wrong = 0.0, 0.0
    n = 0
    for at in range(order.size - 1, -1, -1):
        j = order[at]
        w = 1.0 if weight.size == 0 else weight[j]
        is_mine = (j >= low) & (j < high)
        right += w if is_mine else 0.0
        wrong += 0.0 if is_mine else w
        curve[0, n], curve[1, n] = right, wrong
        n += 1 if at > 0 and keys[at - 1] != keys[at] else 0
    return n + 1


@njit(**DIVIDE_PRIVATE)
def _areas_of_pairs(a, class_start, areas, ranking):
    """Compute the area for a class against each other one, with their samples only."""
    keys, curve, places = ranking.keys, ranking.curve, ranking.bucket
    _collect_places(class_start, ranking.order, ranking.class_of, places)
    for b in range(class_start.size - 1):
        if b == a:
            continue
        i, last_i = class_start[a], class_start[a + 1]
        k, last_k = class_start[b], class_start[b + 1]
        n, last = -1, 0.0
        for _ in range(last_i - i + last_k - k):
            is_right = k == last_k or (i < last_i and places[i] > places[k])
            at = places[i if is_right else k]
            n += 1 if n < 0 or keys[at] != last else 0
            i += 1 if is_right else 0
            k += 0 if is_right else 1
            last = keys[at]
            curve[0, n] = float(i - class_start[a])
            curve[1, n] = float(k - class_start[b])
        areas[a, b] = _area(curve, n + 1)


@njit(**DIVIDE_PRIVATE)
def _collect_places(class_start, order, class_of, places):
    """Find the places of the samples of each class, from the largest score on."""
    free = class_start.copy()
    for c in range(class_start.size - 1):
        class_of[class_start[c] : class_start[c + 1]] = c
    for at in range(order.size - 1, -1, -1):
        c = class_of[order[at]]
        places[free[c]] = at
        free[c] += 1


@njit(**DIVIDE_PRIVATE)
def _area(curve, n):
    """Compute the area under the curve, without its points on straight lines."""
    all_right, all_wrong = curve[0, n - 1], curve[1, n - 1]
    if all_right <= 0 or all_wrong <= 0:
        return np.nan
    right, wrong = curve[0, 0], curve[1, 0]
    n_left = 1
    for i in range(1, n - 1):
        before_right, before_wrong = right, wrong
        right, wrong = curve[0, i], curve[1, i]
        curve[0, n_left], curve[1, n_left] = right, wrong
        # Without a branch: nobody could predict it.
        turns_right = curve[0, i + 1] - right != right - before_right
        turns_wrong = curve[1, i + 1] - wrong != wrong - before_wrong
        n_left += 1 if turns_right | turns_wrong else 0
    if n > 1:
        curve[0, n_left], curve[1, n_left] = all_right, all_wrong
        n_left += 1
    _add_trapezoids(curve, n_left, all_right, all_wrong)
    return pairwise_sum(curve[2], 0, n_left)


@njit(**VECTORIZE_PRIVATE)
def _add_trapezoids(curve, n, all_right, all_wrong):
    right, wrong, two = np.uint64(0), np.uint64(1), np.uint64(2)
    for i in range(np.uint64(n)):
        curve[right, i] /= all_right
        curve[wrong, i] /= all_wrong
    curve[two, 0] = curve[wrong, 0] * curve[right, 0] / 2.0
    for i in range(np.uint64(1), np.uint64(n)):
        before = i - np.uint64(1)
        height = curve[right, i] + curve[right, before]
        curve[two, i] = (curve[wrong, i] - curve[wrong, before]) * height / 2.0


@njit(**DIVIDE_PRIVATE)
def _average_precision(curve, n):
    all_right = curve[0, n - 1]
    if all_right == 0:
        return 0.0
    recall = 0.0
    for i in range(n):
        right, both = curve[0, i], curve[0, i] + curve[1, i]
        precision = right / both if both != 0 else 0.0
        new_recall = right / all_right
        curve[2, n - 1 - i] = (recall - new_recall) * precision
        recall = new_recall
    return max(0.0, -pairwise_sum(curve[2], 0, n))
