"""Runs that wait are delivered several at a time, and each exactly once."""

import io
import os
import time
import uuid
from contextlib import contextmanager

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from sqlalchemy import event
from sqlalchemy.engine import Engine

from skperceptron.tracking import TrackingWarning, flush, pending
from skperceptron.tracking.delivery import _delivery, _loop
from skperceptron.tracking.delivery.__main__ import _Server
from skperceptron.tracking.delivery._delivery import Delivery
from skperceptron.tracking.delivery._service import Service
from skperceptron.tracking.journal import _owners
from skperceptron.tracking.journal._journal import journal_in
from skperceptron.tracking.journal._process import delivering_process
from skperceptron.tracking.journal._record import ParentRun, RunRecord, now
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fit_run import TrackedRun
from skperceptron.tracking.recording._task_path import key_of
from tests.tracking.faults import runs_of
from tests.tracking.journal_files import leave_run

pytestmark = pytest.mark.usefixtures("delivery_here")
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


def candidate_of(search, number=0):
    key = key_of(search.parents[-1].key, (number,))
    return ParentRun(key, f"candidate {number}", now(), is_managed=True)


def write_fold(search, number, candidate=0, has_file=False):
    """Write down a fold that has ended, without telling anybody."""
    parent = candidate_of(search, candidate)
    record = RunRecord(f"fold {number}")
    key = key_of(parent.key, (number,), "task")
    fold = TrackedRun(record, search.below(parent), key)
    record.add_metric("split_test_score", number / 10)
    if has_file:
        fold.keep_file("notes.txt", b"seen")
    fold.end()
    fold.write()
    return fold


def deliver_together(search, limit=10):
    """Deliver what can be in one transaction, and give back the names of that."""
    journal = journal_in(search.inbox.journal)
    runs = journal.claim(search.tracking_uri, [search.inbox.owner], limit)
    run_ids = {}
    try:
        run_ids = Delivery(_owners.this_process()).deliver_together(runs)
    finally:
        journal.release([run.key for run in runs if run.key not in run_ids])
    delivered = [run for run in runs if run.key in run_ids]
    journal.settle([(run, run_ids[run.key]) for run in delivered])
    return sorted(run.record.name for run in delivered)


def names(runs):
    return sorted(run.name for run in runs)


@contextmanager
def noted_growth(runs):
    """Note the number of runs of the experiment at each commit, whenever it is another.

    Threads of other tests may still commit something.
    """
    sizes = [len(runs.at_once())]
    query = "SELECT COUNT(*) FROM runs WHERE experiment_id = ?"

    def note(connection):
        found = connection.exec_driver_sql(query, (int(runs.experiment_id),)).scalar()
        if found != sizes[-1]:
            sizes.append(found)

    event.listen(Engine, "commit", note)
    try:
        yield sizes
    finally:
        event.remove(Engine, "commit", note)


def test_folds_and_their_candidate_are_one_transaction(search, runs):
    for number in range(4):
        write_fold(search, number)
    with noted_growth(runs) as sizes:
        delivered = deliver_together(search)
    assert len(sizes) == 2
    assert delivered == ["candidate 0", *(f"fold {number}" for number in range(4))]
    found = {run.name: run for run in runs.at_once()}
    assert set(found) == {"GridSearchCV", *delivered}
    assert found["candidate 0"].parent == found["GridSearchCV"].run_id
    for number in range(4):
        fold = found[f"fold {number}"]
        assert fold.parent == found["candidate 0"].run_id
        assert fold.latest("split_test_score") == number / 10
        assert fold.status == "FINISHED"


def test_many_runs_take_few_transactions(search, runs):
    for number in range(20):
        write_fold(search, number)
    with noted_growth(runs) as sizes:
        flush()
    assert len(runs.at_once()) == 22
    assert len(sizes) <= 5


def test_no_more_than_so_many_wait_for_the_fits_to_end(search, runs, monkeypatch):
    monkeypatch.setattr(_loop, "REST", 1e6)  # as if there were fits beside it
    monkeypatch.setattr(_loop, "SECONDS_UNTIL_NO_REST", 1e6)
    monkeypatch.setattr(_loop, "MAX_WAITING", 3)
    for number in range(25):
        write_fold(search, number)
    delivering_process().watch(search.tracking_uri, search.inbox)
    deadline = time.monotonic() + 60
    while pending() > 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pending() <= 3


def test_what_is_delivered_waits_no_more(search, runs):
    for number in range(3):
        write_fold(search, number)
    deliver_together(search)
    assert pending() == 0


