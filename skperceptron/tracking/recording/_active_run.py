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
    """Tell which store the user has chosen, without importing MLflow for it.

    Returns
    -------
    str or None
        With credentials. None leaves the choice to MLflow, which nobody has imported.
    """
    if "mlflow" not in sys.modules:
        # MLflow writes there what `set_tracking_uri` chose, so that is all there is.
        return os.environ.get("MLFLOW_TRACKING_URI")
    # Imported again to wait for another thread that is just importing it.
    uri: str = importlib.import_module("mlflow").get_tracking_uri()
    return uri


def logs_to(address: Address) -> bool:
    """Tell whether the store of an address is the one to which MLflow logs here."""
    uri: str = importlib.import_module("mlflow").get_tracking_uri()
    if address["tracking_uri"] is not None:
        return is_same_store(address["tracking_uri"], uri)
    folder = address["working_directory"]
    if folder is None or folder == str(Path.cwd()):
        return True
    return is_same_store(default_store_in(Path(folder)), uri)


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
            importlib.import_module("mlflow").end_run()


def is_stand_in(run: ActiveRun) -> bool:
    """Tell a run of ours from one that the user's code has begun."""
    return isinstance(run, _stand_in_class())


def make_stand_in(address: Address, begin: Callable[[], str], name: str) -> ActiveRun:
    """Make what can be active in the place of a run.

    Parameters
    ----------
    address : dict
        Where the run goes.

    begin : callable
        Sees to it that the run is in MLflow, and tells its id.

    name : str
        Its name.
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
        """Stands in for a run until somebody asks for what only MLflow knows."""

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
                    # MLflow itself would wait minutes for a server that is away.
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
