"""Where a run goes, as seen from one thread at one moment.

Fits in a study go below the run of their trial.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from skperceptron._config import get_config
from skperceptron.tracking._credentials import portable_address
from skperceptron.tracking.journal import _owners
from skperceptron.tracking.journal._folders import Inbox, default_folder
from skperceptron.tracking.journal._record import Address, ParentRun
from skperceptron.tracking.recording._active_run import users_run, users_tracking_uri
from skperceptron.tracking.recording._sklearn_internals import (
    is_work_spread,
    waits_for_joblib,
    works_for_joblib,
)

# The study and the trials in which this thread is.
destination_of_trial: ContextVar[Surroundings | None] = ContextVar(
    "skperceptron_destination_of_trial", default=None
)


@dataclass(frozen=True)
class Destination:
    """Where runs go, as seen from one thread at one moment.

    Attributes
    ----------
    enabled : bool
        Whether fits are tracked at all.

    log_models : {"best", "all", "none"}
        Which fits keep their models.

    log_input_examples : bool
        Whether a model contains rows of the training data.

    tracking_uri : str or None
        The store, without credentials. None leaves the choice to MLflow.

    working_directory : str or None
        The folder of the process that made this, on which that choice depends.

    experiment_id, experiment_name : str or None
        The experiment; both None for the default one. The id takes precedence.

    parent_run_id : str or None
        The run that was active.

    environment_run_id : str or None
        The run that the environment names, if none was active. If the store has it,
        its experiment takes precedence.

    parents : tuple of ParentRun
        The runs above, such as those of a study and its trial. They take precedence
        over the parent runs named before.

    inbox : Inbox
        The journal and the process that delivers from it: that which made this.

    thread_id : int
        The thread that made this.

    is_spread : bool
        Whether other machines may take part in the fits.

    call_key : str or None
        The key of the run of the scikit-learn call that makes this fit and others.

    log_onnx : bool
        Whether models are logged as ONNX, too.

    purpose : str or None
        Name of the run if the fit is a fold or a refit, such as "fold 0".
    """

    enabled: bool
    log_models: str
    log_input_examples: bool
    tracking_uri: str | None
    working_directory: str | None
    experiment_id: str | None
    experiment_name: str | None
    parent_run_id: str | None
    environment_run_id: str | None
    parents: tuple[ParentRun, ...]
    inbox: Inbox
    thread_id: int
    is_spread: bool
    call_key: str | None = None
    log_onnx: bool = False
    purpose: str | None = None

    @classmethod
    def current(cls) -> Destination:
        """Read it from the configuration and MLflow, without importing MLflow."""
        # MLflow writes the choice of `set_experiment` to the environment, too.
        experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID")
        parent_run_id = None
        if active := users_run():
            parent_run_id = active.info.run_id
            experiment_id = active.info.experiment_id
        surroundings = destination_of_trial.get()
        around = None if surroundings is None else surroundings.here()
        if around is not None and parent_run_id in (None, around.parent_run_id):
            return replace(
                around,
                **_switches(),
                thread_id=threading.get_ident(),
                is_spread=is_work_spread(),
            )
        return cls(
            **_switches(),
            tracking_uri=portable_address(users_tracking_uri()),
            working_directory=_working_directory(),
            experiment_id=experiment_id,
            experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME"),
            parent_run_id=parent_run_id,
            # MLflow removes the variable when a run begins, which continues this run.
            environment_run_id=(
                os.environ.get("MLFLOW_RUN_ID") or None
                if parent_run_id is None
                else None
            ),
            parents=(),
            inbox=Inbox(default_folder(), _owners.this_process()),
            thread_id=threading.get_ident(),
            is_spread=is_work_spread(),
        )

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process made it."""
        return self.inbox.owner == _owners.this_process()

    @property
    def speaks_for_this_thread(self) -> bool:
        """Whether this thread works for the thread that made it.

        This is so in a worker process, and in a thread of joblib for which the other
        thread waits. Any other thread has a destination of its own.
        """
        if not self.is_of_this_process:
            return True
        is_another = self.thread_id != threading.get_ident()
        return is_another and works_for_joblib() and waits_for_joblib(self.thread_id)

    def address(self) -> Address:
        """Return the part that is written to the journal."""
        return {
            "tracking_uri": self.tracking_uri,
            "working_directory": self.working_directory,
            "experiment_id": self.experiment_id,
            "experiment_name": self.experiment_name,
            "parent_run_id": self.parent_run_id,
            "environment_run_id": self.environment_run_id,
        }

    def directed_to(
        self, tracking_uri: str | None, experiment_name: str | None
    ) -> Destination:
        """Return one with another store or experiment, and with tracking on.

        None leaves store or experiment as they are.
        """
        changes: dict[str, Any] = {"enabled": True}
        uri = portable_address(tracking_uri)
        if uri not in (None, self.tracking_uri):
            # Ids of runs and experiments are valid in one store only.
            changes |= {"tracking_uri": uri, "experiment_id": None}
            changes |= {"parent_run_id": None, "parents": (), "call_key": None}
            changes |= {"environment_run_id": None}
        if experiment_name is not None:
            changes |= {"experiment_id": None, "experiment_name": experiment_name}
            if "environment_run_id" not in changes and self.parent_run_id is None:
                # The run stays the parent, but does not determine the experiment.
                changes |= {"parent_run_id": self.environment_run_id}
                changes |= {"environment_run_id": None}
        return replace(self, **changes)

    def below(self, *parents: ParentRun) -> Destination:
        """Return the place below some runs, the outermost first."""
        return replace(self, parents=(*self.parents, *parents))

    def outside_call(self) -> Destination:
        """Return the place of the scikit-learn call itself."""
        parents = tuple(p for p in self.parents if p.key != self.call_key)
        return replace(self, parents=parents, call_key=None)


@dataclass
class OpenPlace:
    """The place below the run of a study or trial, valid until that is over.

    Any thread may set `is_over`.
    """

    destination: Destination
    is_over: bool = False


@dataclass(frozen=True)
class Surroundings:
    """The study in which a thread is, and the trials that it has asked for.

    Attributes
    ----------
    study : OpenPlace
        The study.

    trials : tuple of OpenPlace
        Its trials, the oldest first.
    """

    study: OpenPlace
    trials: tuple[OpenPlace, ...] = ()

    @property
    def open_trials(self) -> tuple[OpenPlace, ...]:
        """The trials that are not over."""
        return tuple(trial for trial in self.trials if not trial.is_over)

    def here(self) -> Destination | None:
        """Return where runs go: below the trial if just one is open, else the study.

        It is None when the study is over.
        """
        if self.study.is_over:
            return None
        trials = self.open_trials
        return (trials[0] if len(trials) == 1 else self.study).destination


def _switches() -> dict[str, Any]:
    """Return the user's configuration as attributes of a destination."""
    config = get_config()
    return {"enabled": config.pop("tracking"), **config}


def _working_directory() -> str | None:
    with suppress(OSError):  # it was removed
        return os.getcwd()
    return None
