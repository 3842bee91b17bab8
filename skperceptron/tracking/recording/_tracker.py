"""The callback that logs a whole search, or any other estimator, to MLflow."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.callback import CallbackContext

from skperceptron._config import LogModels, check_log_models, config_context
from skperceptron._workers import end_with_parent
from skperceptron.tracking._credentials import without_credentials
from skperceptron.tracking._warnings import tolerate
from skperceptron.tracking.journal._record import (
    Dataset,
    ParentRun,
    RunRecord,
)
from skperceptron.tracking.recording._activation import Activation
from skperceptron.tracking.recording._attributes import (
    DESTINATION_ATTRIBUTE,
    RUN_ATTRIBUTE,
)
from skperceptron.tracking.recording._clones import expect_runs_of_others
from skperceptron.tracking.recording._descriptions import describe_data, param_value
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fit_run import (
    FitRun,
    TrackedRun,
    close_run,
    deliver_all,
    open_run,
    silence,
)
from skperceptron.tracking.recording._fold_scores import FoldResult, result_of_fold
from skperceptron.tracking.recording._origin import origin_tags
from skperceptron.tracking.recording._outcome import error_tag, status_after
from skperceptron.tracking.recording._run_arguments import check_tags, check_texts
from skperceptron.tracking.recording._search import (
    begin_candidates,
    candidate_of_fold,
    draw_search,
    log_search,
)
from skperceptron.tracking.recording._sklearn_internals import (
    FOLD_TASK,
    REFIT_TASK,
    is_search,
    split_of_fold,
)
from skperceptron.tracking.recording._task_path import (
    TaskIds,
    ids_of,
    key_of,
    path_of,
)
from skperceptron.tracking.recording._ticket import RunTicket

# What our estimators call the task of a call of `partial_fit`.
_PARTIAL_FIT_TASK = "partial-fit"


class MLflowTracker:
    """Log a search, a pipeline or any other estimator to MLflow.

    This is a scikit-learn callback. Set on a search, it makes a run of the search, a
    run of each candidate below it, and a run of each fold below its candidate; the
    refit is one more child of the search. Set on any other estimator, it makes one run.
    It replaces the automatic tracking of everything that is fitted inside, and works in
    worker processes and threads. If a store cannot be reached, runs wait in a journal:
    see `skperceptron.tracking.flush`.

    Parameters
    ----------
    experiment_name : str or None, default=None
        Experiment, created if need be. None leaves the choice to MLflow.

    tracking_uri : str or None, default=None
        Address of the store. None leaves the choice to MLflow.

    run_name : str or None, default=None
        Name of the run. None takes the name of the estimator's class.

    tags : dict of str or None, default=None
        Tags of the run, in addition to those of the estimator and of versions.

    log_models : {"best", "all", "none"}, default="best"
        Which models to log: that of the fitted estimator, which is the refitted best
        one of a search; also those of folds in which an estimator of this package is
        fitted; or none.

    log_onnx : bool, default=False
        Whether logged models are also there as ONNX, for `mlflow.onnx.load_model`. They
        take rows of the same types as `fit`. A model with a part that skl2onnx does not
        know is logged without, and a warning says so.

    log_folds : bool, default=True
        Whether each fold of a search gets a run.

    skops_trusted_types : list of str or None, default=None
        Qualified names of types that a logged model may contain beyond those of this
        package and those that skops trusts.

    registered_model_name : str or None, default=None
        Name under which the fitted model is registered. None does not register it.

    Raises
    ------
    ImportError
        When `log_onnx` is True and skl2onnx is not installed.

    TypeError
        When a parameter has the wrong type.

    ValueError
        When `log_models` is not one of its values.

    See Also
    --------
    track_study : Log an Optuna study.
    flush : Deliver what could not be delivered.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skperceptron import HillClimbPerceptron
    >>> from skperceptron.tracking import MLflowTracker
    >>> X, y = load_iris(return_X_y=True)
    >>> search = GridSearchCV(
    ...     HillClimbPerceptron(max_iter=50), {"step_size": [0.1, 0.3]}, cv=3
    ... )
    >>> search = search.set_callbacks(MLflowTracker(run_name="steps")).fit(X, y)
    """

    # Our estimators find the run of a fold by themselves. If scikit-learn passed the
    # tracker on to the steps of a pipeline, it would warn of each step without callback
    # support.
    max_propagation_depth = 0

    def __init__(
        self,
        *,
        experiment_name: str | None = None,
        tracking_uri: str | None = None,
        run_name: str | None = None,
        tags: dict[str, str] | None = None,
        log_models: LogModels = "best",
        log_onnx: bool = False,
        log_folds: bool = True,
        skops_trusted_types: list[str] | None = None,
        registered_model_name: str | None = None,
    ) -> None:
        check_log_models(log_models)
        check_texts(
            experiment_name=experiment_name,
            tracking_uri=tracking_uri,
            run_name=run_name,
            registered_model_name=registered_model_name,
        )
        check_tags(tags)
        for name, value in {"log_onnx": log_onnx, "log_folds": log_folds}.items():
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be a bool, got {value!r}.")
        if log_onnx and find_spec("skl2onnx") is None:
            raise ImportError(
                "log_onnx=True needs skl2onnx, which is not installed. It is in the "
                'extra onnx of skperceptron: pip install -e ".[onnx]".'
            )
        if not _are_names(skops_trusted_types):
            raise TypeError(
                "skops_trusted_types must be a list of str or None, got "
                f"{skops_trusted_types!r}."
            )
        self.experiment_name = experiment_name
        self.tracking_uri = without_credentials(tracking_uri)
        self.run_name = run_name
        self.tags = dict(tags or {})
        self.log_models = log_models
        self.log_onnx = log_onnx
        self.log_folds = log_folds
        self.skops_trusted_types = list(skops_trusted_types or ())
        self.registered_model_name = registered_model_name
        # The place below the run of each fit that the tracker is following, ...
        self._below: dict[str, Destination] = {}
        # ... and the tasks of these fits that go on in this process.
        self._tasks: dict[tuple[str, TaskIds], _Task] = {}
        self._ticket: RunTicket | None = None

    @property
    def run_id_(self) -> str | None:
        """MLflow run of the last fit that the tracker has followed, or follows.

        None as long as the run is not delivered.
        """
        if self._ticket is None:
            raise AttributeError(
                "This MLflowTracker has no run_id_: it has followed no fit yet."
            )
        return self._ticket.run_id()

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Begin the run."""
        with tolerate(f"A {type(estimator).__name__} cannot be tracked"):
            self._open(estimator, context)

    def on_fit_task_begin(
        self,
        estimator: Any,
        context: CallbackContext,
        *,
        X: Any = None,
        y: Any = None,
    ) -> None:
        """Begin the run of a fold or of the refit; describe the data."""
        root, ids = str(context.root_uuid), ids_of(path_of(context))
        if context.task_name == FOLD_TASK:
            with tolerate("A fold of a search cannot be tracked"):
                self._open_fold(estimator, root, ids)
        elif context.task_name == REFIT_TASK:
            with tolerate("The refit of a search cannot be tracked"):
                self._open_task(root, ids, "refit")
        elif (whole := self._tasks.get((root, ids))) is not None:
            if whole.run.incremental:
                whole.go_on()
                return
            # Kept as it was given: at its end, a pipeline has only transformed data.
            whole.X = X
            with tolerate("The training data cannot be described"):
                whole.run.record.dataset = _describe_data(X, y)
        elif (below := self._below.get(root)) is not None and below.is_spread:
            with tolerate("The candidates of a search cannot be tracked"):
                begin_candidates(estimator, context, below, root)

    def on_fit_task_end(self, estimator: Any, context: CallbackContext) -> None:
        """End the run of a fold or of the refit; log the result."""
        root, ids = str(context.root_uuid), ids_of(path_of(context))
        if context.task_name == FOLD_TASK:
            with tolerate("A fold of a search could not be tracked"):
                self._close_task(root, ids, result_of_fold())
        elif context.task_name == REFIT_TASK:
            with tolerate("The refit of a search could not be tracked"):
                self._close_task(root, ids)
        elif (whole := self._tasks.get((root, ids))) is not None:
            if whole.run.incremental:
                return
            whole.stop_clock()
            with tolerate(f"The result of {type(estimator).__name__} is not tracked"):
                self._log_result(whole, estimator, root)

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """End the run and deliver it, however the fit has ended."""
        root, ids = str(context.root_uuid), ids_of(path_of(context))
        below = self._below.pop(root, None)
        with tolerate(f"A {type(estimator).__name__} could not be tracked"):
            whole = self._tasks.pop((root, ids), None)
            if whole is None or below is None:
                return
            self._close(whole, estimator, context, below)

    def _close(
        self, whole: _Task, estimator: Any, context: CallbackContext, below: Destination
    ) -> None:
        root, ids = str(context.root_uuid), ids_of(path_of(context))
        if not whole.is_logged:
            self._close_refit(root, ids)
        close_run(root, ids)
        whole.end()
        if not whole.is_logged:
            _end_candidates(whole, estimator, below)
        if whole.run.incremental:
            whole.run.deliver(wait=False)
        else:
            deliver_all(whole.run)

    def __getstate__(self) -> dict[str, Any]:
        # A worker process gets the destinations, but has tasks of its own. They are
        # copied, because other threads may begin a fit meanwhile.
        below = self._below.copy()
        for destination in below.values():
            expect_runs_of_others(destination)
        return {**vars(self), "_below": below, "_tasks": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        end_with_parent()

    # The run of the estimator

    def _open(self, estimator: Any, context: CallbackContext) -> None:
        root, ids = str(context.root_uuid), ids_of(path_of(context))
        here = _seen_from(estimator).directed_to(
            self.tracking_uri, self.experiment_name
        )
        here = replace(here, log_models=self.log_models, log_onnx=self.log_onnx)
        record = _describe(estimator, self.run_name, self.tags)
        is_incremental = context.task_name == _PARTIAL_FIT_TASK
        run = _run_of_call_before(estimator) if is_incremental else None
        if run is None:
            key = key_of(root, ids, "tracker")
            run = FitRun(record, here, key, incremental=is_incremental)
            if is_incremental:
                run.close_with(estimator)
        self._below[root] = here.below(
            ParentRun(run.key, record.name, record.start_time, is_managed=True)
        )
        self._tasks[root, ids] = _Task(run)
        self._ticket = run.ticket
        open_run(root, ids, run)
        if is_search(estimator):
            run.deliver(wait=False)  # shows the user that the search has begun

    def _log_result(self, whole: _Task, estimator: Any, root: str) -> None:
        run = whole.run
        if not is_search(estimator):
            whole.is_logged = True
            self._keep_model(whole, estimator)
            return
        if not whole.candidates:
            # The candidates have begun in worker processes, which wrote them down.
            whole.candidates = {
                row["key"]: ParentRun(row["key"], row["name"], row["start_time"], True)
                for row in run.journal.below(run.key)
            }
        begun = whole.candidates
        log_search(run, estimator, self._below[root], root, begun, self.log_folds)
        whole.is_logged = True
        with tolerate("The figure of a search cannot be drawn"):
            draw_search(run, estimator)
        self._keep_model(whole, getattr(estimator, "best_estimator_", None))

    def _keep_model(self, whole: _Task, fitted: Any) -> None:
        if self.log_models != "none" and fitted is not None:
            whole.run.record.registered_model_name = self.registered_model_name
            whole.run.keep_model(fitted, whole.X, self.skops_trusted_types)

    # The runs below it

    def _open_fold(self, search: Any, root: str, ids: TaskIds) -> None:
        candidate = candidate_of_fold(search, root, ids)
        whole = self._tasks.get((root, ids[:1]))
        if whole is not None:
            candidate = whole.candidates.setdefault(candidate.key, candidate)
        self._open_task(root, ids, f"fold {split_of_fold(search, ids)}", candidate)

    def _open_task(
        self, root: str, ids: TaskIds, name: str, *candidate: ParentRun
    ) -> None:
        below = self._below.get(root)
        if below is None:  # the search has ended early, and this thread still works
            silence(root, ids)
            return
        record = RunRecord(name, tags={} if candidate else origin_tags())
        key = key_of(root, ids, "task")
        is_fold = bool(candidate)
        place = below.below(*candidate)
        run = FitRun(record, place, key, is_fold=is_fold, is_refit=not is_fold)
        # The search computes the scores of a fold.
        run.wants_test_score = not run.is_fold
        is_kept = self.log_folds or not run.is_fold
        self._tasks[root, ids] = _Task(run, is_kept=is_kept)
        if is_kept:
            open_run(root, ids, run)
        else:
            silence(root, ids)

    def _close_task(
        self, root: str, ids: TaskIds, result: FoldResult | None = None
    ) -> None:
        close_run(root, ids)
        task = self._tasks.pop((root, ids), None)
        if task is None:
            return
        if result is not None:
            task.run.summary |= result.scores
        task.end(None if result is None else result.failure)
        if task.is_kept:
            task.run.deliver(wait=False)

    def _close_refit(self, root: str, ids: TaskIds) -> None:
        """End the run of a refit that has failed, after which no hook is called."""
        for task in list(self._tasks):
            if task[0] == root and len(task[1]) == len(ids) + 1:
                self._close_task(*task)


class _Task:
    """A task that the tracker follows: the whole fit, a fold, or the refit.

    While it goes on, automatic tracking is off in its thread, because some of the fits
    in it, such as those of an ensemble, cannot find out that they are part of it.

    Parameters
    ----------
    run : FitRun
        Its run.

    is_kept : bool, default=True
        Whether the run is logged.

    Attributes
    ----------
    X : array-like
        The training data, as the user gave it.

    is_logged : bool
        Whether the result is logged.

    is_continued : bool
        Whether it continues the run of an earlier call.

    candidates : dict of ParentRun
        The candidates of a search with folds that began in this process, by key.
    """

    def __init__(self, run: FitRun, *, is_kept: bool = True) -> None:
        self.run = run
        self.is_kept = is_kept
        self.X: Any = None
        self.is_logged = False
        self.is_continued = run.has_progress
        # Lets the estimator write to it.
        run.has_progress = False
        self.candidates: dict[str, ParentRun] = {}
        self._activation = Activation(run) if is_kept else None
        # The fit may be a retry in the handler of an earlier error.
        self._earlier_error = sys.exception()
        self._silence = config_context(tracking=False)
        self._silence.__enter__()

    def stop_clock(self) -> None:
        """Note the time of the whole fit, which is more than that of the estimator."""
        self.run.summary["fit_time"] = time.perf_counter() - self.run.begun_at

    def go_on(self) -> None:
        """Continue the run of the previous call of `partial_fit`, if there was one."""
        if self.is_continued:
            self.run.has_progress = True
            # They were written by the previous call.
            self.run.record.params.clear()
            self.run.record.tags.clear()

    def end(self, failure: str | None = None) -> None:
        """End the run: as failed after `failure`, or while an exception is raised."""
        self._silence.__exit__(None, None, None)
        if self._activation is not None:
            self._activation.end()
        run, error = self.run, sys.exception()
        if error is not None and error is not self._earlier_error:
            failure = error_tag(error)
        if failure is not None:
            run.status = status_after(error)
            run.record.tags["error"] = failure
        if run.incremental and run.status == "FINISHED":
            return  # until there are no more calls
        if "fit_time" not in run.summary:
            self.stop_clock()
        run.end()


def _end_candidates(whole: _Task, search: Any, below: Destination) -> None:
    """End the runs of the candidates of a search that has ended early."""
    if not whole.candidates and is_search(search):
        # The folds were fitted by other processes, which joblib has ended by now.
        deliver_all(whole.run)
    rows = whole.run.journal.below(whole.run.key)
    done = {row["key"] for row in rows if row["done"]}
    begun = {row["key"]: (row["name"], row["start_time"]) for row in rows}
    # Other threads may not have written their candidates yet.
    begun |= {c.key: (c.name, c.start_time) for c in whole.candidates.values()}
    for key, (name, start_time) in begun.items():
        if key in done:
            continue
        run = TrackedRun(RunRecord(name, start_time), below, key)
        run.status = whole.run.status
        run.end()
        run.deliver(wait=False)


def _run_of_call_before(estimator: Any) -> FitRun | None:
    """Reopen the run of the previous `partial_fit` calls, if there were any."""
    run: FitRun | None = vars(estimator).pop(RUN_ATTRIBUTE, None)
    if run is None or not run.incremental:
        return None
    run.reopen()
    return run


def _seen_from(estimator: Any) -> Destination:
    """Return where the runs of an estimator go.

    In a worker process or a thread of joblib, a clone of one of our estimators knows
    this, while MLflow does not.
    """
    for part in [estimator, *estimator.get_params().values()]:
        seen = getattr(part, "__dict__", {}).get(DESTINATION_ATTRIBUTE)
        if isinstance(seen, Destination) and seen.speaks_for_this_thread:
            return seen.outside_call()
    return Destination.current()


def _are_names(value: Any) -> bool:
    if isinstance(value, list | tuple | set):
        return all(isinstance(name, str) for name in value)
    return value is None


def _describe_data(X: Any, y: Any) -> Dataset:
    """Describe training data that need not be a table, such as texts."""
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    if len(X.shape) != 2:
        X = np.asarray(X).reshape(len(X), -1)
    return describe_data(X, y)


def _describe(estimator: Any, name: str | None, tags: dict[str, str]) -> RunRecord:
    cls = type(estimator)
    # Without the parameters of a search's estimator: those are of the candidates.
    params = estimator.get_params(deep=not is_search(estimator))
    return RunRecord(
        name=name or cls.__name__,
        params={k: param_value(v) for k, v in params.items()},
        tags={
            "estimator_name": cls.__name__,
            "estimator_class": f"{cls.__module__}.{cls.__name__}",
            **origin_tags(),
            **{str(k): str(v) for k, v in tags.items()},
        },
    )
