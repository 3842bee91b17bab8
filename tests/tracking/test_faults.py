"""Nothing lost, nothing doubled, no fit failed: real servers, stores and kills."""

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import uuid
import warnings
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import alembic.command
import mlflow
import pytest
import requests
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from benchmarks._servers import free_port, mlflow_server
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import (
    TrackingWarning,
    _delivery,
    _known_runs,
    flush,
    pending,
)
from skperceptron.tracking._destination import Destination
from skperceptron.tracking._entry import Entry, header
from skperceptron.tracking._journal import Inbox
from skperceptron.tracking._named_stores import note_store
from skperceptron.tracking._record import Metric, RunRecord

X, y = load_iris(return_X_y=True)
# What a fit may take when its store does not answer, and a busy machine besides.
BOUND = 10 + 5


def fit(**params):
    return HillClimbPerceptron(max_iter=20, random_state=0, **params).fit(X, y)


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


def new_key():
    return uuid.uuid4().hex


def rows(store, query):
    with closing(sqlite3.connect(store)) as db:
        return db.execute(query).fetchall()


def keys_of(store):
    query = "SELECT value FROM tags WHERE key = 'skperceptron.key'"
    return Counter(key for (key,) in rows(store, query))


def statuses_of(store):
    return Counter(status for (status,) in rows(store, "SELECT status FROM runs"))


# Servers that do not work


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


@pytest.mark.parametrize(
    ("health", "api"),
    [
        (500, 500),
        (None, None),
        (200, 500),
        pytest.param(200, None, marks=pytest.mark.slow),
    ],
    ids=["500", "hangs", "only healthy, else 500", "only healthy, else hangs"],
)
def test_server_that_does_not_work_costs_one_wait_and_one_warning(
    health, api, tracking_uri
):
    with fake_server(health, api) as server:
        tracking_uri(server.uri)
        with at_most(BOUND), warned_once("could not be logged"):
            fit()
        with at_most(2):  # a warning would be an error here
            for _ in range(3):
                fit()
            GridSearchCV(
                HillClimbPerceptron(max_iter=5), {"step_size": [0.1]}, cv=2
            ).fit(X, y)
        assert pending() == 4 + 2 + 1
        with at_most(3), pytest.warns(TrackingWarning, match="could not be delivered"):
            assert flush(timeout=1) in (7, 8)  # now it may know of the search, too


def test_store_that_hangs_keeps_up_no_other(tracking_uri, runs):
    store = mlflow.get_tracking_uri()
    with fake_server(200, None) as server:
        inbox = Inbox(Path(os.environ["SKPERCEPTRON_JOURNAL"]), "vm-1-dead")
        for uri in [server.uri, store] * 3:
            entry = leave_behind(inbox, tracking_uri=uri)
        with at_most(6), pytest.warns(TrackingWarning, match="no answer"):
            assert flush(timeout=4) == 3
        assert not entry.path.exists()
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 3


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


@pytest.mark.slow
def test_process_ends_though_its_server_hangs(tmp_path, monkeypatch):
    with fake_server(200, None) as server:
        script = Script(tmp_path, monkeypatch, server.uri)
        script.run("fit()")
        assert time.time() - script.noted("last") < BOUND
    assert "Traceback" not in script.stderr
    assert script.stderr.count("TrackingWarning") == 1


# Scripts

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
    """A script with a store and a journal of its own, which do not exist yet."""

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


@pytest.fixture
def script(tmp_path, monkeypatch):
    return Script(tmp_path, monkeypatch)


# A server that goes and comes


class Server:
    """An MLflow server that can be stopped and started again."""

    def __init__(self, folder):
        self.store = folder / "server.db"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.is_up = False
        self._stack = ExitStack()

    def start(self):
        store = f"sqlite:///{self.store}"
        server = mlflow_server(store, self.store.parent, port=self.port)
        self._stack.enter_context(server)
        self.is_up = True

    def stop(self):
        self._stack.close()
        self.is_up = False


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


