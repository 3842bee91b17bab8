"""The objectives, computed from the sums of the output units.

The samples are sorted by class, so that the sums of the true class of each sample are a
few contiguous pieces.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from skperceptron.optim._metric import Description
from skperceptron.optim._regression_metric import RegressionMetric
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import exp
from skperceptron.optim.kernels._metrics import (
    ACCURACY,
    BRIER,
    CLIPPED_LOG_LOSS,
    N_ADDITIVE,
    TOP_K,
    value_of_counts,
)
from skperceptron.optim.kernels._ranks import value_of_ranks
from skperceptron.optim.kernels._regression import (
    RegressionTargets,
    evaluate_regression,
    make_regression_targets,
    slope_of_regression,
)

# Samples are worked off in pieces of this size, which stay in the first-level cache.
TILE = 1024
# Below it, three terms of the series of log(1 + x) are as good as the function.
_TINY = 1e-5
# Logarithms are taken of the product of this many numbers, each below the limit.
_FACTORS = 16
_LIMIT = 1e18


class Targets(NamedTuple):
    """What a network should say.

    Attributes
    ----------
    class_start : ndarray of int of shape (n_classes + 1,)
        Where the samples of each class begin, and the number of samples.

    weight : ndarray of float64 of shape (n_samples,) or (0,)
        Weights of the samples; empty when all count the same.

    metric : Description
        What is maximised.
    """

    class_start: NDArray
    weight: NDArray
    metric: Description


class Terms(NamedTuple):
    """The parts of a log-likelihood, from which its slope follows.

    Attributes
    ----------
    odds : ndarray of shape (n_outputs, n)
        Probability of each class relative to the true one. What it says of the true
        class itself has no meaning. (No rows for a single output.)

    total : ndarray of shape (n,)
        Sum of the odds against the true class.

    own : ndarray of shape (TILE,)
        Room for the sums of the true class.
    """

    odds: NDArray
    total: NDArray
    own: NDArray


def make_targets(metric, y, weight, n_outputs, dtype, n_gathered=0):
    """Describe samples that are sorted by class, or what a regressor is to predict."""
    if isinstance(metric, RegressionMetric):
        return make_regression_targets(metric, weight, dtype)
    n_classes = max(n_outputs, 2)
    return Targets(
        class_start=np.cumsum([0, *np.bincount(y, minlength=n_classes)]),
        weight=weight,
        metric=metric.describe(n_classes, np.dtype(dtype), len(y), n_gathered),
    )


def make_terms(metric, n_outputs, width, dtype):
    """Allocate room for the terms of `width` samples."""
    n_odds = n_outputs if metric.uses_odds and n_outputs > 1 else 0
    return Terms(
        odds=np.zeros((n_odds, width), dtype),
        total=np.zeros(width, dtype),
        own=np.zeros(TILE, dtype),
    )


def evaluate(z, output, targets, terms, enough):
    """Compute the objective, times the total weight if it is a mean over the samples.

    Parameters
    ----------
    z, output : ndarray of shape (n_rows, n), and int
        Sums, and which row is the first output unit's: the others follow.

    targets : Targets or RegressionTargets
    terms : Terms
        Receives the terms of a log-likelihood.

    enough : float
        A value below this need not be computed to the end.

    Returns
    -------
    value : float
    exact : bool
        Whether the terms are. (Not where odds are too large for a number.)
    """
    # No fit needs the code for numbers, for metrics of ranks, and for all others.
    if isinstance(targets, RegressionTargets):
        return _evaluate_regression(z, output, targets, terms, enough)
    of_ranks = targets.metric.ranking is not None
    evaluate_it = _evaluate_ranks if of_ranks else _evaluate_samples
    return evaluate_it(z, output, targets, terms, enough)


@overload(evaluate, jit_options=COMPILE)
def _evaluate_for_type(z, output, targets, terms, enough):
    if _is_of_regression(targets):
        evaluate_it = _evaluate_regression
    else:
        evaluate_it = _evaluate_ranks if is_of_ranks(targets) else _evaluate_samples
    return lambda z, output, targets, terms, enough: evaluate_it(
        z, output, targets, terms, enough
    )


def _is_of_regression(targets):
    """Tell by the type of the targets whether they are those of a regressor."""
    return getattr(targets, "instance_class", None) is RegressionTargets


def is_of_ranks(targets):
    """Tell by the type of the targets whether the metric is one of ranks."""
    metric = targets[Targets._fields.index("metric")]
    return not isinstance(metric[Description._fields.index("ranking")], types.NoneType)


# Each is compiled once for all kernels that evaluate, and kept.
@njit(**COMPILE)
def _evaluate_regression(z, output, targets, terms, enough):
    return evaluate_regression(z, output, targets, terms.total, enough), True


@njit(**COMPILE)
def _evaluate_ranks(z, output, targets, terms, enough):
    return value_of_ranks(z, output, targets, terms, enough), True


@njit(**COMPILE)
def _evaluate_samples(z, output, targets, terms, enough):
    """Compute a sum over the samples, or what follows from counts of them."""
    class_start, weight, metric = targets
    total, own = terms.total, terms.own
    if metric.kind in (ACCURACY, TOP_K):
        return _count_right(z, output, targets, own), True
    if metric.kind >= N_ADDITIVE:
        metric.counts[:] = 0
        add_counts(z, output, targets, terms)
        return value_of_counts(metric), True
    n = class_start[-1]
    value, exact = 0.0, True
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        if metric.kind == CLIPPED_LOG_LOSS and z.shape[0] - output == 1:
            value += _clipped_logs_of_sign(z, output, targets, total, start, stop)
        else:
            _odds_of_tile(z, output, class_start, terms, start, stop)
            if metric.kind == CLIPPED_LOG_LOSS:
                _clip(total, start, stop)
            if metric.kind == BRIER:
                value -= _squares_of_tile(z, output, targets, terms, start, stop)
            else:
                value, exact = _add_tile(
                    value, exact, z, output, class_start, weight, total, start, stop
                )
        if value < enough:
            break
    return value, exact


@njit(**COMPILE_PRIVATE)
def _odds_of_tile(z, output, class_start, terms, start, stop):
    n_outputs = z.shape[0] - output
    odds, total, own = terms.odds, terms.total, terms.own
    if n_outputs == 1:
        # Two outputs, one of them always 0.
        for c in range(2):
            low, high = max(class_start[c], start), min(class_start[c + 1], stop)
            _odds_of_sign(z, output, c == 1, low, high, total)
        return
    # Up to the end of the last full vector, so that no loop has a slow last part.
    end = min(start + TILE, z.shape[1])
    for c in range(n_outputs):
        low, high = max(class_start[c], start), min(class_start[c + 1], stop)
        _copy_own(z, output + c, low, high, start, own)
    _fill(total, start, end)
    for k in range(n_outputs):
        low, high = max(class_start[k], start), min(class_start[k + 1], stop)
        _odds_of_class(z, output + k, start, end, low, high, k, odds, total, own)


# A function of its own for each loop: the compiler then vectorises it.
@njit(**VECTORIZE_PRIVATE)
def _odds_of_sign(z, row, negative, low, high, total):
    i = np.uint64(row)
    if negative:
        for j in range(np.uint64(low), np.uint64(max(low, high))):
            total[j] = exp(-z[i, j])
    else:
        for j in range(np.uint64(low), np.uint64(max(low, high))):
            total[j] = exp(z[i, j])


@njit(**VECTORIZE_PRIVATE)
def _copy_own(z, row, low, high, start, own):
    i, first = np.uint64(row), np.uint64(start)
    for j in range(np.uint64(low), np.uint64(max(low, high))):
        own[j - first] = z[i, j]


@njit(**VECTORIZE_PRIVATE)
def _fill(total, start, end):
    for j in range(np.uint64(start), np.uint64(end)):
        total[j] = 0


@njit(**VECTORIZE_PRIVATE)
def _odds_of_class(z, row, start, end, low, high, k, odds, total, own):
    """Compute the odds of one class, and add them up where it is not the true one."""
    i, c, first = np.uint64(row), np.uint64(k), np.uint64(start)
    for j in range(np.uint64(start), np.uint64(end)):
        odds[c, j] = exp(z[i, j] - own[j - first])
    for j in range(np.uint64(low), np.uint64(max(low, high))):
        odds[c, j] = 0
    for j in range(np.uint64(start), np.uint64(end)):
        total[j] += odds[c, j]


@njit(**COMPILE_PRIVATE)
def _add_tile(value, exact, z, output, class_start, weight, total, start, stop):
    """Add the log-likelihoods of a tile: ``-log1p(total)`` for each sample."""
    if weight.size == 0:
        if _count_below(total, start, stop, _TINY) == stop - start:
            return value - _sum_of_series(total, start, stop), exact
        if _count_below(total, start, stop, _LIMIT) == stop - start:
            return value - _sum_of_logs(total, start, stop, 1.0), exact
    for j in range(start, stop):
        against = np.float64(total[j])
        if against < _LIMIT:
            loss = math.log1p(against)
        else:
            loss = _loss_of_sample(z, output, class_start, j)
            exact = False
        value -= loss if weight.size == 0 else weight[j] * loss
    return value, exact


@njit(**VECTORIZE_PRIVATE)
def _clip(total, start, stop):
    """Cut the probability of the true class as scikit-learn does."""
    one = total.dtype.type(1)
    tiny = total.dtype.type(np.finfo(total.dtype).eps)
    most = one / tiny - one
    for j in range(np.uint64(start), np.uint64(stop)):
        total[j] = tiny if total[j] < tiny else total[j]
        total[j] = most if total[j] > most else total[j]


@njit(**COMPILE_PRIVATE)
def _clipped_logs_of_sign(z, output, targets, own, start, stop):
    """Add up the logarithms of such probabilities for one output."""
    class_start, weight = targets.class_start, targets.weight
    for c in range(2):
        low, high = max(class_start[c], start), min(class_start[c + 1], stop)
        _clip_sign(z, output, c == 1, low, high, own)
    if weight.size == 0:
        return _sum_of_logs(own, start, stop, 0.0)
    result = 0.0
    for j in range(start, stop):
        result += weight[j] * math.log(np.float64(own[j]))
    return result


@njit(**VECTORIZE_PRIVATE)
def _clip_sign(z, row, positive, low, high, own):
    """Compute the probability of the true class; of class 0, 1 less the other."""
    one = own.dtype.type(1)
    tiny = own.dtype.type(np.finfo(own.dtype).eps)
    i = np.uint64(row)
    for j in range(np.uint64(low), np.uint64(max(low, high))):
        p = one / (one + exp(-z[i, j]))
        p = p if positive else one - p
        p = tiny if p < tiny else p
        own[j] = one - tiny if p > one - tiny else p


@njit(**COMPILE_PRIVATE)
def _squares_of_tile(z, output, targets, terms, start, stop):
    """Add up the squared errors of the probabilities."""
    class_start, weight = targets.class_start, targets.weight
    odds, total, squares = terms.odds, terms.total, terms.own
    size = stop - start
    is_safe = _count_below(total, start, stop, _LIMIT) == size
    if is_safe:
        _square_own(total, start, size, squares)
        for k in range(odds.shape[0]):
            low, high = max(class_start[k], start), min(class_start[k + 1], stop)
            _square_others(odds, k, total, start, start, min(low, stop), squares)
            _square_others(odds, k, total, start, max(high, start), stop, squares)
    else:
        for j in range(start, stop):
            squares[j - start] = _square_of_sample(z, output, class_start, j)
    return _add_up(0.0, squares, weight, start, size)


@njit(**VECTORIZE_PRIVATE)
def _square_own(total, start, size, squares):
    first, one = np.uint64(start), total.dtype.type(1)
    for j in range(np.uint64(size)):
        error = total[first + j] / (one + total[first + j])
        squares[j] = error * error


@njit(**VECTORIZE_PRIVATE)
def _square_others(odds, k, total, start, low, high, squares):
    i, first, one = np.uint64(k), np.uint64(start), total.dtype.type(1)
    for j in range(np.uint64(low), np.uint64(max(low, high))):
        error = odds[i, j] / (one + total[j])
        squares[j - first] += error * error


@njit(**COMPILE_PRIVATE)
def _square_of_sample(z, output, class_start, j):
    """Compute a squared error whatever the size of the sums."""
    own, largest, total = _softmax_of_sample(z, output, class_start, j)
    if z.shape[0] - output == 1:
        other = z[output, j] - own  # one of them is 0
        return (math.exp(other - largest) / total) ** 2
    p = math.exp(own - largest) / total
    result = (1 - p) ** 2 - p**2  # which is added below with the others
    for k in range(output, z.shape[0]):
        result += (math.exp(z[k, j] - largest) / total) ** 2
    return result


@njit(**VECTORIZE_PRIVATE)
def _count_below(total, start, stop, limit):
    n_below = 0
    for j in range(np.uint64(start), np.uint64(stop)):
        n_below += total[j] < limit
    return n_below


@njit(**VECTORIZE_SUM_PRIVATE)
def _sum_of_series(total, start, stop):
    result = 0.0
    for j in range(np.uint64(start), np.uint64(stop)):
        x = np.float64(total[j])
        result += x * (1.0 - x * (0.5 - x / 3.0))
    return result


@njit(**VECTORIZE_PRIVATE)
def _sum_of_logs(x, start, stop, added):
    """Add up the logarithms of ``added + x``."""
    result = 0.0
    product = np.ones(_FACTORS)
    factors = np.uint64(_FACTORS)
    first, size = np.uint64(start), np.uint64(stop - start)
    n_rounds = size // factors
    for i in range(n_rounds):
        for j in range(factors):
            product[j] *= added + np.float64(x[first + i * factors + j])
        if (i + np.uint64(1)) % factors == 0:
            result += _log_of_product(product)
    for j in range(n_rounds * factors, size):
        number = np.float64(x[first + j])
        result += math.log1p(number) if added == 1.0 else math.log(added + number)
    return result + _log_of_product(product)


@njit(**COMPILE_PRIVATE)
def _log_of_product(product):
    """Take the logarithm of all of them, and begin anew."""
    result = 0.0
    for j in range(product.size):
        result += math.log(product[j])
        product[j] = 1.0
    return result


@njit(**COMPILE_PRIVATE)
def _loss_of_sample(z, output, class_start, j):
    """Compute a loss whatever the size of the sums."""
    own, largest, total = _softmax_of_sample(z, output, class_start, j)
    return largest - own + math.log(total)


@njit(**COMPILE_PRIVATE)
def _softmax_of_sample(z, output, class_start, j):
    """Find the sum of the true class, the largest, and the total relative to that."""
    c = 0
    while j >= class_start[c + 1]:
        c += 1
    if z.shape[0] - output == 1:
        # Two outputs, one of them always 0.
        z_1 = np.float64(z[output, j])
        largest = max(z_1, 0.0)
        total = math.exp(z_1 - largest) + math.exp(-largest)
        return z_1 if c == 1 else 0.0, largest, total
    largest, total = np.float64(z[output, j]), 0.0
    for k in range(output + 1, z.shape[0]):
        largest = max(largest, np.float64(z[k, j]))
    for k in range(output, z.shape[0]):
        total += math.exp(z[k, j] - largest)
    return np.float64(z[output + c, j]), largest, total


def update_slope(slope, z, output, targets, terms):
    """Compute the derivative of the total loss by the output sums.

    Parameters
    ----------
    slope : ndarray of shape (n_outputs, n)
        Receives the derivative: the probability of each class, less 1 for the true one.

    z, output : ndarray of shape (n_rows, n), and int
        As in `evaluate`.

    targets : Targets or RegressionTargets
    terms : Terms
        What `evaluate` has left in it.
    """
    if isinstance(targets, RegressionTargets):
        slope_of_regression(slope, z, output, targets)
    else:
        _slope_of_classes(slope, targets, terms)


@overload(update_slope, jit_options=COMPILE)
def _update_slope_for_type(slope, z, output, targets, terms):
    if _is_of_regression(targets):
        return lambda slope, z, output, targets, terms: slope_of_regression(
            slope, z, output, targets
        )
    return lambda slope, z, output, targets, terms: _slope_of_classes(
        slope, targets, terms
    )


@njit(**COMPILE)
def _slope_of_classes(slope, targets, terms):
    n_outputs = slope.shape[0]
    class_start, weight = targets.class_start, targets.weight
    odds, total = terms.odds, terms.total
    if n_outputs == 1:
        for c in range(2):
            _slope_of_own(slope, 0, c == 1, class_start[c], class_start[c + 1], total)
    else:
        # The last row is worked off last: until then it keeps the inverse totals.
        last = n_outputs - 1
        _invert(total, slope, last)
        for k in range(n_outputs):
            _slope_of_class(slope, k, last, odds)
            _slope_of_own(slope, k, True, class_start[k], class_start[k + 1], total)
    slope[:, class_start[-1] :] = 0  # there is no sample
    if weight.size:
        for k in range(n_outputs):
            for j in range(weight.size):
                slope[k, j] *= weight[j]


@njit(**VECTORIZE_PRIVATE)
def _invert(total, out, row):
    one = total.dtype.type(1)
    i = np.uint64(row)
    for j in range(np.uint64(total.size)):
        out[i, j] = one / (one + total[j])


@njit(**VECTORIZE_PRIVATE)
def _slope_of_class(slope, k, inverse_row, odds):
    i, inverse = np.uint64(k), np.uint64(inverse_row)
    for j in range(np.uint64(slope.shape[1])):
        slope[i, j] = odds[i, j] * slope[inverse, j]


@njit(**VECTORIZE_PRIVATE)
def _slope_of_own(slope, k, rising, low, high, total):
    one = total.dtype.type(1)
    sign = -one if rising else one
    i = np.uint64(k)
    for j in range(np.uint64(low), np.uint64(high)):
        slope[i, j] = sign * total[j] / (one + total[j])


@njit(**COMPILE_PRIVATE)
def _count_right(z, output, targets, right):
    """Sum of the weights of the samples that are classified correctly.

    For two classes, class 1 where the sum is above the limit; else the first largest
    sum. Of a top-k accuracy, those whose true class is one of the k best.
    """
    class_start, weight, metric = targets
    n_outputs = z.shape[0] - output
    result = 0.0
    for c in range(class_start.size - 1):
        for start in range(class_start[c], class_start[c + 1], TILE):
            size = min(TILE, class_start[c + 1] - start)
            if n_outputs == 1:
                _right_sign(z, output, start, size, c == 1, metric.limit, right)
            elif metric.kind == TOP_K:
                _among_best(z, output, c, start, size, metric.number - 1, right)
            else:
                right[:size] = 1
                for k in range(n_outputs):
                    if k != c:
                        _right_order(z, output + c, output + k, start, size, right)
            result = _add_up(result, right, weight, start, size)
    return result


@njit(**VECTORIZE_PRIVATE)
def _right_sign(z, row, start, size, positive, limit, right):
    zero, one, limit = z.dtype.type(0), z.dtype.type(1), z.dtype.type(limit)
    i, first = np.uint64(row), np.uint64(start)
    if positive:
        for j in range(np.uint64(size)):
            right[j] = one if z[i, first + j] > limit else zero
    else:
        for j in range(np.uint64(size)):
            right[j] = zero if z[i, first + j] > limit else one


@njit(**VECTORIZE_PRIVATE)
def _right_order(z, own, other, start, size, right):
    zero = z.dtype.type(0)
    i, k, first = np.uint64(own), np.uint64(other), np.uint64(start)
    if other < own:  # of equal sums the first counts
        for j in range(np.uint64(size)):
            is_right = z[i, first + j] > z[k, first + j]
            right[j] = right[j] if is_right else zero
    else:
        for j in range(np.uint64(size)):
            is_right = z[i, first + j] >= z[k, first + j]
            right[j] = right[j] if is_right else zero


@njit(**VECTORIZE_SUM_PRIVATE)
def _sum(x, size):
    result = x.dtype.type(0)
    for j in range(np.uint64(size)):
        result += x[j]
    return np.float64(result)


@njit(**COMPILE_PRIVATE)
def _add_up(result, x, weight, start, size):
    if weight.size == 0:
        return result + _sum(x, size)
    # One after the other: the same numbers in the same order give the same sum, and
    # whole numbers add up exactly in any order.
    for j in range(size):
        result += x[j] * weight[start + j]
    return result


@njit(**COMPILE_PRIVATE)
def _among_best(z, output, c, start, size, most, right):
    right[:size] = 0
    for k in range(z.shape[0] - output):
        if k != c:
            _add_better(z, output + c, output + k, start, size, right)
    _compare(right, size, most)


@njit(**VECTORIZE_PRIVATE)
def _add_better(z, own, other, start, size, n_better):
    zero, one = z.dtype.type(0), z.dtype.type(1)
    i, k, first = np.uint64(own), np.uint64(other), np.uint64(start)
    if other > own:  # of equal sums, the last is the better one to scikit-learn
        for j in range(np.uint64(size)):
            n_better[j] += one if z[k, first + j] >= z[i, first + j] else zero
    else:
        for j in range(np.uint64(size)):
            n_better[j] += one if z[k, first + j] > z[i, first + j] else zero


@njit(**VECTORIZE_PRIVATE)
def _compare(n_better, size, most):
    zero, one = n_better.dtype.type(0), n_better.dtype.type(1)
    limit = n_better.dtype.type(most)
    for j in range(np.uint64(size)):
        n_better[j] = one if n_better[j] <= limit else zero


@njit(**COMPILE)
def add_counts(z, output, targets, terms):
    """Add samples to the confusion matrix of a metric.

    Parameters are those of `evaluate`.
    """
    class_start, weight, metric = targets
    winner, best = terms.total, terms.own
    limit, counts = metric.limit, metric.counts
    n_outputs = z.shape[0] - output
    for c in range(class_start.size - 1):
        for start in range(class_start[c], class_start[c + 1], TILE):
            size = min(TILE, class_start[c + 1] - start)
            if n_outputs == 1:
                # 1 where class 1 is predicted.
                _right_sign(z, output, start, size, True, limit, winner)
            else:
                _find_winner(z, output, start, size, best, winner)
            if weight.size:
                _add_weights_to(counts[c], winner, weight, start, size)
            else:
                _add_numbers_to(counts[c], winner, size)


@njit(**COMPILE_PRIVATE)
def _find_winner(z, output, start, size, best, winner):
    """Find the first largest sum of each sample."""
    _copy_own(z, output, start, start + size, start, best)
    _fill(winner, 0, size)
    for k in range(1, z.shape[0] - output):
        _take_larger(z, output + k, k, start, size, best, winner)


@njit(**VECTORIZE_PRIVATE)
def _take_larger(z, row, k, start, size, best, winner):
    i, first, mine = np.uint64(row), np.uint64(start), z.dtype.type(k)
    for j in range(np.uint64(size)):
        is_larger = z[i, first + j] > best[j]
        winner[j] = mine if is_larger else winner[j]
        best[j] = z[i, first + j] if is_larger else best[j]


@njit(**COMPILE_PRIVATE)
def _add_numbers_to(counts, winner, size):
    n_left = size
    for k in range(counts.size - 1):
        n = _count_equal(winner, size, k)
        counts[k] += n
        n_left -= n
    counts[-1] += n_left


@njit(**VECTORIZE_SUM_PRIVATE)
def _count_equal(winner, size, k):
    zero, one, mine = winner.dtype.type(0), winner.dtype.type(1), winner.dtype.type(k)
    result = zero
    for j in range(np.uint64(size)):
        result += one if winner[j] == mine else zero
    return int(result)


@njit(**COMPILE_PRIVATE)
def _add_weights_to(counts, winner, weight, start, size):
    # One after the other, as in `_add_up`.
    for j in range(size):
        counts[int(winner[j])] += weight[start + j]
