"""Runs that several machines store: one tree, and each task once, when all is over."""

import itertools
import pickle
import signal
import socket
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

import mlflow
import optuna
import pytest
from joblib import parallel_config, register_parallel_backend
from joblib.parallel import ParallelBackendBase
from mlflow.exceptions import MlflowException
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - by its import
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import TrackingWarning, flush, track_study
from skperceptron.tracking.delivery import _loop, _ties
from skperceptron.tracking.delivery._service import Service
from skperceptron.tracking.journal import _handover, _owners
from skperceptron.tracking.journal._folders import Inbox
from skperceptron.tracking.journal._journal import Journal, journal_in
from skperceptron.tracking.journal._record import ParentRun, RunRecord, now
from skperceptron.tracking.recording._call_runs import settle
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fit_run import TrackedRun
from skperceptron.tracking.recording._task_path import key_of
from tests.tracking.delivery_here import no_process
from tests.tracking.faults import die, in_child, statuses_of, within
from tests.tracking.journal_files import leave_run
from tests.tracking.tracked_searches import (
    CLF,
    STEPS,
    Tree,
    X,
    assert_logged,
    make_search,
    y,
)

pytestmark = pytest.mark.usefixtures("delivery_here", "without_models", "empty_figures")
CLIENT = "client-1-deadbeef"


@pytest.fixture
def from_afar(journal, runs):
    """Where a client on another machine sends runs, as a worker here is told."""
    here = Destination.current()
    there = Inbox(journal.with_name("not here"), CLIENT)
    return replace(here, inbox=there, is_spread=True)


@pytest.fixture
def key(request):
    return key_of(request.node.nodeid, (), str(now()))


