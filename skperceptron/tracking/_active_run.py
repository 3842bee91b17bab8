"""A run of ours as the active run of MLflow, while the user's code is at work.

That code is the objective of a study or of a climb, a callback, or a scorer.
`mlflow.log_metric` and its like write to the active run of their thread, and open one
where there is none. `mlflow.start_run` and `mlflow.end_run` write to the store, which
takes more time than all else there is to log of a trial, and most objectives log
nothing themselves. So what is made active here only stands in for a run: it looks for
it in MLflow when somebody asks which run it is. This is the one module that uses
MLflow's stack of active runs, which is not public.
"""

from __future__ import annotations

import importlib
import sys
import threading
import weakref
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from skperceptron.tracking import _store
from skperceptron.tracking._destination import is_same_store
from skperceptron.tracking._store import bounded
from skperceptron.tracking._tolerance import tolerate

if TYPE_CHECKING:
    from mlflow import ActiveRun

    from skperceptron.tracking._run import TrackedRun


class Activation:
    """Makes a run the active one of this thread.

    Parameters
    ----------
    run : TrackedRun
        The run.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._thread_id = threading.get_ident()
        self._runs: list[Any] = active_runs()
        self._before = list(self._runs)
        self._stand_in = None
        if "mlflow" in sys.modules:  # else nobody logs to it
            self._stand_in = stand_in_for(run)
        if self._stand_in is not None:
            self._runs.append(self._stand_in)

    def end(self) -> None:
        """Let the run not be active any more, nor what was begun in it here."""
        if self._stand_in is not None:
            self._stand_in.is_over = True
            self._runs[:] = [run for run in self._runs if run is not self._stand_in]
        if threading.get_ident() == self._thread_id:
            with tolerate("A run that was begun in another one could not be ended"):
                end_all_but(self._before)


# What stays active in a thread after a fit, until its estimator is gone or the next fit
# begins.
_kept: dict[int, Activation] = {}


def keep_active(activation: Activation, estimator: Any) -> None:
    """Let a run be active after its fit, for the scorers that look at the estimator.

    Nobody tells when they have. But as a rule, nobody keeps the estimator then.

    Parameters
    ----------
    activation : Activation
        Of the run.

    estimator : estimator
        What was fitted.
    """
    _kept[threading.get_ident()] = activation
    end = weakref.finalize(estimator, _end_kept, threading.get_ident(), activation)
    end.atexit = False


def end_kept(thread_id: int) -> None:
    """End what is active in a thread after a fit."""
    if (activation := _kept.get(thread_id)) is not None:
        _end_kept(thread_id, activation)


def _end_kept(thread_id: int, activation: Activation) -> None:
    if _kept.get(thread_id) is activation:
        del _kept[thread_id]
        activation.end()


def stand_in_for(run: TrackedRun) -> Any:
    """Make what can be active in the place of a run.

    Parameters
    ----------
    run : TrackedRun
        The run.

    Returns
    -------
    ActiveRun or None
        None where MLflow logs to another store, or another process delivers the run.
    """
    mlflow = importlib.import_module("mlflow")
    uri = _store.tracking_uri_of(run.address)
    is_here = run.destination.is_of_this_process and run.is_delivered_here
    if not (is_here and is_same_store(uri, mlflow.get_tracking_uri())):
        return None
    return _stand_in_class()(run)


def active_runs() -> list[ActiveRun]:
    """Get the active runs of this thread, the innermost last, to look at or change."""
    if "mlflow" not in sys.modules:
        return []
    # Another thread may be just importing it, for which a submodule would not wait.
    importlib.import_module("mlflow")
    fluent = importlib.import_module("mlflow.tracking.fluent")
    runs: list[ActiveRun] = fluent._active_run_stack.get()
    return runs


def users_run() -> ActiveRun | None:
    """Get the active run of this thread if the user's code has begun it."""
    runs: list[Any] = active_runs()
    while runs and is_stand_in(runs[-1]) and runs[-1].is_over:
        runs.pop()  # another thread has ended it
    return runs[-1] if runs and not is_stand_in(runs[-1]) else None


def activate(stand_in: ActiveRun) -> None:
    """Make a run the active one of this thread."""
    active_runs().append(stand_in)


def deactivate(stand_in: ActiveRun) -> None:
    """Let a run not be active in this thread, whatever was begun in it."""
    runs = active_runs()
    runs[:] = [run for run in runs if run is not stand_in]


def end_all_but(before: list[ActiveRun]) -> None:
    """End what the user's code has begun in this thread, and left active.

    Parameters
    ----------
    before : list of ActiveRun
        What may stay active.
    """
    runs = active_runs()
    while runs and not any(runs[-1] is run for run in before):
        if is_stand_in(runs[-1]):
            runs.pop()
        else:
            with bounded():
                importlib.import_module("mlflow").end_run()


def is_stand_in(run: ActiveRun) -> bool:
    """Tell a run of ours from one that the user's code has begun."""
    return isinstance(run, _stand_in_class())


@lru_cache
def _stand_in_class() -> Any:
    from mlflow import ActiveRun
    from mlflow.entities import Run
    from mlflow.exceptions import MlflowException

    class StandIn(ActiveRun):
        """Stands in for a run until somebody asks for what only MLflow knows."""

        def __init__(self, run: TrackedRun) -> None:
            self.is_over = False
            self._run = run
            self._found: Run | None = None

        def _find(self) -> Run:
            if self._found is None:
                with bounded():
                    client = importlib.import_module("mlflow").MlflowClient()
                    try:
                        self._found = client.get_run(self._run.begin())
                    except OSError as error:
                        raise MlflowException(
                            f"{self._run.record.name} cannot be logged to now: {error}"
                        ) from error
            return self._found

        info = property(lambda self: self._find().info)
        data = property(lambda self: self._find().data)
        inputs = property(lambda self: self._find().inputs)
        outputs = property(lambda self: self._find().outputs)

    return StandIn
