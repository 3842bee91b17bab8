"""Faults for tests to bring about, and what stores have of the runs after them."""

import gc
import itertools
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import warnings
from collections import Counter
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import psutil
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, TrackingWarning, flush, pending

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


def n_waiting_in(journal):
    """Count the runs that wait in a journal, which need not be that of the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKPERCEPTRON_JOURNAL", str(journal))
        return pending()


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

    def __init__(self, health, api, port=0):
        self.health, self.api = health, api
        self.n_asked = 0
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", port), FakeHandler)

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.server_port}"


class FakeHandler(BaseHTTPRequestHandler):
    def answer(self):
        self.server.n_asked += 1
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
def fake_server(health, api, port=0):
    with FakeServer(health, api, port) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


class Relay(ThreadingHTTPServer):
    """Hands requests on to a server, some of them only.

    It refuses those whose content has `refuses` in it. When the server has done what
    one asks for whose address has `kills_at` in it, nobody is told, but `kill` is
    called with the relay and the sender's port.
    """

    daemon_threads = True
    is_ready = True

    def __init__(self, server, host="", prefix="", header="", without=("/health",)):
        self.to = urlsplit(server).netloc
        self.host, self.prefix, self.header = host, prefix, header
        self.without, self.asked = without, []
        self.refuses, self.kills_at, self.kill = None, None, None
        super().__init__(("127.0.0.1", 0), RelayHandler, bind_and_activate=False)
        self.server_bind()

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.server_port}{self.prefix}"


class RelayHandler(BaseHTTPRequestHandler):
    def relay(self):
        relay, url = self.server, urlsplit(self.path)
        relay.asked.append(f"{self.command} {url.path}")
        path = self.path.removeprefix(f"http://{url.netloc}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_welcome = (
            url.netloc == relay.host
            and path.startswith(f"{relay.prefix}/api/")
            and self.headers.get("Authorization", "") == relay.header
            and not path.endswith(relay.without)
        )
        if not relay.is_ready:
            self.answer(503, b"{}")
            return
        if not is_welcome:
            self.answer(500 if path.endswith("/health") else 403, b"{}")
            return
        if relay.refuses and relay.refuses in body:
            self.answer(
                400, b'{"error_code": "BAD_REQUEST", "message": "not this one"}'
            )
            return
        is_deadly = relay.kills_at is not None and relay.kills_at in path
        with closing(HTTPConnection(relay.to)) as connection:
            headers = {"Content-Type": self.headers.get("Content-Type", "")}
            target = path.removeprefix(relay.prefix)
            connection.request(self.command, target, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if is_deadly:
                relay.kill(relay, self.client_address[1])
            else:
                self.answer(answer.status, content)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = relay  # noqa: N815

    def log_message(self, *args):
        pass


@contextmanager
def relay_to(server, **options):
    with Relay(server, **options) as relay:
        relay.server_activate()
        thread = threading.Thread(target=relay.serve_forever, daemon=True)
        thread.start()
        yield relay
        relay.shutdown()
        thread.join()


# Processes that are killed


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_with_children():
    """Let nobody be left to deliver what this process has written."""
    for process in psutil.Process().children(recursive=True):
        process.kill()
    die()


def in_child(work):
    """Do something in a forked process, and give back how that has ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads, and all in the child
        child = os.fork()
        if child == 0:
            try:
                work()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
    return os.waitpid(child, 0)[1]


def leave_behind(*fits, uri):
    """Make fits for a store that is away in a process that is killed after them.

    With it all is killed that it has started, and none is started that would deliver.
    """

    def work():
        multiprocessing.set_executable("/nothing")
        mlflow.set_tracking_uri(uri)
        for make_fit in fits or [fit]:
            make_fit()
        die_with_children()

    assert in_child(work) == signal.SIGKILL


def fit_named(name, **params):
    """Make a fit whose run has a name."""
    clf = HillClimbPerceptron(max_iter=20, random_state=0, **params)
    return clf.set_callbacks(MLflowTracker(run_name=name, log_models="none")).fit(X, y)