class Machine:
    """A machine with a journal of its own.

    Parameters
    ----------
    folder : Path
        The journal.
    """

    def __init__(self, folder):
        self.folder = folder

    @contextmanager
    def __call__(self):
        """Let this process be on it in the block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SKPERCEPTRON_JOURNAL", str(self.folder))
            yield

    def flush(self):
        """Deliver what it has, and forget that; tell why something waits on."""
        with self():
            reasons = Service(_owners.this_process()).flush(None)
            journal_in(self.folder).sweep(gone={_owners.this_process()})
            return reasons


class Worker(Machine):
    """One that fits folds for a client that it cannot reach."""

    def fit_fold(self, fold, value=0.5, status="FINISHED", end_time=None, ends=True):
        """Write down a fold as any attempt at its task would."""
        with self():
            run = TrackedRun(RunRecord("fold 0"), *fold)
            run.record.add_metric("objective", value)
            run.status = status
            if ends:
                run.end()
                run.record.end_time = end_time or run.record.end_time
            run.write()
            return run


class Client(Machine):
    """The one that owns the search, and its candidate."""

    def __init__(self, folder, key):
        super().__init__(folder)
        with self():
            self.here = replace(Destination.current(), is_spread=True)
        self.search = ParentRun(key, "GridSearchCV", now(), is_managed=True)
        self.candidate = ParentRun(key_of(key, (0,)), "candidate 0", now(), True)
        self.runs = (self.search, ()), (self.candidate, [self.search])

    def write(self, status=None):
        """Write down the runs that it owns; that they have ended, if with a status."""
        for parent, above in self.runs:
            with self():
                record = RunRecord(parent.name, parent.start_time)
                run = TrackedRun(record, self.here.below(*above), parent.key)
                if status is not None:
                    run.status = status
                    run.end()
                run.is_spread = True
                run.write()

    def end(self, status="FINISHED"):
        self.write(status)
        return self.flush()


@pytest.fixture
def client(journal, runs, key):
    return Client(journal.with_name("journal of the client"), key)


@pytest.fixture
def workers(journal, client):
    return [Worker(journal.with_name(f"journal of {name}")) for name in "ab"]


@pytest.fixture
def fold(client, from_afar):
    """Where the fold goes, and its key."""
    return from_afar.below(client.search, client.candidate), key_of(
        client.search.key, (1,)
    )


def only(found, name):
    (run,) = [run for run in found if run.name == name]
    return run


def assert_is_tied(found, value=0.5, status="FINISHED"):
    """Check that there is one run of each task, and where it belongs."""
    assert sorted(run.name for run in found) == [
        "GridSearchCV",
        "candidate 0",
        "fold 0",
    ]
    search, candidate, fold = sorted(found, key=lambda run: run.name)
    assert (search.parent, candidate.parent) == (None, search.run_id)
    assert fold.parent == candidate.run_id
    assert fold.status == status
    assert fold.metrics["objective"] == [(0, value)]


class TestFold:
    def test_lies_flat_until_the_run_above_it_is_there(self, workers, fold, runs):
        workers[0].fit_fold(fold)
        assert workers[0].flush() == []
        (run,) = runs.at_once()
        assert (run.name, run.parent, run.status) == ("fold 0", None, "FINISHED")

    def test_is_tied_at_once_to_a_run_that_goes_on(self, client, workers, fold, runs):
        client.write()
        assert client.flush() == []
        workers[0].fit_fold(fold)
        assert workers[0].flush() == []
        assert_is_tied(runs.at_once())
        assert only(runs.at_once(), "candidate 0").status == "RUNNING"

    @pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
    def test_is_tied_when_the_run_above_it_has_ended(
        self, status, client, workers, fold, runs
    ):
        workers[0].fit_fold(fold)
        workers[0].flush()
        assert client.end(status) == []
        assert_is_tied(runs.at_once())
        assert only(runs.at_once(), "candidate 0").status == status

    def test_that_comes_late_ties_itself(self, client, workers, fold, runs):
        client.end()
        workers[0].fit_fold(fold)
        assert workers[0].flush() == []
        assert_is_tied(runs.at_once())

    @pytest.mark.parametrize("first", ["tie", "gather"])
    def test_is_tied_when_both_look_at_the_same_moment(
        self, first, client, workers, fold, runs, monkeypatch
    ):
        """Each has written, and has not looked yet, when the other does both."""
        others = [client.end, workers[0].flush]
        look = getattr(_ties, first)

        def look_after_the_other(*args):
            if others:
                others.pop(0 if first == "tie" else 1)()
                others.clear()
            return look(*args)

        monkeypatch.setattr(_ties, first, look_after_the_other)
        workers[0].fit_fold(fold)
        if first == "tie":
            workers[0].flush()
        else:
            client.end()
        assert not others
        assert_is_tied(runs.at_once())

    def test_whose_place_could_not_be_asked_for_is_stored_once(
        self, client, workers, fold, runs, monkeypatch
    ):
        client.end()
        workers[0].fit_fold(fold)

        def fail(*args, **kwargs):
            raise MlflowException("the store is away")

        with monkeypatch.context() as patch:
            patch.setattr(mlflow.MlflowClient, "search_runs", fail)
            (reason,) = workers[0].flush()
            assert "the store is away" in reason
        assert workers[0].flush() == []
        assert_is_tied(runs.at_once())

    def test_can_say_more_after_its_end(self, client, workers, fold, runs):
        run = workers[0].fit_fold(fold)
        with workers[0]():
            flush()
            run.summary["test_score"] = 0.75
            run.write()
        assert workers[0].flush() == []
        client.end()
        assert_is_tied(runs.at_once())
        assert only(runs.at_once(), "fold 0").metrics["test_score"] == [(0, 0.75)]


class TestTaskThatWasFittedTwice:
    """Its machine was lost, or seemed to be."""

    @pytest.mark.parametrize(
        "order", list(itertools.permutations(["first", "second", "client"]))
    )
    def test_is_the_attempt_that_ended_first(self, order, client, workers, fold, runs):
        for name in order:
            if name == "client":
                client.end()
                continue
            is_first = name == "first"
            end_time, value = (
                now() + (0 if is_first else 10**6),
                0.5 if is_first else 0.6,
            )
            worker = workers[not is_first]
            worker.fit_fold(fold, value, end_time=end_time)
            assert worker.flush() == []
        assert_is_tied(runs.at_once())
        assert client.flush() == []  # what was deleted stays so
        assert_is_tied(runs.at_once())

    def test_is_there_twice_until_its_search_ends(self, client, workers, fold, runs):
        for worker in workers:
            worker.fit_fold(fold)
            worker.flush()
        assert [run.name for run in runs.at_once()] == ["fold 0"] * 2
        client.end()
        assert_is_tied(runs.at_once())

    @pytest.mark.parametrize("worse", ["FAILED", "KILLED"])
    @pytest.mark.parametrize("worse_is_late", [True, False])
    def test_is_the_attempt_that_has_finished(
        self, worse, worse_is_late, client, workers, fold, runs
    ):
        workers[0].fit_fold(fold, 0.6, worse, end_time=now() - 1000)
        workers[1].fit_fold(fold)
        if not worse_is_late:
            workers[0].flush()
        workers[1].flush()
        client.end()
        workers[0].flush()
        assert_is_tied(runs.at_once())

    def test_leaves_nothing_of_an_attempt_that_goes_on(
        self, client, workers, fold, runs
    ):
        """Its process may be dead. If it is not, it finds that out by itself."""
        run = workers[0].fit_fold(fold, 0.6, ends=False)
        with workers[0]():
            flush()
        workers[1].fit_fold(fold)
        workers[1].flush()
        assert sorted(r.status for r in runs.at_once()) == ["FINISHED", "RUNNING"]
        client.end()
        assert_is_tied(runs.at_once())
        with workers[0]():
            run.end()
            run.write()
        assert workers[0].flush() == []
        assert_is_tied(runs.at_once())

    def test_has_not_two_attempts_in_one_run(
        self, client, workers, fold, runs, monkeypatch
    ):
        """A delivery that was interrupted looks for its own run."""
        workers[1].fit_fold(fold, 0.6)
        workers[1].flush()
        workers[0].fit_fold(fold)
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "settle", lambda *args: die())
            assert in_child(workers[0].flush) == signal.SIGKILL
        assert len(runs.at_once()) == 2
        assert workers[0].flush() == []
        values = [run.metrics["objective"] for run in runs.at_once()]
        assert values == [[(0, 0.6)], [(0, 0.5)]]

    def test_keeps_the_only_attempt_that_may_still_finish(
        self, client, workers, fold, runs
    ):
        run = workers[0].fit_fold(fold, ends=False)
        with workers[0]():
            flush()
        workers[1].fit_fold(fold, 0.6, "KILLED")
        workers[1].flush()
        client.end("FAILED")
        with workers[0]():
            run.end()
            run.write()
        assert workers[0].flush() == []
        assert_is_tied(runs.at_once())

    def test_is_never_deleted_by_two_machines_for_each_other(
        self, client, workers, fold, runs, monkeypatch
    ):
        """One attempt ends between the client's look at it and its deletion."""
        late = workers[0].fit_fold(fold, 0.6, ends=False)
        with workers[0]():
            flush()
        workers[1].fit_fold(fold, end_time=now() + 10**6)
        workers[1].flush()
        delete_run = mlflow.MlflowClient.delete_run

        def end_before(self, run_id):
            monkeypatch.setattr(mlflow.MlflowClient, "delete_run", delete_run)
            with workers[0]():
                late.end()
                late.write()
            workers[0].flush()
            delete_run(self, run_id)

        monkeypatch.setattr(mlflow.MlflowClient, "delete_run", end_before)
        client.end()
        assert_is_tied(runs.at_once(), value=0.6)

    def test_is_one_run_where_its_client_has_fitted_it_once(
        self, client, workers, fold, runs
    ):
        """A worker on the client's machine writes to its journal."""
        client.write()
        _, key = fold
        with client():
            place = client.here.below(client.search, client.candidate)
            run = TrackedRun(RunRecord("fold 0"), place, key)
            run.record.add_metric("objective", 0.5)
            run.end()
            run.write()
        client.flush()
        workers[0].fit_fold(fold, 0.6, end_time=now() + 10**6)
        workers[0].flush()
        assert len(runs.at_once()) == 4
        client.end()
        assert_is_tied(runs.at_once())


