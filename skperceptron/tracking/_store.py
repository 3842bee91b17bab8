"""Stores of MLflow: how to find, make and reach them, and in how much time."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import socket
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skperceptron.tracking._destination import with_credentials, without_credentials
from skperceptron.tracking._local_stores import database_of, default_store_in
from skperceptron.tracking._temporary_state import import_mlflow

try:
    import fcntl
except ImportError:  # on Windows, where mypy does not look
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from mlflow import MlflowClient

# How long a server may take to say that it is there, in seconds.
ANSWER_TIMEOUT = 2.0
SECONDS_BETWEEN_KNOCKS = 1.0
# How long it may take over anything else.
PATIENCE = 30.0

Address = dict[str, str | None]
# Modules that warn of each other. Where the user has made errors of warnings, they
# would not work.
_NOT_OURS = (
    r"(alembic|databricks|flask|google|mlflow|opentelemetry|packaging|pydantic|"
    r"requests|skops|sqlalchemy|urllib3)(\..*)?$"
)
# What each thread may do, and has locked.
_this_thread = threading.local()


def calm_down_warnings() -> None:
    """Let no warning of MLflow's reach a user who can do nothing about it.

    Nor may it keep MLflow from working under ``python -W error``.
    """
    # Not by `warnings.catch_warnings`, which would swallow those of other threads.
    known = {
        (category, getattr(module, "pattern", module))
        for _, _, category, module, _ in warnings.filters
    }
    is_strict = "error" in {action for action, *_ in warnings.filters}
    category = Warning if is_strict else DeprecationWarning
    if (category, _NOT_OURS) not in known:
        warnings.filterwarnings("ignore", category=category, module=_NOT_OURS)


# The threads that import MLflow or make a store, neither of which a server can delay.
_getting_ready: set[int] = set()


@contextmanager
def _preparation() -> Iterator[None]:
    """Let whoever waits for this thread be patient in the block."""
    thread_id = threading.get_ident()
    _getting_ready.add(thread_id)
    try:
        yield
    finally:
        _getting_ready.discard(thread_id)


def is_getting_ready(thread: threading.Thread | None) -> bool:
    """Tell whether a thread is importing MLflow, or making or waiting for a store.

    That takes seconds, on a busy machine many.
    """
    return thread is not None and thread.ident in _getting_ready


@contextmanager
def bounded() -> Iterator[None]:
    """Keep MLflow, in this thread, from waiting and trying again for many minutes.

    The journal tries again. MLflow itself would not look whether a run that it creates
    a second time was created the first time.
    """
    import_mlflow()
    _limit_mlflow()
    before = getattr(_this_thread, "is_bounded", False)
    _this_thread.is_bounded = True
    try:
        yield
    finally:
        _this_thread.is_bounded = before


@lru_cache
def _limit_mlflow() -> None:
    with _preparation():
        from mlflow import environment_variables as variables

    _override(variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES, lambda value: 0)
    _override(variables.MLFLOW_HTTP_REQUEST_TIMEOUT, lambda value: min(value, PATIENCE))
    # It prints the address of the store for each run, credentials included.
    with suppress(AttributeError):  # in older versions
        url = variables.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT
        _override(url, lambda value: True)
    for name in ("mlflow", "alembic", "sqlalchemy.engine"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_is_for_the_screen)


def _is_for_the_screen(record: logging.LogRecord) -> bool:
    """Tell what the user does from what is done for tracking.

    MLflow logs statements and tracebacks where a store fails; we say it in a warning.
    """
    return not getattr(_this_thread, "is_bounded", False)


def _override(variable: Any, change: Callable[[Any], Any]) -> None:
    """Let MLflow find a setting in the environment as it should be in this thread."""
    get = variable.get

    def get_changed() -> Any:
        is_ours = getattr(_this_thread, "is_bounded", False)
        return change(get()) if is_ours else get()

    variable.get = get_changed


@bounded()
def client_of(address: Address) -> MlflowClient:
    """Get a client of the store.

    Raises
    ------
    OSError, mlflow.exceptions.MlflowException
        When the store cannot be reached.
    """
    uri = tracking_uri_of(address)
    _knock(uri)
    return _cached_client(uri)


def tracking_uri_of(address: Address) -> str:
    """Get the whole address of a store, credentials included."""
    import_mlflow()
    import mlflow

    uri = address["tracking_uri"]
    own = mlflow.get_tracking_uri()
    if uri is None:
        folder = address["working_directory"]
        if folder is None or folder == str(Path.cwd()):
            return own
        return default_store_in(Path(folder))
    return own if without_credentials(own) == uri else with_credentials(uri)


def require_store(address: Address) -> None:
    """See to it that no store is made where nobody would look for it.

    Parameters
    ----------
    address : dict
        Of a run of a search on another machine.

    Raises
    ------
    FileNotFoundError
        When the store is a file that this machine does not have.
    """
    path = database_of(tracking_uri_of(address))
    if path is not None and not path.exists():
        raise FileNotFoundError(
            f"{path} is not on this machine; a search on several machines needs a "
            "tracking server that all of them reach"
        )


@lru_cache
def _cached_client(tracking_uri: str) -> MlflowClient:
    path = database_of(tracking_uri)
    # The first client of a database creates its tables; two processes must not try that
    # at once.
    with _preparation() if path is not None else nullcontext(), alone(tracking_uri):
        if path is not None and not path.exists():
            _make_database(tracking_uri, path)
        return _connect(tracking_uri)


def _connect(tracking_uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    client.search_experiments(max_results=1)
    return client


def _make_database(tracking_uri: str, path: Path) -> None:
    """Make an SQLite store as a whole or not at all.

    MLflow takes a second to create its tables, in several transactions. Where its
    process is killed meanwhile, it can neither use nor complete what is there.

    Parameters
    ----------
    tracking_uri : str
        Its address.

    path : Path
        Its file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix, suffix = f".{path.name}.", ".new"
    for item in path.parent.iterdir():
        if item.name.startswith(prefix) and suffix in item.name:
            item.unlink(missing_ok=True)  # of a process that was killed here
    # Another name each time: MLflow keeps the connections to each. Made of the address,
    # so that MLflow finds the folder as it does with the address itself.
    folder, _, name = tracking_uri.rpartition("/")
    new_uri = f"{folder}/.{name}.{uuid.uuid4().hex}{suffix}"
    new = database_of(new_uri)
    if new is None or new.parent != path.parent:  # there is a quoted slash in the name
        return
    try:
        # Where that cannot be done, MLflow would try again for minutes.
        new.touch(mode=0o644)
        _connect(new_uri)
        try:
            os.link(new, path)
        except FileExistsError:
            return  # somebody else, such as `mlflow ui`, was faster
        except OSError:  # a file system without hard links
            new.rename(path)
    finally:
        new.unlink(missing_ok=True)