def fit_partly():
    """Begin a run that only its process would end."""
    return HillClimbPerceptron(max_iter=20).partial_fit(X, y, classes=[0, 1, 2])


# Stores that are away


class StoreInAFile:
    """A database whose folder is not there before `come_back`."""

    def __init__(self, folder, new_store):
        self.path = folder / "mlflow.db"
        self.uri = f"sqlite:///{self.path}"
        self._new_store = new_store
        folder.touch()  # so that nobody can make it

    def come_back(self):
        self.path.parent.unlink()
        self.path.parent.mkdir()
        shutil.copy(self._new_store, self.path)

    def execute(self, statement):
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(statement)


def fill(disk):
    """Leave no space, and give back the file that takes it."""

    def write(file):
        while True:
            file.write(b"x" * 4096)

    with (disk / "filler").open("wb", buffering=0) as file:
        with pytest.raises(OSError, match="No space"):
            write(file)
        return disk / "filler"


# What stores refuse

ODD_NAMES = ["", " ", ".", "..", "../../etc", "/a", "a//b", "./a", "a/", "ä€\n*", "\0"]
ODD_NAMES += ["x" * 300, "\ud800", "a/b", ".hidden", "50% (of=all)", "a:b", "'", "`"]
ODD_VALUES = [float("nan"), float("inf"), -float("inf"), 0.0, -1e308, 5e-324]


def fit_odd():
    """Make a search whose runs are full of names and values that stores refuse."""

    def score(clf, X, y):
        return dict(zip(names, itertools.cycle(ODD_VALUES), strict=False))

    names = [name for name in ODD_NAMES if name.isprintable()]
    tags = {name: f"{name}{'v' * 9000}" for name in ODD_NAMES} | {"null": "a\0\ud800b"}
    tracker = MLflowTracker(run_name="odd", tags=tags, log_models="none")
    steps = [(name, FunctionTransformer(take_all)) for name in ODD_NAMES]
    clf = Pipeline([*steps, ("clf", HillClimbPerceptron(max_iter=5))])
    grid = {f"{name}__kw_args": [{name: "v" * 7000}] for name in names if name}
    search = GridSearchCV(clf, grid, cv=2, scoring=score, refit="a/b")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        warnings.filterwarnings("ignore", "One or more of the test scores")
        search.set_callbacks(tracker).fit(X, y)


def take_all(X, **kwargs):
    return X


def assert_odd_runs_are_complete(runs):
    found = {run.info.run_name: run for run in runs}
    assert {"odd", "fold 0", "fold 1", "refit"} <= set(found)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(found["odd"].data.tags) > 15
    (candidate,) = [run for run in runs if "candidate" in run.data.tags]
    assert len(candidate.data.params) > 12
    assert set(map(len, candidate.data.params.values())) == {6000}
    assert len(found["fold 0"].data.metrics) > 15


# What each script begins with.
HEAD = """
import os, secrets, signal, sys, threading, time
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, flush

X, y = load_iris(return_X_y=True)
# The first model takes a second, and few scripts are about models.
skperceptron.set_config(log_models="none")


def note(name, text):
    file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{text}\\n".encode())
    os.close(file)


class Numbered(HillClimbPerceptron):
    '''Tells its fits apart by how many iterations they make.'''

    def fit(self, X, y):
        self.max_iter += secrets.randbelow(5000)
        return super().fit(X, y)


class Noted(Numbered):
    '''Writes down which of its fits have ended.'''

    def fit(self, X, y):
        super().fit(X, y)
        note("ended", self.n_iter_)
        return self


class NotedLate(Numbered):
    '''Writes down that a fit has ended when the next one begins.'''

    before = None

    def fit(self, X, y):
        if NotedLate.before is not None:
            note("ended", NotedLate.before)
        super().fit(X, y)
        NotedLate.before = self.n_iter_
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
