"""What users log in fits and searches lands in their runs, and no run stays active."""

import mlflow
import pytest
from joblib import parallel_backend
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import HillClimbMLP, HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, flush

pytestmark = pytest.mark.usefixtures("without_models", "empty_figures")
X, y = load_iris(return_X_y=True)
GRID = {"step_size": [0.1, 0.3]}


@pytest.fixture(autouse=True)
def nothing_stays_active():
    yield
    left = mlflow.active_run()
    while mlflow.active_run():
        mlflow.end_run()
    assert left is None


def logged(y_true, y_pred):
    mlflow.log_metric("own", 7)
    return accuracy_score(y_true, y_pred)


def logging_scorer(clf, X, y):
    mlflow.log_metric("own", 7)
    return clf.score(X, y)


def climber(**params):
    return HillClimbPerceptron(max_iter=5, random_state=0, **params)


def has_own(run):
    return "own" in run.metrics


def by_id(runs):
    return {run.run_id: run for run in runs()}


class TestObjectives:
    @pytest.mark.parametrize("objective", [logged, make_scorer(logged)])
    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    def test_log_to_the_run_of_the_fit(self, cls, objective, runs):
        clf = cls(objective=objective, max_iter=5).fit(X, y)
        assert mlflow.active_run() is None
        (run,) = runs()
        assert run.run_id == clf.run_id_
        assert has_own(run)
        assert run.status == "FINISHED"
        assert run.params["max_iter"] == "5"
        assert "objective" in run.metrics

    def test_that_fail_leave_no_run_active(self, runs):
        def failing(y_true, y_pred):
            mlflow.log_metric("own", 7)
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            climber(objective=failing).fit(X, y)
        assert mlflow.active_run() is None
        (run,) = runs()
        assert has_own(run)
        assert run.status == "FAILED"

    def test_log_below_the_active_run_of_the_user(self, runs):
        with mlflow.start_run() as above:
            clf = climber(objective=logged).fit(X, y)
            assert mlflow.active_run().info.run_id == above.info.run_id
            mlflow.log_metric("mine", 1)
        found = by_id(runs)
        fitted = found[clf.run_id_]
        assert has_own(fitted)
        assert fitted.parent == above.info.run_id
        assert list(found[above.info.run_id].metrics) == ["mine"]

    def test_log_to_the_fold_where_folds_are_fitted(self, runs):
        cross_val_score(climber(objective=logged), X, y, cv=3)
        assert mlflow.active_run() is None
        own = [run for run in runs() if has_own(run)]
        assert len(own) == 3
        assert len(runs()) == 4

    def test_may_begin_runs_which_are_below_that_of_the_fit(self, runs):
        def begins(y_true, y_pred):
            mlflow.start_run(nested=True, run_name="inner")
            return accuracy_score(y_true, y_pred)

        clf = climber(objective=begins).fit(X, y)
        assert mlflow.active_run() is None
        inner = [run for run in runs() if run.name == "inner"]
        assert inner
        assert {run.status for run in inner} == {"FINISHED"}
        assert clf.run_id_ in {run.parent for run in inner}


class Logs:
    """A callback of the user's."""

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **kwargs):
        mlflow.log_metric("own", 7)

    def on_fit_task_end(self, estimator, context, **kwargs):
        pass

    teardown = setup


def test_callbacks_log_to_the_run_of_the_fit(runs):
    climber().set_callbacks(Logs()).fit(X, y)
    (run,) = runs()
    assert has_own(run)


class TestScorers:
    @pytest.mark.parametrize("scoring", [logging_scorer, make_scorer(logged)])
    @pytest.mark.parametrize("in_pipeline", [False, True])
    @pytest.mark.parametrize("backend", ["sequential", "threading"])
    def test_log_to_the_fold_with_a_tracker(self, scoring, in_pipeline, backend, runs):
        tracker, clf, grid = MLflowTracker(), climber(), GRID
        if in_pipeline:
            clf = make_pipeline(StandardScaler(), clf)
            grid = {"hillclimbperceptron__step_size": [0.1, 0.3]}
        search = GridSearchCV(clf, grid, cv=3, scoring=scoring).set_callbacks(tracker)
        search.set_params(n_jobs=None if backend == "sequential" else 2)
        with parallel_backend(backend):
            search.fit(X, y)
        assert mlflow.active_run() is None
        found = runs()
        own = [run for run in found if has_own(run)]
        assert sorted(run.name for run in own) == sorted(
            f"fold {k}" for k in range(3) for _ in range(2)
        )
        assert len(found) == 1 + 2 + 6 + 1
        assert {run.status for run in found} == {"FINISHED"}

    def test_log_to_the_search_where_folds_are_not_logged(self, runs):
        tracker = MLflowTracker(log_folds=False)
        search = GridSearchCV(climber(), GRID, cv=3, scoring=logging_scorer)
        search.set_callbacks(tracker).fit(X, y)
        assert mlflow.active_run() is None
        assert [run.run_id for run in runs() if has_own(run)] == [tracker.run_id_]

    @pytest.mark.parametrize("refit", [True, False])
    def test_log_to_the_fold_without_a_tracker(self, refit, runs):
        search = RandomizedSearchCV(
            climber(), GRID, n_iter=2, cv=3, scoring=logging_scorer, refit=refit
        )
        search.fit(X, y)
        assert mlflow.active_run() is None
        found = runs()
        assert sum(map(has_own, found)) == 6
        assert {run.status for run in found} == {"FINISHED"}

    @pytest.mark.parametrize("in_pipeline", [False, True])
    def test_log_to_the_fold_in_a_cross_validation(self, in_pipeline, runs):
        clf = climber()
        if in_pipeline:
            clf = make_pipeline(StandardScaler(), clf)
        cross_val_score(clf, X, y, cv=3, scoring=logging_scorer)
        assert mlflow.active_run() is None
        found = runs()
        assert sum(map(has_own, found)) == 3
        assert len(found) == 1 + 3

    def test_nothing_stays_active_though_estimators_are_kept(self, runs):
        kept = cross_validate(
            climber(), X, y, cv=3, scoring=logging_scorer, return_estimator=True
        )
        flush()  # which ends the call
        assert mlflow.active_run() is None
        found = by_id(runs)
        assert all(has_own(found[clf.run_id_]) for clf in kept["estimator"])

    def test_nothing_stays_active_in_worker_processes(self, runs):
        search = GridSearchCV(climber(), GRID, cv=3, scoring=logging_scorer, n_jobs=2)
        search.fit(X, y)
        assert {run.status for run in runs()} == {"FINISHED"}
        assert mlflow.active_run() is None
