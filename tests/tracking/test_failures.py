"""What prevents deliveries to a store: when it is tried again, and what is told."""

import time

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from skperceptron.tracking.delivery._failures import Failures

DOWN = ConnectionError("nobody there")
REFUSED = MlflowException("no such name", INVALID_PARAMETER_VALUE)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


RUNS = ["first", "second"]


def pauses(clock, failures, run, reason, n_times):
    """Fail again and again, as soon as that is allowed."""
    for _ in range(n_times):
        pause = failures.note_failure(run, reason) or failures.retry_at - clock.now
        clock.now += pause
        yield pause


def test_store_that_is_down_is_tried_less_and_less_often(clock):
    failures = Failures()
    expected = [5, 10, 20, 40, 60, 60]
    assert list(pauses(clock, failures, RUNS[0], DOWN, 6)) == expected


def test_run_that_is_refused_is_tried_less_and_less_often(clock):
    failures = Failures()
    expected = [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert list(pauses(clock, failures, RUNS[0], REFUSED, 9)) == expected


def test_store_that_answers_again_is_tried_as_often_as_at_first(clock):
    failures = Failures()
    list(pauses(clock, failures, RUNS[0], DOWN, 3))
    failures.note_success(RUNS[0])
    assert not failures.keys
    assert list(pauses(clock, failures, RUNS[0], DOWN, 2)) == [5, 10]


def test_store_that_is_down_keeps_all_runs_waiting(clock):
    failures = Failures()
    failures.note_failure(RUNS[0], DOWN)
    assert failures.is_out_of_reach
    assert [failures.prevents(run) for run in RUNS] == [DOWN, DOWN]
    clock.now += 5
    assert not failures.is_out_of_reach


def test_run_that_has_to_wait_keeps_no_other_waiting(clock):
    failures = Failures()
    assert failures.note_failure(RUNS[0], REFUSED) > 0
    assert failures.prevents(RUNS[1]) is None
    assert not failures.is_out_of_reach


def test_run_that_fails_while_others_are_stored_is_no_outage(clock):
    failures = Failures()
    failures.note_failure(RUNS[0], DOWN)
    failures.note_success(RUNS[1])
    assert failures.note_failure(RUNS[0], DOWN) > 0
    assert failures.outage is None


def test_what_is_asked_for_is_tried_at_once(clock):
    failures = Failures()
    for run in RUNS:
        failures.note_failure(run, DOWN)
    failures.allow()
    assert not failures.is_out_of_reach
    failures.forget(RUNS[0])
    assert failures.keys == {RUNS[1]}


def test_failures_of_runs_that_another_process_has_delivered_are_forgotten(clock):
    failures = Failures()
    failures.note_failure(RUNS[0], DOWN)
    failures.keep_only(set())
    assert not failures.keys
    assert failures.outage is None


def test_each_reason_is_told_once(clock):
    failures = Failures()
    failures.note_failure(RUNS[0], REFUSED)
    failures.note_failure(RUNS[1], DOWN)
    assert failures.tell_new() == [DOWN, REFUSED, DOWN]
    assert failures.tell_new() == []
    assert failures.tell_all() == [DOWN, REFUSED]


def test_reason_that_a_fit_was_told_is_not_told_again(clock):
    failures = Failures()
    failures.note_failure(RUNS[0], REFUSED)
    assert failures.tell(RUNS[0]) is REFUSED
    assert failures.tell_new() == []
