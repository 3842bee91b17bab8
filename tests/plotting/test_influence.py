"""The influence of hyperparameters, compared with marginal means worked out by hand."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, ParameterGrid

from skperceptron.plotting import influence


def results_of(grid, score):
    params = list(ParameterGrid(grid))
    return {"params": params, "mean_test_score": [score(**p) for p in params]}


def test_deviation_of_the_marginal_means():
    grid = {"a": [0, 1], "b": [0, 10, 20], "c": [5]}
    found = influence(results_of(grid, lambda a, b, c: a + b + c))
    assert list(found) == ["b", "a", "c"]
    expected = [np.std([0, 10, 20]), 0.5, 0]
    np.testing.assert_allclose(list(found.values()), expected)


def test_failures_are_left_out():
    results = results_of(
        {"a": [0, 1], "b": [0, 10]}, lambda a, b: np.nan if a and b else a + b
    )
    np.testing.assert_allclose(influence(results)["b"], 4.75)


def test_drawn_values_are_put_together():
    rng = np.random.default_rng(0)
    params = [
        {"noise": rng.random(), "matters": rng.random(), "choice": n % 2}
        for n in range(64)
    ]
    scores = [p["matters"] + 0.2 * p["choice"] for p in params]
    found = influence({"params": params, "mean_test_score": scores})
    assert next(iter(found)) == "matters"
    # A mean of four would be a fourth as large if each value stood for itself.
    assert found["noise"] < 0.6 * np.std(scores)


def test_first_iteration_of_a_halving_search():
    results = {
        "params": [{"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}],
        "mean_test_score": [0.0, 0.0, 1.0, 1.0, 50.0],
        "iter": [0, 0, 0, 0, 1],
    }
    assert influence(results) == {"a": 0.5}


def test_unknown_scorer():
    results = results_of({"a": [0, 1]}, lambda a: a)
    with pytest.raises(ValueError, match=r"scorer must be one of \['score'\].*'f1'"):
        influence(results, "f1")


@pytest.mark.parametrize("results", [None, [1, 2], GridSearchCV(DummyClassifier(), {})])
def test_results_that_are_no_dict(results):
    with pytest.raises(TypeError, match=r"must be a dict, the cv_results_ of .*got"):
        influence(results)


@pytest.mark.parametrize("results", [{}, {"params": [], "mean_test_score": []}])
def test_results_without_candidates(results):
    with pytest.raises(ValueError, match="has no candidates: its 'params' must"):
        influence(results)


def test_results_without_scores():
    with pytest.raises(ValueError, match="no scores: it needs a 'mean_test_score'"):
        influence({"params": [{"a": 1}]})


def test_nothing_but_failures():
    results = results_of({"a": [0, 1]}, lambda a: np.nan)
    with pytest.raises(ValueError, match=r"None of the 2 candidates.*'raise'"):
        influence(results)
