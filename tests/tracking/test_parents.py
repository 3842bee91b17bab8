"""Below which run of the user's a fit is: the one that the environment names, as
`mlflow run` does, or the one that is active where a thread was started."""

import os
import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import mlflow
import optuna
import pytest
from joblib import parallel_config
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_validate

from skperceptron import HillClimbPerceptron, config_context
from skperceptron.tracking import (
    MLflowTracker,
    TrackingWarning,
    flush,
    inherit_parent_run,
    track_study,
)

pytestmark = pytest.mark.usefixtures("without_models", "empty_figures")
X, y = load_iris(return_X_y=True)
CLF = HillClimbPerceptron(max_iter=5)


def fit():
    return HillClimbPerceptron(max_iter=5).fit(X, y)


def search(n_jobs=None, tracker=None):
    grid = GridSearchCV(CLF, {"step_size": [0.1, 0.2]}, cv=2, n_jobs=n_jobs)
    if tracker is not None:
        grid.set_callbacks(tracker)
    return grid.fit(X, y)


class TestRunOfTheEnvironment:
    @pytest.fixture
    def given(self, runs, monkeypatch):
        """A run in another experiment than the one that is set."""
        client = mlflow.MlflowClient()
        self.experiment_id = client.create_experiment(uuid.uuid4().hex)
        run_id = client.create_run(self.experiment_id).info.run_id
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        return run_id

    def found(self, experiment_id=None):
        """Runs by name, with the names of their parents."""
        flush()
        found = mlflow.search_runs(
            [experiment_id or self.experiment_id], output_format="list"
        )
        return [(r.info.run_name, r.data.tags.get("mlflow.parentRunId")) for r in found]

    def below(self, run_id, experiment_id=None):
        found = self.found(experiment_id)
        return sorted(name for name, parent in found if parent == run_id)

    def test_is_above_a_fit(self, given, runs):
        clf = fit()
        assert self.below(given) == ["HillClimbPerceptron"]
        assert clf.run_id_ is not None
        assert runs() == []

    def test_is_the_same_when_the_user_resumes_it(self, given):
        mlflow.set_experiment(experiment_id=self.experiment_id)
        fit()
        with mlflow.start_run() as active:
            fit()
        assert active.info.run_id == given
        assert len(self.below(given)) == 2
        assert mlflow.get_run(given).info.status == "FINISHED"

    @pytest.mark.parametrize("backend", ["loky", "threading"])
    @pytest.mark.parametrize("tracker", [None, "tracker"])
    def test_is_above_a_search(self, backend, tracker, given):
        with parallel_config(backend=backend):
            search(2, tracker and MLflowTracker())
        assert self.below(given) == ["GridSearchCV"]
        assert len(self.found()) == 1 + 1 + 2 * 2 + 1 + (2 if tracker else 0)

    def test_is_above_what_worker_processes_fit(self, given):
        cross_validate(CLF, X, y, cv=4, n_jobs=2)
        assert self.below(given) == ["cross_validate"]
        assert len(self.found()) == 1 + 1 + 4

    def test_is_above_a_study(self, given):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with track_study(optuna.create_study(study_name="study")) as study:
            study.optimize(lambda trial: fit().score(X, y), n_trials=2)
        assert self.below(given) == ["study"]
        assert len(self.found()) == 1 + 1 + 2 * 2

    def test_active_run_counts_more(self, given, runs):
        own = mlflow.MlflowClient().create_run(os.environ["MLFLOW_EXPERIMENT_ID"])
        own = own.info.run_id
        with mlflow.start_run(run_id=own):
            fit()
        assert {run.parent for run in runs() if run.run_id != own} == {own}
        assert self.below(given) == []

    def test_stays_above_what_a_tracker_sends_to_another_experiment(self, given):
        name = uuid.uuid4().hex
        search(tracker=MLflowTracker(experiment_name=name))
        experiment_id = mlflow.get_experiment_by_name(name).experiment_id
        assert self.below(given, experiment_id) == ["GridSearchCV"]

    def test_is_not_looked_for_in_the_other_store_of_a_tracker(
        self, given, tmp_path, new_store
    ):
        uri = f"sqlite:///{shutil.copy(new_store, tmp_path / 'other.db')}"
        mlflow.MlflowClient(uri).create_experiment("e", str(tmp_path))
        search(tracker=MLflowTracker(tracking_uri=uri, experiment_name="e"))
        assert self.below(given) == []

    @pytest.mark.usefixtures("delivery_here")
    def test_is_looked_up_once(self, given, monkeypatch):
        calls = []
        get_run = mlflow.MlflowClient.get_run

        def count(self, run_id):
            calls.append(run_id)
            return get_run(self, run_id)

        monkeypatch.setattr(mlflow.MlflowClient, "get_run", count)
        for _ in range(5):
            fit()
        assert calls == [given]

    @pytest.mark.parametrize("missing", ["0" * 32, "../no id", "deleted"])
    def test_that_does_not_exist_costs_one_warning(self, missing, runs, monkeypatch):
        if missing == "deleted":
            client = mlflow.MlflowClient()
            missing = client.create_run("0").info.run_id
            client.delete_run(missing)
        monkeypatch.setenv("MLFLOW_RUN_ID", missing)
        with pytest.warns(TrackingWarning, match="MLFLOW_RUN_ID names") as caught:
            [fit() for _ in range(2)]
        assert len(caught) == 1
        assert [run.parent for run in runs()] == [None, None]

    def test_empty_names_none(self, runs, monkeypatch):
        monkeypatch.setenv("MLFLOW_RUN_ID", "")
        fit()
        assert [run.parent for run in runs()] == [None]


