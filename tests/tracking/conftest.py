"""Runs are read back from the SQLite file itself, not through what wrote them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import pytest

from skperceptron.tracking import flush
from skperceptron.tracking._notices import take_notices
from skperceptron.tracking.recording import _search, _study
from tests.tracking.delivery_here import delivery_here  # noqa: F401 - a fixture
from tests.tracking.faults import Script, StoreInAFile

STORE = os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")


@dataclass
class Run:
    """A row of the store."""

    run_id: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    @property
    def parent(self) -> str | None:
        return self.tags.get("mlflow.parentRunId")

    def latest(self, metric: str) -> float:
        """The value of the highest step."""
        return max(self.metrics[metric])[1]


def read_runs(experiment_id: str, store: str | Path = STORE) -> list[Run]:
    """List the runs of an experiment that are not deleted."""
    with closing(sqlite3.connect(store)) as db:
        rows = db.execute(
            "SELECT run_uuid, name, status, start_time, end_time FROM runs "
            "WHERE experiment_id = ? AND lifecycle_stage = 'active' "
            "ORDER BY start_time",
            (int(experiment_id),),
        )
        runs = [Run(*row) for row in rows]
        for run in runs:
            key = (run.run_id,)
            run.params = dict(
                db.execute("SELECT key, value FROM params WHERE run_uuid = ?", key)
            )
            run.tags = dict(
                db.execute("SELECT key, value FROM tags WHERE run_uuid = ?", key)
            )
            for name, step, value in db.execute(
                "SELECT key, step, value FROM metrics WHERE run_uuid = ? ORDER BY step",
                key,
            ):
                run.metrics.setdefault(name, []).append((step, value))
    return runs


@pytest.fixture
def runs(journal, tmp_path):
    """An experiment of the test's own; call it to read its runs."""
    artifacts = (tmp_path / "artifacts").as_uri()
    experiment_id = mlflow.create_experiment(uuid.uuid4().hex, artifacts)
    mlflow.set_experiment(experiment_id=experiment_id)

    def read():
        flush()
        return read_runs(experiment_id)

    read.at_once = lambda: read_runs(experiment_id)
    read.experiment_id = experiment_id
    yield read
    mlflow.set_experiment("Default")


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """A journal of the test's own."""
    folder = tmp_path / "journal"
    monkeypatch.setenv("SKPERCEPTRON_JOURNAL", str(folder))
    list(take_notices())  # of deliveries that earlier tests have left behind
    yield folder
    # What could not be delivered would be tried again in other tests. A thread that
    # delivers may write down the run of a search while its folder is being removed.
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tracking_uri(journal):
    """Set another store for a test."""
    before = mlflow.get_tracking_uri()
    experiment = mlflow.set_experiment("Default")
    yield mlflow.set_tracking_uri
    mlflow.set_tracking_uri(before)
    mlflow.set_experiment(experiment_id=experiment.experiment_id)


@pytest.fixture
def away(journal, tmp_path, new_store):
    """A store that is away, for processes that leave runs behind."""
    return StoreInAFile(tmp_path / "away", new_store)


@pytest.fixture
def script(tmp_path, monkeypatch, new_store):
    """A script with a store of its own."""
    script = Script(tmp_path, monkeypatch)
    shutil.copy(new_store, script.store)
    return script


@pytest.fixture
def first_script(tmp_path, monkeypatch):
    """A script whose store does not exist yet."""
    return Script(tmp_path, monkeypatch)


@pytest.fixture
def empty_figures(monkeypatch):
    """Draw only where somebody looks."""
    for module in (_search, _study):
        monkeypatch.setattr(module, "as_png", lambda figure: b"")


@pytest.fixture(scope="session")
def client():
    """Of the store that all tests share."""
    return mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


@pytest.fixture(scope="session")
def experiment(client, tmp_path_factory):
    """An experiment whose artifacts stay out of the working folder."""
    folder = tmp_path_factory.mktemp("artifacts")
    return client.create_experiment(uuid.uuid4().hex, artifact_location=str(folder))


@pytest.fixture
def own_experiment(experiment):
    """Make it the experiment of the process."""
    yield mlflow.set_experiment(experiment_id=experiment)
    mlflow.set_experiment("Default")


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
