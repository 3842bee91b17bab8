"""What prevents deliveries to a store: when it is tried again, and what is told."""

import time

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from skperceptron.tracking.delivery._entries import BusyError
from skperceptron.tracking.delivery._failures import Failures
from skperceptron.tracking.journal._entry import Entry

DOWN = ConnectionError("nobody there")
REFUSED = MlflowException("no such name", INVALID_PARAMETER_VALUE)
BUSY = BusyError("another process")


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def runs(tmp_path):
    entries = [Entry(tmp_path / f"{name}.0.jsonl") for name in ("first", "second")]
    for entry in entries:
        entry.path.touch()
    return entries


def pauses(clock, failures, run, reason, n_times):
    """Fail again and again, as soon as that is allowed."""
    for _ in range(n_times):
        failures.note_failure(run, reason)
        pause = failures.retry_at - clock.now
        clock.now = failures.retry_at
        yield pause


def test_store_that_is_down_is_tried_less_and_less_often(clock, runs):
    failures = Failures()
    expected = [5, 10, 20, 40, 60, 60]
    assert list(pauses(clock, failures, runs[0], DOWN, 6)) == expected


def test_run_that_is_refused_is_tried_less_and_less_often(clock, runs):
    failures = Failures()
    expected = [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert list(pauses(clock, failures, runs[0], REFUSED, 9)) == expected


def test_store_that_answers_again_is_tried_as_often_as_at_first(clock, runs):
    failures = Failures()
    list(pauses(clock, failures, runs[0], DOWN, 3))
    failures.note_success(runs[0], was_stored=True)
    assert not len(failures)
    assert list(pauses(clock, failures, runs[0], DOWN, 2)) == [5, 10]


def test_store_that_is_down_keeps_all_runs_waiting(clock, runs):
    failures = Failures()
    failures.note_failure(runs[0], DOWN)
    assert failures.is_out_of_reach
    assert [failures.prevents(run) for run in runs] == [DOWN, DOWN]
    clock.now += 5
    assert not failures.is_out_of_reach


@pytest.mark.parametrize("reason", [REFUSED, BUSY])
def test_run_that_has_to_wait_keeps_no_other_waiting(reason, clock, runs):
    failures = Failures()
    failures.note_failure(runs[0], reason)
    assert [failures.is_due(run) for run in runs] == [False, True]
    assert failures.prevents(runs[1]) is None
    assert not failures.is_out_of_reach


def test_run_that_fails_while_others_are_stored_is_no_outage(clock, runs):
    failures = Failures()
    failures.note_failure(runs[0], DOWN)
    failures.note_success(runs[1], was_stored=True)
    failures.note_failure(runs[0], DOWN)
    assert failures.outage is None
    assert [failures.is_due(run) for run in runs] == [False, True]


def test_what_is_asked_for_is_tried_at_once(clock, runs):
    failures = Failures()
    for run in runs:
        failures.note_failure(run, REFUSED)
    failures.allow(runs[0])
    assert [failures.is_due(run) for run in runs] == [True, False]
    failures.allow_all()
    assert failures.is_due(runs[1])


def test_failures_of_runs_that_another_process_has_delivered_are_forgotten(clock, runs):
    failures = Failures()
    failures.note_failure(runs[0], DOWN)
    runs[0].path.unlink()
    failures.forget_removed()
    assert not len(failures)
    assert failures.outage is None


def test_each_reason_is_told_once(clock, runs):
    failures = Failures()
    failures.note_failure(runs[0], REFUSED)
    failures.note_failure(runs[1], DOWN)
    assert failures.tell_new() == [DOWN, REFUSED, DOWN]
    assert failures.tell_new() == []
    assert failures.tell_all() == [DOWN, REFUSED]


def test_reason_that_a_fit_was_told_is_not_told_again(clock, runs):
    failures = Failures()
    failures.note_failure(runs[0], REFUSED)
    assert failures.tell(runs[0]) is REFUSED
    assert failures.tell_new() == []


def test_process_that_is_faster_is_no_reason_to_tell(clock, runs):
    failures = Failures()
    failures.note_failure(runs[0], BUSY)
    assert failures.prevents(runs[0]) is failures.tell(runs[0]) is None
    assert failures.tell_new() == []
    assert failures.has(BusyError)
