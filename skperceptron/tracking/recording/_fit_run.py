"""Runs that this process writes to the journal: of fits, searches and studies."""

from __future__ import annotations

import os
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from skperceptron.tracking._notices import tell_notices
from skperceptron.tracking._warnings import TrackingWarning, tolerate
from skperceptron.tracking.journal import _handover, _owners
from skperceptron.tracking.journal._folders import (
    ENVIRONMENT_VARIABLE,
    Inbox,
    default_folder,
    make_temporary_journal,
)
from skperceptron.tracking.journal._handover import (
    Problem,
    before_finish,
    before_flush,
)
from skperceptron.tracking.journal._journal import Journal, RunHead, journal_in
from skperceptron.tracking.journal._process import NoProcessError, delivering_process
from skperceptron.tracking.journal._record import (
    Metric,
    ParentRun,
    RunRecord,
    Status,
    now,
)
from skperceptron.tracking.recording._descriptions import thin
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fingerprint import Fingerprint
from skperceptron.tracking.recording._model import keep_model, keep_onnx
from skperceptron.tracking.recording._task_path import TaskIds, TaskPath
from skperceptron.tracking.recording._ticket import RunTicket

# A long fit writes what is new at most once in this time.
SECONDS_BETWEEN_WRITES = 2.0
# At most this many points of a fold's curve are kept, as there are many folds: storing
# each takes a hundredth of the time for the run.
POINTS_PER_FOLD = 10
# Runs for which nobody waits are delivered together with those that follow within this
# time.
SECONDS_UNTIL_DELIVERY = 0.2

# Runs of `partial_fit` calls that have not ended, ...
_unfinished: set[FitRun] = set()
# ... and those of them whose estimators were garbage-collected.
_left_behind: deque[FitRun] = deque()


