"""Places for files that take none: the runs arrive all the same."""

import uuid
from contextlib import contextmanager

import mlflow
import optuna
import pytest
from mlflow.entities import LoggedModelStatus
from sklearn.model_selection import GridSearchCV

import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, flush, pending, track_study
from tests.tracking.conftest import read_runs
from tests.tracking.faults import (
    X,
    at_most,
    fake_server,
    fill,
    fit,
    leave_behind,
    warned_once,
    y,
)

TAG = "skperceptron.not_logged"


@pytest.fixture
def experiment_at(journal):
    """Make an experiment with a place for files, and send runs there."""

    def set_experiment(location):
        experiment_id = mlflow.create_experiment(uuid.uuid4().hex, location)
        mlflow.set_experiment(experiment_id=experiment_id)
        return experiment_id

    yield set_experiment
    mlflow.set_experiment("Default")


@pytest.fixture(params=["proc", "file", "s3", "unknown", "of a server"])
def bad_place(request, tmp_path):
    """A place of which nobody but the user can make a good one."""
    (tmp_path / "file").touch()
    if request.param == "s3":
        try:
            import boto3  # noqa: F401
        except ImportError:
            return "s3://bucket/x"
        pytest.skip("boto3 is installed")
    return {
        "proc": "file:///proc/x",
        "file": (tmp_path / "file").as_uri(),
        "unknown": "nowhere://x",
        "of a server": "mlflow-artifacts:/x",
    }[request.param]


def test_run_without_its_files_is_complete_else(bad_place, experiment_at, journal):
    experiment_id = experiment_at(bad_place)
    with warned_once("logged without their files") as caught, at_most(15):
        fits = [fit() for _ in range(2)]
        assert flush() == 0
    assert pending() == 0
    runs = read_runs(experiment_id)
    assert [run.status for run in runs] == ["FINISHED"] * 2
    assert [run.run_id for run in runs] == [clf.run_id_ for clf in fits]
    for run, clf in zip(runs, fits, strict=True):
        assert run.latest("training_score") == clf.score(X, y)
        assert run.params["max_iter"] == "20"
        assert run.tags[TAG].startswith("model: ")
        (folder,) = (journal / "not_logged").glob(run.tags["skperceptron.key"] + "-*")
        assert str(folder) in run.tags[TAG]
        model = mlflow.sklearn.load_model(str(folder / "model"))
        assert (model.predict(X) == clf.predict(X)).all()
        assert str(journal / "not_logged") in str(caught[0].message)
    models = mlflow.search_logged_models([experiment_id], output_format="list")
    assert {model.status for model in models} <= {LoggedModelStatus.FAILED}


def test_other_experiments_and_runs_without_files_do_not_wait(experiment_at, tmp_path):
    bad = experiment_at("file:///proc/x")
    with warned_once("without their files"):
        fit()
    good = experiment_at((tmp_path / "good").as_uri())
    assert mlflow.sklearn.load_model(f"runs:/{fit().run_id_}/model") is not None
    mlflow.set_experiment(experiment_id=bad)
    with skperceptron.config_context(log_models="none"):
        fit()
    runs = [*read_runs(bad), *read_runs(good)]
    assert [run.status for run in runs] == ["FINISHED"] * 3
    assert [TAG in run.tags for run in runs] == [True, False, False]


def test_files_that_were_put_aside_can_be_logged(experiment_at, journal, tmp_path):
    place = tmp_path / "place"
    place.touch()
    experiment_at(place.as_uri())
    with warned_once("log_artifacts"):
        clf = fit()
    place.unlink()
    (folder,) = (journal / "not_logged").iterdir()
    mlflow.MlflowClient().log_artifacts(clf.run_id_, str(folder))
    model = mlflow.sklearn.load_model(f"runs:/{clf.run_id_}/model")
    assert (model.predict(X) == clf.predict(X)).all()


def test_searches_and_studies_end_without_their_files(experiment_at, journal):
    experiment_id = experiment_at("file:///proc/x")
    tracker = MLflowTracker(log_models="all")
    search = GridSearchCV(HillClimbPerceptron(max_iter=5), {"step_size": [0.1]}, cv=2)
    with warned_once("without their files"):
        search.set_callbacks(tracker).fit(X, y)
        with track_study(optuna.create_study()) as study:
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        assert flush() == 0
    runs = read_runs(experiment_id)
    assert [run.status for run in runs] == ["FINISHED"] * (1 + 1 + 2 + 1 + 1 + 2)
    lacking = {run.name: run.tags[TAG] for run in runs if TAG in run.tags}
    assert {"GridSearchCV", "fold 0", "fold 1", study.study_name} == set(lacking)
    assert lacking["GridSearchCV"].startswith("cv_results.csv, ")
    assert lacking[study.study_name].startswith("history.png")
    kept = {path.name for path in (journal / "not_logged").glob("*/*")}
    assert {"model", "cv_results.csv", "history.png"} <= kept


def test_new_process_gets_past_files_of_one_that_is_gone(away):
    leave_behind(uri=away.uri)
    away.come_back()
    away.execute("UPDATE experiments SET artifact_location = 'file:///proc/x'")
    with warned_once("without their files"):
        assert flush() == 0
    (run,) = read_runs("0", away.path)
    assert run.status == "FINISHED"
    assert TAG in run.tags


# Places that are away for a while


@contextmanager
def place_that_is_away(kind, monkeypatch):
    """Let the place for files be away as it is told, until the end of the block."""
    if kind == "500":
        with fake_server(200, 500) as server:
            yield f"{server.uri}/x"
    elif kind == "hangs":
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        with fake_server(200, None) as server:
            yield f"{server.uri}/x"
    else:
        with fake_server(200, 200) as server:
            uri = server.uri
        yield f"{uri}/x"


@pytest.mark.parametrize("kind", ["500", "hangs", "refused"])
def test_files_wait_for_a_place_that_is_away_and_nothing_else(
    kind, experiment_at, tmp_path, monkeypatch
):
    with place_that_is_away(kind, monkeypatch) as location:
        away = experiment_at(location)
        with warned_once("tried again"), at_most(15):
            fits = [fit() for _ in range(3)]
        assert [run.status for run in read_runs(away)] == ["FINISHED"] * 3
        assert [run.run_id for run in read_runs(away)] == [f.run_id_ for f in fits]
        assert all(run.tags[TAG].startswith("model: ") for run in read_runs(away))
        experiment_at((tmp_path / "good").as_uri())
        with at_most(5):
            assert fit().run_id_ is not None
        assert pending() == 3
        with warned_once("tried again"), at_most(15):
            assert flush() == 3


def test_files_arrive_when_their_place_is_back(experiment_at, small_disk):
    experiment_id = experiment_at(small_disk.as_uri())
    filler = fill(small_disk)
    tracker = MLflowTracker(registered_model_name=f"m{uuid.uuid4().hex}")
    with warned_once("No space left"):
        clf = HillClimbPerceptron(max_iter=20).set_callbacks(tracker).fit(X, y)
    filler.unlink()
    assert pending() == 1
    (run,) = read_runs(experiment_id)
    assert run.status == "FINISHED"
    n_metrics = {name: len(values) for name, values in run.metrics.items()}
    assert flush() == 0
    (run,) = read_runs(experiment_id)
    assert TAG not in run.tags
    assert {name: len(values) for name, values in run.metrics.items()} == n_metrics
    model = mlflow.sklearn.load_model(f"models:/{tracker.registered_model_name}/1")
    assert (model.predict(X) == clf.predict(X)).all()
