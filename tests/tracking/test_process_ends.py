"""What processes leave when they end, and what can be seen before."""

import itertools
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks._servers import free_port
from skperceptron.tracking import flush
from tests.tracking.faults import (
    BOUND,
    Script,
    fake_server,
    keys_of,
    rows,
    statuses_of,
    within,
)

WITH_MODELS = "skperceptron.set_config(log_models='best')"


@pytest.mark.slow
def test_process_ends_though_its_server_hangs(tmp_path, monkeypatch):
    with fake_server(200, None) as server:
        script = Script(tmp_path, monkeypatch, server.uri)
        script.run("fit()")
        assert time.time() - script.noted("last") < BOUND
    assert "Traceback" not in script.stderr
    assert script.stderr.count("TrackingWarning") == 1


@pytest.mark.slow
def test_first_fit_says_nothing_for_other_packages(first_script):
    first_script.run(
        WITH_MODELS, "import warnings; warnings.simplefilter('default')", "fit()"
    )
    assert "Warning" not in first_script.stderr
    assert statuses_of(first_script.store) == {"FINISHED": 1}


@pytest.mark.slow
def test_search_without_refit_loses_nothing_when_the_process_ends(first_script):
    first_script.run(
        "GridSearchCV(HillClimbPerceptron(max_iter=5), {'step_size': [0.1, 0.2]},"
        " cv=5, n_jobs=2, refit=False).fit(X, y)"
    )
    assert statuses_of(first_script.store) == {"FINISHED": 11}
    assert time.time() - first_script.noted("last") < 10


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


def test_warnings_that_are_errors_break_no_delivery(first_script):
    first_script.run(
        WITH_MODELS,
        "fit()",
        "GridSearchCV(HillClimbPerceptron(max_iter=5), {'step_size': [0.1, 0.2]},"
        " cv=2).fit(X, y)",
        "assert flush() == 0",
        options=["-W", "error"],
    )
    assert statuses_of(first_script.store) == {"FINISHED": 1 + 6}
    assert "Traceback" not in first_script.stderr
    assert "Warning" not in first_script.stderr


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
def test_long_fit_can_be_followed(code, first_script):
    steps_so_far = (
        "SELECT max(step) FROM metrics JOIN runs USING (run_uuid) "
        "WHERE key = 'objective' AND status = 'RUNNING' GROUP BY run_uuid"
    )
    seen, statuses = [0], Counter()
    # The first one makes the tables.
    with first_script.start("fit(max_iter=1)", "note('began', 0)", code) as process:
        while process.poll() is None:
            time.sleep(0.5)
            if (first_script.folder / "began").exists():
                statuses |= statuses_of(first_script.store)
                seen += [step for (step,) in rows(first_script.store, steps_so_far)[:1]]
        assert process.returncode == 0, process.stderr.read()
        process.stderr.close()
    assert statuses["RUNNING"] > 0
    assert statuses["KILLED"] == 0
    # It makes ten steps a second, and may be five seconds behind.
    jumps = [after - before for before, after in itertools.pairwise(seen)]
    assert max(jumps) <= 50
    assert max(seen) >= 40
    assert set(statuses_of(first_script.store)) == {"FINISHED"}


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


def test_workers_end_with_the_process_that_was_killed(script):
    search = """
    def waits(y_true, y_pred):
        if not os.path.exists("fitting"):
            note("workers", os.getpid())
            note("fitting", 0)
        time.sleep(0.1)
        return 0.5

    clf = HillClimbPerceptron(max_iter=5000, objective=waits)
    GridSearchCV(clf, {"step_size": [0.1, 0.2]}, cv=2, n_jobs=2).fit(X, y)
    """
    with script.start(search) as process:
        try:
            assert within(60, (script.folder / "fitting").exists)
            worker = int((script.folder / "workers").read_text().split()[0])
            assert worker != process.pid
            process.kill()
            process.wait()
            assert within(10, lambda: not is_running(worker))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_process_of_the_users_own_outlives_its_parent(script):
    code = """
    import multiprocessing

    def work():
        note("child", os.getpid())
        while os.getppid() == parent:
            fit(max_iter=1)
        fit(max_iter=5)
        time.sleep(1)  # longer than it takes to see that the parent is gone
        note("went on", 0)

    parent = os.getpid()
    multiprocessing.get_context("fork").Process(target=work).start()
    """
    with script.start(code) as process:
        try:
            assert within(60, (script.folder / "child").exists)
            process.kill()
            process.wait()
            assert within(60, (script.folder / "went on").exists)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def is_running(process_id):
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2]
    except FileNotFoundError:
        return False
    return state.split()[0] != "Z"


def test_journal_that_was_removed_is_not_made_again_at_the_end(script):
    script.run("fit()", "import shutil", "shutil.rmtree('journal')")
    assert not (script.folder / "journal").exists()