class TrackedRun:
    """A run that is written to the journal.

    Parameters
    ----------
    record : RunRecord
        What is known at the start.

    destination : Destination
        Where the run goes, including the runs above it.

    key : str
        Its identity.

    is_addition : bool, default=False
        Whether it adds to a run that somebody else has ended.

    is_shared : bool, default=False
        Whether other processes may have begun it, or may be about to.

    status_if_killed : {"FINISHED", "FAILED", "KILLED"}, default="KILLED"
        Its status if this process ends before it.

    Attributes
    ----------
    record : RunRecord
        What is not written yet.

    summary : dict of float
        Metrics of which only the latest value is logged, not written yet.

    status : {"FINISHED", "FAILED", "KILLED"}
        The status with which it will end.

    is_spread : bool
        Whether other machines may have runs below it.

    is_written : bool
        Whether anything of it was written.

    written_at : float
        Time of the last write, by `time.monotonic`.
    """

    def __init__(
        self,
        record: RunRecord,
        destination: Destination,
        key: str,
        *,
        is_addition: bool = False,
        is_shared: bool = False,
        status_if_killed: Status = "KILLED",
    ) -> None:
        self.record = record
        self.destination = destination
        self.key = key
        self.address = destination.address()
        self.summary: dict[str, float] = {}
        self.status: Status = "FINISHED"
        self.is_spread = False
        self._inbox: Inbox | None = None
        self.is_written = is_addition
        self._has_ended = is_addition
        self._may_exist = is_shared or is_addition
        self._status_if_killed = status_if_killed
        self.written_at = time.monotonic()

    @property
    def ticket(self) -> RunTicket:
        """The ticket by which the run is found later."""
        return RunTicket(self.key, self.address)

    @property
    def inbox(self) -> Inbox:
        """The journal in which it is written, and the process that delivers it."""
        if self._inbox is None:
            self._inbox = find_inbox(self.destination)
        return self._inbox

    @property
    def journal(self) -> Journal:
        """The journal in which it is written."""
        return journal_in(self.inbox.journal)

    def write(self) -> None:
        """Write what is new to the journal."""
        record = self.record
        latest = [Metric(k, v, 0, now()) for k, v in self.summary.items()]
        head = RunHead(
            self.key,
            self.address,
            self.destination.parents,
            deliverer=self.inbox.owner,
            origin=self.destination.inbox.owner,
            is_spread=self.is_spread,
            may_exist=self._may_exist or self.is_written,
            status_if_killed=self._status_if_killed,
        )
        self.journal.write(
            head,
            replace(record, metrics=[*record.metrics, *latest]),
            is_done=self._has_ended,
        )
        self.is_written = True
        self._has_ended |= record.end_time is not None
        self.record = RunRecord(record.name, record.start_time)
        self.summary = {}
        self.written_at = time.monotonic()

    def end(self) -> None:
        """Note that the run ends now. `deliver` writes it."""
        self.record.status, self.record.end_time = self.status, now()

    def reopen(self) -> None:
        """Go on with a run that has ended."""
        self._has_ended = False
        self.status = "FINISHED"

    def keep_model(
        self, estimator: Any, X: Any, trusted_types: Sequence[str] = ()
    ) -> None:
        """Save a fitted estimator as the model of the run.

        Parameters
        ----------
        estimator : estimator
            What was fitted.

        X : array-like
            Its training data.

        trusted_types : sequence of str, default=()
            Qualified names of types that it may contain beside the usual ones.
        """
        with tolerate(f"The model of a run of {self.record.name} is not logged"):
            name = self.journal.new_files(self.key)
            self.record.files.append(name)
            folder = self.journal.files(name) / "model"
            keep_model(
                estimator,
                X,
                folder,
                trusted_types=trusted_types,
                with_example=self.destination.log_input_examples,
            )
            if self.destination.log_onnx:
                with tolerate(f"The model of a run of {self.record.name} has no ONNX"):
                    keep_onnx(estimator, X, folder)

    def keep_file(self, name: str, content: bytes) -> None:
        """Save an artifact of the run."""
        folder = self.journal.new_files(self.key)
        (self.journal.files(folder) / name).write_bytes(content)
        self.record.files.append(folder)

    def add(self, record: RunRecord) -> None:
        """Add parameters and tags of a part of the run, without replacing any."""
        self.record.params = {**record.params, **self.record.params}
        self.record.tags = {**record.tags, **self.record.tags}

    def deliver(self, *, wait: bool) -> None:
        """Write what is new, and let it be delivered.

        With `wait`, it waits for the delivery of a run that has ended, if the run is
        delivered for this process.
        """
        with tolerate(f"A run of {self.record.name} could not be written down"):
            self.write()
            tell_notices()
            if not self.is_delivered_here:
                return
            if wait:
                self._wait()
                return
            store = self.destination.tracking_uri
            delivering_process().watch(
                store, self.inbox.journal, SECONDS_UNTIL_DELIVERY
            )
            if not self._is_where_it_belongs:
                _ask(
                    "catch_up",
                    store=store,
                    journal=str(self.inbox.journal),
                    seconds=_handover.SECONDS_TO_WAIT,
                )

    def _wait(self, *, for_id: bool = False) -> None:
        """Wait until the run is delivered, or with `for_id` until its id is known."""
        delivering_process().watch(self.destination.tracking_uri, self.inbox.journal)
        problem = _ask(
            "wait_for",
            store=self.destination.tracking_uri,
            journal=str(self.inbox.journal),
            key=self.key,
            seconds=_handover.SECONDS_TO_WAIT,
            for_id=for_id,
        )
        if problem is not None:
            self.warn(problem)
        tell_notices()

    def begin(self) -> str:
        """Wait until the run exists in MLflow, and return its id.

        Raises
        ------
        OSError
            When that takes too long, or the store cannot be reached.
        """
        if not self.is_written:
            self.deliver(wait=False)
        run_id = self.run_id()
        if run_id is None:
            self._wait(for_id=True)
            run_id = self.run_id()
        if run_id is None:
            raise OSError("the store cannot be reached, or is busy")
        return run_id

    def run_id(self) -> str | None:
        """Return its MLflow id, if the journal knows it."""
        return self.journal.run_id_of(self.key)

    @property
    def is_delivered_here(self) -> bool:
        """Whether it is delivered for this process, not for another one."""
        return self._inbox is None or self._inbox.owner == _owners.this_process()

    @property
    def _is_where_it_belongs(self) -> bool:
        """Whether it is written for the process that has made its destination."""
        return self.inbox.owner == self.destination.inbox.owner

    def warn(self, problem: Problem) -> None:
        """Warn the user that the store does not take the run."""
        store = self.destination.tracking_uri or "MLflow's default store"
        text = problem["text"]
        if problem["is_about_files"]:
            warnings.warn(f"{text}.", TrackingWarning, stacklevel=2)
            return
        warnings.warn(
            f"A run of {self.record.name} could not be logged to {store}: {text}. "
            "The fit itself is not affected, and the run is not lost: it waits in the "
            f"journal {self.inbox.journal}. Once the store can be reached, "
            "the next fits or skperceptron.tracking.flush() deliver it. To do without "
            "tracking, call skperceptron.set_config(tracking=False).",
            TrackingWarning,
            stacklevel=2,
        )