def runs_of(experiment_id):
    return mlflow.search_runs(
        [experiment_id], output_format="list", max_results=1000, order_by=["start_time"]
    )


def key_of(run):
    return run.data.tags["skperceptron.key"]


def odd_entry(journal, name="odd", experiment_name="odd"):
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
    destination["experiment_name"] = experiment_name
    head = header(record, key=entry.key, destination=destination, parents=[])
    head["writer"] = inbox.owner
    entry.append(head, *record.events(), create=True)
    return entry


def assert_odd_run_is_complete(name="odd"):
    experiment = mlflow.get_experiment_by_name("odd")
    (run,) = runs_of(experiment.experiment_id)
    assert run.info.status == "FINISHED"
    assert len(run.data.params) > 15
    assert max(map(len, run.data.params.values())) == 6000
    assert len(run.data.metrics) > 10
    client = mlflow.MlflowClient()
    assert len(client.get_metric_history(run.info.run_id, "a/b")) == 6


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_server_that_is_down_at_first_gets_everything_once(
    server, tracking_uri, journal
):
    server.stop()
    tracking_uri(server.uri)
    with warned_once("could not be logged"):
        fits = [fit() for _ in range(3)]
    grid = {"step_size": [0.1, 0.2]}
    GridSearchCV(HillClimbPerceptron(max_iter=5), grid, cv=2, n_jobs=2).fit(X, y)
    odd_entry(journal)
    server.start()
    assert flush() == 0
    runs = runs_of("0")
    assert len(runs) == len({key_of(run) for run in runs}) == 3 + 4 + 1 + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert fits[0].run_id_ in {run.info.run_id for run in runs}
    assert_odd_run_is_complete()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_server_that_is_down_in_the_middle_of_a_fit_gets_the_whole_curve(
    server, tracking_uri
):
    if not server.is_up:
        server.start()
    tracking_uri(server.uri)
    experiment_id = mlflow.set_experiment("middle").experiment_id
    steps = itertools.count()

    def objective(y_true, y_pred):
        step = next(steps)
        if step == 30:
            assert [run.info.status for run in runs_of(experiment_id)] == ["RUNNING"]
            server.stop()
        elif step == 60:
            server.start()
        time.sleep(0.1)
        return step

    with warnings.catch_warnings():
        # Nothing, or one: that depends on when the deliverer looks again.
        warnings.simplefilter("ignore", TrackingWarning)
        clf = HillClimbPerceptron(max_iter=80, objective=objective).fit(X, y)
    fit()
    assert flush() == 0
    whole, _ = runs_of(experiment_id)
    assert whole.info.status == "FINISHED"
    assert whole.info.run_id == clf.run_id_
    history = mlflow.MlflowClient().get_metric_history(clf.run_id_, "objective")
    assert sorted(metric.step for metric in history) == list(range(81))


def fail_once(monkeypatch, cause):
    """Let the first call of MLflow take long and fail; list the calls."""
    create, calls = mlflow.MlflowClient.create_run, []

    def create_run(*args, **kwargs):
        calls.append(kwargs)
        if len(calls) == 1:
            time.sleep(1.5)
            message = "API request to http://x failed with exception ..."
            raise mlflow.MlflowException(message) from cause
        return create(*args, **kwargs)

    monkeypatch.setattr(mlflow.MlflowClient, "create_run", create_run)
    return calls


def test_call_that_fails_once_is_made_again_on_a_slow_machine_too(runs, monkeypatch):
    calls = fail_once(monkeypatch, cause=KeyError("X"))
    assert fit().run_id_ is not None
    assert len(calls) == 2
    assert [run.status for run in runs.at_once()] == ["FINISHED"]


