"""Fits that fail or are interrupted leave no run of a search running."""

import _thread
import signal
import threading
import time
from collections import Counter

import mlflow
import numpy as np
import optuna
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skperceptron import HillClimbPerceptron, config_context, get_config
from skperceptron.tracking import MLflowTracker, pending, track_study
from tests.tracking.tracked_searches import (
    BACKENDS,
    CLF,
    PREFIXED,
    STEPS,
    Tree,
    X,
    assert_logged,
    make_pca_search,
    make_search,
    y,
)

pytestmark = [
    pytest.mark.usefixtures("without_models", "empty_figures"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
CANDIDATES = {f"step_size={step_size}" for step_size in STEPS["step_size"]}
# What is to be told of the error below.
TOLD = "OSError: no answer from postgresql://***@host/db"


def cannot_connect(y_true, y_pred):
    raise OSError("no answer from postgresql://me:s3cr%40t@host/db")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:Scoring failed")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
class TestFailure:
    @pytest.mark.parametrize(("error_score", "n_jobs"), [(np.nan, 1), (0, 1), (0, 2)])
    @pytest.mark.parametrize("culprit", ["classifier", "transformer"])
    def test_of_a_fit_is_that_of_its_fold(self, culprit, error_score, n_jobs, runs):
        options = {"error_score": error_score, "n_jobs": n_jobs}
        if culprit == "transformer":
            search = make_pca_search(**options)
        else:
            search = make_search(CLF, {"step_size": [0.1, -2.0, 0.4]}, **options)
        search.fit(X, y)
        tree = Tree(runs())
        assert tree.statuses == (
            "FINISHED",
            ["FINISHED", "FAILED", "FINISHED"],
            ["FINISHED"] * 2 + ["FAILED"] * 2 + ["FINISHED"] * 2,
        )
        error = tree.folds[1, 0].tags["error"]
        expected = {
            "classifier": "InvalidParameterError: The 'step_size' parameter",
            "transformer": "ValueError: n_components=20 must be between",
        }
        assert error.startswith(expected[culprit])
        assert "error" not in tree.folds[0, 0].tags
        if n_jobs == 1:
            assert tree.folds[1, 0].end_time <= tree.folds[2, 0].start_time

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_tells_no_password_of_an_address(self, n_jobs, runs):
        grid = {"objective": ["accuracy", cannot_connect]}
        make_search(CLF, grid, n_jobs=n_jobs).fit(X, y)
        assert Tree(runs()).folds[1, 0].tags["error"].endswith(TOLD)

    def test_of_some_folds_leaves_their_candidate_as_it_is(self, runs):
        every_other = np.arange(0, 150, 2)
        cv = [(every_other, every_other + 1), (np.arange(2), np.arange(2))]
        make_pca_search([1, 3], cv=cv, refit=False, error_score=0).fit(X, y)
        folds = ["FINISHED", "FAILED"] * 2
        assert Tree(runs()).statuses == ("FINISHED", ["FINISHED"] * 2, folds)

    def test_is_told_with_all_its_lines(self, runs):
        X_missing = np.where(np.arange(150)[:, None] < 75, X, np.nan)
        cv = [(np.arange(0, 75), np.arange(75)), (np.arange(150), np.arange(75))]
        make_pca_search([1], cv=cv, refit=False, error_score=0).fit(X_missing, y)
        error = Tree(runs()).folds[0, 1].tags["error"]
        assert error.startswith("ValueError: Input X contains NaN.\nPCA does not")

    def test_of_all_fits_is_that_of_the_search(self, runs):
        search = make_search(CLF, {"step_size": [-1.0, -2.0]})
        with pytest.raises(ValueError, match="All the 4 fits failed"):
            search.fit(X, y)
        tree = Tree(runs())
        assert tree.statuses == ("FAILED", ["FAILED"] * 2, ["FAILED"] * 4)
        assert "All the 4 fits failed" in tree.search.tags["error"]

    def test_that_is_raised_is_that_of_the_search(self, runs):
        search = make_pca_search(error_score="raise")
        with pytest.raises(ValueError, match="n_components=20"):
            search.fit(X, y)
        tree = Tree(runs())
        folds = ["FINISHED", "FINISHED", "FAILED"]
        assert tree.statuses == ("FAILED", ["FAILED"] * 2, folds)
        assert tree.search.tags["error"].startswith("ValueError: n_components=20")

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_that_is_raised_elsewhere_leaves_nothing_running(self, backend, runs):
        search = make_pca_search([20, 1, 2, 3], error_score="raise", n_jobs=2)
        with parallel_config(backend=backend), pytest.raises(ValueError, match="=20"):
            search.fit(X, y)
        wait_for_threads()
        found = runs()
        assert "RUNNING" not in {run.status for run in found}
        (above,) = [run for run in found if run.name == "GridSearchCV"]
        assert above.status == "FAILED"
        assert pending() == 0

    @pytest.mark.parametrize("error_score", [np.nan, "raise"])
    def test_in_scoring(self, error_score, runs):
        search = make_search(scoring=no_score, error_score=error_score, refit=False)
        if error_score == "raise":
            with pytest.raises(RuntimeError, match="no score today"):
                search.fit(X, y)
            tree = Tree(runs())
            assert tree.statuses == ("FAILED", ["FAILED"], ["FAILED"])
            assert tree.folds[0, 0].tags["error"] == "RuntimeError: no score today"
        else:
            search.fit(X, y)
            tree = Tree(runs())
            assert tree.search.status == "FINISHED"
            assert len(tree.candidates) == 3
            assert len(tree.folds) == 6

    def test_of_the_refit_is_that_of_the_search(self, runs):
        pipeline = make_pipeline(FailsOnAll(), CLF)
        search = make_search(pipeline, PREFIXED)
        with pytest.raises(ValueError, match="too many"):
            search.fit(X, y)
        tree = Tree(runs())
        assert tree.search.status == "FAILED"
        assert [run.status for run in tree.refits] == ["FAILED"]
        assert "RUNNING" not in tree.statuses[1]
        assert {run.status for run in tree.folds.values()} == {"FINISHED"}

    def test_before_a_fit_is_none_of_it(self, runs):
        try:
            raise KeyError("earlier")
        except KeyError:
            search = make_search().fit(X, y)
        assert_logged(Tree(runs()), search)

    def test_is_not_that_of_the_next_search(self, runs):
        search = make_search(CLF, {"step_size": [-1.0]}, error_score="raise")
        with pytest.raises(ValueError, match="step_size"):
            search.fit(X, y)
        search.set_params(param_grid=STEPS).fit(X, y)
        statuses = Counter(r.status for r in runs() if r.name == "GridSearchCV")
        assert statuses == {"FAILED": 1, "FINISHED": 1}


def no_score(estimator, X, y):
    raise RuntimeError("no score today")


class FailsOnAll(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        if len(X) == 150:
            raise ValueError("too many")
        return self

    def transform(self, X):
        return X


def wait_for_threads():
    """joblib does not wait for its threads when one of them has failed."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(
            "ThreadPool" in t.name or "(worker)" in t.name
            for t in threading.enumerate()
        ):
            return
        time.sleep(0.05)


class Interrupts(TransformerMixin, BaseEstimator):
    """The user loses patience with the fourth fit."""

    n_fits = 0

    def fit(self, X, y=None):
        type(self).n_fits += 1
        if type(self).n_fits == 4:
            raise KeyboardInterrupt
        return self

    def transform(self, X):
        return X


class Interrupted(HillClimbPerceptron):
    """The user loses patience in the middle of one of its fits."""

    nth = n_fits = n_calls = 0

    def fit(self, X, y):
        Interrupted.n_fits += 1
        Interrupted.n_calls = 0
        return super().fit(X, y)


def lose_patience(y_true, y_pred):
    Interrupted.n_calls += 1
    if Interrupted.n_fits == Interrupted.nth and Interrupted.n_calls == 5:
        signal.raise_signal(signal.SIGINT)
    return np.mean(y_true == y_pred)


class SlowLogisticRegression(LogisticRegression):
    def fit(self, X, y):
        time.sleep(0.5)
        return super().fit(X, y)


class TestInterrupt:
    def test_kills_the_search(self, runs, monkeypatch):
        monkeypatch.setattr(Interrupts, "n_fits", 0)
        search = make_search(make_pipeline(Interrupts(), CLF), PREFIXED)
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, y)
        folds = ["FINISHED", "FINISHED", "FINISHED", "KILLED"]
        assert Tree(runs()).statuses == ("KILLED", ["KILLED"] * 2, folds)

    @pytest.mark.parametrize("is_tracked", [True, False])
    @pytest.mark.parametrize("nth", [2, 7])
    def test_of_our_classifier_kills_the_search(
        self, is_tracked, nth, runs, interruptible, monkeypatch
    ):
        monkeypatch.setattr(Interrupted, "n_fits", 0)
        monkeypatch.setattr(Interrupted, "nth", nth)
        clf = Interrupted(max_iter=10, objective=lose_patience)
        search = GridSearchCV(clf, STEPS, cv=2)
        if is_tracked:
            search.set_callbacks(MLflowTracker())
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, y)
        assert get_config()["tracking"]
        assert mlflow.active_run() is None
        assert Interrupted.n_fits == nth
        found = runs()
        (above,) = [run for run in found if run.name == "GridSearchCV"]
        assert above.status == "KILLED"
        # The candidates that were begun are killed with it, where there are any.
        n_begun = is_tracked * len({run.name for run in found} & CANDIDATES)
        statuses = Counter(run.status for run in found)
        assert statuses == {"FINISHED": nth - 1, "KILLED": 2 + n_begun}

    def test_of_our_classifier_kills_the_study(self, runs, interruptible, monkeypatch):
        monkeypatch.setattr(Interrupted, "n_fits", 0)
        monkeypatch.setattr(Interrupted, "nth", 2)
        clf = Interrupted(max_iter=10, objective=lose_patience)
        study = optuna.create_study()
        with (
            config_context(log_models="none"),
            pytest.raises(KeyboardInterrupt),
            track_study(study),
        ):
            study.optimize(lambda trial: clf.fit(X, y).score(X, y), n_trials=3)
        statuses = [run.status for run in runs()]
        assert Counter(statuses) == {"FINISHED": 2, "KILLED": 3}
        assert get_config()["tracking"]

    @pytest.fixture
    def interruptible(self):
        """What was started in the background by a shell ignores interrupts."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_of_workers_leaves_nothing_running(self, backend, runs, interruptible):
        search = make_search(
            SlowLogisticRegression(), {"C": [0.1, 1, 10, 100, 1000]}, n_jobs=2
        )
        threading.Timer(1.8, _thread.interrupt_main).start()
        with parallel_config(backend=backend), pytest.raises(KeyboardInterrupt):
            search.fit(X, y)
        wait_for_threads()
        found = runs()
        assert "RUNNING" not in {run.status for run in found}
        (above,) = [run for run in found if run.name == "GridSearchCV"]
        assert above.status == "KILLED"
        assert pending() == 0
