"""Stores that are locked, full or half made, and what a store refuses."""

import itertools
import os
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import flush, pending
from tests.tracking.faults import (
    BOUND,
    X,
    assert_odd_runs_are_complete,
    at_most,
    fill,
    finish_other_tests,
    fit,
    fit_odd,
    keys_of,
    runs_of,
    statuses_of,
    warned_once,
    within,
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


def test_full_disk_of_the_store_keeps_runs_waiting(small_disk, tracking_uri, new_store):
    store = shutil.copy(new_store, small_disk)
    tracking_uri(f"sqlite:///{store}")
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
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # the journal goes there
    with warned_once("cannot be written"):
        fit()
    fit()
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2
    assert pending() == 0


# What a store refuses


def test_odd_values_are_logged_in_an_accepted_form(runs):
    fit_odd()
    assert flush() == 0
    assert_odd_runs_are_complete(runs_of(runs.experiment_id))


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
    deleted = []

    def objective(y_true, y_pred):
        if next(steps) == 30:
            assert within(60, runs.at_once)
            (run,) = runs.at_once()
            mlflow.delete_run(run.run_id)
            deleted.append(run.run_id)
        time.sleep(0.1)
        return 0.0

    with warned_once("could not be logged"):
        HillClimbPerceptron(max_iter=60, objective=objective).fit(X, y)
    with at_most(2):
        assert fit().run_id_ is not None
    mlflow.MlflowClient().restore_run(*deleted)
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2
