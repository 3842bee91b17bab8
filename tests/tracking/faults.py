"""Faults for tests to bring about, and what stores have of the runs after them."""

import gc
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections import Counter
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from sklearn.datasets import load_iris

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import TrackingWarning, flush
from skperceptron.tracking.journal._entry import header
from skperceptron.tracking.journal._journal import Inbox
from skperceptron.tracking.journal._named_stores import note_store
from skperceptron.tracking.journal._record import Metric, RunRecord
from skperceptron.tracking.recording._destination import Destination

X, y = load_iris(return_X_y=True)
# What a fit may take when its store does not answer, and a busy machine besides.
BOUND = 10 + 5


def fit(**params):
    return HillClimbPerceptron(max_iter=20, random_state=0, **params).fit(X, y)


def finish_other_tests():
    """Deliver what they leave: a run of `partial_fit` ends with its estimator only."""
    gc.collect()
    assert flush() == 0


@contextmanager
def warned_once(match=""):
    with pytest.warns(TrackingWarning, match=match) as caught:
        yield caught
    assert len(caught) == 1, [str(warning.message) for warning in caught]


@contextmanager
def at_most(seconds):
    started = time.perf_counter()
    yield
    assert time.perf_counter() - started < seconds


def within(seconds, is_so):
    """Wait until something is so, and tell whether it has become so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_so():
        time.sleep(0.05)
    return is_so()


def rows(store, query):
    with closing(sqlite3.connect(store)) as db:
        return db.execute(query).fetchall()


def keys_of(store):
    query = "SELECT value FROM tags WHERE key = 'skperceptron.key'"
    return Counter(key for (key,) in rows(store, query))


def statuses_of(store):
    return Counter(status for (status,) in rows(store, "SELECT status FROM runs"))


def runs_of(experiment_id):
    return mlflow.search_runs(
        [experiment_id], output_format="list", max_results=1000, order_by=["start_time"]
    )


class FakeServer(ThreadingHTTPServer):
    """Answers as it is told: with a status, or not before it is closed."""

    daemon_threads = True

    def __init__(self, health, api):
        self.health, self.api = health, api
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), FakeHandler)

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.server_port}"


class FakeHandler(BaseHTTPRequestHandler):
    def answer(self):
        is_health = self.path == "/health"
        status = self.server.health if is_health else self.server.api
        if status is None:
            self.server.closing.wait()
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer  # noqa: N815 - names of http.server

    def log_message(self, *args):
        pass


@contextmanager
def fake_server(health, api):
    with FakeServer(health, api) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def new_key():
    return uuid.uuid4().hex


def leave_behind(inbox, is_ended=True, parents=(), part_of=None, **changes):
    """Write down a run, or a later part of one, whose process has died."""
    inbox.folder.mkdir(parents=True, exist_ok=True)
    entry = inbox.entry(part_of.key, 1) if part_of else inbox.entry(new_key())
    record = RunRecord("a fit", 1_700_000_000_000)
    record.end_time = record.start_time + 1 if is_ended else None
    destination = {**Destination.current().address(), **changes}
    note_store(destination)  # as its fit has
    head = header(
        record,
        key=entry.key,
        destination=destination,
        parents=list(parents),
        continues=part_of is not None,
    )
    head["writer"] = inbox.owner
    entry.append(head, *record.events(), create=True)
    return entry


def odd_entry(journal, name="odd"):
    """Write down a run that is full of what MLflow refuses."""
    here = Destination.current()
    record = RunRecord(name, start_time=1_700_000_000_000, end_time=1_700_000_009_000)
    names = ["", " ", ".", "..", "../../etc", "/a", "a//b", "./a", "a/", "ä€\n*", "\0"]
    names += ["x" * 300, "\ud800", "a/b", ".hidden", "50% (of=all)", "a:b", "'", "`"]
    record.params = {name: f"{name}{'v' * 7000}" for name in names}
    record.params |= {"empty": "", "none": "None", "lone": "\ud800", "null": "a\0b"}
    record.tags = {name: f"{name}{'v' * 9000}" for name in names} | {"empty": ""}
    values = [float("nan"), float("inf"), -float("inf"), 0.0, -1e308, 5e-324]
    record.metrics = [
        Metric(name, value, step, 1_700_000_000_000 + step)
        for name in names
        for step, value in enumerate(values)
    ]
    inbox = Inbox(journal, "vm-1-dead")
    inbox.folder.mkdir(parents=True, exist_ok=True)
    entry = inbox.entry(uuid.uuid4().hex)
    destination = {**here.address(), "experiment_id": None}
    destination["experiment_name"] = "odd"
    head = header(record, key=entry.key, destination=destination, parents=[])
    head["writer"] = inbox.owner
    entry.append(head, *record.events(), create=True)
    return entry


def assert_odd_run_is_complete():
    experiment = mlflow.get_experiment_by_name("odd")
    (run,) = runs_of(experiment.experiment_id)
    assert run.info.status == "FINISHED"
    assert len(run.data.params) > 15
    assert max(map(len, run.data.params.values())) == 6000
    assert len(run.data.metrics) > 10
    client = mlflow.MlflowClient()
    assert len(client.get_metric_history(run.info.run_id, "a/b")) == 6


# What each script begins with.
HEAD = """
import os, signal, sys, threading, time
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, flush

X, y = load_iris(return_X_y=True)


def note(name, text):
    file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{text}\\n".encode())
    os.close(file)


class Noted(HillClimbPerceptron):
    '''Writes down which of its fits have ended.'''

    def fit(self, X, y):
        super().fit(X, y)
        note("ended", self._run_ticket.key)
        return self


class NotedLate(HillClimbPerceptron):
    '''Writes down that a fit has ended when the next one begins.'''

    before = None

    def fit(self, X, y):
        if NotedLate.before is not None:
            note("ended", NotedLate.before)
        super().fit(X, y)
        NotedLate.before = self._run_ticket.key
        return self


def slow(y_true, y_pred):
    time.sleep(0.1)
    return np.mean(y_true == y_pred)


def fit(**params):
    return HillClimbPerceptron(**{"max_iter": 20, **params}).fit(X, y)
"""


class Script:
    """A script with a store and a journal of its own, which need not exist yet."""

    def __init__(self, folder, monkeypatch, uri=None):
        self.folder = folder
        self.store = folder / "mlflow.db"
        self.stderr = ""
        uri = uri or f"sqlite:///{self.store}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("SKPERCEPTRON_JOURNAL", str(folder / "journal"))
        monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{Path.cwd()}")
        (folder / "script_head.py").write_text(HEAD)

    def start(self, *lines, options=()):
        code = "\n".join(["from script_head import *", *map(textwrap.dedent, lines)])
        code += "\nnote('last', time.time())"
        return subprocess.Popen(
            [sys.executable, *options, "-c", code],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *lines, options=(), status=0):
        with self.start(*lines, options=options) as process:
            self.stderr = process.communicate()[1]
        assert process.returncode == status, self.stderr

    def noted(self, name):
        return float((self.folder / name).read_text())

    def ended(self):
        path = self.folder / "ended"
        return path.read_text().split() if path.exists() else []
