"""The weights that a callback keeps, compared with those of shorter fits."""

import pickle
from functools import partial

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbPerceptron,
)
from skperceptron.inspection import WeightHistory

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = load_iris(return_X_y=True)
# Climbs that do not depend on how many iterations are planned.
CLIMB = {"max_iter": 200, "surrogate_iter": 0, "random_state": 0}
NETWORKS = {
    "perceptron": partial(HillClimbPerceptron, **CLIMB),
    "climb": partial(HillClimbMLP, (3,), **CLIMB),
    "adam": partial(BackpropMLP, (3,), max_iter=8, random_state=0),
    "lbfgs": partial(BackpropMLP, (3,), solver="lbfgs", max_iter=8, random_state=0),
    "regressor": partial(
        BackpropMLPRegressor, hidden_layer_sizes=(3,), max_iter=8, random_state=0
    ),
}
each_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def followed(estimator, every=1):
    history = WeightHistory(every)
    estimator.set_callbacks(history).fit(X, y)
    return history


def weights_of(estimator):
    if hasattr(estimator, "coef_"):
        return [estimator.coef_.T], [estimator.intercept_]
    return estimator.coefs_, estimator.intercepts_


def assert_keeps(history, index, estimator):
    """Check that weights in the history are those of an estimator."""
    kept = history.coefs_[index] + history.intercepts_[index]
    coefs, intercepts = weights_of(estimator)
    for ours, theirs in zip(kept, [*coefs, *intercepts], strict=True):
        assert_array_equal(ours, theirs)


@each_network
def test_weights_after_n_iterations_are_those_of_a_fit_of_n_iterations(make):
    history = followed(make(warm_start=False))
    middle = history.iterations_[4]
    assert_keeps(history, 4, make(max_iter=middle).fit(X, y))
    assert_keeps(history, -1, make().fit(X, y))


@pytest.mark.parametrize("name", ["perceptron", "climb"])
def test_history_of_a_climb_begins_with_its_start_weights(name):
    history = followed(NETWORKS[name]())
    assert history.iterations_ == [*range(0, 201, 2)]
    assert_keeps(history, 0, NETWORKS[name](max_iter=0).fit(X, y))


@pytest.mark.parametrize(
    ("every", "iterations"),
    [(1, [0, 1, 2, 3, 4, 5, 6, 7, 8]), (3, [0, 3, 6, 8]), (100, [0, 8])],
)
def test_one_report_in_every_is_kept_and_the_last(every, iterations):
    assert followed(NETWORKS["adam"](), every).iterations_ == iterations


@each_network
def test_estimator_of_an_iteration_predicts_with_its_weights(make):
    estimator = make()
    history = followed(estimator)
    iteration = history.iterations_[2]
    expected = make(max_iter=iteration).fit(X, y).predict(X)
    early = history.estimator_at(iteration)
    assert_array_equal(early.predict(X), expected)
    early.fit(X, y)
    assert history.iterations_[-1] == estimator._last_step  # it does not follow copies


@pytest.mark.parametrize("name", ["perceptron", "climb", "adam", "regressor"])
def test_partial_fit_goes_on(name):
    estimator, history = NETWORKS[name](), WeightHistory()
    estimator.set_callbacks(history)
    options = {} if name == "regressor" else {"classes": [0, 1, 2]}
    for _ in range(3):
        estimator.partial_fit(X, y, **options)
    assert len(history.iterations_) == 4
    assert_keeps(history, -1, estimator)


def test_warm_start_of_backpropagation_goes_on():
    estimator = NETWORKS["adam"](warm_start=True)
    history = followed(estimator)
    estimator.fit(X, y)
    assert history.iterations_ == [*range(17)]


def test_warm_start_of_a_climb_begins_anew_from_its_weights():
    estimator = NETWORKS["climb"](warm_start=True)
    history = followed(estimator)
    last = history.coefs_[-1][0]
    estimator.fit(X, y)
    assert history.iterations_ == [*range(0, 201, 2)]
    assert_array_equal(history.coefs_[0][0], last)