def _leave_connections() -> None:
    """In a forked child: connections to databases are the parent's.

    MLflow keeps them for each address, and its new clients would use them, too.
    """
    _cached_client.cache_clear()
    for kind in ("tracking", "model_registry"):
        module = sys.modules.get(f"mlflow.store.{kind}.sqlalchemy_store")
        store = getattr(module, "SqlAlchemyStore", None)
        for engine in getattr(store, "_engine_map", {}).values():
            engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_connections)


@contextmanager
def alone(tracking_uri: str) -> Iterator[None]:
    """Keep other processes of this machine, and other threads, out of the block."""
    held = vars(_this_thread).setdefault("held", set())
    # A file may have several addresses.
    store = str(database_of(tracking_uri) or tracking_uri)
    if fcntl is None or store in held:
        yield
        return
    name = hashlib.sha256(os.fsencode(store)).hexdigest()[:16]
    # Of each user's own: another one's could not be opened.
    path = Path(tempfile.gettempdir()) / f"skperceptron-{os.getuid()}-{name}.lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        held.add(store)
        try:
            yield
        finally:
            held.discard(store)
            # Not left to the closing of the file, which a child has open as well that
            # was forked meanwhile.
            fcntl.flock(file, fcntl.LOCK_UN)


# When each server last said that it is there.
_answered_at: dict[str, float] = {}


def _knock(uri: str) -> None:
    """Find out quickly whether a server answers: MLflow would retry for minutes."""
    if time.monotonic() - _answered_at.get(uri, -math.inf) < SECONDS_BETWEEN_KNOCKS:
        return
    # A password may contain what would end the name of the host.
    parts = urlsplit(without_credentials(uri) or uri)
    if parts.scheme == "http" and parts.hostname:
        connection = HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_TIMEOUT)
        with closing(connection):
            connection.request("GET", f"{parts.path.rstrip('/')}/health")
            status = connection.getresponse().status
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ConnectionError(f"the server answers with status {status}")
    elif parts.hostname and (parts.port or parts.scheme == "https"):
        address = parts.hostname, parts.port or 443  # a database has no default here
        socket.create_connection(address, ANSWER_TIMEOUT).close()
    _answered_at[uri] = time.monotonic()