@pytest.mark.parametrize("candidate_is_first", [True, False])
def test_candidate_that_has_ended_is_there_once(search, runs, candidate_is_first):
    parent = candidate_of(search)
    candidate = TrackedRun(
        RunRecord(parent.name, parent.start_time), search, parent.key
    )
    candidate.end()
    if candidate_is_first:
        candidate.write()
    for number in range(2):
        write_fold(search, number)
    if not candidate_is_first:
        candidate.write()
    assert len(deliver_together(search)) == 3
    found = runs.at_once()
    assert names(found) == ["GridSearchCV", "candidate 0", "fold 0", "fold 1"]
    (above,) = [run for run in found if run.name == "candidate 0"]
    assert above.status == "FINISHED"


def test_store_without_transactions_takes_one_after_the_other(
    search, runs, monkeypatch
):
    monkeypatch.setattr(_delivery, "has_transactions", lambda client: False)
    for number in range(3):
        write_fold(search, number)
    assert deliver_together(search) == []
    with noted_growth(runs) as sizes:
        flush()
    assert names(runs.at_once()) == ALL
    assert sizes == list(range(sizes[0], len(ALL) + 1))


def test_fold_with_files_is_delivered_alone(search, runs):
    for number in range(3):
        write_fold(search, number, has_file=number == 2)
    assert deliver_together(search) == ["candidate 0", "fold 0", "fold 1"]
    assert len(runs()) == 5


def test_runs_below_one_with_files_come_after_it(search, runs):
    parent = candidate_of(search)
    candidate = TrackedRun(
        RunRecord(parent.name, parent.start_time), search, parent.key
    )
    candidate.keep_file("notes.txt", b"seen")
    candidate.end()
    candidate.write()
    for number in range(3):
        write_fold(search, number)
    assert deliver_together(search) == []
    found = {run.name: run for run in runs()}
    assert sorted(found) == ALL
    assert found["fold 0"].parent == found["candidate 0"].run_id


def test_nothing_is_stored_or_remembered_of_what_is_interrupted(
    search, runs, monkeypatch
):
    for number in range(3):
        write_fold(search, number)
    deliver = _delivery._runs.deliver
    calls = []

    def fail_at_last(record, *args, **kwargs):
        run_id = deliver(record, *args, **kwargs)
        calls.append(record.name)
        if len(calls) == 4:
            raise MlflowException("the store is gone")
        return run_id

    with monkeypatch.context() as patch:
        patch.setattr(_delivery._runs, "deliver", fail_at_last)
        with pytest.raises(MlflowException, match="gone"):
            deliver_together(search)
    assert calls[0] == "candidate 0"
    assert names(runs.at_once()) == ["GridSearchCV"]
    assert pending() == 4
    assert names(runs()) == ALL
    assert pending() == 0


def test_what_was_stored_but_not_settled_is_not_doubled(search, runs):
    for number in range(3):
        write_fold(search, number)
    journal = journal_in(search.inbox.journal)
    claimed = journal.claim(search.tracking_uri, [search.inbox.owner], 10)
    # And here the process is killed.
    Delivery(_owners.this_process()).deliver_together(claimed)
    assert len(runs.at_once()) == 5
    assert pending() == 4
    assert names(runs()) == ALL


def test_others_are_delivered_beside_one_that_is_refused(search, runs, monkeypatch):
    for number in range(3):
        write_fold(search, number)
    deliver = _delivery._runs.deliver

    def refuse_one(record, *args, **kwargs):
        if record.name == "fold 1":
            raise MlflowException("no such fold", error_code=1000)
        return deliver(record, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(_delivery._runs, "deliver", refuse_one)
        with pytest.warns(TrackingWarning, match="no such fold"):
            assert flush() == 1
    assert names(runs.at_once()) == ["GridSearchCV", "candidate 0", "fold 0", "fold 2"]
    assert names(runs()) == ALL


@pytest.mark.parametrize("n_runs", [1, 3])
def test_new_experiment_stays_when_its_first_run_is_refused(
    n_runs, journal, monkeypatch
):
    name = uuid.uuid4().hex
    for _ in range(n_runs):
        leave_run(journal, experiment_id=None, experiment_name=name)

    def refuse(*args, **kwargs):
        raise MlflowException("refused", INVALID_PARAMETER_VALUE)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_terminated", refuse)
        with pytest.warns(TrackingWarning, match="refused"):
            assert flush() == n_runs
    assert flush() == 0
    experiment = mlflow.get_experiment_by_name(name)
    assert len(runs_of(experiment.experiment_id)) == n_runs


@pytest.mark.timeout(60)
def test_questions_are_read_before_anybody_answers_them():
    end, begin = os.pipe()
    n_questions = 200_000  # more than a pipe holds
    with open(end) as questions:
        with open(begin, "w") as asked:
            server = _Server(Service("nobody"), questions, io.StringIO())
            asked.write("x\n" * n_questions)
        assert [server._read.get() for _ in range(n_questions)] == ["x\n"] * n_questions
        assert server._read.get() is None
