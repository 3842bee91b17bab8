"""Where a run goes.

A fit in the user's own thread asks MLflow and the configuration at once. A search,
however, fits clones in worker processes and threads, which know neither the caller's
tracking URI and experiment nor its active run and switches. scikit-learn makes these
clones in the caller's thread (or from clones made there), so a clone remembers the
destination and takes it along. Where the caller's thread makes only the first clones
and joblib's threads make the rest, as in `cross_validate`, the first are the witnesses.

Fits that one call of scikit-learn's makes, such as `cross_validate`, have one run above
them.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import threading
import weakref
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from joblib.parallel import (
    LokyBackend,
    MultiprocessingBackend,
    SequentialBackend,
    ThreadingBackend,
    get_active_backend,
)

from skperceptron._config import get_config
from skperceptron.tracking import _journal, _processes
from skperceptron.tracking._attributes import DESTINATION_ATTRIBUTE
from skperceptron.tracking._local_stores import absolute_address
from skperceptron.tracking._sklearn_calls import (
    find_call,
    find_waiting_call,
    waits_for_joblib,
    works_for_joblib,
)

_SECRETS = ("pass", "token", "secret", "key", "pwd", "user", "odbc_connect")
# Engines such as Ray's are derived from these.
_OF_ONE_MACHINE = (
    LokyBackend,
    MultiprocessingBackend,
    SequentialBackend,
    ThreadingBackend,
)
# What the thread saw that cloned an estimator last.
_seen_at_clone: weakref.WeakKeyDictionary[Any, Destination] = (
    weakref.WeakKeyDictionary()
)
# Where an estimator was fitted that somebody else has sent: it may be fitted again.
_taken: weakref.WeakKeyDictionary[Any, Destination] = weakref.WeakKeyDictionary()
# The stores whose addresses contain credentials, by the address without them.
_with_credentials: dict[str, str] = {}
# User and password of an address; a worker process need not know that of a store.
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s'\"]+(?=@)")
# The same where an address begins: of a server, and of a database as SQLAlchemy reads
# it, where the password may contain anything but "@".
_OF_SERVER = re.compile(r"(?:[^/?#@]*@)+")
_OF_DATABASE = re.compile(r"[^:/@]*(?::[^@]*)?@(?:[^/?@]*@)*")

# The study, and its trials, in which whatever is fitted here is.
enclosing: ContextVar[Surroundings | None] = ContextVar(
    "skperceptron_enclosing", default=None
)


@dataclass(frozen=True)
class ParentRun:
    """A run that has others below it.

    Attributes
    ----------
    key : str
        Its identity in the journal.

    name : str
        Its name, should it have to be created.

    start_time : int
        Milliseconds since 1970.

    is_managed : bool
        Whether somebody will tell when it ends.
    """

    key: str
    name: str
    start_time: int
    is_managed: bool = False


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
        Whether a model holds rows of the training data.

    tracking_uri : str or None
        The store, without credentials. None leaves the choice to MLflow.

    working_directory : str or None
        The folder of the process that looked, on which that choice depends.

    experiment_id, experiment_name : str or None
        The experiment; both None for the default one. The id counts when both are
        known.

    parent_run_id : str or None
        The run that was active.

    environment_run_id : str or None
        The run that the environment names, where none was active. Its experiment then
        counts, if the store has it.

    parents : tuple of ParentRun
        The runs of a study and of its trial, if there are any; these then count.

    inbox : Inbox
        From where the process that looked delivers.

    thread_id : int
        Who looked.

    is_spread : bool
        Whether other machines may take part in what is fitted.

    call_key : str or None
        The run of the call of scikit-learn's that makes this fit among others.
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
    inbox: _journal.Inbox
    thread_id: int
    is_spread: bool
    call_key: str | None = None

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
            from skperceptron.tracking._active_run import users_run

            tracking_uri = mlflow.get_tracking_uri()
            if active := users_run():
                parent_run_id = active.info.run_id
                experiment_id = active.info.experiment_id
        surroundings = enclosing.get()
        around = None if surroundings is None else surroundings.here()
        if around is not None and parent_run_id in (None, around.parent_run_id):
            return replace(
                around,
                **_switches(),
                thread_id=threading.get_ident(),
                is_spread=_is_work_spread(),
            )
        return cls(
            **_switches(),
            tracking_uri=without_credentials(_absolute(tracking_uri)),
            working_directory=_working_directory(),
            experiment_id=experiment_id,
            experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME"),
            parent_run_id=parent_run_id,
            # MLflow removes it from there when a run begins, which then is that one.
            environment_run_id=(
                os.environ.get("MLFLOW_RUN_ID") or None
                if parent_run_id is None
                else None
            ),
            parents=(),
            inbox=_journal.Inbox(_journal.default_folder(), _processes.this_process()),
            thread_id=threading.get_ident(),
            is_spread=_is_work_spread(),
        )

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process, not another one, has looked."""
        return self.inbox.owner == _processes.this_process()

    @property
    def speaks_for_this_thread(self) -> bool:
        """Whether this thread works for the one that looked.

        That is so in a worker process, and in a thread of joblib's for which the other
        thread waits. Any other thread sees for itself where its runs go.
        """
        if not self.is_of_this_process:
            return True
        is_another = self.thread_id != threading.get_ident()
        return is_another and works_for_joblib() and waits_for_joblib(self.thread_id)

    def address(self) -> dict[str, str | None]:
        """Say where a run goes, for the journal."""
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
        """Point to another store or experiment, and track whatever the switch says.

        Parameters
        ----------
        tracking_uri, experiment_name : str or None
            None leaves them as they are.
        """
        changes: dict[str, Any] = {"enabled": True}
        uri = without_credentials(_absolute(tracking_uri))
        if uri not in (None, self.tracking_uri):
            # Neither runs nor experiments of one store mean anything in another.
            changes |= {"tracking_uri": uri, "experiment_id": None}
            changes |= {"parent_run_id": None, "parents": (), "call_key": None}
            changes |= {"environment_run_id": None}
        if experiment_name is not None:
            changes |= {"experiment_id": None, "experiment_name": experiment_name}
            if "environment_run_id" not in changes and self.parent_run_id is None:
                # Still the run above, whose experiment does not count any more.
                changes |= {"parent_run_id": self.environment_run_id}
                changes |= {"environment_run_id": None}
        return replace(self, **changes)

    def below(self, *parents: ParentRun) -> Destination:
        """Point to the place below some runs."""
        return replace(self, parents=(*self.parents, *parents))

    def outside_call(self) -> Destination:
        """Point to where the call of scikit-learn's itself is."""
        parents = tuple(p for p in self.parents if p.key != self.call_key)
        return replace(self, parents=parents, call_key=None)

    def __getstate__(self) -> dict[str, Any]:
        # Whoever unpickles this may write to the inbox, for this process to deliver.
        if self.enabled and self.is_of_this_process:
            from skperceptron.tracking._deliverers import expect_entries

            expect_entries(self)
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass
class OpenPlace:
    """Where runs go as long as a study, or a trial, is not over.

    Attributes
    ----------
    destination : Destination
        The place below its run.

    is_over : bool
        Whether it is. Any thread may find that out.
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
        """Tell where runs go: below a trial only if it can be no other one.

        Returns
        -------
        Destination or None
            None when the study is over.
        """
        if self.study.is_over:
            return None
        trials = self.open_trials
        return (trials[0] if len(trials) == 1 else self.study).destination


def _switches() -> dict[str, Any]:
    """Read what the user has switched, as attributes of a destination."""
    config = get_config()
    return {"enabled": config.pop("tracking"), **config}


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
        setattr(clone, DESTINATION_ATTRIBUTE, _destination_for_clone_of(original))


def _destination_for_clone_of(original: Any) -> Destination:
    witness = _seen_at_clone.get(original)
    if witness is not None and witness.speaks_for_this_thread and _is_fresh(witness):
        return witness
    destination = _seen_at_clone[original] = _destination_of(original)
    return destination


def _is_fresh(witness: Destination) -> bool:
    """Tell whether the call is not over of which something was seen, if any was."""
    if witness.call_key is None:
        return True
    from skperceptron.tracking._call_runs import is_open

    return is_open(witness.call_key)


def remember_when_sent(state: dict[str, Any], estimator: Any) -> None:
    """Let what joblib sends to another process know where its runs will go.

    Some ensembles make their clones there.

    Parameters
    ----------
    state : dict
        What is sent.

    estimator : estimator
        Of what.
    """
    if DESTINATION_ATTRIBUTE not in state:
        with suppress(Exception):  # the fit will say what is wrong
            if find_waiting_call(estimator) is not None:
                state[DESTINATION_ATTRIBUTE] = seen_from_here(estimator)


def take_destination(estimator: Any) -> Destination:
    """Tell where the fit that begins now is to be logged.

    The estimator forgets it, because it may be stored and fitted again in another
    place, another day. In this process it is known: `permutation_test_score` fits one
    clone several times.

    Parameters
    ----------
    estimator : estimator
        The estimator about to be fitted.

    Returns
    -------
    Destination
    """
    destination = _destination_of(estimator)
    if vars(estimator).pop(DESTINATION_ATTRIBUTE, None) is destination:
        _taken[estimator] = destination
    return destination


def _destination_of(estimator: Any) -> Destination:
    remembered: Destination | None = vars(estimator).get(DESTINATION_ATTRIBUTE)
    remembered = remembered or _taken.get(estimator)
    if remembered is not None and remembered.speaks_for_this_thread:
        return remembered
    return seen_from_here(estimator)


def seen_from_here(estimator: Any) -> Destination:
    """Tell where the runs of an estimator go, as this thread sees it.

    Parameters
    ----------
    estimator : estimator
        What is to be fitted.

    Returns
    -------
    Destination
        Below the run of the call of scikit-learn's that makes the fit, if it is one of
        several.
    """
    here = Destination.current()
    if not here.enabled:
        return here
    if here.parents:  # a study's trial is the run of all that is fitted in it
        return here
    call = find_call() or find_waiting_call(estimator)
    if call is None:
        return here
    from skperceptron.tracking._call_runs import run_of

    parent = run_of(call, here)
    # The thread that has made the call is the one to wait for.
    return replace(here.below(parent), call_key=parent.key, thread_id=call.thread_id)


def _is_work_spread() -> bool:
    """Tell whether joblib is told to use an engine that is none of its own."""
    backend, _ = get_active_backend()
    return type(backend) not in _OF_ONE_MACHINE


def _absolute(uri: str | None) -> str | None:
    # A reused worker process may stand in another folder.
    return None if uri is None else absolute_address(uri)


def _working_directory() -> str | None:
    with suppress(OSError):  # somebody has removed it
        return os.getcwd()
    return None


def is_same_store(uri: str, other: str) -> bool:
    """Tell whether two addresses are those of one store."""
    return without_credentials(_absolute(uri)) == without_credentials(_absolute(other))


def without_credentials(uri: str | None) -> str | None:
    """Take user, password and the like out of an address.

    Parameters
    ----------
    uri : str or None
        Address of a store.

    Returns
    -------
    str or None
        The address to show and to write down. `with_credentials` knows the rest, in
        this process.
    """
    if uri is None or "://" not in uri:
        return uri
    scheme, user, path, query = _parts_of(uri)
    shown = [(k, v) for k, v in query if not any(s in k.lower() for s in _SECRETS)]
    if not user and shown == query:
        return uri
    # Not put together by `urlunsplit`, which drops a slash of sqlite:////path.
    bare = f"{scheme}://{path}" + (f"?{urlencode(shown)}" if shown else "")
    _with_credentials[bare] = uri
    return bare


def _parts_of(uri: str) -> tuple[str, str, str, list[tuple[str, str]]]:
    """Divide an address into scheme, user with password, host with path, and query."""
    scheme, _, rest = uri.partition("://")
    is_server = scheme.lower() in ("http", "https")
    match = (_OF_SERVER if is_server else _OF_DATABASE).match(rest)
    user = match.group() if match else ""
    path, _, query = rest.removeprefix(user).partition("?")
    return scheme, user[:-1], path, parse_qsl(query, keep_blank_values=True)


def with_credentials(uri: str) -> str:
    """Complete the address of a store with what this process knows of it."""
    return _with_credentials.get(uri, uri)


def hide_credentials(text: str) -> str:
    """Take credentials out of a message: those of stores, and those in any address."""
    for bare, whole in _with_credentials.items():
        text = text.replace(whole, bare)
        for secret in _secrets_of(whole, bare):
            text = text.replace(secret, "***")
    return _IN_ADDRESS.sub("***", text)


def _secrets_of(whole: str, bare: str) -> list[str]:
    _, user, _, query = _parts_of(whole)
    shown = dict(_parts_of(bare)[3])
    hidden = [value for key, value in query if key not in shown]
    found = [user, user.partition(":")[2], *hidden]
    return [secret for secret in found if secret]
