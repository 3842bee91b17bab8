"""The callback that turns a fit into an MLflow run."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import numpy as np
from sklearn.callback import CallbackContext

from skperceptron._config import get_config
from skperceptron.tracking._warnings import tolerate
from skperceptron.tracking.journal._record import (
    TEST_SCORE,
    Metric,
    RunRecord,
    now,
)
from skperceptron.tracking.recording._activation import (
    Activation,
    end_kept,
    keep_active,
)
from skperceptron.tracking.recording._attributes import RUN_ATTRIBUTE, TICKET_ATTRIBUTE
from skperceptron.tracking.recording._call_runs import note_failure_below
from skperceptron.tracking.recording._clones import take_destination
from skperceptron.tracking.recording._descriptions import describe_data, param_value
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fit_run import (
    SECONDS_BETWEEN_WRITES,
    FitRun,
    close_left_behind,
    end_search,
    runs_around,
)
from skperceptron.tracking.recording._origin import origin_tags
from skperceptron.tracking.recording._outcome import note_failure
from skperceptron.tracking.recording._sklearn_internals import (
    check_sample_weight,
    is_last_fit,
    is_scored_next,
    is_scored_on_split,
)
from skperceptron.tracking.recording._task_path import TaskPath, find_task_path


class FitRecorder:
    """scikit-learn callback for one fit of one of our estimators.

    Parameters
    ----------
    run : FitRun
        The run to write to.

    task_path : TaskPath
        The place of the fit in the tree of tasks.

    owns_run : bool
        Whether the run is that of the fit alone, not of a computation around it.
    """

    def __init__(self, run: FitRun, task_path: TaskPath, *, owns_run: bool) -> None:
        self.run = run
        self.task_path = task_path
        self.owns_run = owns_run

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Start the clock."""
        self._root = context
        self._started_at = time.perf_counter()
        self._has_begun = self._has_ended = False
        end_kept(threading.get_ident())
        self._activation = None
        if self.owns_run:  # the user's callbacks and objective may log to it
            with tolerate("The run of a fit cannot be logged to"):
                self._activation = Activation(self.run)

    def on_fit_task_begin(
        self,
        estimator: Any,
        context: CallbackContext,
        *,
        X: Any = None,
        y: Any = None,
    ) -> None:
        """Remember the data; record where the training starts."""
        if context is not self._root:
            return
        self._has_begun = True
        with tolerate("The training data cannot be told from other data"):
            self.run.remember_training_data(X)
        # There may be thousands of `partial_fit` calls or folds.
        is_single = self.owns_run and not self.run.incremental
        if is_single and self.task_path.role != "fold":
            with tolerate("The training data cannot be described"):
                self.run.record.dataset = describe_data(X, y)

    def begin_curves(self, estimator: Any) -> None:
        """Note the step at which the curves of this run begin."""
        if not self.run.has_progress:
            self.run.last_step = estimator._last_step - 1

    def write_if_due(self, estimator: Any) -> None:
        """Write what is new, if nothing was written for `SECONDS_BETWEEN_WRITES`."""
        if time.monotonic() - self.run.written_at > SECONDS_BETWEEN_WRITES:
            self._record_curves(estimator)
            self.run.deliver(wait=False)

    def on_fit_task_end(
        self,
        estimator: Any,
        context: CallbackContext,
        *,
        X: Any = None,
        y: Any = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Record the result of the fit, or the curves after one of its steps."""
        if context is self._root:
            self._record_result(estimator, X, y, (metadata or {}).get("sample_weight"))
        else:
            self.write_if_due(estimator)

    def interrupt(self) -> None:
        """Note that the user has stopped the training."""
        self.run.status = "KILLED"

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """End the run and deliver it, however the fit has ended."""
        self._deactivate(estimator)
        if not self._has_begun and (self.run.incremental or not self.run.is_written):
            return  # a refused fit has no run, unless the user's code has logged to it
        if self._has_begun:
            with tolerate("The curves of a fit could not be tracked"):
                self._record_curves(estimator)
        if not self._has_ended:
            error = sys.exception()
            with tolerate("The error of a fit could not be tracked"):
                note_failure(self.run, error)
        if not self.owns_run:
            return
        self._tell_call()
        if not self.run.incremental or self.run.status != "FINISHED":
            self.run.end()
        self.run.deliver(wait=self.run.waits)
        with tolerate("The run of a search could not be ended"):
            if self.task_path.role == "refit" and self.task_path.search is not None:
                end_search(self.run, self.task_path.search, self.run.status)
            close_left_behind()

    def _deactivate(self, estimator: Any) -> None:
        """Stop the user's code from logging to the run, except scorers that follow."""
        if self._activation is None:
            return
        is_part = self._has_ended and self.run.destination.call_key is not None
        if is_part and is_scored_next():
            keep_active(self._activation, estimator)
        else:
            self._activation.end()

    def _record_curves(self, estimator: Any) -> None:
        run = self.run
        if not hasattr(estimator, "_layers"):  # it failed before the training
            return
        time_then, run.looked_at = run.looked_at, now()
        for name, points in estimator._curves(run.last_step).items():
            times = np.linspace(time_then, run.looked_at, len(points) + 1)[1:]
            run.record.metrics += [
                Metric(name, float(value), step, int(timestamp))
                for (step, value), timestamp in zip(points, times, strict=True)
            ]
        run.last_step = estimator._last_step
        run.has_progress = True

    def _record_result(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any
    ) -> None:
        self._has_ended = True
        with tolerate("The result of a fit could not be tracked"):
            self._summarize(estimator, X, y, sample_weight)

    def _summarize(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        fit_time = time.perf_counter() - self._started_at
        self.run.fit_time += fit_time
        self.run.summary["fit_time"] = self.run.fit_time
        self.run.summary["n_iter"] = estimator._last_step
        if self.run.incremental:
            return
        # A tracked search logs the scores of its folds itself.
        if self.owns_run or not self.run.is_fold:
            if sample_weight is not None:
                sample_weight = check_sample_weight(sample_weight, X)
            self.run.summary["training_score"] = estimator._measure(
                y, estimator.predict(X), sample_weight
            )
        if self._keeps_model(estimator):
            self.run.keep_model(estimator, X)

    def _tell_call(self) -> None:
        """Pass a failure of the fit on to the call around it."""
        call_key = self.run.destination.call_key
        if call_key is not None and self.run.status != "FINISHED":
            error = self.run.record.tags.get("error")
            note_failure_below(call_key, self.run.status, error)

    def _keeps_model(self, estimator: Any) -> bool:
        destination = self.run.destination
        log_models = destination.log_models
        # Fits in worker processes are parts of something larger, too.
        if self.task_path.role == "fold" or not destination.is_of_this_process:
            return log_models == "all"
        # If the run is of something around the fit, that keeps the whole model.
        if not self.owns_run or log_models == "none":
            return False
        return log_models == "all" or not self._is_one_of_many(estimator)

    def _is_one_of_many(self, estimator: Any) -> bool:
        """Return whether a call makes this fit and others, and keeps another one."""
        call_key = self.run.destination.call_key
        search = self.task_path.search  # only a refit comes here with one
        is_refit = search is not None and search.key == call_key
        return call_key is not None and not is_refit and not is_last_fit(estimator)


def recorder_for(
    estimator: Any, context: CallbackContext, *, incremental: bool
) -> FitRecorder | None:
    """Return the recorder of a fit that is about to begin; None if tracking is off.

    Parameters
    ----------
    estimator : estimator
        One of our estimators.

    context : CallbackContext
        The root task of the fit.

    incremental : bool
        Whether the fit is a call of `partial_fit`, which continues the run of the
        previous call.
    """
    destination = None
    with tolerate("A fit cannot be tracked"):
        destination = take_destination(estimator)
    previous: FitRun | None = vars(estimator).pop(RUN_ATTRIBUTE, None)
    task_path = find_task_path(context)
    for around in runs_around(task_path):
        _end_previous(estimator, previous)
        return _recorder_of_part(estimator, task_path, around)
    enabled = destination is not None and destination.enabled
    before = previous
    if previous is None or not (enabled and incremental and previous.incremental):
        _end_previous(estimator, previous)
        previous = None
    if destination is None or not enabled:
        return None
    with tolerate("A fit cannot be tracked"):
        if previous is not None:
            run = previous
            run.reopen()
        else:
            run = _new_run(estimator, task_path, destination, incremental=incremental)
            if before is not None and (incremental or estimator.warm_start):
                run.training_data = before.training_data  # the training goes on
        _connect(estimator, run)
        return FitRecorder(run, task_path, owns_run=True)
    return None


def _end_previous(estimator: Any, previous: FitRun | None) -> None:
    setattr(estimator, TICKET_ATTRIBUTE, None)
    if previous is not None:
        previous.close()


def _recorder_of_part(
    estimator: Any, task_path: TaskPath, run: FitRun | None
) -> FitRecorder | None:
    """Let the first fit in something that has a run write to that run."""
    if run is None or run.has_progress:
        return None
    with tolerate("A fit cannot be tracked"):
        if run.is_fold:
            # Candidate and search have the parameters that all folds share. Storing
            # these would take half of the time for a run.
            run.record.tags |= _estimator_tags(estimator)
        else:
            run.add(_describe(estimator))
        _connect(estimator, run)
        return FitRecorder(run, task_path, owns_run=False)
    return None


def _connect(estimator: Any, run: FitRun) -> None:
    setattr(estimator, RUN_ATTRIBUTE, run)
    setattr(estimator, TICKET_ATTRIBUTE, run.ticket)


def remember_validation_data(estimator: Any, X: Any) -> None:
    """Note that early stopping uses these data: a score on them is no test score."""
    run: FitRun | None = vars(estimator).get(RUN_ATTRIBUTE)
    if run is not None:
        with tolerate("The validation data cannot be told from other data"):
            run.remember_training_data(X)


def record_test_score(estimator: Any, X: Any, score: float) -> None:
    """Add a score on `X` to the run, if it is the first on other than training data."""
    run: FitRun | None = vars(estimator).get(RUN_ATTRIBUTE)
    if run is None or not run.wants_test_score or not get_config()["tracking"]:
        return
    with tolerate("A test score could not be tracked"):
        is_split = is_scored_on_split()
        name = f"split_{TEST_SCORE}" if is_split else TEST_SCORE
        if run.take_test_score(X, name, score):
            run.deliver(wait=run.waits)
            if run.is_refit:
                run.add_to_parent(name, score)


def _new_run(
    estimator: Any, task_path: TaskPath, destination: Destination, *, incremental: bool
) -> FitRun:
    if task_path.search is not None and task_path.search.key != destination.call_key:
        destination = destination.below(task_path.search)
    record = _describe(estimator)
    purpose = "refit" if task_path.role == "refit" else destination.purpose
    record.name = purpose or record.name
    run = FitRun(
        record,
        destination,
        task_path.new_key(),
        incremental=incremental,
        # Within a search or study, nobody waits for it.
        waits=task_path.role == "single"
        and not incremental
        and not destination.parents,
        is_fold=task_path.role == "fold",
        is_refit=purpose == "refit",
    )
    if incremental:
        run.close_with(estimator)
    return run


def _describe(estimator: Any) -> RunRecord:
    cls = type(estimator)
    return RunRecord(
        name=cls.__name__,
        params={k: param_value(v) for k, v in estimator.get_params(deep=False).items()},
        tags={**_estimator_tags(estimator), **origin_tags()},
    )


def _estimator_tags(estimator: Any) -> dict[str, str]:
    cls = type(estimator)
    return {
        "estimator_name": cls.__name__,
        "estimator_class": f"{cls.__module__}.{cls.__name__}",
    }