class TestKilledClient:
    @pytest.fixture
    def dead(self, client):
        """Its runs as it has left them."""
        for parent, above in client.runs:
            leave_run(
                client.folder,
                key=parent.key,
                parents=above,
                end_time=None,
                name=parent.name,
            )
            journal_in(client.folder).note_spread(parent.key)
        return client

    @pytest.mark.parametrize("is_late", [True, False])
    def test_leaves_its_folds_to_whoever_flushes(
        self, is_late, dead, workers, fold, runs
    ):
        workers[0].fit_fold(fold)
        machines = [workers[0], dead]
        for machine in machines[::-1] if is_late else machines:
            assert machine.flush() == []
        found = runs.at_once()
        assert_is_tied(found)
        assert {
            only(found, "GridSearchCV").status,
            only(found, "candidate 0").status,
        } == {"KILLED"}

    @pytest.mark.parametrize("step", ["delete_run", "set_tag"])
    def test_leaves_them_even_if_who_flushes_is_killed_amid(
        self, step, dead, workers, fold, runs, monkeypatch
    ):
        for worker, value in zip(workers, (0.5, 0.6), strict=True):
            worker.fit_fold(fold, value, end_time=now() + int(10**6 * value))
            worker.flush()
        with monkeypatch.context() as patch:
            patch.setattr(mlflow.MlflowClient, step, lambda *args: die())

            assert in_child(dead.flush) == signal.SIGKILL
        assert len(runs.at_once()) == 4
        assert dead.flush() == []
        assert_is_tied(runs.at_once())


