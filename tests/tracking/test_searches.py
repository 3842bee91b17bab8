"""Runs of fits that a search makes in other processes and threads."""

from collections import Counter

import mlflow
import pytest
from joblib import parallel_config
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - by its import
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import flush
from tests.tracking.faults import within

pytestmark = pytest.mark.usefixtures("without_models")
X, y = load_iris(return_X_y=True)
GRID = {"hillclimbperceptron__step_size": [0.05, 0.1, 0.2, 0.4]}
BACKENDS = ["loky", "threading"]


def make_search(n_jobs):
    pipeline = make_pipeline(StandardScaler(), HillClimbPerceptron(max_iter=20))
    return GridSearchCV(pipeline, GRID, cv=3, n_jobs=n_jobs, error_score="raise")


def split_off(found, name):
    """Take the one run of this name from the others."""
    (one,) = [run for run in found if run.name == name]
    return one, [run for run in found if run is not one]


def test_every_fit_of_a_search_is_a_finished_run_below_that_of_the_search(runs):
    search = make_search(n_jobs=1).fit(X, y)
    above, found = split_off(runs.at_once(), "GridSearchCV")
    assert above.status == "FINISHED"
    assert above.parent is None
    assert {run.parent for run in found} == {above.run_id}
    assert above.start_time <= min(run.start_time for run in found)
    assert above.end_time >= max(run.end_time for run in found)
    assert len(found) == 4 * 3 + 1
    assert {run.status for run in found} == {"FINISHED"}
    assert search.best_estimator_[-1].run_id_ in {run.run_id for run in found}
    step_sizes = sorted(run.params["step_size"] for run in found)
    assert step_sizes.count("0.05") >= 3
    # The folds are scored by the search in the process that fitted them.
    assert sum("split_test_score" in run.metrics for run in found) == 12


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_folds_and_refit_are_named_without_a_tracker(n_jobs, runs):
    make_search(n_jobs).fit(X, y)
    _, found = split_off(runs.at_once(), "GridSearchCV")
    names = Counter(run.name for run in found)
    assert names == {"fold 0": 4, "fold 1": 4, "fold 2": 4, "refit": 1}


@pytest.mark.parametrize("backend", BACKENDS)
def test_workers_log_to_the_same_experiment_below_the_active_run(backend, runs):
    with parallel_config(backend=backend), mlflow.start_run() as parent:
        make_search(n_jobs=2).fit(X, y)
    found = [run for run in runs.at_once() if run.run_id != parent.info.run_id]
    search, fits = split_off(found, "GridSearchCV")
    assert search.parent == parent.info.run_id
    assert len(fits) == 13
    assert {run.parent for run in fits} == {search.run_id}
    assert {run.status for run in found} == {"FINISHED"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_search_without_refit_ends_with_its_call(backend, runs):
    with parallel_config(backend=backend):
        make_search(n_jobs=2).set_params(refit=False).fit(X, y)
    assert within(9, lambda: [r.status for r in runs.at_once()] == ["FINISHED"] * 13)


@pytest.mark.filterwarnings("ignore:Scoring failed")
@pytest.mark.parametrize("backend", BACKENDS)
def test_searches_of_a_cross_validation_end_with_it(backend, runs):
    search = make_search(n_jobs=1).set_params(refit=False, scoring="accuracy")
    with parallel_config(backend=backend):
        cross_val_score(search, X, y, cv=2, n_jobs=2, error_score=0.5)
    found = runs()
    above, _ = split_off(found, "cross_val_score")
    searches = [run for run in found if run.name == "GridSearchCV"]
    assert [run.parent for run in searches] == [above.run_id] * 2
    assert {run.status for run in found} == {"FINISHED"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_workers_follow_from_one_experiment_to_the_next(backend, runs):
    with parallel_config(backend=backend):
        make_search(n_jobs=2).fit(X, y)
        elsewhere = mlflow.set_experiment(f"next for {backend} {id(runs)}")
        make_search(n_jobs=2).fit(X, y)
    assert len(runs()) == 14
    assert len(mlflow.search_runs([elsewhere.experiment_id])) == 14


@pytest.mark.parametrize("backend", BACKENDS)
def test_switch_holds_in_workers(backend, runs):
    with parallel_config(backend=backend), skperceptron.config_context(tracking=False):
        search = make_search(n_jobs=2).fit(X, y)
    assert runs() == []
    assert search.best_estimator_[-1].run_id_ is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_process_wide_switch_holds_in_workers(backend, runs, monkeypatch):
    monkeypatch.setattr(skperceptron._config, "_process_wide", {})
    skperceptron.set_config(tracking=False)
    with parallel_config(backend=backend):
        make_search(n_jobs=2).fit(X, y)
    assert runs() == []


def test_halving_search(runs):
    search = HalvingRandomSearchCV(
        HillClimbPerceptron(max_iter=20),
        {"step_size": [0.05, 0.1, 0.2]},
        resource="n_samples",
        min_resources=40,
        cv=3,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    _, fits = split_off(runs(), "HalvingRandomSearchCV")
    assert len(fits) == 3 * len(search.cv_results_["params"]) + 1


class TestCrossValidation:
    """Its first clones are made in the caller's thread, the others in joblib's."""

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_every_fold_is_below_one_run_and_that_below_the_active_one(
        self, backend, runs
    ):
        clf = HillClimbPerceptron(max_iter=20)
        with parallel_config(backend=backend), mlflow.start_run() as parent:
            cross_validate(clf, X, y, cv=12, n_jobs=2)
        found = [run for run in runs() if run.run_id != parent.info.run_id]
        above, folds = split_off(found, "cross_validate")
        assert above.parent == parent.info.run_id
        assert [run.parent for run in folds] == [above.run_id] * 12

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_no_fold_is_tracked_when_tracking_is_off(self, backend, runs):
        clf = HillClimbPerceptron(max_iter=20)
        with parallel_config(backend=backend):
            with skperceptron.config_context(tracking=False):
                cross_validate(clf, X, y, cv=12, n_jobs=2)
            assert runs() == []
            cross_validate(clf, X, y, cv=12, n_jobs=2)
            assert len(runs()) == 1 + 12


def test_estimator_that_comes_back_from_a_worker_knows_its_run(runs):
    scores = cross_validate(
        HillClimbPerceptron(max_iter=20), X, y, cv=3, n_jobs=2, return_estimator=True
    )
    flush()
    run_ids = {clf.run_id_ for clf in scores["estimator"]}
    _, folds = split_off(runs(), "cross_validate")
    assert run_ids == {run.run_id for run in folds}