def find_inbox(destination: Destination) -> Inbox:
    """Return the inbox to write to, from which a live process delivers.

    This is the inbox of the destination, which may be that of another process for which
    this one works. If that process is not alive here, it is an inbox of this process.
    """
    inbox = destination.inbox
    if not destination.is_of_this_process and _owners.is_alive(
        inbox.journal, inbox.owner
    ):
        return inbox
    own = Inbox(default_folder(), _owners.this_process())
    try:
        journal_in(own.journal).prepare()
    except OSError as error:
        instead = Inbox(make_temporary_journal(), own.owner)
        journal_in(instead.journal).prepare()
        _tell_where_runs_wait(own.journal, str(error), instead.journal)
        return instead
    return own


@lru_cache
def _tell_where_runs_wait(instead_of: Path, error: str, folder: Path) -> None:
    warnings.warn(
        f"The journal {instead_of} cannot be written: {error}. Runs that cannot be "
        f"delivered at once wait in {folder} instead. Set the environment variable "
        f"{ENVIRONMENT_VARIABLE} to a folder that can be written.",
        TrackingWarning,
        stacklevel=4,
    )


class FitRun(TrackedRun):
    """The run of one `fit`, or of all `partial_fit` calls in a row.

    Parameters
    ----------
    record, destination, key
        As in `TrackedRun`.

    incremental : bool, default=False
        Whether it is the run of `partial_fit` calls.

    waits : bool, default=False
        Whether `fit` waits for the delivery.

    is_fold : bool, default=False
        Whether it is one of the many folds of a search, of which less is kept.

    is_refit : bool, default=False
        Whether it is the refit of a search.

    Attributes
    ----------
    begun_at : float
        When it began, by `time.perf_counter`.

    fit_time : float
        Seconds of training so far.

    has_progress : bool
        Whether curves were recorded.

    last_step : int
        The step up to which they were recorded.

    looked_at : int
        When they were recorded, in milliseconds since 1970.

    wants_test_score : bool
        Whether a score on other data is still to be recorded.

    training_data : Fingerprint
        Distinguishes the training data from other data.
    """

    def __init__(
        self,
        record: RunRecord,
        destination: Destination,
        key: str,
        *,
        incremental: bool = False,
        waits: bool = False,
        is_fold: bool = False,
        is_refit: bool = False,
    ) -> None:
        super().__init__(record, destination, key)
        self.begun_at = time.perf_counter()
        self.incremental = incremental
        self.waits = waits
        self.is_fold = is_fold
        self.is_refit = is_refit
        self.fit_time = 0.0
        self.has_progress = False
        self.last_step = -1
        self.looked_at = now()
        self.wants_test_score = True
        self.training_data = Fingerprint()

    def remember_training_data(self, X: Any) -> None:
        """Add rows to the fingerprint of the training data."""
        if self.wants_test_score:
            self.training_data.add(X)

    def take_test_score(self, X: Any, name: str, score: float) -> bool:
        """Note a score if it is the first on data other than the training data.

        Returns whether it is.
        """
        if not self.wants_test_score or self.training_data.covers(X):
            return False
        self.wants_test_score = False
        self.summary[name] = score
        return True

    def add_to_parent(self, name: str, value: float) -> None:
        """Log a metric to the run right above this one, if it is known to have ended.

        In a worker process it is not: the process that delivers will end that run.
        """
        if not self.is_delivered_here:
            return
        *above, parent = self.destination.parents
        place = replace(self.destination, parents=tuple(above))
        record = RunRecord(parent.name, parent.start_time)
        run = TrackedRun(record, place, parent.key, is_addition=True)
        run.summary[name] = value
        run.deliver(wait=False)

    def write(self) -> None:
        """Write what is new to the journal, of a fold's curve only some points."""
        if self.is_fold:
            self.record.metrics = thin(self.record.metrics, POINTS_PER_FOLD)
        super().write()

    def close_with(self, estimator: Any) -> None:
        """Let the run end when the estimator is garbage-collected."""
        _unfinished.add(self)
        # This may happen in the middle of a delivery, so it is only noted.
        weakref.finalize(estimator, _left_behind.append, self).atexit = False

    def close(self) -> None:
        """End the run of `partial_fit` calls."""
        if self in _unfinished:
            _unfinished.discard(self)
            self.end()
            self.deliver(wait=False)


