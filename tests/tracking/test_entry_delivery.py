"""Runs that wait are delivered several at a time, and each exactly once."""

import time
import uuid
from contextlib import contextmanager, suppress

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from sqlalchemy import event
from sqlalchemy.engine import Engine

from skperceptron.tracking import TrackingWarning, flush, pending
from skperceptron.tracking.delivery import _all_stores, _entries, _loop
from skperceptron.tracking.delivery._entries import EntryDelivery
from skperceptron.tracking.journal._entry import Entry
from skperceptron.tracking.journal._journal import Inbox
from skperceptron.tracking.journal._record import ParentRun, RunRecord, now
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fit_run import TrackedRun
from skperceptron.tracking.recording._task_path import key_of
from tests.tracking.faults import runs_of
from tests.tracking.journal_files import leave_entry

ALL = ["GridSearchCV", "candidate 0", "fold 0", "fold 1", "fold 2"]


@pytest.fixture
def search(runs, request):
    """Where the folds of a search go that is still on."""
    key = key_of(request.node.nodeid, (), str(now()))
    run = TrackedRun(RunRecord("GridSearchCV"), Destination.current(), key)
    run.deliver(wait=False)
    flush()
    above = ParentRun(key, "GridSearchCV", run.record.start_time, is_managed=True)
    return Destination.current().below(above)


def write_fold(search, number, candidate=0, has_file=False):
    """Write down a fold that has ended, without telling anybody."""
    key = key_of(search.parents[-1].key, (candidate,))
    parent = ParentRun(key, f"candidate {candidate}", now(), is_managed=True)
    record = RunRecord(f"fold {number}")
    fold = TrackedRun(record, search.below(parent), key_of(key, (number,), "task"))
    record.add_metric("test_score", number / 10)
    if has_file:
        fold.keep_file("notes.txt", b"seen")
    fold.end()
    return fold.inbox, fold.write()


def names(runs):
    return sorted(run.name for run in runs)


@contextmanager
def counted_commits():
    commits = []
    note = commits.append
    event.listen(Engine, "commit", note)
    try:
        yield commits
    finally:
        event.remove(Engine, "commit", note)


def test_folds_and_their_candidate_are_one_transaction(search, runs):
    items = [write_fold(search, number) for number in range(4)]
    with counted_commits() as commits:
        delivered = EntryDelivery().deliver_batch(items)
    assert len(commits) == 1
    assert delivered == {entry.path for _, entry in items}
    found = {run.name: run for run in runs.at_once()}
    assert set(found) == {
        "GridSearchCV",
        "candidate 0",
        *(f"fold {number}" for number in range(4)),
    }
    assert found["candidate 0"].parent == found["GridSearchCV"].run_id
    for number in range(4):
        fold = found[f"fold {number}"]
        assert fold.parent == found["candidate 0"].run_id
        assert fold.latest("test_score") == number / 10
        assert fold.status == "FINISHED"


def test_many_runs_take_few_transactions(search, runs):
    for number in range(20):
        write_fold(search, number)
    with counted_commits() as commits:
        flush()
    assert len(runs.at_once()) == 22
    assert len(commits) <= 5


def test_no_more_than_so_many_wait_for_the_fits_to_end(search, runs, monkeypatch):
    monkeypatch.setattr(_loop, "REST", 1e6)  # as if there were fits beside it
    monkeypatch.setattr(_loop, "SECONDS_UNTIL_NO_REST", 1e6)
    monkeypatch.setattr(_loop, "MAX_WAITING", 3)
    inboxes = {write_fold(search, number)[0] for number in range(25)}
    (inbox,) = inboxes
    _all_stores.deliverer_for(search.tracking_uri).wake()
    deadline = time.monotonic() + 60
    while len(inbox.entries()) > 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(inbox.entries()) <= 3


def test_what_is_delivered_leaves_the_journal(search, runs):
    items = [write_fold(search, number) for number in range(3)]
    EntryDelivery().deliver_batch(items)
    assert not any(entry.path.exists() for _, entry in items)


@pytest.mark.parametrize("candidate_is_first", [True, False])
def test_candidate_that_has_ended_is_there_once(search, runs, candidate_is_first):
    items = [write_fold(search, number) for number in range(2)]
    parent = items[0][1].read().parents[-1]
    candidate = TrackedRun(
        RunRecord("candidate 0", parent["start_time"]), search, parent["key"]
    )
    candidate.end()
    items.insert(0 if candidate_is_first else 2, (candidate.inbox, candidate.write()))
    delivered = EntryDelivery().deliver_batch(items)
    assert delivered == {entry.path for _, entry in items}
    found = runs.at_once()
    assert names(found) == ["GridSearchCV", "candidate 0", "fold 0", "fold 1"]
    (above,) = [run for run in found if run.name == "candidate 0"]
    assert above.status == "FINISHED"