# What a machine makes for itself


def test_search_that_only_workers_know_of_is_one_run_in_the_end(
    client, workers, from_afar, runs, key, monkeypatch
):
    """It is part of a cross-validation, and two of them have fitted folds of it."""
    client.runs = client.runs[:1]
    inner = ParentRun(key_of(key, (7,)), "inner", now())
    place = from_afar.below(client.search, inner)
    with monkeypatch.context() as patch:
        # At the same moment: neither sees the other.
        patch.setattr(_ties, "find_run", lambda *args: None)
        for number, worker in enumerate(workers):
            with worker():
                fold = key_of(key, (number,))
                run = TrackedRun(RunRecord(f"fold {number}"), place, fold)
                run.end()
                run.write()
                run.journal.end_unmanaged(_owners.this_process())
            assert worker.flush() == []
    assert [run.name for run in runs.at_once()].count("inner") == 2
    assert client.end() == []
    found = runs.at_once()
    one = only(found, "inner")
    assert one.parent == only(found, "GridSearchCV").run_id
    assert one.status == "FINISHED"
    assert [only(found, f"fold {i}").parent for i in (0, 1)] == [one.run_id] * 2
    assert len(found) == 4


def test_search_of_a_worker_with_a_tracker_has_candidates(
    client, workers, from_afar, runs, key
):
    """It goes below a trial, say, of another machine."""
    client.runs = client.runs[:1]
    own = ParentRun(key_of(key, (7,)), "own", now(), is_managed=True)
    candidate = ParentRun(key_of(key, (8,)), "candidate 0", now(), is_managed=True)
    place = from_afar.below(client.search)
    with workers[0]():
        search = TrackedRun(RunRecord("own"), place, own.key)
        search.write()
        below = place.below(own, candidate)
        fold = TrackedRun(RunRecord("fold 0"), below, key_of(key, (9,)))
        for run in (fold, search):
            run.end()
            run.write()
    assert workers[0].flush() == []
    assert client.end() == []
    found = runs()
    assert only(found, "own").parent == only(found, "GridSearchCV").run_id
    assert only(found, "candidate 0").parent == only(found, "own").run_id
    assert only(found, "fold 0").parent == only(found, "candidate 0").run_id
    assert len(found) == 4


