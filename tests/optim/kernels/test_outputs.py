"""Compiled objectives, against the vectorised ones."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skperceptron.network import log_likelihood
from skperceptron.optim import Metric
from skperceptron.optim.kernels import _outputs
from skperceptron.optim.kernels._elementwise import padded

N = 2500  # more than two tiles


def make_targets(y, weight, *, use_accuracy=False, dtype=np.float64):
    n_classes = max(y.max() + 1, 2)
    metric = Metric("accuracy" if use_accuracy else "log_loss")
    description = metric.describe(n_classes, np.dtype(dtype))
    class_start = np.searchsorted(y, np.arange(n_classes + 1))
    return _outputs.Targets(class_start, weight, description)


def make_terms(n_outputs, n, dtype=np.float64):
    return _outputs.Terms(
        np.zeros((0 if n_outputs == 1 else n_outputs, padded(n)), dtype),
        np.zeros(padded(n), dtype),
        np.zeros(_outputs.TILE, dtype),
    )


def make_problem(n_outputs, scale, *, dtype=np.float64):
    rng = np.random.default_rng(0)
    z = scale * rng.normal(size=(N, n_outputs))
    y = (z[:, 0] > 0).astype(int) if n_outputs == 1 else z.argmax(axis=1)
    y[: N // 4] = rng.integers(max(n_outputs, 2), size=N // 4)  # some very wrong
    order = np.argsort(y, kind="stable")
    z, y = z[order].astype(dtype), y[order]
    rows = np.full((n_outputs, padded(N)), 7.0, dtype)  # what is behind does not count
    rows[:, :N] = z.T
    return z, y, rows


@pytest.mark.parametrize("n_outputs", [1, 2, 5])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 500.0, 1e5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_log_likelihood_agrees_with_the_vectorised_one(
    n_outputs, weighted, scale, dtype
):
    z, y, rows = make_problem(n_outputs, scale, dtype=dtype)
    weight = np.random.default_rng(1).uniform(size=N) if weighted else np.empty(0)
    targets = make_targets(y, weight, dtype=dtype)
    terms = make_terms(n_outputs, N, dtype)
    value, _ = _outputs.evaluate(rows, 0, targets, terms, -np.inf)
    expected = log_likelihood(z.astype(float), y, weight if weighted else None)
    total = weight.sum() if weighted else N
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    assert value / total == pytest.approx(expected, rel=rtol)


def test_log_likelihood_is_precise_for_confident_networks():
    rows = np.zeros((2, 32))
    rows[0, :3] = 40.0
    targets = _outputs.Targets(
        np.array([0, 3, 3]),
        np.empty(0),
        Metric("log_loss").describe(2, np.dtype(float)),
    )
    value, _ = _outputs.evaluate(rows, 0, targets, make_terms(2, 3), -np.inf)
    assert value == pytest.approx(-3 * np.exp(-40.0), rel=1e-13)


def test_evaluation_may_end_where_the_value_is_not_enough():
    _, y, rows = make_problem(3, 30.0)
    targets, terms = make_targets(y, np.empty(0)), make_terms(3, N)
    whole, _ = _outputs.evaluate(rows, 0, targets, terms, -np.inf)
    part, _ = _outputs.evaluate(rows, 0, targets, terms, whole / 100)
    assert whole < part < whole / 100


def test_undefined_sums_make_an_undefined_value():
    _, y, rows = make_problem(3, 1.0)
    rows[1, N // 2] = np.nan
    value, _ = _outputs.evaluate(
        rows, 0, make_targets(y, np.empty(0)), make_terms(3, N), -np.inf
    )
    assert np.isnan(value)


@pytest.mark.parametrize("n_outputs", [1, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_slope_is_the_derivative_of_the_loss(n_outputs, weighted):
    z, y, rows = make_problem(n_outputs, 2.0)
    weight = np.random.default_rng(1).uniform(size=N) if weighted else np.empty(0)
    targets, terms = make_targets(y, weight), make_terms(n_outputs, N)
    _, exact = _outputs.evaluate(rows, 0, targets, terms, -np.inf)
    slope = np.full_like(rows, 3.0)
    _outputs.update_slope(slope, rows, 0, targets, terms)
    if n_outputs == 1:
        p = 1 / (1 + np.exp(-z))
        expected = p - y[:, np.newaxis]
    else:
        p = np.exp(z - z.max(axis=1, keepdims=True))
        expected = p / p.sum(axis=1, keepdims=True) - np.eye(n_outputs)[y]
    if weighted:
        expected = expected * weight[:, np.newaxis]
    assert exact
    assert_allclose(slope[:, :N].T, expected, rtol=1e-12, atol=1e-15)
    assert_array_equal(slope[:, N:], 0)


@pytest.mark.parametrize("n_outputs", [1, 2, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_accuracy_counts_ties_as_predict_does(n_outputs, weighted):
    z, y, rows = make_problem(n_outputs, 2.0)
    z, rows = np.round(z), np.round(rows)  # many equal sums, and many zeros
    weight = np.random.default_rng(1).uniform(size=N) if weighted else np.empty(0)
    value, _ = _outputs.evaluate(
        rows, 0, make_targets(y, weight, use_accuracy=True), make_terms(1, N), -np.inf
    )
    predicted = (z[:, 0] > 0) if n_outputs == 1 else z.argmax(axis=1)
    right = predicted == y
    assert value == pytest.approx(weight[right].sum() if weighted else right.sum())