def test_store_without_transactions_takes_one_after_the_other(
    search, runs, monkeypatch
):
    monkeypatch.setattr(_entries, "has_transactions", lambda client: False)
    items = [write_fold(search, number) for number in range(3)]
    assert EntryDelivery().deliver_batch(items) == set()
    with counted_commits() as commits:
        flush()
    assert names(runs.at_once()) == ALL
    assert len(commits) >= 4


def test_fold_with_files_is_delivered_alone(search, runs):
    plain = [write_fold(search, number) for number in range(2)]
    other = write_fold(search, 2, has_file=True)
    delivered = EntryDelivery().deliver_batch([*plain, other])
    assert delivered == {entry.path for _, entry in plain}
    assert len(runs()) == 5


def test_nothing_is_stored_or_remembered_of_what_is_interrupted(
    search, runs, monkeypatch
):
    items = [write_fold(search, number) for number in range(3)]
    deliver = _entries._runs.deliver
    calls = []

    def fail_at_last(record, *args, **kwargs):
        run_id = deliver(record, *args, **kwargs)
        calls.append(record.name)
        if record.name == "fold 2":
            raise MlflowException("the store is gone")
        return run_id

    with monkeypatch.context() as patch:
        patch.setattr(_entries._runs, "deliver", fail_at_last)
        with pytest.raises(MlflowException, match="gone"):
            EntryDelivery().deliver_batch(items)
    assert calls == ["candidate 0", "fold 0", "fold 1", "fold 2"]
    assert names(runs.at_once()) == ["GridSearchCV"]
    assert pending() == 4
    assert names(runs()) == ALL
    assert pending() == 0


def test_what_was_stored_but_not_removed_is_not_doubled(search, runs, monkeypatch):
    items = [write_fold(search, number) for number in range(3)]

    def die(entry):
        raise KeyboardInterrupt  # as a process would that is killed there

    with monkeypatch.context() as patch:
        patch.setattr(Entry, "remove", die)
        with suppress(KeyboardInterrupt):
            EntryDelivery().deliver_batch(items)
    assert len(runs.at_once()) == 5
    assert all(entry.path.exists() for _, entry in items)
    assert names(runs()) == ALL


def test_others_are_delivered_beside_one_that_is_refused(search, runs, monkeypatch):
    for number in range(3):
        write_fold(search, number)
    deliver = _entries._runs.deliver

    def refuse_one(record, *args, **kwargs):
        if record.name == "fold 1":
            raise MlflowException("no such fold", error_code=1000)
        return deliver(record, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(_entries._runs, "deliver", refuse_one)
        with pytest.warns(TrackingWarning, match="no such fold"):
            assert flush() == 1
    assert names(runs.at_once()) == ["GridSearchCV", "candidate 0", "fold 0", "fold 2"]
    assert names(runs()) == ALL


@pytest.mark.parametrize("n_runs", [1, 3])
def test_new_experiment_stays_when_its_first_run_is_refused(
    n_runs, journal, monkeypatch
):
    name = uuid.uuid4().hex
    inbox = Inbox(journal, "vm-1-dead")
    for _ in range(n_runs):
        leave_entry(inbox, experiment_id=None, experiment_name=name)

    def refuse(*args, **kwargs):
        raise MlflowException("refused", INVALID_PARAMETER_VALUE)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_terminated", refuse)
        with pytest.warns(TrackingWarning, match="refused"):
            assert flush() == n_runs
    assert flush() == 0
    experiment = mlflow.get_experiment_by_name(name)
    assert len(runs_of(experiment.experiment_id)) == n_runs


def test_one_that_another_process_delivers_is_left_to_it(search, runs):
    items = [write_fold(search, number) for number in range(3)]
    with items[1][1].locked():
        delivered = EntryDelivery().deliver_batch(items)
    assert delivered == {items[0][1].path, items[2][1].path}
    assert len(runs()) == 5


def test_candidate_that_another_process_creates_stops_all(search, runs):
    items = [write_fold(search, number) for number in range(2)]
    parent = items[0][1].read().parents[-1]
    TrackedRun(
        RunRecord("candidate 0", parent["start_time"]), search, parent["key"]
    ).write()
    with (
        items[0][0].entry(parent["key"]).locked(),
        pytest.raises(MlflowException, match="another process is delivering"),
    ):
        EntryDelivery().deliver_batch(items)
    assert names(runs.at_once()) == ["GridSearchCV"]
    assert len(runs()) == 4