class TestThreadsOfTheUser:
    def parents(self, runs):
        return {run.parent for run in runs() if run.name == "HillClimbPerceptron"}

    def test_inherit_the_active_run(self, runs):
        both = threading.Barrier(2)

        def work(_):
            both.wait(30)
            return fit()

        with mlflow.start_run() as above, ThreadPoolExecutor(2) as pool:
            fitted = list(pool.map(inherit_parent_run(work), range(4)))
        assert self.parents(runs) == {above.info.run_id}
        assert len({clf.run_id_ for clf in fitted}) == 4

    def test_inherit_it_for_searches_and_calls(self, runs):
        with mlflow.start_run() as above, ThreadPoolExecutor(2) as pool:
            pool.submit(inherit_parent_run(search), n_jobs=2).result()
            pool.submit(inherit_parent_run(search), tracker=MLflowTracker()).result()
            pool.submit(inherit_parent_run(cross_validate), CLF, X, y, cv=2).result()
        below = [run.name for run in runs() if run.parent == above.info.run_id]
        assert sorted(below) == ["GridSearchCV", "GridSearchCV", "cross_validate"]

    def test_inherit_the_trial(self, runs):
        def objective(trial):
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(inherit_parent_run(fit)).result().score(X, y)

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with track_study(optuna.create_study()) as study:
            study.optimize(objective, n_trials=2)
        trials = {run.run_id for run in runs() if run.name.startswith("trial")}
        assert len(trials) == 2
        assert self.parents(runs) == trials

    def test_inherit_the_switches(self, runs):
        with ThreadPoolExecutor(1) as pool, config_context(tracking=False):
            pool.submit(inherit_parent_run(fit)).result()
        assert runs() == []

    def test_know_their_own_active_run_better(self, runs):
        def work():
            with mlflow.start_run() as own:
                fit()
            return own.info.run_id

        with mlflow.start_run(), ThreadPoolExecutor(1) as pool:
            own = pool.submit(inherit_parent_run(work)).result()
        assert self.parents(runs) == {own}

    def test_are_as_they_were_afterwards(self, runs):
        with ThreadPoolExecutor(1) as pool:
            with mlflow.start_run():
                pool.submit(inherit_parent_run(len), "").result()
            pool.submit(fit).result()
        assert self.parents(runs) == {None}

    def test_pass_on_arguments_results_and_errors(self):
        assert inherit_parent_run(divmod)(7, 3) == (2, 1)
        assert inherit_parent_run(fit).__name__ == "fit"
        with pytest.raises(ZeroDivisionError):
            inherit_parent_run(divmod)(1, 0)