def test_search_that_nobody_tracks_ends_when_its_worker_does(
    from_afar, key, runs, delivery_here
):
    search = ParentRun(key_of(key, ()), "GridSearchCV", now())
    run = TrackedRun(RunRecord("fold 0"), from_afar.below(search), key)
    run.end()
    run.deliver(wait=False)
    flush()
    delivery_here._service._deliverer(from_afar.tracking_uri).end_searches()
    assert {run.status for run in runs()} == {"FINISHED"}


# Whole searches


class Elsewhere(ParallelBackendBase):
    """Runs each task as another machine would, one after the other.

    What it is sent is pickled, and it has neither the journal nor the name of the
    client's process.
    """

    supports_retrieve_callback = True

    def effective_n_jobs(self, n_jobs):
        return 2

    def submit(self, func, callback=None):
        result = Future()
        sent = pickle.dumps(func)
        with self.machine():
            try:
                result.set_result(pickle.loads(sent)())
            except BaseException as error:
                result.set_exception(error)
        result.add_done_callback(callback)
        return result

    apply_async = submit  # as joblib called it before 1.5

    def retrieve_result_callback(self, out):
        return out.result()


@pytest.fixture
def elsewhere(journal, runs, monkeypatch):
    """Let joblib send its tasks elsewhere, and nothing be delivered meanwhile."""
    folder, name = journal.with_name("journal of a worker"), "worker-1-deadbeef"
    is_alive = _owners.is_alive

    @contextmanager
    def machine():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SKPERCEPTRON_JOURNAL", str(folder))
            patch.setattr(_owners, "this_process", lambda: name)
            patch.setattr(
                _owners,
                "is_alive",
                lambda where, process: where == folder and is_alive(where, process),
            )
            yield

    monkeypatch.setattr(Elsewhere, "machine", staticmethod(machine), raising=False)
    register_parallel_backend("elsewhere", Elsewhere)
    with no_process(), parallel_config(backend="elsewhere"):
        yield Worker(folder)


ORDERS = pytest.mark.parametrize("worker_is_first", [True, False])


def flush_both(worker, worker_is_first):
    settle()  # before this process is on another machine
    if worker_is_first:
        assert worker.flush() == []
    assert flush() == 0
    if not worker_is_first:
        assert worker.flush() == []


def optimize(objective):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with track_study(optuna.create_study()) as study:
        study.optimize(objective, n_trials=1)


@ORDERS
@pytest.mark.parametrize("kind", [GridSearchCV, HalvingGridSearchCV])
def test_tracked_search_has_all_its_runs(kind, worker_is_first, elsewhere, runs):
    search = make_search(kind=kind)
    search.fit(X, y)
    flush_both(elsewhere, worker_is_first)
    assert_logged(Tree(runs.at_once()), search)


@ORDERS
@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("trial", [True, False])
def test_search_without_tracker_ends_with_its_call(
    trial, refit, worker_is_first, elsewhere, runs
):
    search = GridSearchCV(HillClimbPerceptron(max_iter=10), STEPS, cv=2, refit=refit)
    if trial:
        optimize(lambda trial: search.fit(X, y) and 0.5)
    else:
        search.fit(X, y)
    flush_both(elsewhere, worker_is_first)
    found = runs.at_once()
    above = only(found, "GridSearchCV")
    assert above.parent == (only(found, "trial 0").run_id if trial else None)
    folds = [run for run in found if run.parent == above.run_id]
    assert len(folds) == 2 * 3 + refit
    assert len(found) == len(folds) + (3 if trial else 1)
    assert {run.status for run in found} == {"FINISHED"}


