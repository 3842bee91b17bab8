"""Kills of processes that fit, search or deliver lose nothing and double nothing."""

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path

import alembic.command
import mlflow
import pytest

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import TrackingWarning, flush, pending
from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.journal._entry import Entry
from skperceptron.tracking.journal._journal import Inbox
from tests.tracking.faults import (
    X,
    fit,
    keys_of,
    leave_behind,
    rows,
    statuses_of,
    warned_once,
    y,
)

# While a run is delivered

STEPS = {
    "after it noted to deliver": (_runs, "deliver"),
    "after the run was created": (mlflow.MlflowClient, "log_batch"),
    "after its values were logged": (mlflow.MlflowClient, "log_inputs"),
    "after its data was logged": (_runs, "attach"),
    "after its model was created": (mlflow.MlflowClient, "log_model_artifacts"),
    "after its model was logged": (_runs, "end_run"),
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
    from skperceptron.tracking.recording import _model

    def objective(y_true, y_pred):
        time.sleep(0.1)
        return 0.0

    def save_half(model, folder, *args, **kwargs):
        folder.mkdir()
        (folder / "half").touch()
        die()

    fit()
    with monkeypatch.context() as patch:
        patch.setattr(_model, "_save", save_half)

        def long_fit():
            HillClimbPerceptron(max_iter=30, objective=objective).fit(X, y)

        assert in_fork(long_fit) == signal.SIGKILL
    flush()
    assert [run.status for run in runs.at_once()] == ["FINISHED", "KILLED"]


# In a search

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
    pytest.param("Noted", 2, False, "worker", 4, 0.0, marks=pytest.mark.slow),
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


def assert_are_complete(script, ended):
    """Fits that had ended before the kill have their end and their curve."""
    found = rows(
        script.store,
        "SELECT tags.value, runs.status, COUNT(DISTINCT metrics.step) FROM runs "
        "JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'skperceptron.key' "
        "LEFT JOIN metrics ON metrics.run_uuid = runs.run_uuid "
        "AND metrics.key = 'objective' GROUP BY runs.run_uuid",
    )
    known = {key: (status, n_points > 1) for key, status, n_points in found}
    assert [known[key] for key in ended] == [("FINISHED", True)] * len(ended)


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
    assert_are_complete(script, ended)


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
    assert_are_complete(script, ended)


# In the middle of many calls


PARTIAL_FITS = """
from skperceptron.tracking.recording import _fit_run

_fit_run.MAX_BYTES_PER_FILE = 2_000
clf = HillClimbPerceptron(max_iter=100)
while True:
    clf.partial_fit(X, y, classes=[0, 1, 2])
    note("ended", clf._last_step)
"""


@pytest.mark.slow
def test_killed_partial_fits_are_one_run_up_to_the_last_of_them(script):
    with script.start(PARTIAL_FITS) as process:
        while len(script.ended()) < 200:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        process.kill()
    codes, told = deliver_in_another_process(script)
    assert codes == [0], told
    assert statuses_of(script.store) == {"KILLED": 1}
    query = "SELECT step FROM metrics WHERE key = 'objective' ORDER BY step"
    steps = [step for (step,) in rows(script.store, query)]
    # What it had not noted yet may be there, too.
    assert steps == list(range(steps[0], steps[-1] + 1))
    assert steps[-1] >= int(script.ended()[-1])
    assert not list((script.folder / "journal").rglob("*.jsonl"))


# Processes that deliver at once


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
    with first.locked():
        with pytest.warns(TrackingWarning) as caught:
            assert flush(timeout=2) == 1
        assert len(runs.at_once()) == 1
    assert any("another process" in str(warning.message) for warning in caught)
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2
