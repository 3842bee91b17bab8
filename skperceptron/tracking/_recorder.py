"""The callback that turns a fit into an MLflow run."""

from __future__ import annotations

import getpass
import platform
import sys
import time
from typing import Any

import numpy as np
import sklearn
from sklearn.callback import CallbackContext
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import _check_sample_weight

from skperceptron._config import get_config
from skperceptron.tracking._destination import Destination, take_destination
from skperceptron.tracking._record import (
    RunRecord,
    describe_data,
    now,
    param_value,
)
from skperceptron.tracking._run import TrackedRun, close_left_behind
from skperceptron.tracking._tolerance import tolerate

# Attribute under which an estimator keeps its run. It does not survive pickling.
RUN_ATTRIBUTE = "_tracked_run"
MAX_TAG_LENGTH = 5000


class FitRecorder:
    """scikit-learn callback for one fit of one of our classifiers.

    Parameters
    ----------
    run : TrackedRun
        The run to write to.

    Attributes
    ----------
    was_interrupted : bool
        Whether the user has stopped the training; the one who notices sets it.
    """

    def __init__(self, run: TrackedRun) -> None:
        self.run = run
        self.was_interrupted = False

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Start the clock."""
        self._root = context
        self._started_at = time.perf_counter()
        self._has_ended = False

    def on_fit_task_begin(
        self,
        estimator: Any,
        context: CallbackContext,
        *,
        X: Any = None,
        y: Any = None,
    ) -> None:
        """Remember the data; record where the training starts."""
        if context is self._root:
            with tolerate("The training data cannot be told from other data"):
                self.run.remember_training_data(X)
            # Chunks of `partial_fit` come by the thousand.
            if not self.run.incremental:
                with tolerate("The training data cannot be described"):
                    self.run.record.dataset = describe_data(X, y)
        elif not self.run.has_progress:
            self._record_progress(estimator)

    def on_fit_task_end(
        self,
        estimator: Any,
        context: CallbackContext,
        *,
        X: Any = None,
        y: Any = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Record a step, or the result."""
        if context is self._root:
            self._record_result(estimator, X, y, (metadata or {}).get("sample_weight"))
        else:
            self._record_progress(estimator)

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """Deliver the run, whatever became of the fit."""
        record = self.run.record
        record.end_time = now()
        error = sys.exception()
        if self.was_interrupted or isinstance(error, KeyboardInterrupt):
            record.status = "KILLED"
        elif not self._has_ended:
            record.status = "FAILED"
            if error is not None:
                text = f"{type(error).__name__}: {error}"
                record.tags["error"] = text[:MAX_TAG_LENGTH]
        if self._has_ended and self.run.incremental:
            self.run.deliver_soon()
        else:
            self.run.deliver()
        close_left_behind()
        estimator.run_id_ = self.run.run_id

    def _record_progress(self, estimator: Any) -> None:
        self.run.has_progress = True
        step, values = estimator._progress()
        for key, value in values.items():
            self.run.record.add_metric(key, value, step)

    def _record_result(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any
    ) -> None:
        self._has_ended = True
        with tolerate("The result of a fit could not be tracked"):
            self._summarize(estimator, X, y, sample_weight)

    def _summarize(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        fit_time = time.perf_counter() - self._started_at
        if not self.run.has_progress:
            self._record_progress(estimator)
        self.run.fit_time += fit_time
        self.run.summary["fit_time"] = self.run.fit_time
        self.run.summary["n_iter"] = estimator._progress()[0]
        if self.run.incremental:
            return
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        self.run.summary["training_score"] = accuracy_score(
            y, estimator.predict(X), sample_weight=sample_weight
        )


def recorder_for(estimator: Any, *, incremental: bool) -> FitRecorder | None:
    """Make the recorder for a fit that is about to begin.

    Parameters
    ----------
    estimator : estimator
        One of our classifiers.

    incremental : bool
        Whether the fit is a call of `partial_fit`, which continues the run of the call
        before.

    Returns
    -------
    FitRecorder or None
        None when tracking is off.
    """
    destination = None
    with tolerate("A fit cannot be tracked"):
        destination = take_destination(estimator)
    previous: TrackedRun | None = vars(estimator).pop(RUN_ATTRIBUTE, None)
    enabled = destination is not None and destination.enabled
    if previous is not None and not (enabled and incremental and previous.incremental):
        previous.close()
        previous = None
    if previous is None:
        estimator.run_id_ = None
    if destination is None or not enabled:
        return None
    with tolerate("A fit cannot be tracked"):
        run = previous or _new_run(estimator, destination, incremental=incremental)
        setattr(estimator, RUN_ATTRIBUTE, run)
        return FitRecorder(run)
    return None


def record_test_score(estimator: Any, X: Any, score: float) -> None:
    """Add the first score on data other than the training data to the run.

    Parameters
    ----------
    estimator : estimator
        One of our classifiers.

    X : array-like of shape (n_samples, n_features)
        What it was scored on.

    score : float
        The score.
    """
    run: TrackedRun | None = vars(estimator).get(RUN_ATTRIBUTE)
    if run is None or run.has_test_score or not get_config()["tracking"]:
        return
    with tolerate("A test score could not be tracked"):
        if run.knows(X):
            return
        run.has_test_score = True
        run.summary["test_score"] = score
        if run.incremental:
            run.deliver_soon()
        else:
            run.deliver()


def _new_run(
    estimator: Any, destination: Destination, *, incremental: bool
) -> TrackedRun:
    run = TrackedRun(_describe(estimator), destination, incremental=incremental)
    if incremental:
        run.close_with(estimator)
    return run


def _describe(estimator: Any) -> RunRecord:
    import skperceptron

    cls = type(estimator)
    return RunRecord(
        name=cls.__name__,
        params={k: param_value(v) for k, v in estimator.get_params(deep=False).items()},
        tags={
            "estimator_name": cls.__name__,
            "estimator_class": f"{cls.__module__}.{cls.__name__}",
            "skperceptron_version": skperceptron.__version__,
            "scikit_learn_version": sklearn.__version__,
            "numpy_version": np.__version__,
            "python_version": platform.python_version(),
            "mlflow.source.name": sys.argv[0] or "python",
            "mlflow.source.type": "LOCAL",
            **_user_tag(),
        },
    )


def _user_tag() -> dict[str, str]:
    try:
        return {"mlflow.user": getpass.getuser()}
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return {}
