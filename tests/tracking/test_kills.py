"""Kills of processes that fit, search or deliver lose nothing and double nothing."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from sklearn.model_selection import GridSearchCV

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, flush, pending
from tests.tracking.faults import (
    X,
    die_with_children,
    fit,
    fit_partly,
    in_child,
    keys_of,
    leave_behind,
    rows,
    statuses_of,
    within,
    y,
)

# While a run is delivered; see also test_server.py


def test_store_is_made_whole_after_a_kill_amid_its_tables(journal, tmp_path):
    store = tmp_path / "new folder" / "mlflow.db"

    def kill_amid_its_tables():
        assert within(60, store.parent.exists)
        die_with_children()

    def begin():
        threading.Thread(target=kill_amid_its_tables).start()
        fit()

    leave_behind(begin, uri=f"sqlite:///{store}")
    assert flush() == 0
    assert statuses_of(store) == {"FINISHED": 1}
    assert os.listdir(store.parent) == [store.name]


def test_forked_process_delivers_its_own(runs):
    fit()
    assert in_child(fit) == 0
    fit()
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 3


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
    # classifier, n_jobs, tracker, whom to kill, after how many fits and seconds
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
    """Fits that had ended before the kill have their end and their whole curve."""
    assert set(keys_of(script.store).values()) == {1}
    assert set(statuses_of(script.store)) <= {"FINISHED", "KILLED", "FAILED"}
    last_steps = rows(
        script.store,
        "SELECT max(step) FROM metrics JOIN runs USING (run_uuid) "
        "WHERE key = 'objective' AND status = 'FINISHED' GROUP BY run_uuid",
    )
    assert Counter(map(int, ended)) <= Counter(step for (step,) in last_steps)


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


# In the middle of many calls


PARTIAL_FITS = """
clf = HillClimbPerceptron(max_iter=100)
while True:
    clf.partial_fit(X, y, classes=[0, 1, 2])
    note("ended", clf.n_iter_)
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
    assert pending() == 0


# Processes that deliver at once


@pytest.mark.slow
def test_two_processes_that_deliver_at_once_double_and_lose_nothing(away, script):
    def search():
        clf = HillClimbPerceptron(max_iter=20)
        grid = {"step_size": [0.1, 0.2, 0.3]}
        tracker = MLflowTracker(log_models="none")
        GridSearchCV(clf, grid, cv=5).set_callbacks(tracker).fit(X, y)

    for _ in range(3):
        leave_behind(search, fit_partly, uri=away.uri)
    away.come_back()
    _, told = deliver_in_another_process(script, n_processes=2)
    assert deliver_in_another_process(script)[0] == [0], told
    assert set(keys_of(away.path).values()) == {1}
    assert statuses_of(away.path) == {"FINISHED": 3 * (1 + 3 + 15 + 1), "KILLED": 3}
