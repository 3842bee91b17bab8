"""The options of a tracker, and searches, stores and switches around it."""

import copy
import pickle
import shutil
import threading
from collections import Counter

import mlflow
import optuna
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skperceptron
from skperceptron.tracking import MLflowTracker, TrackingWarning, track_study
from tests.tracking.tracked_searches import (
    BACKENDS,
    CLF,
    PREFIXED,
    STEPS,
    Tree,
    X,
    artifacts_of,
    assert_logged,
    has_model,
    make_pca_search,
    make_search,
    y,
)

pytestmark = [
    pytest.mark.usefixtures("empty_figures"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def add_one(X):
    return X + 1


class TestOptions:
    def test_names_and_tags(self, runs):
        tracker = MLflowTracker(
            run_name="my search", tags={"who": "me"}, log_models="none"
        )
        make_search(tracker=tracker).fit(X, y)
        tree = Tree(runs())
        assert tree.search.name == "my search"
        assert tree.search.tags["who"] == "me"
        assert tree.search.tags["estimator_name"] == "GridSearchCV"

    def test_experiment_is_created(self, runs):
        name = f"made by {id(self)}"
        tracker = MLflowTracker(experiment_name=name, log_models="none")
        make_search(tracker=tracker, n_jobs=2).fit(X, y)
        assert runs() == []
        experiment = mlflow.get_experiment_by_name(name)
        assert len(mlflow.search_runs([experiment.experiment_id])) == 11

    @pytest.mark.parametrize("n_jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
    def test_other_store(self, n_jobs, runs, tmp_path, monkeypatch, new_store):
        other = shutil.copy(new_store, tmp_path / "other.db")
        monkeypatch.chdir(tmp_path)
        tracker = MLflowTracker(tracking_uri="sqlite:///other.db", experiment_name="e")
        with mlflow.start_run() as active:
            make_search(tracker=tracker, n_jobs=n_jobs).fit(X, y)
        assert [run.run_id for run in runs()] == [active.info.run_id]
        client = mlflow.MlflowClient(f"sqlite:///{other}")
        experiment = client.get_experiment_by_name("e")
        found = client.search_runs([experiment.experiment_id])
        assert len(found) == 11
        assert {run.info.status for run in found} == {"FINISHED"}
        roots = [r for r in found if "mlflow.parentRunId" not in r.data.tags]
        assert [run.info.run_name for run in roots] == ["GridSearchCV"]

    @pytest.mark.parametrize(
        ("log_models", "expected"), [("none", 0), ("best", 1), ("all", 7)]
    )
    def test_models(self, log_models, expected, runs):
        make_search(tracker=MLflowTracker(log_models=log_models)).fit(X, y)
        assert sum(map(has_model, runs())) == expected

    @pytest.mark.parametrize("n_jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
    def test_models_without_rows_of_the_training_data(self, n_jobs, runs, client):
        tracker = MLflowTracker(log_models="all")
        with skperceptron.config_context(log_input_examples=False):
            make_search(tracker=tracker, n_jobs=n_jobs).fit(X, y)
            CLF.fit(X, y)
        models = [run for run in runs() if has_model(run)]
        assert len(models) == 8
        for run in models:
            files = {file.path for file in client.list_artifacts(run.run_id, "model")}
            assert "model/MLmodel" in files
            assert not [path for path in files if "input_example" in path]

    @pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
    def test_without_folds(self, n_jobs, runs):
        tracker = MLflowTracker(log_folds=False, log_models="none")
        search = make_search(tracker=tracker, n_jobs=n_jobs).fit(X, y)
        tree = Tree(runs())
        assert len(tree.candidates) == 3
        assert len(tree.refits) == 1
        assert not tree.folds
        assert (
            tree.candidates[0].latest("mean_test_score")
            == (search.cv_results_["mean_test_score"][0])
        )

    def test_untrusted_type_costs_the_model_and_one_warning(self, runs):
        pipeline = make_pipeline(FunctionTransformer(add_one), CLF)
        search = make_search(pipeline, PREFIXED, tracker=MLflowTracker())
        with pytest.warns(TrackingWarning, match="skops_trusted_types") as caught:
            search.fit(X, y)
        assert len(caught) == 1
        tree = Tree(runs())
        assert_logged(tree, search)
        assert artifacts_of(tree.search) == {"cv_results.csv", "cv_results.png"}
        assert not has_model(tree.search)

    def test_trusted_type_is_part_of_the_model(self, runs):
        pipeline = make_pipeline(FunctionTransformer(add_one), clone(CLF))
        name = f"{add_one.__module__}.add_one"
        tracker = MLflowTracker(skops_trusted_types=[name])
        pipeline.set_callbacks(tracker).fit(X, y)
        (run,) = runs()
        assert has_model(run)

    def test_registered_model(self, runs):
        name = f"registered by {id(self)}"
        make_search(tracker=MLflowTracker(registered_model_name=name)).fit(X, y)
        (version,) = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
        assert version.run_id == Tree(runs()).search.run_id

    @pytest.mark.parametrize(
        "wrong",
        [
            {"experiment_name": 1},
            {"tracking_uri": b"x"},
            {"run_name": 1.0},
            {"registered_model_name": []},
            {"tags": "tags"},
            {"tags": [("a", "b")]},
            {"log_folds": 1},
            {"log_folds": None},
            {"skops_trusted_types": "numpy.dtype"},
            {"skops_trusted_types": [1]},
        ],
        ids=str,
    )
    def test_of_a_wrong_type_is_refused(self, wrong):
        (name,) = wrong
        with pytest.raises(TypeError, match=f"^{name} must be"):
            MLflowTracker(**wrong)

    def test_of_a_wrong_value_is_refused(self):
        with pytest.raises(ValueError, match="log_models must be one of"):
            MLflowTracker(log_models="some")

    def test_cannot_be_given_by_position(self):
        with pytest.raises(TypeError, match="positional"):
            MLflowTracker("experiment")


class TestRunId:
    def test_is_none_of_a_tracker_that_has_followed_nothing(self):
        with pytest.raises(AttributeError, match="has followed no fit yet"):
            MLflowTracker().run_id_  # noqa: B018 - it is looked up

    @pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
    def test_is_the_run_of_the_search_which_takes_more(self, n_jobs, runs):
        tracker = MLflowTracker(log_models="none")
        make_search(tracker=tracker, n_jobs=n_jobs).fit(X, y)
        mlflow.MlflowClient().log_metric(tracker.run_id_, "my metric", 1.5)
        search = Tree(runs()).search
        assert tracker.run_id_ == search.run_id
        assert search.latest("my metric") == 1.5
        assert search.status == "FINISHED"

    def test_is_known_while_the_search_goes_on(self, runs):
        tracker, seen = MLflowTracker(log_models="none"), []

        def score(estimator, X, y):
            skperceptron.tracking.flush()
            seen.append(tracker.run_id_)
            return 1.0

        make_search(tracker=tracker, scoring=score).fit(X, y)
        assert set(seen) == {tracker.run_id_}
        assert tracker.run_id_ is not None

    def test_is_that_of_the_last_fit(self, runs):
        tracker = MLflowTracker(log_models="none")
        make_search(tracker=tracker).fit(X, y)
        first = tracker.run_id_
        pipeline = make_pipeline(StandardScaler(), clone(CLF)).set_callbacks(tracker)
        pipeline.fit(X, y)
        named = {run.name: run.run_id for run in runs() if run.parent is None}
        assert first == named["GridSearchCV"]
        assert tracker.run_id_ == named["Pipeline"] == pipeline[-1].run_id_


class TestSurroundings:
    @pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
    def test_tracker_wins_over_the_switch(self, n_jobs, runs):
        with skperceptron.config_context(tracking=False):
            search = make_search(n_jobs=n_jobs).fit(X, y)
            assert skperceptron.get_config()["tracking"] is False
        assert_logged(Tree(runs()), search)

    def test_switch_is_as_before(self, runs):
        make_search().fit(X, y)
        assert skperceptron.get_config()["tracking"] is True
        with pytest.raises(ValueError, match="n_components=20"):
            make_pca_search(error_score="raise").fit(X, y)
        assert skperceptron.get_config()["tracking"] is True

    def test_two_searches_with_one_tracker(self, runs):
        tracker = MLflowTracker(log_models="none")
        for _ in range(2):
            make_search(tracker=tracker).fit(X, y)
        found = runs()
        assert Counter(run.name for run in found if run.parent is None) == {
            "GridSearchCV": 2
        }
        assert len(found) == 22

    def test_two_searches_with_one_tracker_at_once(self, runs):
        tracker = MLflowTracker(log_models="none")
        searches = [make_search(tracker=tracker), make_search(tracker=tracker, cv=3)]
        threads = [threading.Thread(target=s.fit, args=(X, y)) for s in searches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = runs()
        for search in searches:
            (root,) = [
                run
                for run in found
                if run.params.get("cv") == str(search.cv) and run.parent is None
            ]
            below = [run for run in found if run.parent == root.run_id]
            ids = {run.run_id for run in [root, *below]}
            part = [run for run in found if run.run_id in ids or run.parent in ids]
            assert_logged(Tree(part), search)

    @pytest.mark.parametrize("backend", [None, *BACKENDS])
    def test_search_in_each_fold_of_a_cross_validation(self, backend, runs):
        jobs = {} if backend is None else {"backend": backend, "n_jobs": 2}
        with parallel_config(**(jobs or {"n_jobs": 1})), mlflow.start_run() as active:
            cross_val_score(make_search(n_jobs=1), X, y, cv=3)
        found = [run for run in runs() if run.run_id != active.info.run_id]
        parents = [run.parent for run in found if run.name == "GridSearchCV"]
        assert parents == [active.info.run_id] * 3
        assert len(found) == 3 * 11
        assert {run.status for run in found} == {"FINISHED"}

    def test_study_in_one_store_and_its_search_in_another(
        self, runs, tmp_path, new_store
    ):
        uri = f"sqlite:///{shutil.copy(new_store, tmp_path / 'other.db')}"
        client = mlflow.MlflowClient(uri)
        client.create_experiment("e", artifact_location=str(tmp_path))
        tracker = MLflowTracker(
            tracking_uri=uri, experiment_name="e", log_models="none"
        )
        search = make_search(tracker=tracker)
        study = optuna.create_study(study_name="study")
        with track_study(study):
            study.optimize(lambda trial: search.fit(X, y).best_score_, n_trials=1)
        found = client.search_runs([client.get_experiment_by_name("e").experiment_id])
        assert len(found) == 11
        roots = [r for r in found if "mlflow.parentRunId" not in r.data.tags]
        assert [run.info.run_name for run in roots] == ["GridSearchCV"]
        assert [run.name.split()[0] for run in runs()] == ["study", "trial"]

    @pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
    def test_search_in_the_pipeline_of_a_search_is_part_of_the_fold(self, n_jobs, runs):
        inner = GridSearchCV(CLF, STEPS, cv=2, n_jobs=n_jobs)
        pipeline = make_pipeline(StandardScaler(), inner)
        search = make_search(pipeline, {"gridsearchcv__cv": [2, 3]}).fit(X, y)
        assert_logged(Tree(runs()), search)

    @pytest.mark.parametrize(
        "copied",
        [clone, copy.deepcopy, lambda search: pickle.loads(pickle.dumps(search))],
        ids=["clone", "deepcopy", "pickle"],
    )
    @pytest.mark.parametrize(
        "is_fitted", [pytest.param(False, marks=pytest.mark.slow), True]
    )
    def test_tracker_goes_with_copies_of_a_search(self, copied, is_fitted, runs):
        tracker = MLflowTracker(run_name="original", log_models="none")
        original = make_search(tracker=tracker)
        if is_fitted:
            with skperceptron.config_context(tracking=False):
                original.fit(X, y)
        known = {run.run_id for run in runs()}
        search = copied(original).fit(X, y)
        tree = Tree([run for run in runs() if run.run_id not in known])
        assert_logged(tree, search)
        assert tree.search.name == "original"

    def test_autolog_does_not_log_our_fits_again(self, runs):
        mlflow.sklearn.autolog(log_models=False, silent=True)
        try:
            search = make_search().fit(X, y)
            clone(CLF).fit(X, y)
        finally:
            mlflow.sklearn.autolog(disable=True)
        found = runs()
        assert {run.status for run in found} == {"FINISHED"}
        keys = [run.tags["skperceptron.key"] for run in found if is_ours(run)]
        assert len(keys) == len(set(keys)) == 11 + 1
        # autolog has one run for the search, and below it one for each candidate.
        assert len(found) == 12 + 1 + 3
        (above,) = [run for run in found if run.name == "GridSearchCV"]
        below = {above.run_id, *(r.run_id for r in found if r.parent == above.run_id)}
        ours = [run for run in found if run.run_id in below or run.parent in below]
        assert_logged(Tree(ours), search)


def is_ours(run):
    return "skperceptron.key" in run.tags
