"""Where a run goes.

A fit in the user's own thread asks MLflow and the configuration at once. A search,
however, fits clones in worker processes and threads, which know neither the caller's
tracking URI and experiment nor its active run and switches. scikit-learn makes these
clones in the caller's thread (or from clones made there), so a clone remembers the
destination and takes it along. Where the caller's thread makes only the first clones
and joblib's threads make the rest, as in `cross_validate`, the first are the witnesses.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from skperceptron._config import get_config

# Attribute under which an estimator carries the destination until it is fitted.
_ATTRIBUTE = "_tracking_destination"
_SQLITE = "sqlite:///"
# What the thread saw that cloned an estimator last.
_seen_at_clone: weakref.WeakKeyDictionary[Any, Destination] = (
    weakref.WeakKeyDictionary()
)


@dataclass(frozen=True)
class Destination:
    """Where runs go, as seen from one thread at one moment.

    Attributes
    ----------
    enabled : bool
        Whether fits are tracked at all.

    tracking_uri : str or None
        The store. None leaves the choice to MLflow in the process that fits.

    experiment_id, experiment_name : str or None
        The experiment; both None for the default one. The id counts when both are
        known.

    parent_run_id : str or None
        The run that was active.

    process_id, thread_id : int
        Who looked.
    """

    enabled: bool
    tracking_uri: str | None
    experiment_id: str | None
    experiment_name: str | None
    parent_run_id: str | None
    process_id: int
    thread_id: int

    @classmethod
    def current(cls) -> Destination:
        """Ask the configuration and MLflow, without importing MLflow for it."""
        # MLflow writes what `set_tracking_uri` and `set_experiment` chose to the
        # environment too, so that is all there is to read before somebody imports it.
        tracking_uri = os.environ.get("MLFLOW_TRACKING_URI")
        experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID")
        parent_run_id = None
        if "mlflow" in sys.modules:
            # Imported again to wait for another thread that is just importing it.
            mlflow = importlib.import_module("mlflow")
            tracking_uri = mlflow.get_tracking_uri()
            if active := mlflow.active_run():
                parent_run_id = active.info.run_id
                experiment_id = active.info.experiment_id
        return cls(
            enabled=get_config()["tracking"],
            tracking_uri=_absolute(tracking_uri),
            experiment_id=experiment_id,
            experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME"),
            parent_run_id=parent_run_id,
            process_id=os.getpid(),
            thread_id=threading.get_ident(),
        )

    @property
    def speaks_for_this_thread(self) -> bool:
        """Whether this thread works for the one that looked.

        That is so in a worker process, and in a thread of joblib's for which the other
        thread waits. Any other thread sees for itself where its runs go.
        """
        if self.process_id != os.getpid():
            return True
        is_another = self.thread_id != threading.get_ident()
        return is_another and _waits_for_joblib(self.thread_id)

    def __getstate__(self) -> dict[str, Any]:
        # A password must not travel in pickles. The worker's environment has the URI.
        state = dict(vars(self))
        if self.tracking_uri and urlsplit(self.tracking_uri).password:
            state["tracking_uri"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def remember_destination(clone: Any, original: Any) -> None:
    """Let a clone know where its run will go.

    Parameters
    ----------
    clone : estimator
        The clone just made.

    original : estimator
        What it is a clone of. When that was itself cloned elsewhere, its destination
        counts.
    """
    with suppress(Exception):  # the fit will say what is wrong
        setattr(clone, _ATTRIBUTE, _destination_for_clone_of(original))


def _destination_for_clone_of(original: Any) -> Destination:
    witness = _seen_at_clone.get(original)
    if witness is not None and witness.speaks_for_this_thread:
        return witness
    destination = _seen_at_clone[original] = _destination_of(original)
    return destination


def take_destination(estimator: Any) -> Destination:
    """Tell where the fit that begins now is to be logged, and forget it.

    Forgotten because a fitted estimator may be stored and fitted again in another
    place, another day.

    Parameters
    ----------
    estimator : estimator
        The estimator about to be fitted.

    Returns
    -------
    Destination
    """
    destination = _destination_of(estimator)
    vars(estimator).pop(_ATTRIBUTE, None)
    return destination


def _destination_of(estimator: Any) -> Destination:
    remembered: Destination | None = vars(estimator).get(_ATTRIBUTE)
    if remembered is not None and remembered.speaks_for_this_thread:
        return remembered
    return Destination.current()


def _waits_for_joblib(thread_id: int) -> bool:
    frame = sys._current_frames().get(thread_id)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("joblib."):
            return True
        frame = frame.f_back
    return False


def _absolute(uri: str | None) -> str | None:
    # A reused worker process may stand in another folder.
    if uri and uri.startswith(_SQLITE) and not uri.startswith(_SQLITE + "/"):
        path = uri.removeprefix(_SQLITE)
        if path and not path.startswith((":memory:", "file:")):
            return _SQLITE + str(Path(path).absolute())
    return uri
