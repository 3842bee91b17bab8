"""A run of ours as the active run of MLflow, while the user's code runs.

That code is the objective of a study or of a climb, a callback, or a scorer.
`mlflow.log_metric` and similar functions write to the active run of their thread, and
start one if there is none. `mlflow.start_run` and `mlflow.end_run` write to the store,
which takes more time than everything else that is logged of a trial, and most
objectives log nothing themselves. So a stand-in is made active here. It gets its run
from MLflow only when somebody asks for its id or data. This is the one module that uses
MLflow's stack of active runs, which is not public.
"""

from __future__ import annotations

import base64
import importlib
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skperceptron.tracking._credentials import is_same_store
from skperceptron.tracking._local_stores import default_store_in
from skperceptron.tracking.journal._process import delivering_process
from skperceptron.tracking.journal._record import Address

if TYPE_CHECKING:
    from mlflow import ActiveRun


def users_tracking_uri() -> str | None:
    """Return the address of the user's store, credentials included.

    It does not import MLflow. None leaves the choice to MLflow when that is imported.
    """
    if "mlflow" not in sys.modules:
        # `set_tracking_uri`, called in a parent process, sets it as well.
        return os.environ.get("MLFLOW_TRACKING_URI")
    # Imported to wait for another thread that may be just importing it.
    uri: str = importlib.import_module("mlflow").get_tracking_uri()
    return uri


def logs_to(address: Address) -> bool:
    """Return whether the store of an address is the one to which MLflow logs here."""
    uri: str = importlib.import_module("mlflow").get_tracking_uri()
    if address["tracking_uri"] is not None:
        return is_same_store(address["tracking_uri"], uri)
    folder = address["working_directory"]
    if folder is None or folder == str(Path.cwd()):
        return True
    return is_same_store(default_store_in(Path(folder)), uri)


def active_runs() -> list[ActiveRun]:
    """Return MLflow's own list of this thread's active runs, the innermost last."""
    if "mlflow" not in sys.modules:
        return []
    # Waits for another thread that may be just importing it; a submodule would not.
    importlib.import_module("mlflow")
    fluent = importlib.import_module("mlflow.tracking.fluent")
    runs: list[ActiveRun] = fluent._active_run_stack.get()
    return runs


def users_run() -> ActiveRun | None:
    """Return the active run of this thread if the user's code has started it."""
    runs: list[Any] = active_runs()
    while runs and is_stand_in(runs[-1]) and runs[-1].is_over:
        runs.pop()  # another thread has ended it
    return runs[-1] if runs and not is_stand_in(runs[-1]) else None


def activate(stand_in: ActiveRun) -> None:
    """Make a stand-in the active run of this thread."""
    active_runs().append(stand_in)


def deactivate(stand_in: ActiveRun) -> None:
    """Remove a stand-in from the active runs of this thread."""
    runs = active_runs()
    runs[:] = [run for run in runs if run is not stand_in]


def end_all_but(before: list[ActiveRun]) -> None:
    """End the runs that the user's code has left active, except those in `before`."""
    runs = active_runs()
    while runs and not any(runs[-1] is run for run in before):
        if is_stand_in(runs[-1]):
            runs.pop()
        else:
            importlib.import_module("mlflow").end_run()


def is_stand_in(run: ActiveRun) -> bool:
    """Return whether a run is one of ours, not one that the user's code has started."""
    return isinstance(run, _stand_in_class())


def make_stand_in(address: Address, begin: Callable[[], str], name: str) -> ActiveRun:
    """Return a stand-in for the run of a name that goes to an address.

    `begin` is called to create the run in MLflow, and returns its id.
    """
    stand_in: ActiveRun = _stand_in_class()(address, begin, name)
    return stand_in


@lru_cache
def _stand_in_class() -> Any:
    from mlflow import ActiveRun
    from mlflow.entities import Run
    from mlflow.exceptions import MlflowException
    from mlflow.protos.service_pb2 import Run as RunMessage

    class StandIn(ActiveRun):
        """Stands in for a run until somebody asks for its content in MLflow."""

        def __init__(
            self, address: Address, begin: Callable[[], str], name: str
        ) -> None:
            self.is_over = False
            self._address = address
            self._begin = begin
            self._name = name
            self._found: Run | None = None

        def _find(self) -> Run:
            if self._found is None:
                try:
                    # MLflow itself would wait minutes for a server out of reach.
                    message = delivering_process().ask(
                        "read_run", address=self._address, run_id=self._begin()
                    )
                except OSError as error:
                    raise MlflowException(
                        f"{self._name} cannot be logged to now: {error}"
                    ) from error
                self._found = Run.from_proto(
                    RunMessage.FromString(base64.b64decode(message))
                )
            return self._found

        info = property(lambda self: self._find().info)
        data = property(lambda self: self._find().data)
        inputs = property(lambda self: self._find().inputs)
        outputs = property(lambda self: self._find().outputs)

    return StandIn
