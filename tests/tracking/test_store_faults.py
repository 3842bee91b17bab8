"""Stores that are locked, full or half made, and what a store refuses."""

import itertools
import os
import subprocess
import sys
import threading
import time
import uuid
import warnings
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import TrackingWarning, flush, pending
from skperceptron.tracking.delivery import _loop, _store
from skperceptron.tracking.delivery._loop import Deliverer
from tests.tracking.faults import (
    BOUND,
    X,
    assert_odd_run_is_complete,
    at_most,
    finish_other_tests,
    fit,
    keys_of,
    odd_entry,
    rows,
    runs_of,
    statuses_of,
    warned_once,
    y,
)

# Stores that do not work


# Locks the store that it is given until it is told to end.
LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another_process(store):
    command = [sys.executable, "-c", LOCK, store]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            process.communicate()


@pytest.mark.slow
def test_locked_store_gets_everything_when_it_is_free(runs):
    finish_other_tests()
    fit()
    store = os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")
    with locked_by_another_process(store):
        with at_most(BOUND), warned_once("could not be logged"):
            fit()
        with at_most(2):
            fit()
            fit()
        assert pending() == 3
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 4


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk):
    def write(file):
        while True:
            file.write(b"x" * 4096)

    with (disk / "filler").open("wb", buffering=0) as file:
        with pytest.raises(OSError, match="No space"):
            write(file)
        return disk / "filler"


def test_full_disk_of_the_store_keeps_runs_waiting(small_disk, tracking_uri):
    store = small_disk / "mlflow.db"
    tracking_uri(f"sqlite:///{store}")
    mlflow.search_experiments()  # makes the tables, for which a fit might not wait
    fit()
    assert flush() == 0
    filler = fill(small_disk)
    with at_most(BOUND), warned_once("full"):
        for _ in range(20):
            HillClimbPerceptron(max_iter=500).fit(X, y)
    assert 0 < pending() <= 20
    filler.unlink()
    assert flush() == 0
    assert statuses_of(store) == {"FINISHED": 21}
    assert set(keys_of(store).values()) == {1}


def test_full_disk_of_the_journal_is_one_warning(small_disk, runs, monkeypatch):
    monkeypatch.setenv("SKPERCEPTRON_JOURNAL", str(small_disk / "journal"))
    fit()
    filler = fill(small_disk)
    with warned_once("No space left"):
        fits = [fit() for _ in range(3)]
    filler.unlink()
    fits.append(fit())
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 5
    assert pending() == 0
    assert mlflow.sklearn.load_model(f"runs:/{fits[0].run_id_}/model") is not None


@pytest.mark.parametrize("is_file", [True, False])
def test_journal_that_cannot_be_written_is_one_warning(
    is_file, runs, tmp_path, monkeypatch
):
    folder = Path("/proc/no/such/journal")
    if is_file:
        folder = tmp_path / "file"
        folder.touch()
    monkeypatch.setenv("SKPERCEPTRON_JOURNAL", str(folder))
    with warned_once("cannot be written"):
        fit()
    fit()
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2
    assert pending() == 0


# A store that is being made


def test_store_that_somebody_else_makes_meanwhile_is_theirs(
    tracking_uri, tmp_path, monkeypatch
):
    store = tmp_path / "mlflow.db"
    tracking_uri(f"sqlite:///{store}")
    link = os.link

    def link_late(new, path):
        mlflow.MlflowClient().create_experiment("theirs")
        link(new, path)

    monkeypatch.setattr(os, "link", link_late)
    fit()
    assert statuses_of(store) == {"FINISHED": 1}
    assert ("theirs",) in rows(store, "SELECT name FROM experiments")
    assert not list(tmp_path.glob(".mlflow.db.*"))


@pytest.fixture
def slow_store(tracking_uri, tmp_path, monkeypatch):
    """A new store; to make it takes longer than a fit waits for an answer."""
    make_database, wait_until = _store._make_database, Deliverer._wait_until
    may_be_made = threading.Event()

    def make_late(tracking_uri, path):
        assert may_be_made.wait(100)
        make_database(tracking_uri, path)

    def wait_no_longer_than_for_its_begin(deliverer, is_so, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not deliverer._is_getting_ready:
            if wait_until(deliverer, is_so, 0.05):
                return True
        return wait_until(deliverer, is_so, 0)

    tracking_uri(f"sqlite:///{tmp_path / 'new.db'}")
    with monkeypatch.context() as patch:
        patch.setattr(_store, "_make_database", make_late)
        patch.setattr(Deliverer, "_wait_until", wait_no_longer_than_for_its_begin)
        yield may_be_made
        may_be_made.set()
    assert flush() == 0
    assert statuses_of(tmp_path / "new.db") == {"FINISHED": 1}


def test_fit_waits_longer_for_a_store_that_is_being_made(slow_store):
    threading.Timer(1, slow_store.set).start()
    fit()  # a warning would be an error here
    assert pending() == 0


def test_store_that_takes_all_too_long_to_make_is_told_calmly(slow_store, monkeypatch):
    monkeypatch.setattr(_loop, "SECONDS_TO_GET_READY", 0.2)
    with warned_once("MLflow was not ready within"):
        fit()


def test_store_is_made_where_files_cannot_be_linked(
    tracking_uri, tmp_path, monkeypatch
):
    def refuse(new, path):
        raise PermissionError("this file system has no links")

    monkeypatch.setattr(os, "link", refuse)
    tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    fit()
    assert statuses_of(tmp_path / "mlflow.db") == {"FINISHED": 1}


# What a store refuses


def test_odd_values_are_logged_in_an_accepted_form(journal, runs):
    odd_entry(journal)
    assert flush() == 0
    assert_odd_run_is_complete()


def test_deleted_experiment_keeps_its_runs_waiting_and_no_others(journal, runs):
    gone = mlflow.create_experiment(uuid.uuid4().hex)
    entry = mlflow.set_experiment(experiment_id=gone)
    mlflow.delete_experiment(gone)
    with warned_once("could not be logged"):
        fit()
    mlflow.set_experiment(experiment_name="another")
    with at_most(5):
        other = fit()
    assert other.run_id_ is not None
    assert pending() == 1
    client = mlflow.MlflowClient()
    client.restore_experiment(entry.experiment_id)
    assert flush() == 0
    assert [run.info.status for run in runs_of(gone)] == ["FINISHED"]


def test_run_that_is_deleted_during_its_fit_keeps_up_no_others(runs):
    steps = itertools.count()

    def objective(y_true, y_pred):
        if next(steps) == 30:
            (run,) = runs.at_once()
            mlflow.delete_run(run.run_id)
        time.sleep(0.1)
        return 0.0

    with warned_once("could not be logged"):
        HillClimbPerceptron(max_iter=60, objective=objective).fit(X, y)
    with at_most(2):
        assert fit().run_id_ is not None
    deleted = runs.at_once()[0].run_id
    mlflow.MlflowClient().restore_run(deleted)
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2


def test_run_that_breaks_a_store_does_not_keep_others_waiting(
    journal, runs, monkeypatch
):
    entry = odd_entry(journal, name="breaks")
    create_run = mlflow.MlflowClient.create_run

    def create(self, *args, run_name, **kwargs):
        if run_name == "breaks":
            raise mlflow.exceptions.MlflowException("internal error")
        return create_run(self, *args, run_name=run_name, **kwargs)

    monkeypatch.setattr(mlflow.MlflowClient, "create_run", create)
    with pytest.warns(TrackingWarning, match="internal error"):
        assert flush() == 1
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit()
            flush()
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 3
    assert entry.path.exists()
    monkeypatch.undo()