def test_call_that_nobody_answers_is_not_made_again_at_once(runs, monkeypatch):
    calls = fail_once(monkeypatch, cause=requests.ReadTimeout())
    with warned_once("could not be logged"):
        fit()
    assert len(calls) == 1
    assert [run.status for run in runs()] == ["FINISHED"]


# Stores that do not work


def test_odd_values_are_logged_in_an_accepted_form(journal, runs):
    odd_entry(journal)
    assert flush() == 0
    assert_odd_run_is_complete()


def test_locked_store_gets_everything_when_it_is_free(runs):
    fit()
    store = os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with at_most(BOUND), warned_once("could not be logged"):
            fit()
        with at_most(2):
            fit()
            fit()
        assert pending() == 3
        db.execute("ROLLBACK")
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


# What a store refuses


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


# Values that nobody else may see


@pytest.mark.parametrize(
    "uri",
    [
        "http://someone:s3cr%40t@127.0.0.1:{port}",
        "postgresql://someone:s3cr%40t@127.0.0.1:{port}/db?password=s3cr%40t&x=1",
    ],
)
def test_credentials_are_told_nobody(uri, tracking_uri, journal, caplog, capfd):
    tracking_uri(uri.format(port=free_port()))
    with warnings.catch_warnings(record=True, action="always") as caught:
        fit()
        GridSearchCV(
            HillClimbPerceptron(max_iter=5), {"step_size": [0.1]}, cv=2, n_jobs=2
        ).fit(X, y)
        assert flush(timeout=2) >= 4
    assert caught
    told = [str(warning.message) for warning in caught]
    told += [record.getMessage() for record in caplog.records]
    told += [*capfd.readouterr()]
    files = [path for path in journal.rglob("*") if path.is_file()]
    told += [path.read_bytes().decode(errors="replace") for path in files]
    told += [str(path) for path in files]
    for secret in ("s3cr", "someone"):
        assert [text for text in told if secret in text] == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.slow
def test_credentials_are_not_printed_for_each_run(server, tracking_uri, capfd):
    if not server.is_up:
        server.start()
    tracking_uri(server.uri.replace("//", "//someone:s3cret@"))
    assert fit().run_id_ is not None
    out, err = capfd.readouterr()
    assert "View run" not in out
    assert "s3cret" not in out + err


# Kills


STEPS = {
    "after it noted to deliver": (_delivery, "deliver"),
    "after the run was created": (mlflow.MlflowClient, "log_batch"),
    "after its values were logged": (mlflow.MlflowClient, "log_inputs"),
    "after its data was logged": (_delivery, "attach"),
    "after its model was created": (mlflow.MlflowClient, "log_model_artifacts"),
    "after its model was logged": (_delivery, "end_run"),
    "after the run was ended": (Entry, "remove"),
}


BEFORE_THE_COMMIT = list(STEPS)[:3]


def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def in_fork(function):
    """Run something in a forked child, and give back how that ended."""
    child = os.fork()
    if child == 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                function()
            finally:
                os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("step", STEPS)
def test_delivery_that_was_killed_is_completed_by_the_next(step, runs, monkeypatch):
    fit()  # threads and connections that a child must not use
    with monkeypatch.context() as patch:
        patch.setattr(*STEPS[step], die)
        assert in_fork(fit) == signal.SIGKILL
    # Its values are stored in one transaction, so it is there with all of them or not.
    assert len(runs.at_once()) == (1 if step in BEFORE_THE_COMMIT else 2)
    assert pending() == 1
    assert flush() == 0
    _, run = runs.at_once()
    assert run.status == "FINISHED"
    assert len(run.metrics["objective"]) == 21
    assert run.latest("training_score") > 0
    whole = mlflow.get_run(run.run_id)
    assert len(whole.inputs.dataset_inputs) == 1
    assert len(whole.outputs.model_outputs) == 1
    assert mlflow.sklearn.load_model(f"runs:/{run.run_id}/model").predict(X).size == 150


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_run_is_found_that_was_created_just_before_the_kill(runs, monkeypatch):
    create_run = mlflow.MlflowClient.create_run

    def create_and_die(self, *args, **kwargs):
        create_run(self, *args, **kwargs)
        die()

    fit()
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "create_run", create_and_die)
        assert in_fork(fit) == signal.SIGKILL
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_store_is_made_whole_after_a_kill_amid_its_tables(
    tracking_uri, tmp_path, monkeypatch
):
    fit()
    store = tmp_path / "new folder" / "mlflow.db"
    tracking_uri(f"sqlite:///{store}")
    with monkeypatch.context() as patch:
        patch.setattr(alembic.command, "upgrade", die)
        assert in_fork(fit) == signal.SIGKILL
    assert not store.exists()
    assert flush() == 0
    assert statuses_of(store) == {"FINISHED": 1}
    assert os.listdir(store.parent) == [store.name]


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


