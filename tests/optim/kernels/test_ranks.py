"""Metrics of ranks against scikit-learn's, whatever the scores."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, roc_auc_score

from skperceptron.optim import Metric, MetricOfSums
from skperceptron.optim.kernels._elementwise import rough_log2
from skperceptron.optim.kernels._metrics import pairwise_sum
from skperceptron.optim.kernels._outputs import evaluate

SCORES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "one far away": lambda rng, n: np.append(rng.normal(size=n - 1), 1e9),
    "heavy tails": lambda rng, n: rng.standard_cauchy(size=n) ** 3,
    "equal": lambda rng, n: np.full(n, 0.3),
    "few": lambda rng, n: rng.integers(3, size=n).astype(float),
    "near each other": lambda rng, n: 1 + 1e-14 * rng.integers(9, size=n),
    "certain": lambda rng, n: 300 * rng.normal(size=n),
    "more than certain": lambda rng, n: 3000 * rng.normal(size=n),
    "sorted": lambda rng, n: np.arange(n) / n,
}
FUNCTIONS = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}


def example(scores, n, dtype=float):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=n)
    return y, SCORES[scores](rng, n).astype(dtype)[:, np.newaxis], rng.random(n)


def expit(z):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    "dtype", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_any_scores_are_ranked_as_by_scikit_learn(kind, scores, dtype):
    for n in (3, 2000):
        y, z, weight = example(scores, n, dtype)
        y[:2] = [0, 1]
        for w in (None, weight):
            metric = MetricOfSums(Metric(kind), y, w, 1, z.dtype)
            expected = FUNCTIONS[kind](y, z[:, 0], sample_weight=w)
            for _ in range(2):  # the second time, it knows where scores have been
                assert_allclose(metric(z), expected, rtol=1e-12)


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_probabilities_are_ranked_as_by_scikit_learn(kind, scores):
    y, z, _ = example(scores, 2000)
    metric = MetricOfSums(Metric(kind, number=1.0), y, None, 1, z.dtype)
    expected = FUNCTIONS[kind](y, expit(z[:, 0]))
    for _ in range(2):
        assert_allclose(metric(z), expected, rtol=1e-12)


CASES = [(kind, k, p) for kind in FUNCTIONS for k in (2, 3) for p in (0.0, 1.0)]


@pytest.mark.parametrize(
    ("kind", "n_classes", "of_proba"), [*CASES, ("roc_auc_ovo", 3, 1.0)]
)
def test_only_what_is_worse_is_rejected_early(kind, n_classes, of_proba):
    rng = np.random.default_rng(0)
    y = np.sort(rng.integers(n_classes, size=3000))
    for scale in (0.1, 1, 30, 3000):
        z = scale * rng.normal(size=(3000, 1 if n_classes == 2 else n_classes))
        z[:, -1] += y == n_classes - 1
        metric = MetricOfSums(
            Metric(kind, average="macro", number=of_proba), y, None, z.shape[1], float
        )
        value = metric(z)

        def with_at_least(enough, metric=metric):
            targets, terms = metric._targets, metric._terms
            return evaluate(metric._sums, 0, targets, terms, enough)[0]

        for enough in (value, value - 1e-12, value - 1e-3, 0.0):
            assert with_at_least(enough) == value
        for enough in (value + 1e-12, value + 1e-3, 1.1):
            assert with_at_least(enough) < enough
        # Otherwise it would be computed to the end.
        assert kind == "roc_auc_ovo" or with_at_least(1.1) == -np.inf


def test_sums_are_those_of_numpy_to_the_last_digit():
    x = np.random.default_rng(0).normal(size=20_000)
    for n in [*range(300), 1000, 1031, 4096, 19_999]:
        assert pairwise_sum(x, 1, n) == x[1 : n + 1].sum()


@njit
def compiled_logarithm(v):
    return rough_log2(v)


@pytest.mark.parametrize("logarithm", [rough_log2, compiled_logarithm])
def test_rough_logarithm_grows_with_its_argument(logarithm):
    x = np.append(0.0, np.geomspace(1e-300, 1.0, 1000))
    actual = [logarithm(v) for v in x]
    assert (np.diff(actual) >= 0).all()
    assert_allclose(actual[1:], np.log2(x[1:]), atol=0.09)
    assert actual[0] < -1000
