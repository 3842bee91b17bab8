"""The runs of calls that make several fits, such as `cross_validate`.

Such a call is found when it makes a fit or a clone. scikit-learn does not announce its
end, so a thread polls while any such call goes on.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from skperceptron.tracking._warnings import TrackingWarning, tolerate
from skperceptron.tracking.journal._handover import (
    SECONDS_TO_WAIT,
    before_finish,
    before_flush,
)
from skperceptron.tracking.journal._process import delivering_process
from skperceptron.tracking.journal._record import ParentRun, RunRecord, Status, now
from skperceptron.tracking.recording._activation import end_kept
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fit_run import TrackedRun, close_left_behind
from skperceptron.tracking.recording._origin import origin_tags
from skperceptron.tracking.recording._outcome import (
    error_tag,
    note_failure,
    status_after,
)
from skperceptron.tracking.recording._sklearn_internals import (
    Outcome,
    SklearnCall,
    error_inside,
    metrics_of,
    outcome_of,
)
from skperceptron.tracking.recording._task_path import path_of, search_run

_SECONDS_BETWEEN_LOOKS = 0.02


@dataclass(eq=False)
class _OpenCall:
    """A call that has not been found to have ended.

    Attributes
    ----------
    call : SklearnCall
        The call.

    destination : Destination
        Where its run goes.

    parent : ParentRun
        Its run.

    is_search : bool
        Whether it is a search, whose run its refit may end as well.

    failure : tuple of (str, str or None)
        Status and error of the last failure in it.
    """

    call: SklearnCall
    destination: Destination
    parent: ParentRun
    is_search: bool
    failure: tuple[Status, str | None] = ("FAILED", None)

    def new_run(self) -> TrackedRun:
        """Return a new object that writes to its run."""
        record = RunRecord(self.parent.name, self.parent.start_time)
        run = TrackedRun(record, self.destination, self.parent.key)
        run.is_spread = self.destination.is_spread
        return run


# By the frame of the call. A reference to a frame keeps its variables, among them the
# scores, after the call has ended.
_open: dict[FrameType, _OpenCall] = {}
# Held while calls are added or end.
_changing = threading.RLock()
_watcher: threading.Thread | None = None
# Number of ended calls that are just being delivered.
_n_delivering = 0
_delivered = threading.Condition()


def run_of(call: SklearnCall, destination: Destination) -> ParentRun:
    """Return the run of a call, and begin to watch the call if it is new.

    Its run goes to `destination`.
    """
    with _changing:
        known = _open.get(call.frame)
        if known is None:
            is_search = call.search_task is not None
            known = _OpenCall(call, destination, _new_parent(call), is_search)
            _open[call.frame] = known
            _watch()
            if destination.is_spread:  # it must exist, as other machines do not make it
                known.new_run().deliver(wait=False)
    return known.parent


def is_open(key: str) -> bool:
    """Return whether the call whose run has a key goes on in this process."""
    return any(known.parent.key == key for known in list(_open.values()))


def note_failure_below(key: str, status: Status, error: str | None) -> None:
    """Note the failure of a fit in a call, which may end by the same error."""
    for known in list(_open.values()):
        if known.parent.key == key:
            known.failure = (status, error)


def settle() -> None:
    """End the runs of calls that are over, and wait until they are delivered."""
    _deliver(_end_calls())
    with _delivered:
        _delivered.wait_for(lambda: _n_delivering == 0)


def _new_parent(call: SklearnCall) -> ParentRun:
    task = call.search_task
    if task is not None:
        path = path_of(task)
        return search_run(str(task.root_uuid), path, task, is_managed=True)
    return ParentRun(uuid.uuid4().hex, call.name, now(), is_managed=True)


def _watch() -> None:
    global _watcher
    if _watcher is None:
        _watcher = threading.Thread(target=_look, name="skperceptron calls")
        _watcher.daemon = True  # at the end of the process, `_end_before` does its work
        _watcher.start()


def _look() -> None:
    global _watcher
    while True:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        with suppress(TrackingWarning):  # the user may turn it into an error
            _deliver(_end_calls())
        with _changing:
            if not _open:
                _watcher = None
                return


def _end_calls() -> list[TrackedRun]:
    """Write down the ends of calls that are over, and return their runs."""
    global _n_delivering
    ended: list[TrackedRun] = []
    with _changing:
        for frame, known in list(_open.items()):
            outcome = outcome_of(known.call)
            if outcome is None:
                _look_for_error(known)
            else:
                del _open[frame]
                with tolerate(f"A call of {known.call.name} could not be tracked"):
                    ended += _end(known, outcome)
        with _delivered:
            _n_delivering += len(ended)
    return ended


def _look_for_error(known: _OpenCall) -> None:
    error = error_inside(known.call)
    if error is not None:
        known.failure = (status_after(error), error_tag(error))


def _end(known: _OpenCall, outcome: Outcome) -> list[TrackedRun]:
    end_kept(known.call.thread_id)
    close_left_behind()
    run = known.new_run()
    if not run.journal.has(run.key):  # nothing below it was tracked
        return []
    if not outcome.has_returned:
        _note_failure(run, known.failure, outcome.error)
    if known.is_search:
        run.journal.end(run.key, run.status, now())
        return [run]
    run.record.tags |= origin_tags()
    if outcome.has_returned:
        _add_metrics(run.record, known.call)
    run.end()
    run.deliver(wait=False)
    return [run]


def _add_metrics(record: RunRecord, call: SklearnCall) -> None:
    with tolerate(f"The scores of {call.name} could not be tracked"):
        for name, points in metrics_of(call).items():
            for step, value in points:
                record.add_metric(name, value, step)


def _note_failure(
    run: TrackedRun, below: tuple[Status, str | None], error: BaseException | None
) -> None:
    if error is not None:
        note_failure(run, error)
        return
    run.status, text = below
    if text is not None:
        run.record.tags["error"] = text


def _deliver(runs: list[TrackedRun]) -> None:
    """Deliver the runs of calls that have ended."""
    global _n_delivering
    for run in runs:
        try:
            # In a study, nobody waits for it. The next fit or the end of the process
            # reports failures.
            store = run.destination.tracking_uri
            if not run.destination.parents:
                with suppress(OSError):
                    delivering_process().ask(
                        "deliver_unless_away", store=store, patience=SECONDS_TO_WAIT
                    )
            delivering_process().watch(store, run.inbox.journal)
        finally:
            with _delivered:
                _n_delivering -= 1
                _delivered.notify_all()


def _end_before() -> None:
    """End the runs of calls that are over; the caller is about to deliver all runs."""
    global _n_delivering
    ended = _end_calls()
    with _delivered:
        _n_delivering -= len(ended)
        _delivered.notify_all()


before_finish.append(_end_before)
before_flush.append(_end_before)


def _start_anew() -> None:
    """Drop the parent's calls and thread in a forked child."""
    global _changing, _watcher, _n_delivering, _delivered
    _changing, _delivered = threading.RLock(), threading.Condition()
    _watcher, _n_delivering = None, 0
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
