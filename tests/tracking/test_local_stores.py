"""Stores in folders with odd names are those that MLflow itself finds there."""

import os
import sqlite3
import sys
import tempfile
import uuid
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow.utils.file_utils import local_file_uri_to_path
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sqlalchemy import create_engine

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, flush, pending
from skperceptron.tracking._local_stores import (
    absolute_address,
    database_of,
    default_store_in,
)
from skperceptron.tracking.delivery._store import client_of
from skperceptron.tracking.recording._destination import Destination
from tests.tracking.faults import fit, leave_behind, statuses_of
from tests.tracking.journal_files import leave_run

ODD_NAMES = ["a space", "ü", "g%41", "100%", "h#x", "q?x", "a+b&c"]
ALL_AT_ONCE = "ü e%41#?+&"


@pytest.fixture(params=ODD_NAMES)
def folder(request, tmp_path, monkeypatch):
    """Where the process stands."""
    folder = tmp_path / request.param
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def default_store(tracking_uri, monkeypatch):
    """Let MLflow choose the store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    tracking_uri(None)


def opened_by_sqlalchemy(uri):
    """The file in which SQLAlchemy, and so MLflow, has its tables."""
    engine = create_engine(uri)
    with closing(engine.raw_connection()) as connection:
        ((_, _, path),) = connection.cursor().execute("PRAGMA database_list")
    engine.dispose()
    return Path(path)


def test_default_store_is_the_one_mlflow_uses(folder, default_store):
    uri = mlflow.get_tracking_uri()
    assert database_of(uri) == opened_by_sqlalchemy(uri)
    assert default_store_in(folder) == uri


def test_default_store_is_a_folder_where_mlflow_keeps_to_it(folder, default_store):
    (folder / "mlruns" / "0").mkdir(parents=True)
    (folder / "mlruns" / "0" / "meta.yaml").touch()
    assert default_store_in(folder) == mlflow.get_tracking_uri()


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+pysqlite"])
@pytest.mark.parametrize("name", ["x.db", "a b.db", "b%20c.db", "sub+é/x.db"])
def test_relative_database_is_the_same_one_elsewhere(driver, name, folder, tmp_path):
    (folder / name).parent.mkdir(exist_ok=True)
    here = opened_by_sqlalchemy(f"{driver}:///{name}")
    uri = absolute_address(f"{driver}:///{name}")
    os.chdir(tmp_path)
    assert opened_by_sqlalchemy(uri) == here
    assert database_of(uri) == here


@pytest.mark.parametrize("uri", ["runs", "./runs", "r%20s", "file:runs", "file:./r s"])
def test_relative_folder_is_the_same_one_elsewhere(uri, folder, tmp_path):
    here = Path(local_file_uri_to_path(uri)).absolute()
    elsewhere = absolute_address(uri)
    os.chdir(tmp_path)
    assert Path(local_file_uri_to_path(elsewhere)) == here


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "databricks",
        "databricks-uc",
        "/data/runs",
        "file:/data/runs",
        "file:///data/runs",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "sqlite:////data/x.db?timeout=3",
        "postgresql://host/db",
        "http://host:5000",
    ],
)
def test_other_addresses_stay_as_they_are(uri):
    assert absolute_address(uri) == uri


@pytest.mark.parametrize(
    "uri", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true", "file:///x"]
)
def test_what_is_no_database_file_of_its_own_has_none(uri):
    assert database_of(uri) is None


def test_default_store_gets_every_run_its_files_and_its_model(
    tmp_path, default_store, monkeypatch
):
    folder = tmp_path / ALL_AT_ONCE
    folder.mkdir()
    monkeypatch.chdir(folder)
    fits = [fit() for _ in range(2)]
    assert flush() == 0
    assert statuses_of(folder / "mlflow.db") == {"FINISHED": 2}
    assert len(mlflow.search_runs(search_all_experiments=True)) == 2
    assert mlflow.sklearn.load_model(f"runs:/{fits[1].run_id_}/model").n_iter_ == 20
    assert not list(folder.glob(".mlflow.db.*"))


def test_home_journal_temporary_files_and_artifacts_may_be_in_any_folder(
    tmp_path, away, monkeypatch
):
    folder = tmp_path / ALL_AT_ONCE
    folder.mkdir()
    for variable, name in {"SKPERCEPTRON_JOURNAL": "j", "HOME": "h"}.items():
        monkeypatch.setenv(variable, str(folder / name))
    leave_behind(uri=away.uri)
    (folder / "t").mkdir()
    temporary = tempfile.gettempdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "t"))
    artifacts = (folder / "artifacts").as_uri()
    mlflow.set_experiment(
        experiment_id=mlflow.create_experiment(uuid.uuid4().hex, artifacts)
    )
    tracker = MLflowTracker(log_folds=False)
    search = GridSearchCV(HillClimbPerceptron(max_iter=5), {"step_size": [1, 2]}, cv=2)
    search.set_callbacks(tracker).fit(*load_iris(return_X_y=True))
    assert pending() == 1
    away.come_back()
    assert flush() == 0
    mlflow.set_experiment("Default")
    files = mlflow.artifacts.list_artifacts(run_id=tracker.run_id_)
    assert {"cv_results.csv", "cv_results.png"} <= {item.path for item in files}
    # From there, MLflow itself could not load it.
    monkeypatch.setattr("tempfile.tempdir", temporary)
    model = mlflow.sklearn.load_model(f"runs:/{tracker.run_id_}/model")
    assert model.n_iter_ == 5
    assert pending() == 0


def test_flush_delivers_to_the_default_store_of_another_folder(journal, tmp_path, runs):
    folder = tmp_path / ALL_AT_ONCE
    folder.mkdir()
    address = {"tracking_uri": None, "working_directory": str(folder)}
    leave_run(journal, experiment_id=None, **address)
    assert flush() == 0
    assert statuses_of(folder / "mlflow.db") == {"FINISHED": 1}


def test_folder_of_a_run_is_where_it_was_started(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    here, destination = os.getcwd(), Destination.current()
    monkeypatch.chdir(tmp_path)  # as a worker process that stands elsewhere
    assert destination.address()["working_directory"] == here


def test_leftovers_of_a_store_that_was_being_made_are_removed(
    tmp_path, default_store, monkeypatch
):
    folder = tmp_path / ALL_AT_ONCE
    folder.mkdir()
    (folder / ".mlflow.db.0123.new").touch()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("skperceptron.tracking.delivery._store._connect", _make_file)
    client_of(Destination.current().address())
    assert os.listdir(folder) == ["mlflow.db"]


def _make_file(uri):
    with closing(sqlite3.connect(database_of(uri))) as db:
        db.execute("CREATE TABLE IF NOT EXISTS experiments (name TEXT)")
