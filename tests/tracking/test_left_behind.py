"""Runs that other processes have left behind, and what stands in their way."""

import pickle
import time

import pytest
from sklearn.model_selection import GridSearchCV

import skperceptron
from benchmarks._servers import free_port
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, TrackingWarning, flush, pending
from tests.tracking.conftest import read_runs
from tests.tracking.faults import (
    X,
    at_most,
    die,
    fake_server,
    fit,
    fit_partly,
    leave_behind,
    statuses_of,
    warned_once,
    within,
    y,
)

pytestmark = pytest.mark.usefixtures("journal")


def nobody():
    """Make an address where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def fit_n(n):
    def make_fits():
        with skperceptron.config_context(log_models="none"):
            for _ in range(n):
                fit()

    return make_fits


def test_runs_are_delivered_by_themselves_when_their_store_is_back(away):
    leave_behind(fit, fit_partly, uri=away.uri)
    with warned_once("could not be delivered"):
        assert flush() == 2
    away.come_back()
    assert within(30, lambda: pending() == 0)
    assert statuses_of(away.path) == {"FINISHED": 1, "KILLED": 1}


def test_store_that_is_away_is_asked_now_and_then():
    leave_behind(uri=(uri := nobody()))
    with fake_server(500, 500, port=int(uri.rpartition(":")[2])) as server:
        for _ in range(2):
            with warned_once("could not be delivered"):
                assert flush() == 1
        n_asked = server.n_asked
        assert 2 <= n_asked <= 6
        time.sleep(1)
        assert server.n_asked - n_asked <= 5


def test_too_little_time_is_no_fault_of_the_store(away):
    leave_behind(fit_n(60), uri=away.uri)
    away.come_back()
    with warned_once("were not enough"):
        assert flush(timeout=0.1) > 0
    assert flush() == 0
    assert statuses_of(away.path) == {"FINISHED": 60}


class TestFlushWithATimeout:
    """What becomes of a server that starts meanwhile is in test_server.py."""

    def test_tries_a_store_that_is_away_until_the_time_is_over(self):
        leave_behind(uri=nobody())
        begun_at = time.monotonic()
        with at_most(30), warned_once("could not be delivered"):
            assert flush(timeout=1.5) == 1
        assert time.monotonic() - begun_at > 1.4

    def test_keeps_no_other_store_waiting(self, away):
        leave_behind(uri=nobody())
        leave_behind(uri=away.uri)
        away.come_back()
        with pytest.warns(TrackingWarning, match="could not be delivered"):
            assert flush(timeout=5) == 1
        assert statuses_of(away.path) == {"FINISHED": 1}

    def test_does_not_try_again_what_a_store_refuses(self, away):
        leave_behind(uri=away.uri)
        away.come_back()
        away.execute("UPDATE experiments SET lifecycle_stage = 'deleted'")
        with at_most(200), pytest.warns(TrackingWarning, match="must be in"):
            assert flush(timeout=300) == 1


def test_silence_of_the_store_is_told():
    leave_behind(uri=(uri := nobody()))
    hangs = fake_server(None, None, port=int(uri.rpartition(":")[2]))
    with hangs, warned_once(r"no answer within [\d.]+ s"):
        assert flush(timeout=3) == 1


def test_run_is_not_looked_up_in_a_store_that_is_gone(away, tmp_path):
    file = tmp_path / "clf"
    leave_behind(lambda: file.write_bytes(pickle.dumps(fit())), uri=away.uri)
    away.come_back()
    away.path.unlink()
    assert pickle.loads(file.read_bytes()).run_id_ is None
    assert not away.path.exists()


def test_killed_search_ends_with_the_last_of_its_folds(away):
    def search():
        n_fits = 0

        class Killed(HillClimbPerceptron):
            def fit(self, X, y):
                nonlocal n_fits
                n_fits += 1
                if n_fits > 5:
                    die()
                return super().fit(X, y)

        search = GridSearchCV(Killed(max_iter=20), {"step_size": [0.1, 0.2, 0.3]}, cv=3)
        search.set_callbacks(MLflowTracker(log_models="none")).fit(X, y)

    leave_behind(search, uri=away.uri)
    killed_at = time.time() * 1000
    away.come_back()
    assert flush() == 0
    found = {run.run_id: run for run in read_runs("0", away.path)}
    above = [run for run in found.values() if run.run_id in parents_of(found)]
    folds = [run for run in found.values() if run.run_id not in parents_of(found)]
    assert [run.status for run in folds].count("FINISHED") == 5
    assert "RUNNING" not in {run.status for run in found.values()}
    for run in above:
        ends = [fold.end_time for fold in folds if is_below(fold, run, found)]
        assert max(ends) <= run.end_time <= killed_at
    assert {run.name for run in above} == {
        "GridSearchCV",
        "step_size=0.1",
        "step_size=0.2",
    }


def parents_of(found):
    return {run.parent for run in found.values()}


def is_below(run, other, found):
    while run.parent is not None:
        run = found[run.parent]
        if run is other:
            return True
    return False