@ORDERS
@pytest.mark.parametrize("trial", [True, False])
def test_cross_validation_has_its_folds_below_it(
    trial, worker_is_first, elsewhere, runs
):
    def objective(trial):
        scores = cross_validate(HillClimbPerceptron(max_iter=10), X, y, cv=3)
        return scores["test_score"].mean()

    if trial:
        optimize(objective)
    else:
        objective(None)
    flush_both(elsewhere, worker_is_first)
    found = runs.at_once()
    above = only(found, "trial 0" if trial else "cross_validate")
    assert ("mean_test_score" in above.metrics) != trial
    assert [run.parent for run in found].count(above.run_id) == 3
    assert {run.status for run in found} == {"FINISHED"}
    assert len(found) == 4 + trial


@ORDERS
def test_search_that_is_given_up_leaves_nothing_running(
    worker_is_first, elsewhere, runs
):
    search = make_search(CLF, {"step_size": [0.1, -2.0, 0.4]}, error_score="raise")
    with pytest.raises(ValueError, match="step_size"):
        search.fit(X, y)
    flush_both(elsewhere, worker_is_first)
    tree = Tree(runs.at_once())
    assert tree.search.status == "FAILED"
    assert {run.status for run in tree.candidates.values()} == {"FAILED"}
    assert [tree.folds[0, k].status for k in (0, 1)] == ["FINISHED"] * 2
    assert tree.folds[1, 0].status == "FAILED"


# Where runs wait


def write_fold(destination, key):
    run = TrackedRun(RunRecord("fold 0"), destination, key)
    run.end()
    run.deliver(wait=False)
    return run


def test_store_in_a_file_that_this_machine_lacks_is_not_made(from_afar, key, tmp_path):
    file = tmp_path / "of the client.db"
    away = replace(from_afar, tracking_uri=f"sqlite:///{file}", experiment_id=None)
    for number in range(2):
        write_fold(away, key_of(key, (number,)))
    with pytest.warns(TrackingWarning, match="needs a tracking server"):
        assert flush() == 2
    assert not file.exists()


def test_store_is_made_for_a_search_here_that_was_killed_before(
    from_afar, key, tmp_path
):
    file = tmp_path / "new.db"
    killed = Inbox(from_afar.inbox.journal, f"{socket.gethostname()}-1-deadbeef")
    begun = replace(
        from_afar, inbox=killed, tracking_uri=f"sqlite:///{file}", experiment_id=None
    )
    write_fold(begun, key)
    assert flush() == 0
    assert statuses_of(file) == {"FINISHED": 1}


def test_few_runs_wait_on_a_machine_that_may_be_lost(from_afar, key, runs, monkeypatch):
    monkeypatch.setattr(_loop, "REST", 10_000)  # as slow as if it never came
    most = 0
    for number in range(2 * _loop.MAX_BEHIND):
        run = write_fold(from_afar, key_of(key, (number,)))
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
    write_fold(from_afar, key_of(key, ("last",)))
    assert time.monotonic() - started < _handover.SECONDS_TO_WAIT / 2
    assert within(30, lambda: [run.name for run in runs.at_once()] == ["fold 0"])


def test_fits_that_go_on_keep_no_fold_waiting(from_afar, key, runs):
    started = time.monotonic()
    for number in range(2 * _loop.MAX_BEHIND):
        run = TrackedRun(RunRecord("partial fits"), from_afar, key_of(key, (number,)))
        run.deliver(wait=False)
    write_fold(from_afar, key_of(key, ("last",)))
    assert time.monotonic() - started < _handover.SECONDS_TO_WAIT / 2