def test_store_is_made_where_files_cannot_be_linked(
    tracking_uri, tmp_path, monkeypatch
):
    def refuse(new, path):
        raise PermissionError("this file system has no links")

    monkeypatch.setattr(os, "link", refuse)
    tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    fit()
    assert statuses_of(tmp_path / "mlflow.db") == {"FINISHED": 1}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_process_delivers_its_own(runs):
    fit()
    assert in_fork(fit) == 0
    fit()
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_half_a_line_of_a_killed_process_is_reported(runs, journal):
    def fit_half():
        write = os.write

        def write_half(file, data):
            if b'"metrics"' in bytes(data):
                write(file, bytes(data[: len(data) // 2]))
                die()
            return write(file, data)

        os.write = write_half
        fit()

    assert in_fork(fit_half) == signal.SIGKILL
    with warned_once("may lack something"):
        assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["KILLED"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_half_a_model_of_a_killed_process_is_left_out(runs, monkeypatch):
    from skperceptron.tracking import _models

    def objective(y_true, y_pred):
        time.sleep(0.1)
        return 0.0

    def save_half(model, folder, *args, **kwargs):
        folder.mkdir()
        (folder / "half").touch()
        die()

    fit()
    with monkeypatch.context() as patch:
        patch.setattr(_models, "_save", save_half)

        def long_fit():
            HillClimbPerceptron(max_iter=30, objective=objective).fit(X, y)

        assert in_fork(long_fit) == signal.SIGKILL
    flush()
    assert [run.status for run in runs.at_once()] == ["FINISHED", "KILLED"]


SEARCH = """
search = GridSearchCV(
    {classifier}(max_iter=5000), {{"step_size": [0.1, 0.2, 0.3, 0.4]}}, cv=5,
    n_jobs={n_jobs}
)
if {tracker}:
    search.set_callbacks(MLflowTracker(log_models="none"))
search.fit(X, y)
"""
KILLS = [
    # classifier, n_jobs, tracker, who, after so many fits, and so many seconds
    pytest.param("Noted", 1, False, "main", 3, 0.01, marks=pytest.mark.slow),
    ("NotedLate", 1, True, "main", 8, 0.1),
    pytest.param("Noted", 2, False, "main", 5, 0.02, marks=pytest.mark.slow),
    ("Noted", 2, False, "worker", 4, 0.0),
]


def worker_of(process_id):
    path = Path(f"/proc/{process_id}/task/{process_id}/children")
    for child in path.read_text().split():
        if b"LokyProcess" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise LookupError("no worker")


def search_and_kill(script, classifier, n_jobs, tracker, who, n_fits, delay):
    """Kill a search in the middle, and flush in another process."""
    code = SEARCH.format(classifier=classifier, n_jobs=n_jobs, tracker=tracker)
    with script.start(code) as process:
        while len(script.ended()) < n_fits:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        time.sleep(delay)
        victim = worker_of(process.pid) if who == "worker" else process.pid
        os.kill(victim, signal.SIGKILL)
        process.wait()
        # The workers of a killed process would wait for it for minutes.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        errors = process.stderr.read()
    assert "TrackingWarning" not in errors
    return script.ended()


def deliver_in_another_process(script, n_processes=1):
    command = [sys.executable, "-m", "skperceptron.tracking"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, cwd=script.folder, **pipes))
            for _ in range(n_processes)
        ]
        told = "\n".join(process.communicate()[0] for process in processes)
    assert "Traceback" not in told, told
    return [process.returncode for process in processes], told


def assert_nothing_is_lost_or_doubled(script, ended):
    keys, statuses = keys_of(script.store), statuses_of(script.store)
    assert set(keys.values()) == {1}
    assert set(ended) <= set(keys)
    assert set(statuses) <= {"FINISHED", "KILLED", "FAILED"}


@pytest.mark.parametrize(
    ("classifier", "n_jobs", "tracker", "who", "n_fits", "delay"), KILLS
)
def test_killed_search_loses_and_doubles_nothing(
    classifier, n_jobs, tracker, who, n_fits, delay, script
):
    ended = search_and_kill(script, classifier, n_jobs, tracker, who, n_fits, delay)
    codes, told = deliver_in_another_process(script)
    assert codes == [0], told
    assert_nothing_is_lost_or_doubled(script, ended)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_search_that_is_killed_at_any_moment_loses_and_doubles_nothing(seed, script):
    dice = random.Random(seed)
    tracker, n_jobs = dice.random() < 0.5, dice.choice([1, 2])
    classifier = "NotedLate" if tracker else "Noted"
    who = dice.choice(["main", "worker"]) if n_jobs == 2 else "main"
    n_fits, delay = dice.randint(1, 12), dice.random() * 0.2
    ended = search_and_kill(script, classifier, n_jobs, tracker, who, n_fits, delay)
    deliver_in_another_process(script, n_processes=2)
    codes, told = deliver_in_another_process(script)
    assert codes == [0], told
    assert_nothing_is_lost_or_doubled(script, ended)


@pytest.mark.slow
def test_two_processes_that_deliver_at_once_double_and_lose_nothing(script):
    keys = []
    address = {"tracking_uri": os.environ["MLFLOW_TRACKING_URI"], "experiment_id": None}
    for i in range(60):
        inbox = Inbox(script.folder / "journal", f"vm-{i % 3}-dead")
        parent = {"name": "a search", "start_time": 1, "is_managed": False}
        parent["key"] = f"{i % 6:032x}"
        entry = leave_behind(inbox, is_ended=i % 4 == 0, parents=[parent], **address)
        keys.append(entry.key)
    _, told = deliver_in_another_process(script, n_processes=2)
    assert_nothing_is_lost_or_doubled(script, keys)
    assert len(keys_of(script.store)) == 60 + 6, told
    assert deliver_in_another_process(script)[0] == [0]
    assert statuses_of(script.store) == {"FINISHED": 15, "KILLED": 45 + 6}


def test_run_whose_first_part_another_process_is_delivering_is_not_doubled(
    runs, journal
):
    fit()
    inbox = Inbox(journal, "vm-1-dead")
    first = leave_behind(inbox)
    leave_behind(inbox, part_of=first)
    with first.locked(), pytest.warns(TrackingWarning) as caught:
        assert flush(timeout=2) == 1
    assert any("another process" in str(warning.message) for warning in caught)
    assert len(runs.at_once()) == 1
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2


# Processes that end, and what can be seen before


@pytest.mark.slow
def test_search_without_refit_loses_nothing_when_the_process_ends(script):
    script.run(
        "GridSearchCV(HillClimbPerceptron(max_iter=5), {'step_size': [0.1, 0.2]},"
        " cv=5, n_jobs=2, refit=False).fit(X, y)"
    )
    assert statuses_of(script.store) == {"FINISHED": 11}
    assert time.time() - script.noted("last") < 10


def test_process_tells_what_it_leaves_behind(tmp_path, monkeypatch):
    script = Script(tmp_path, monkeypatch, uri=f"http://127.0.0.1:{free_port()}")
    script.run(
        "clf = HillClimbPerceptron().partial_fit(X, y, classes=[0, 1, 2])",
        "from skperceptron.tracking import pending",
        "note('waiting', pending())",
    )
    assert script.noted("waiting") == 1
    assert script.stderr.count("could not be delivered") == 1
    assert f"stay in the journal {tmp_path / 'journal'}" in script.stderr


def test_process_tells_only_once_that_its_server_is_away(tmp_path, monkeypatch):
    script = Script(tmp_path, monkeypatch, uri=f"http://127.0.0.1:{free_port()}")
    script.run("HillClimbPerceptron(max_iter=5).fit(X, y)")
    assert script.stderr.count("TrackingWarning") == 1


def test_warnings_that_are_errors_break_no_delivery(script):
    script.run(
        "fit()",
        "GridSearchCV(HillClimbPerceptron(max_iter=5), {'step_size': [0.1, 0.2]},"
        " cv=2).fit(X, y)",
        "assert flush() == 0",
        options=["-W", "error"],
    )
    assert statuses_of(script.store) == {"FINISHED": 1 + 6}
    assert "Traceback" not in script.stderr
    assert "Warning" not in script.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "fit(max_iter=90, objective=slow)",
        "GridSearchCV(HillClimbPerceptron(max_iter=90, objective=slow), "
        "{'step_size': [0.1, 0.2]}, cv=[(range(100), range(100, 150))], refit=False, "
        "n_jobs=2).fit(X, y)",
    ],
    ids=["in its own process", "in a worker"],
)
def test_long_fit_can_be_followed(code, script):
    steps_so_far = (
        "SELECT max(step) FROM metrics JOIN runs USING (run_uuid) "
        "WHERE key = 'objective' AND status = 'RUNNING' GROUP BY run_uuid"
    )
    seen, statuses = [0], Counter()
    # The first one makes the tables.
    with script.start("fit(max_iter=1)", "note('began', 0)", code) as process:
        while process.poll() is None:
            time.sleep(0.5)
            if (script.folder / "began").exists():
                statuses |= statuses_of(script.store)
                seen += [step for (step,) in rows(script.store, steps_so_far)[:1]]
        assert process.returncode == 0, process.stderr.read()
        process.stderr.close()
    assert statuses["RUNNING"] > 0
    assert statuses["KILLED"] == 0
    # It makes ten steps a second, and may be five seconds behind.
    jumps = [after - before for before, after in itertools.pairwise(seen)]
    assert max(jumps) <= 50
    assert max(seen) >= 40
    assert set(statuses_of(script.store)) == {"FINISHED"}


def test_late_child_of_a_dead_process_leaves_its_search_as_it_ended(journal, runs):
    inbox = Inbox(journal, "vm-1-dead")
    search = leave_behind(inbox)
    assert flush() == 0
    _known_runs._run_ids.clear()  # as in another process
    parent = {"name": "a search", "start_time": 1, "is_managed": True}
    leave_behind(inbox, parents=[{**parent, "key": search.key}])
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2


@pytest.mark.slow
def test_flush_of_another_process_leaves_a_living_search_alone(script):
    search = (
        "GridSearchCV(HillClimbPerceptron(max_iter=15, objective=slow), "
        "{'step_size': [0.1, 0.2]}, cv=2).fit(X, y)"
    )
    with script.start("fit(max_iter=1)", "note('began', 0)", search) as process:
        while not (script.folder / "began").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        while process.poll() is None:
            flush()
            assert "KILLED" not in statuses_of(script.store)
            time.sleep(0.5)
        process.stderr.close()
    assert process.returncode == 0
    assert statuses_of(script.store) == {"FINISHED": 1 + 1 + 4 + 1}
    assert set(keys_of(script.store).values()) == {1}