# The runs of tasks around fits, such as a fold of a tracked search or a whole pipeline.
# None for a task whose fits are not tracked.
_open_runs: dict[tuple[str, TaskIds], FitRun | None] = {}


def open_run(root: str, ids: TaskIds, run: FitRun) -> None:
    """Register the run of a task, for the fits below it."""
    _open_runs[root, ids] = run


def silence(root: str, ids: TaskIds) -> None:
    """Register that the fits below a task are not tracked."""
    _open_runs[root, ids] = None


def get_run(root: str, ids: TaskIds) -> FitRun | None:
    """Return the run of a task."""
    return _open_runs.get((root, ids))


def close_run(root: str, ids: TaskIds) -> FitRun | None:
    """Remove and return the run of a task that has ended."""
    return _open_runs.pop((root, ids), None)


def runs_around(task_path: TaskPath) -> Iterator[FitRun | None]:
    """Yield what is registered for the tasks around a fit, the nearest first."""
    for depth in range(len(task_path.ids), 0, -1):
        if (task_path.root, task_path.ids[:depth]) in _open_runs:
            yield _open_runs[task_path.root, task_path.ids[:depth]]


def deliver_all(run: TrackedRun, patience: float | None = None) -> None:
    """Wait until a run, and all runs that were written before, are delivered.

    It waits at most `patience` seconds for each answer of the store. None stands for
    the time that a fit waits.
    """
    run.deliver(wait=False)
    for call in before_flush:
        call()
    if run.is_delivered_here:
        _wait_for_all(run, patience)


def _wait_for_all(run: TrackedRun, patience: float | None = None) -> None:
    problem = _ask(
        "deliver_all",
        store=run.destination.tracking_uri,
        patience=_handover.SECONDS_TO_WAIT if patience is None else patience,
    )
    if problem is not None:
        run.warn(problem)
    tell_notices()


def _ask(verb: str, **arguments: Any) -> Any:
    """Ask the delivering process; the answer is None if none can be started."""
    try:
        return delivering_process().ask(verb, **arguments)
    except NoProcessError as error:
        _tell_what_delivers(str(error))
        return None


@lru_cache
def _tell_what_delivers(error: str) -> None:
    warnings.warn(
        f"No process can be started that delivers runs to MLflow: {error}. They wait "
        f"in the journal {default_folder()} until skperceptron.tracking.flush() is "
        "called, or this process ends.",
        TrackingWarning,
        stacklevel=5,
    )


def end_search(refit: TrackedRun, search: ParentRun, status: Status) -> None:
    """End the run of a search after the run of its last fit, the refit."""
    deliver_all(refit)
    if refit.is_delivered_here:  # otherwise the process that delivers it ends it
        refit.journal.end(search.key, status, now())
        _wait_for_all(refit)


def close_left_behind() -> None:
    """End the runs whose estimators were garbage-collected."""
    while _left_behind:
        try:
            _left_behind.popleft().close()
        except IndexError:  # another thread was faster
            return


def _close_all() -> None:
    for run in list(_unfinished):
        run.close()


before_finish.append(_close_all)
before_flush.append(close_left_behind)


def _forget_all() -> None:
    """Forget unfinished runs in a forked child: the parent ends them."""
    _unfinished.clear()
    _left_behind.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
