"""Makes runs of fits active in MLflow while the user's code runs.

That code is the objective of a climb, a callback, or a scorer.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any

from skperceptron.tracking._warnings import tolerate
from skperceptron.tracking.recording._active_run import (
    active_runs,
    end_all_but,
    logs_to,
    make_stand_in,
)
from skperceptron.tracking.recording._fit_run import TrackedRun


class Activation:
    """Makes a run the active one of this thread."""

    def __init__(self, run: TrackedRun) -> None:
        self._thread_id = threading.get_ident()
        self._runs: list[Any] = active_runs()
        self._before = list(self._runs)
        self._stand_in = None
        if "mlflow" in sys.modules:  # otherwise the user's code cannot log to it
            self._stand_in = stand_in_for(run)
        if self._stand_in is not None:
            self._runs.append(self._stand_in)

    def end(self) -> None:
        """Deactivate the run, and end runs that were started in it in this thread."""
        if self._stand_in is not None:
            self._stand_in.is_over = True
            self._runs[:] = [run for run in self._runs if run is not self._stand_in]
        if threading.get_ident() == self._thread_id:
            with tolerate("A run that was begun in another one could not be ended"):
                end_all_but(self._before)


# The run that stays active in each thread after a fit, until its estimator is
# garbage-collected or the next fit begins.
_kept: dict[int, Activation] = {}


def keep_active(activation: Activation, estimator: Any) -> None:
    """Keep a run active after its fit, for the scorers of the estimator.

    No callback follows the scorers, but usually the estimator is dropped after them.
    """
    _kept[threading.get_ident()] = activation
    end = weakref.finalize(estimator, _end_kept, threading.get_ident(), activation)
    end.atexit = False


def end_kept(thread_id: int) -> None:
    """End the activation that is kept in a thread after a fit."""
    if (activation := _kept.get(thread_id)) is not None:
        _end_kept(thread_id, activation)


def _end_kept(thread_id: int, activation: Activation) -> None:
    if _kept.get(thread_id) is activation:
        del _kept[thread_id]
        activation.end()


def stand_in_for(run: TrackedRun) -> Any:
    """Return a stand-in for a run, which can be MLflow's active run.

    It is None if MLflow logs to another store, or another process delivers the run.
    """
    is_here = run.destination.is_of_this_process and run.is_delivered_here
    if not (is_here and logs_to(run.address)):
        return None
    return make_stand_in(run.address, run.begin, run.record.name)