def test_another_fit_begins_anew():
    estimator = NETWORKS["adam"]()
    history = followed(estimator)
    estimator.fit(X, y)
    assert history.iterations_ == [*range(9)]


class Interrupts:
    """A callback that fails after three epochs."""

    setup = teardown = on_fit_task_begin = lambda self, estimator, context: None

    def on_fit_task_end(self, estimator, context):
        if estimator.n_iter_ == 3:
            raise RuntimeError


def test_interrupted_fit_is_kept_as_far_as_it_came():
    history = WeightHistory(every=2)
    estimator = NETWORKS["adam"]().set_callbacks(history, Interrupts())
    with pytest.raises(RuntimeError):
        estimator.fit(X, y)
    assert history.iterations_ == [0, 2, 3]


class TestSearches:
    @pytest.mark.parametrize("backend", ["sequential", "threading"])
    def test_history_is_that_of_the_refit(self, backend):
        history = WeightHistory()
        estimator = NETWORKS["adam"]().set_callbacks(history)
        with parallel_config(backend, n_jobs=2):
            search = GridSearchCV(estimator, {"alpha": [0.1, 1]}, cv=2).fit(X, y)
        assert_keeps(history, -1, search.best_estimator_)
        assert history.iterations_ == [*range(9)]

    def test_clones_share_the_history(self):
        estimator = NETWORKS["adam"]()
        history = followed(estimator)
        other = clone(estimator).set_params(random_state=1).fit(X, y)
        assert_keeps(history, -1, other)

    def test_history_in_a_pipeline(self):
        history = WeightHistory()
        network = NETWORKS["adam"]().set_callbacks(history)
        make_pipeline(StandardScaler(), network).fit(X, y)
        assert_keeps(history, -1, network)


def test_history_can_be_stored():
    history = followed(NETWORKS["climb"]())
    again = pickle.loads(pickle.dumps(history))
    assert again.iterations_ == history.iterations_
    assert_array_equal(again.coefs_[-1][0], history.coefs_[-1][0])
    expected = history.estimator_at(100).predict(X)
    assert_array_equal(again.estimator_at(100).predict(X), expected)


class TestRefused:
    @pytest.mark.parametrize(
        ("every", "error", "message"),
        [
            (0, ValueError, "every must be at least 1, got 0"),
            (1.5, TypeError, "every must be an int, got 1.5"),
            (True, TypeError, "every must be an int, got True"),
        ],
    )
    def test_every_that_counts_nothing(self, every, error, message):
        with pytest.raises(error, match=message):
            WeightHistory(every)

    def test_pipeline(self):
        pipeline = make_pipeline(StandardScaler(), NETWORKS["adam"]())
        pipeline.set_callbacks(WeightHistory())
        with pytest.raises(TypeError, match="set on Pipeline"):
            pipeline.fit(X, y)

    def test_empty_history(self):
        with pytest.raises(NotFittedError, match="This WeightHistory is empty"):
            WeightHistory().estimator_at(0)
        assert WeightHistory().coefs_ == []

    def test_iteration_that_was_not_kept(self):
        history = followed(NETWORKS["adam"](), every=3)
        with pytest.raises(ValueError, match="after iteration 4; the nearest one is 3"):
            history.estimator_at(4)

    def test_estimator_that_has_other_weights_by_now(self):
        estimator = NETWORKS["adam"]()
        history = followed(estimator)
        estimator.set_callbacks().set_params(hidden_layer_sizes=(4,)).fit(X, y)
        with pytest.raises(ValueError, match="fitted again without this callback"):
            history.estimator_at(8)

    def test_refused_fit_leaves_the_history(self):
        estimator = NETWORKS["adam"]()
        history = followed(estimator)
        with pytest.raises(ValueError, match="NaN"):
            estimator.fit(np.full_like(X, np.nan), y)
        assert len(history.iterations_) == 9
