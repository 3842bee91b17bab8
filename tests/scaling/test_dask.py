"""Searches whose folds are fitted by Dask's workers, on this and on other machines."""

import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import joblib
import mlflow
import pytest
from distributed import Client, LocalCluster
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from benchmarks._servers import mlflow_server
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, flush, pending
from tests.tracking.faults import n_waiting_in

X, y = load_iris(return_X_y=True)
N_SPLITS = 3
GRID = {"step_size": [0.1, 0.3]}
# Another folder for each process that does not stand in the same one: what the client
# names is not there for workers of "another machine", nor is its own sign of life.
JOURNAL_OF_EACH_MACHINE = "/proc/self/cwd/journal"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the machines are told apart by Linux' /proc"
)


@dataclass
class Row:
    """A run as the store has it."""

    run_id: str
    name: str
    status: str
    key: str
    parent: str | None
    metrics: dict[str, float]


class Store:
    """An SQLite database that nothing but SQL is used to read."""

    def __init__(self, path):
        self.path = path

    def runs(self, experiment="Default"):
        """List the runs of an experiment that are not deleted."""
        with closing(sqlite3.connect(self.path)) as db:
            rows = db.execute(
                "SELECT run_uuid, runs.name, status FROM runs "
                "JOIN experiments USING (experiment_id) "
                "WHERE runs.lifecycle_stage = 'active' AND experiments.name = ?",
                (experiment,),
            ).fetchall()
            return [self._row(db, *row) for row in rows]

    def _row(self, db, run_id, name, status):
        tags = dict(
            db.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run_id,))
        )
        metrics = dict(
            db.execute(
                "SELECT key, value FROM latest_metrics WHERE run_uuid = ?", (run_id,)
            )
        )
        parent = tags.get("mlflow.parentRunId")
        return Row(run_id, name, status, tags["skperceptron.key"], parent, metrics)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """The machine of the client, with a journal that no other machine has."""
    folder = tmp_path / "client"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SKPERCEPTRON_JOURNAL", JOURNAL_OF_EACH_MACHINE)
    return folder


@pytest.fixture
def store(tmp_path, new_store):
    """A store of the test's own, which all machines reach."""
    before = mlflow.get_tracking_uri()
    path = tmp_path / "store" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(new_store, path)
    mlflow.set_tracking_uri(f"sqlite:///{path}")
    mlflow.set_experiment("Default")
    yield Store(path)
    mlflow.set_tracking_uri(before)
    mlflow.set_experiment("Default")


@contextmanager
def other_machine(scheduler, folder, *options):
    """Start a worker with its own folders, as it would run on another machine."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler]
    command += ["--nthreads", "1", "--no-dashboard", "--name", folder.name]
    command += options
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment_of(folder), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def environment_of(folder):
    changes = dict.fromkeys(("HOME", "TMPDIR", "XDG_STATE_HOME"), str(folder))
    return {**os.environ, **changes, "SKPERCEPTRON_JOURNAL": JOURNAL_OF_EACH_MACHINE}


@contextmanager
def cluster_of(folders, *options):
    """Start a scheduler, and each worker on a machine of its own."""
    with ExitStack() as stack:
        cluster = LocalCluster(n_workers=0, dashboard_address=":0")
        client = stack.enter_context(Client(stack.enter_context(cluster)))
        for folder in folders:
            address = client.scheduler.address
            stack.enter_context(other_machine(address, folder, *options))
        client.wait_for_workers(len(folders), timeout=120)
        yield client


def fit_search(estimator=None, *, tracked=True, grid=GRID, **params):
    if estimator is None:
        estimator = HillClimbPerceptron(max_iter=50, random_state=0)
    search = GridSearchCV(estimator, grid, cv=N_SPLITS, **params)
    if tracked:
        search.set_callbacks(MLflowTracker(log_models="none"))
    with joblib.parallel_config(backend="dask", scatter=[X, y]):
        return search.fit(X, y)


def deliver_rest(folder):
    """Do what is to be done on a machine of which a process has died."""
    command = [sys.executable, "-m", "skperceptron.tracking"]
    done = subprocess.run(
        command, cwd=folder, env=environment_of(folder), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_tracked(runs, search):
    """Compare the runs with the results of the search, fold by fold."""
    assert Counter(run.status for run in runs) == {"FINISHED": len(runs)}
    assert set(Counter(run.key for run in runs).values()) == {1}
    results = search.cv_results_
    n_candidates = len(results["params"])
    names = {run.run_id: run.name for run in runs}
    [root] = [run for run in runs if run.parent is None]
    assert root.name == "GridSearchCV"
    assert root.metrics["best_score"] == search.best_score_
    below = Counter(run.name for run in runs if run.parent == root.run_id)
    candidates = [f"step_size={p['step_size']}" for p in results["params"]]
    assert below == Counter(["refit", *candidates])
    scores = {
        (names[run.parent], run.name): run.metrics["split_test_score"]
        for run in runs
        if run.name.startswith("fold")
    }
    assert scores == {
        (name, f"fold {k}"): results[f"split{k}_test_score"][i]
        for i, name in enumerate(candidates)
        for k in range(N_SPLITS)
    }
    assert len(runs) == 2 + n_candidates * (1 + N_SPLITS)


def check_untracked(runs, search):
    assert Counter(run.status for run in runs) == {"FINISHED": len(runs)}
    assert set(Counter(run.key for run in runs).values()) == {1}
    [root] = [run for run in runs if run.parent is None]
    assert root.name == "GridSearchCV"
    fits = [run for run in runs if run is not root]
    assert {run.parent for run in fits} == {root.run_id}
    results = search.cv_results_
    expected = [results[f"split{k}_test_score"] for k in range(N_SPLITS)]
    name = "split_test_score"
    found = [run.metrics[name] for run in fits if name in run.metrics]
    assert sorted(found) == sorted(score for scores in expected for score in scores)
    assert len(fits) == len(found) + search.refit


@pytest.mark.slow
def test_search_on_processes_of_this_machine_is_complete_when_it_returns(
    store, machine
):
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster),
    ):
        search = fit_search()
        assert pending() == 0
        check_tracked(store.runs(), search)


def test_workers_without_a_folder_in_common_with_the_client_deliver_themselves(
    store, machine, tmp_path
):
    folders = [tmp_path / "a", tmp_path / "b"]
    with cluster_of(folders, "--no-nanny") as client:  # which start faster
        mlflow.set_experiment("tracked")
        tracked = fit_search()
        mlflow.set_experiment("untracked")
        untracked = fit_search(tracked=False)
        assert set(client.run(flush).values()) == {0}
        assert pending() == 0
    check_tracked(store.runs("tracked"), tracked)
    check_untracked(store.runs("untracked"), untracked)
    for folder in folders:
        assert (folder / "journal").is_dir()
        assert n_waiting_in(folder / "journal") == 0


# Workers that are killed

LONG_GRID = {"step_size": [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]}


@pytest.fixture
def server(store, tmp_path, monkeypatch):
    """The same store behind a tracking server: no machine has its file."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    with mlflow_server(f"sqlite:///{store.path}", folder, n_workers=2) as address:
        mlflow.set_tracking_uri(address)
        yield store


