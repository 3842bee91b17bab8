"""The process that delivers: when it begins and ends, and what it leaves alone."""

import os
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest

from skperceptron.tracking import flush, pending
from tests.tracking.faults import keys_of, statuses_of, within


def delivering(process_id):
    """The processes that a process has started to deliver its runs."""
    return [
        child
        for child in psutil.Process(process_id).children()
        if "tracking.delivery" in " ".join(child.cmdline())
    ]


def fits_of(script):
    """The fits that have ended."""
    return len(script.ended())


def has_made(script, n_fits):
    return fits_of(script) >= n_fits


@pytest.fixture
def started(script):
    """A script that makes fits until it is killed, with its delivering process."""
    process = script.start("while True: Noted(max_iter=20).fit(X, y)")
    assert within(120, lambda: fits_of(script) > 3)
    (child,) = delivering(process.pid)
    yield process, child
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("n_kills", "n_fits"),
    [
        (2, 3),
        pytest.param(10, 3, marks=pytest.mark.slow),
        pytest.param(0, 1000, marks=pytest.mark.slow),
    ],
)
def test_every_fit_that_has_ended_arrives_once_though_both_are_killed(
    n_kills, n_fits, script, started
):
    process, child = started
    for _ in range(n_kills):
        child.kill()
        assert within(120, partial(has_made, script, fits_of(script) + n_fits))
        (child,) = delivering(process.pid)
    assert within(800, partial(has_made, script, n_fits))
    process.kill()
    n_ended = fits_of(script)
    psutil.wait_procs([child], 60)
    assert not child.is_running()
    statuses = statuses_of(script.store)
    assert statuses["FINISHED"] >= n_ended
    assert set(statuses) <= {"FINISHED", "KILLED"}
    assert pending() == 0
    assert len(set(keys_of(script.store))) == len(keys_of(script.store))


@pytest.mark.slow
def test_twenty_processes_fit_at_once_into_one_journal(script):
    processes = [script.start("for _ in range(5): fit()") for _ in range(20)]
    for process in processes:
        process.communicate()  # warnings say that no answer came in time
    assert [process.returncode for process in processes] == [0] * 20
    assert flush() == 0
    assert statuses_of(script.store) == {"FINISHED": 100}
    assert len(set(keys_of(script.store))) == 100


def test_there_is_one_beside_however_many_stores_and_threads(script):
    process = script.start(
        """
        import shutil
        def fit_elsewhere(i):
            shutil.copy("mlflow.db", f"{i}.db")
            tracker = MLflowTracker(
                tracking_uri=f"sqlite:///{i}.db", log_models="none"
            )
            Noted(max_iter=20).set_callbacks(tracker).fit(X, y)
        threads = [threading.Thread(target=fit_elsewhere, args=[i]) for i in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        note("all", 1)
        time.sleep(600)
        """
    )
    assert within(120, (script.folder / "all").exists)
    (child,) = delivering(process.pid)
    assert child.nice() > psutil.Process(process.pid).nice()
    # Neither an interrupt nor a hangup of a terminal is meant for it.
    assert os.getsid(child.pid) != os.getsid(process.pid)
    process.kill()
    process.communicate()


def test_who_reads_the_output_of_a_script_need_not_wait_for_it(script):
    program = "from script_head import *; fit(); import signal; os.kill(os.getpid(), 9)"
    began_at = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", program], cwd=script.folder, capture_output=True
    )
    assert time.monotonic() - began_at < 100
    assert within(60, lambda: statuses_of(script.store) == {"FINISHED": 1})


def test_password_is_in_no_command_line_and_in_no_file(script, new_store):
    secret = "s3cr3t"
    process = script.start(
        "import mlflow, warnings",
        f"mlflow.set_tracking_uri('http://someone:{secret}@127.0.0.1:9')",
        "warnings.simplefilter('ignore')",
        "fit()",
        "note('all', 1); time.sleep(600)",
    )
    assert within(120, (script.folder / "all").exists)
    (child,) = delivering(process.pid)
    assert secret not in " ".join(child.cmdline())
    process.kill()
    process.communicate()
    psutil.wait_procs([child], 60)
    files = [path for path in (script.folder / "journal").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret.encode() in path.read_bytes()]


# Where it cannot be started


# What is none, what ends at once, and what only says what it is told.
@pytest.mark.parametrize(
    "program",
    [
        "/nothing",
        *(pytest.param(p, marks=pytest.mark.slow) for p in ("/bin/false", "/bin/cat")),
    ],
)
def test_flush_delivers_where_no_process_can_be_started(program, script):
    script.run(
        f"program = {program!r}",
        """
        import multiprocessing, warnings
        from skperceptron.tracking import pending
        multiprocessing.set_executable(program)
        with warnings.catch_warnings(record=True, action="always") as told:
            first, second = fit(), fit()
        (warning,) = told
        assert "skperceptron.tracking.flush() is called" in str(warning.message)
        assert [first.run_id_, second.run_id_] == [None, None]
        assert pending() == 2
        assert flush() == 0
        assert first.run_id_ and second.run_id_
        """,
    )
    assert statuses_of(script.store) == {"FINISHED": 2}


def test_end_of_the_program_delivers_where_no_process_can_be_started(script):
    script.run(
        """
        import multiprocessing, warnings
        multiprocessing.set_executable("/nothing")
        warnings.simplefilter("ignore")
        fit(), fit()
        """
    )
    assert statuses_of(script.store) == {"FINISHED": 2}
