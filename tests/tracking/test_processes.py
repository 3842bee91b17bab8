"""Several processes and threads, each script in a fresh interpreter and folder."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

HEAD = """
import threading, warnings
import multiprocessing as mp
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
import skperceptron
from skperceptron import HillClimbPerceptron
from tests.patience import be_patient

be_patient()

X, y = load_iris(return_X_y=True)

def fits():
    for _ in range(3):
        HillClimbPerceptron(max_iter=5).fit(X, y)

def partial_fits():
    clf = HillClimbPerceptron(max_iter=100)
    for _ in range(5):
        clf.partial_fit(X, y, classes=[0, 1, 2])
    return clf
"""


@pytest.fixture
def run_script(tmp_path, monkeypatch):
    """Run a script against a store of its own, which need not exist yet."""
    store = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    monkeypatch.setenv("SKPERCEPTRON_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)  # of other tests' stores

    def run(code):
        done = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", HEAD + code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "TrackingWarning" not in done.stderr
        with closing(sqlite3.connect(store)) as db:
            statuses = [row[0] for row in db.execute("SELECT status FROM runs")]
            steps = [
                row[0]
                for row in db.execute(
                    "SELECT step FROM metrics WHERE key = 'objective' "
                    "ORDER BY run_uuid, step"
                )
            ]
        return statuses, steps

    return run


@pytest.mark.slow
def test_workers_that_find_no_store_yet_lose_no_run(run_script):
    statuses, _ = run_script(
        "GridSearchCV(HillClimbPerceptron(max_iter=50), {'step_size': [0.1, 0.2]},"
        " cv=5, n_jobs=2).fit(X, y)"
    )
    assert statuses == ["FINISHED"] * 12


@pytest.mark.slow
def test_threads_that_make_the_first_fits_at_once_lose_no_run(run_script):
    statuses, _ = run_script(
        "threads = [threading.Thread(target=fits) for _ in range(4)]\n"
        "[t.start() for t in threads]\n"
        "[t.join() for t in threads]"
    )
    assert statuses == ["FINISHED"] * 12


def test_rest_of_partial_fits_is_delivered_when_the_process_ends(
    run_script, tmp_path, new_store
):
    shutil.copy(new_store, tmp_path)
    statuses, steps = run_script("clf = partial_fits()")
    assert statuses == ["FINISHED"]
    assert steps == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_rest_of_partial_fits_is_delivered_when_a_forked_process_ends(run_script):
    statuses, steps = run_script(
        "fits()\n"
        "child = mp.get_context('fork').Process(target=partial_fits)\n"
        "child.start()\n"
        "child.join()\n"
    )
    assert statuses == ["FINISHED"] * 4
    assert sorted(steps) == sorted([*range(6)] * 4)


@pytest.mark.slow
def test_forked_process_leaves_alone_what_its_parent_has_waiting(run_script):
    statuses, steps = run_script(
        "import os, sys\n"
        "clf = partial_fits()\n"
        "if os.fork() == 0:\n"
        "    sys.exit(0)\n"
        "os.wait()\n"
    )
    assert statuses == ["FINISHED"]
    assert steps == [0, 1, 2, 3, 4, 5]
