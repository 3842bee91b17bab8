"""What a worker on another machine delivers, as its journal has it."""

import socket
import time
from dataclasses import replace

import pytest
from sklearn.datasets import load_iris

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import TrackingWarning, flush, pending
from skperceptron.tracking.delivery import _loop
from skperceptron.tracking.journal import _handover, _owners
from skperceptron.tracking.journal._folders import Inbox
from skperceptron.tracking.journal._record import ParentRun, RunRecord, now
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fit_run import TrackedRun
from skperceptron.tracking.recording._task_path import key_of
from tests.tracking.faults import statuses_of, within

pytestmark = pytest.mark.usefixtures("delivery_here")
X, y = load_iris(return_X_y=True)


@pytest.fixture
def from_afar(journal, runs):
    """Where a client on another machine sends runs, as a worker here is told."""
    here = Destination.current()
    there = Inbox(journal.with_name("not here"), "client-1-deadbeef")
    return replace(here, inbox=there, is_spread=True)


@pytest.fixture
def key(request):
    return key_of(request.node.nodeid, (), str(now()))


def fit_fold(destination, key, value=0.5, status="FINISHED", restart=True):
    """Write down a fold as another attempt of the same task would."""
    run = TrackedRun(RunRecord("fold 0"), destination, key)
    run.record.add_metric("objective", value)
    run.status = status
    run.end()
    run.deliver(wait=False)
    if restart:  # know as much as a process on another machine
        assert flush() == 0
        run.journal.sweep(gone={_owners.this_process()})
    return run


def test_folds_of_a_client_that_is_away_are_delivered_below_its_search(
    from_afar, key, runs
):
    search = ParentRun(key_of(key, ()), "GridSearchCV", now(), is_managed=True)
    fit_fold(from_afar.below(search), key, restart=False)
    found = {run.name: run for run in runs()}
    assert pending() == 0
    assert found["fold 0"].parent == found["GridSearchCV"].run_id
    # That one is the client's to end.
    assert [found[name].status for name in ("GridSearchCV", "fold 0")] == [
        "RUNNING",
        "FINISHED",
    ]


def test_search_that_nobody_tracks_ends_when_its_worker_does(
    from_afar, key, runs, delivery_here
):
    search = ParentRun(key_of(key, ()), "GridSearchCV", now())
    fit_fold(from_afar.below(search), key, restart=False)
    flush()
    delivery_here._service._deliverer(from_afar.tracking_uri).end_searches()
    assert {run.status for run in runs()} == {"FINISHED"}


def test_second_attempt_at_a_fold_changes_nothing(from_afar, key, runs):
    for value in (0.5, 0.6):
        fit_fold(from_afar, key, value)
    [run] = runs()
    assert run.metrics == {"objective": [(0, 0.5)]}


def test_attempt_that_ends_counts_more_than_one_that_was_killed(from_afar, key, runs):
    fit_fold(from_afar, key, 0.5, status="KILLED")
    fit_fold(from_afar, key, 0.6)
    [run] = runs()
    assert run.status == "FINISHED"
    assert (0, 0.6) in run.metrics["objective"]


def test_search_that_is_given_up_ends_what_other_machines_have_begun(
    from_afar, key, runs
):
    here = replace(from_afar, inbox=Destination.current().inbox)
    search = TrackedRun(RunRecord("GridSearchCV"), here, key_of(key, ()))
    search.deliver(wait=False)
    flush()
    parents = [
        ParentRun(search.key, "GridSearchCV", now(), is_managed=True),
        ParentRun(key_of(key, (1,)), "candidate 0", now(), is_managed=True),
    ]
    fit_fold(from_afar.below(*parents), key, restart=False)
    flush()
    search.status = "FAILED"
    search.end()
    search.deliver(wait=False)
    found = {run.name: run.status for run in runs()}
    assert found == {
        "GridSearchCV": "FAILED",
        "candidate 0": "FAILED",
        "fold 0": "FINISHED",
    }


def test_store_in_a_file_that_this_machine_lacks_is_not_made(from_afar, key, tmp_path):
    file = tmp_path / "of the client.db"
    away = replace(from_afar, tracking_uri=f"sqlite:///{file}", experiment_id=None)
    run = TrackedRun(RunRecord("fold 0"), away, key)
    run.end()
    run.deliver(wait=False)
    with pytest.warns(TrackingWarning, match="needs a tracking server"):
        assert flush() == 1
    assert not file.exists()


def test_store_is_made_for_a_search_here_that_was_killed_before(
    from_afar, key, tmp_path
):
    file = tmp_path / "new.db"
    killed = Inbox(from_afar.inbox.journal, f"{socket.gethostname()}-1-deadbeef")
    begun = replace(
        from_afar, inbox=killed, tracking_uri=f"sqlite:///{file}", experiment_id=None
    )
    run = TrackedRun(RunRecord("fold 0"), begun, key)
    run.end()
    run.deliver(wait=False)
    assert flush() == 0
    assert statuses_of(file) == {"FINISHED": 1}


def test_few_runs_wait_on_a_machine_that_may_be_lost(from_afar, key, runs, monkeypatch):
    monkeypatch.setattr(_loop, "REST", 10_000)  # as slow as if it never came
    most = 0
    for number in range(2 * _loop.MAX_BEHIND):
        run = fit_fold(from_afar, key_of(key, (number,)), restart=False)
        most = max(most, run.journal.count_due(from_afar.tracking_uri))
    assert 1 < most <= _loop.MAX_BEHIND
    assert len(runs()) == 2 * _loop.MAX_BEHIND


def test_clone_from_another_machine_goes_where_its_client_said(from_afar, runs):
    clf = HillClimbPerceptron(max_iter=5)
    # Its thread may have the same number as this one, and its process, too: in
    # containers most have the same few.
    clf._tracking_destination = from_afar.directed_to(None, "of the client")
    clf.fit(X, y)
    assert clf._run_ticket.address["experiment_name"] == "of the client"


def test_runs_for_another_store_keep_no_fold_waiting(from_afar, key, runs, tmp_path):
    away = f"sqlite:///{tmp_path / 'of another machine.db'}"
    for number in range(2 * _loop.MAX_BEHIND):
        elsewhere = replace(from_afar, tracking_uri=away, experiment_id=None)
        run = TrackedRun(RunRecord("a fit"), elsewhere, key_of(key, (number,)))
        run.end()
        run.write()
    started = time.monotonic()
    fit_fold(from_afar, key_of(key, ("last",)), restart=False)
    assert time.monotonic() - started < _handover.SECONDS_TO_WAIT / 2
    assert within(30, lambda: [run.name for run in runs.at_once()] == ["fold 0"])


def test_fits_that_go_on_keep_no_fold_waiting(from_afar, key, runs):
    started = time.monotonic()
    for number in range(2 * _loop.MAX_BEHIND):
        run = TrackedRun(RunRecord("partial fits"), from_afar, key_of(key, (number,)))
        run.deliver(wait=False)
    fit_fold(from_afar, key_of(key, ("last",)), restart=False)
    assert time.monotonic() - started < _handover.SECONDS_TO_WAIT / 2
