"""The ends of a process: it does end, and no run that has ended is lost."""

import signal
import socket
import time
from contextlib import closing, contextmanager

import pytest

from skperceptron.tracking import flush

# What a process may take that waits for a store as long as it may, on a busy machine.
BOUND = 10 + 20
# While it goes on a long fit notes that it does, and waits for what does not come.
LONG_FIT = """
    def fit_long():
        clf = HillClimbPerceptron(objective=Waiting("never"))
        clf.fit(X, y)
    """


def deliver_the_rest(program, monkeypatch):
    """Deliver what a process has left behind, as the next one does."""
    monkeypatch.setenv("SKPERCEPTRON_JOURNAL", str(program.journal))
    assert flush() == 0
    assert program.n_waiting == 0


def assert_nothing_lost(program, n_ended, n_killed=0):
    runs = program.runs()
    assert runs.statuses == {
        status: n
        for status, n in {"FINISHED": n_ended, "KILLED": n_killed}.items()
        if n
    }
    assert len(set(runs.keys)) == len(runs.keys)
    assert set(program.ended) <= set(runs.run_ids)


ENDS = {
    "normal": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise ZeroDivisionError", 1),
    "SIGINT": ("signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
    "SIGTERM": ("signal.raise_signal(signal.SIGTERM)", -signal.SIGTERM),
    "os._exit": ("os._exit(4)", 4),
}
CALM = ("normal", "sys.exit", "exception", "SIGINT")
# What there is of runs when the process ends: one that its fit has waited for, one of
# `partial_fit` that nobody has waited for, and those of a search without refit, either.
BEFORE = """
    fit()
    clf = HillClimbPerceptron(max_iter=100)
    for _ in range(3):
        clf.partial_fit(X, y, classes=[0, 1, 2])
    GridSearchCV(HillClimbPerceptron(max_iter=5), {}, cv=2, refit=False).fit(X, y)
    """


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(end, marks=() if end == "exception" else pytest.mark.slow)
        for end in ENDS
    ],
)
def test_no_run_is_lost_however_a_process_ends(end, program, monkeypatch):
    code, status = ENDS[end]
    program.run(BEFORE + "\n    " + code, status=status)
    if end in CALM:
        assert program.n_waiting == 0
        assert_nothing_lost(program, 1 + 1 + 3)
        return
    # Killed at once: `partial_fit` might have gone on, and so might the search have.
    deliver_the_rest(program, monkeypatch)
    assert_nothing_lost(program, 1 + 2, n_killed=2)


@pytest.mark.slow
@pytest.mark.parametrize("end", CALM)
def test_daemon_thread_that_is_fitting_keeps_up_no_process(end, program, monkeypatch):
    code, status = ENDS[end]
    program.run(
        LONG_FIT
        + f"""
    fit()
    threading.Thread(target=fit_long, daemon=True).start()
    wait_for("fitting")
    fit()
    {code}
    """,
        status=status,
    )
    deliver_the_rest(program, monkeypatch)
    # The long fit had written nothing yet.
    assert_nothing_lost(program, 2)


@pytest.mark.slow
def test_daemon_thread_that_is_in_the_middle_of_its_curve_is_killed(
    program, monkeypatch
):
    program.run(
        """
    class Slow(Waiting):
        n_calls = 0
        def __call__(self, y_true, y_pred):
            self.n_calls += 1
            if self.n_calls == 49:
                time.sleep(3)  # by then a long fit writes what there is of it
            return super().__call__(y_true, y_pred) if self.n_calls > 50 else 0.5
    clf = HillClimbPerceptron(objective=Slow("never"), max_iter=100, verbose=True)
    threading.Thread(target=clf.fit, args=(X, y), daemon=True).start()
    wait_for("fitting")
    """
    )
    deliver_the_rest(program, monkeypatch)
    assert_nothing_lost(program, 0, n_killed=1)


@pytest.mark.slow
def test_process_waits_for_a_fit_in_a_thread_that_is_no_daemon(program):
    program.run(
        """
    def fit_late():
        clf = HillClimbPerceptron(objective=Waiting("go on"), max_iter=5).fit(X, y)
        note("ended", clf.run_id_)
    threading.Thread(target=fit_late).start()
    wait_for("fitting")
    threading.Timer(1, note, ["go on"]).start()
    """
    )
    assert program.n_waiting == 0
    assert_nothing_lost(program, 1)
    assert len(program.ended) == 1


@pytest.mark.slow
def test_interrupted_fit_is_killed_and_delivered(program):
    program.run(
        """
    import warnings
    warnings.simplefilter("ignore")
    class Interrupted(Waiting):
        def __call__(self, y_true, y_pred):
            self.n_calls = getattr(self, "n_calls", 0) + 1
            if self.n_calls == 50:
                signal.raise_signal(signal.SIGINT)
            return 0.5
    HillClimbPerceptron(objective=Interrupted(None), max_iter=100).fit(X, y)
    """
    )
    assert program.n_waiting == 0
    assert_nothing_lost(program, 0, n_killed=1)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_signal_from_outside_ends_a_process_amid_its_fits(sign, program, monkeypatch):
    with program.start("while True: fit()") as process:
        deadline = time.monotonic() + 200
        while len(program.ended) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(sign)
        started = time.monotonic()
        process.communicate(timeout=BOUND)
    assert time.monotonic() - started < BOUND
    deliver_the_rest(program, monkeypatch)
    runs = program.runs()
    assert len(set(runs.keys)) == len(runs.keys)
    assert set(program.ended) <= set(runs.run_ids)
    assert runs.statuses["FINISHED"] >= len(program.ended) >= 3
    assert len(runs.keys) <= len(program.ended) + 2


# Servers that are down


@contextmanager
def deaf_server():
    """A server that takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def no_server():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
    yield uri


@pytest.mark.slow
@pytest.mark.parametrize("server", [no_server, deaf_server])
@pytest.mark.parametrize("end", CALM)
def test_process_ends_in_time_though_its_server_is_down(server, end, program):
    code, status = ENDS[end]
    with server() as uri:
        program.run(
            f"""
    import warnings
    warnings.simplefilter("ignore")
    {BEFORE.strip()}
    note("last", time.time())
    {code}
    """,
            status=status,
            MLFLOW_TRACKING_URI=uri,
            PATIENT="",
        )
        assert time.time() - float((program.folder / "last").read_text()) < BOUND
    # A search without a run yet waits with its folds.
    assert program.n_waiting >= 1 + 1 + 2


@pytest.mark.slow
def test_no_thread_of_ours_keeps_a_process_alive(program):
    out = program.run(
        """
    fit()
    threads = [t for t in threading.enumerate() if t is not threading.main_thread()]
    print(sorted({t.name for t in threads if not t.daemon}))
    print(any("skperceptron" in t.name for t in threads))
    """
    )
    assert out.splitlines() == ["[]", "True"]