class Killer(threading.Thread):
    """Kills a worker once there are enough runs in the store.

    Parameters
    ----------
    store : Store
        Where to look.

    n_runs : int
        How many runs are enough.

    delay : float
        Seconds to wait after that.

    process_ids : list of int
        What to kill.

    Attributes
    ----------
    killed_at : float
        When, by the clock of `time.monotonic`.
    """

    def __init__(self, store, n_runs, delay, process_ids):
        super().__init__(daemon=True)
        self.store, self.n_runs, self.delay = store, n_runs, delay
        self.process_ids = process_ids
        self.killed_at = math.inf

    def run(self):
        while len(self.store.runs()) < self.n_runs:
            time.sleep(0.01)
        time.sleep(self.delay)
        for process_id in self.process_ids:
            os.kill(process_id, signal.SIGKILL)
        self.killed_at = time.monotonic()


def processes_of(machine):
    """List the processes of a machine, what starts the others first."""
    found = [machine.pid]
    for process_id in found:
        path = f"/proc/{process_id}/task/{process_id}/children"
        with open(path) as file:
            found += map(int, file.read().split())
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lost", ["process", "machine"])
@pytest.mark.parametrize("tracked", [True, False])
def test_worker_that_is_killed_leaves_each_fold_one_run(
    tracked, lost, seed, server, machine, tmp_path
):
    rng = random.Random(seed)
    folders = [tmp_path / name for name in "abc"]
    # Long enough for the kill to come in the middle of some of them.
    estimator = HillClimbPerceptron(max_iter=1_000_000, random_state=0)
    with ExitStack() as stack:
        client = stack.enter_context(cluster_of(folders[:2]))
        third = stack.enter_context(other_machine(client.scheduler.address, folders[2]))
        client.wait_for_workers(3, timeout=120)
        doomed = processes_of(third)
        if lost == "process":  # which Dask starts anew
            doomed = doomed[-1:]
        n_runs = rng.randrange(1, 8)
        killer = Killer(server, n_runs, rng.uniform(0, 1), doomed)
        killer.start()
        search = fit_search(estimator, tracked=tracked, grid=LONG_GRID)
        assert killer.killed_at < time.monotonic()
        killer.join(timeout=60)
        assert not killer.is_alive()
        # The scheduler may still send it to the worker that is lost.
        client.run(flush, on_error="ignore")
    for folder in folders:
        assert deliver_rest(folder).endswith("0 still waiting\n")
        assert n_waiting_in(folder / "journal") == 0
    assert flush() == 0
    (check_tracked if tracked else check_untracked)(server.runs(), search)


@pytest.mark.slow
def test_cluster_that_is_closed_at_once_has_delivered_its_folds(
    server, machine, tmp_path
):
    with cluster_of([tmp_path / "a", tmp_path / "b"]):
        search = fit_search()
    check_tracked(server.runs(), search)
