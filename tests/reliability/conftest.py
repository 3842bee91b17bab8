"""Programs that run by themselves, and runs read back from their SQLite file."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import uuid
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest

import skperceptron
from skperceptron.tracking import flush
from tests.patience import PATIENCE
from tests.tracking.faults import n_waiting_in

STORE = os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")
ROOT = Path(__file__).parents[2]

# What each program begins with, as a module, so that worker processes find it too.
HEAD = """
import asyncio, json, os, signal, sys, threading, time
import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, flush, pending
from tests.patience import be_patient

if os.environ.get("PATIENT"):
    be_patient()
X, y = load_iris(return_X_y=True)


def note(name, text=""):
    '''Append a line to a file, in one piece.'''
    file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{text}\\n".encode())
    os.close(file)


def fit(n=1, **params):
    for _ in range(n):
        clf = HillClimbPerceptron(**{"max_iter": 20, **params}).fit(X, y)
        note("ended", clf.run_id_)
    return clf


def wait_for(name):
    '''Wait until another thread or process has made a note.'''
    while not os.path.exists(name):
        time.sleep(0.01)


class Waiting:
    '''A metric that notes its first use, and then waits for a sign to go on.'''

    def __init__(self, sign):
        self.sign = sign

    def __call__(self, y_true, y_pred):
        note("fitting")
        wait_for(self.sign)
        return np.mean(y_true == y_pred)
"""


@dataclass(frozen=True, repr=False)
class Runs:
    """The runs of a store, or of one of its experiments."""

    run_ids: list[str]
    keys: list[str]
    statuses: Counter[str]
    params: list[dict[str, str]]
    parents: list[str | None]

    def __repr__(self) -> str:
        # The whole would be cut off where a test fails, which may not happen again.
        doubled = [key for key, n in Counter(self.keys).items() if n > 1]
        return f"<{len(self.keys)} runs, {dict(self.statuses)}, doubled: {doubled}>"

    @property
    def are_finished_once(self) -> bool:
        """Whether each run is there once, and has ended well."""
        return len(set(self.keys)) == len(self.keys) == self.statuses["FINISHED"]


def read_runs(store: Path | str, experiment_id: str = "0") -> Runs:
    def texts_of(table):
        found = {run_id: {} for run_id in statuses}
        for run_id, key, value in db.execute(
            f"SELECT run_uuid, key, value FROM {table}"
        ):
            if run_id in found:
                found[run_id][key] = value
        return list(found.values())

    with closing(sqlite3.connect(store)) as db:
        statuses = dict(
            db.execute(
                "SELECT run_uuid, status FROM runs WHERE experiment_id = ?",
                (int(experiment_id),),
            )
        )
        tags = texts_of("tags")
        return Runs(
            list(statuses),
            [tag["skperceptron.key"] for tag in tags],
            Counter(statuses.values()),
            texts_of("params"),
            [tag.get("mlflow.parentRunId") for tag in tags],
        )


class Program:
    """A script that runs in a process of its own, with its own store and journal."""

    def __init__(self, folder: Path, store: Path, uri: str | None = None) -> None:
        self.folder = folder
        self.store = folder / "mlflow.db"
        shutil.copy(store, self.store)
        self.journal = folder / "journal"
        self.env = {
            **os.environ,
            "MLFLOW_TRACKING_URI": uri or f"sqlite:///{self.store}",
            "SKPERCEPTRON_JOURNAL": str(self.journal),
            # On a busy machine a store may take longer than a fit waits for it.
            "PATIENT": "1",
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        }
        for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            self.env.pop(name, None)  # of other tests' stores
        (folder / "head.py").write_text(HEAD)

    def start(self, code: str, **env: str) -> subprocess.Popen[str]:
        """Start a script; processes that it spawns do not run what it runs."""
        body = textwrap.indent(textwrap.dedent(code), "    ")
        main = self.folder / "main.py"
        main.write_text(
            f"from head import *\n\n\ndef main():\n{body}\n\n\n"
            'if __name__ == "__main__":\n    main()\n'
        )
        return subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning", main],
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, code: str, *, status: int = 0, **env: str) -> str:
        """Run a script to its end and return what it has printed."""
        with self.start(code, **env) as process:
            try:
                out, self.errors = process.communicate()
            finally:  # what it has started, too, if it hangs
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == status, self.errors
        if status == 0:
            assert "Traceback" not in self.errors, self.errors
        assert "TrackingWarning" not in self.errors, self.errors
        return out

    def runs(self) -> Runs:
        """What is in the store now."""
        return read_runs(self.store)

    @property
    def ended(self) -> list[str]:
        """The runs of the fits that have ended."""
        path = self.folder / "ended"
        return path.read_text().split() if path.exists() else []

    @property
    def n_waiting(self) -> int:
        """The number of runs that wait in the journal."""
        return n_waiting_in(self.journal)


@pytest.fixture
def program(tmp_path, new_store):
    return Program(tmp_path, new_store)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """An experiment of the test's own; call it to read its runs."""
    monkeypatch.setenv("SKPERCEPTRON_JOURNAL", str(tmp_path / "journal"))
    for change in PATIENCE:  # as in programs
        monkeypatch.setattr(*change)
    artifacts = (tmp_path / "artifacts").as_uri()
    experiment_id = mlflow.create_experiment(uuid.uuid4().hex, artifacts)
    mlflow.set_experiment(experiment_id=experiment_id)

    def read():
        assert flush() == 0
        return read_runs(STORE, experiment_id)

    yield read
    mlflow.set_experiment("Default")


@pytest.fixture
def untracked_everywhere(monkeypatch):
    """Switch tracking off in all threads, not only in that of the test."""
    monkeypatch.setattr(skperceptron._config, "_process_wide", {})
    skperceptron.set_config(tracking=False)
