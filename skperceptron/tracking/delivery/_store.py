"""Stores of MLflow: how to find, make and reach them."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from skperceptron.tracking._credentials import with_credentials, without_credentials
from skperceptron.tracking._local_stores import database_of, default_store_in
from skperceptron.tracking.delivery._mlflow_import import import_mlflow
from skperceptron.tracking.journal._record import Address

try:
    import fcntl
except ImportError:  # on Windows, where mypy does not look
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from mlflow import MlflowClient

# How long a server may take to say that it is there, in seconds.
ANSWER_TIMEOUT = 5.0
SECONDS_BETWEEN_CHECKS = 1.0
_SERVERS = ("http", "https")
_DATABASE_SERVERS = ("mssql", "mysql", "postgresql")

# What each thread has locked.
_this_thread = threading.local()
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


def client_of(address: Address) -> MlflowClient:
    """Get a client of the store.

    Raises
    ------
    OSError, mlflow.exceptions.MlflowException
        When the store cannot be reached.
    """
    uri = tracking_uri_of(address)
    _check_answers(uri)
    return _cached_client(uri)


def tracking_uri_of(address: Address) -> str:
    """Get the whole address of a store, credentials included."""
    with _preparation():
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

    Raises
    ------
    FileNotFoundError
        When the store is a file that this machine does not have: the run may be another
        machine's.
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
    with (
        _preparation() if path is not None else nullcontext(),
        store_lock(tracking_uri),
    ):
        if path is not None and not path.exists():
            _make_database(tracking_uri, path)
        return _connect(tracking_uri)


def _connect(tracking_uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    if not tracking_uri.lower().startswith(_SERVERS):  # these were asked
        client.search_experiments(max_results=1)
    return client


def _make_database(tracking_uri: str, path: Path) -> None:
    """Make an SQLite store as a whole or not at all.

    MLflow takes a second to create its tables, in several transactions. Where its
    process is killed meanwhile, it can neither use nor complete what is there.
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
    _asking.clear()
    for kind in ("tracking", "model_registry"):
        module = sys.modules.get(f"mlflow.store.{kind}.sqlalchemy_store")
        store = getattr(module, "SqlAlchemyStore", None)
        for engine in getattr(store, "_engine_map", {}).values():
            engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_connections)


@contextmanager
def store_lock(tracking_uri: str) -> Iterator[None]:
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


# When each server last said that it is there, and the threads that ask, with what they
# have been told.
_answered_at: dict[str, float] = {}
_asking: dict[str, tuple[threading.Thread, list[Exception]]] = {}


def _check_answers(uri: str) -> None:
    """Find out in a few seconds whether a server answers.

    MLflow's own client and the driver of the database ask. They alone know of proxies,
    certificates, headers, sockets and whatever else leads there.
    """
    if time.monotonic() - _answered_at.get(uri, -math.inf) < SECONDS_BETWEEN_CHECKS:
        return
    scheme = uri.partition(":")[0].lower()
    if scheme in _SERVERS:
        _wait_for_answer(uri, _ask_server, "server")
    elif scheme.partition("+")[0] in _DATABASE_SERVERS:
        _wait_for_answer(uri, _ask_database, "database")
    _answered_at[uri] = time.monotonic()


def _wait_for_answer(uri: str, ask: Callable[[str], None], what: str) -> None:
    """Ask in a thread: MLflow, or the driver of a database, may wait for minutes."""
    thread, errors = _asking.get(uri) or _begin_to_ask(uri, ask)
    thread.join(ANSWER_TIMEOUT)
    if thread.is_alive():
        raise TimeoutError(f"no answer of the {what} within {ANSWER_TIMEOUT:g} s")
    _asking.pop(uri, None)
    if errors:
        raise errors[0]


def _begin_to_ask(
    uri: str, ask: Callable[[str], None]
) -> tuple[threading.Thread, list[Exception]]:
    errors: list[Exception] = []

    def note_errors() -> None:
        try:
            ask(uri)
        except Exception as error:  # whatever a driver may raise
            errors.append(error)

    thread = threading.Thread(target=note_errors, daemon=True)
    thread.start()
    _asking[uri] = thread, errors
    return thread, errors


def _ask_server(uri: str) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RetryError

    try:
        MlflowClient(uri).search_experiments(max_results=1)
    except MlflowException as error:
        # Any answer will do, that of a server that has no such list too. Whether runs
        # can be stored, these find out.
        has_answered = isinstance(error.__context__, RetryError)
        if "API request to http" in str(error) and not has_answered:
            raise


def _ask_database(uri: str) -> None:
    """Connect once: MLflow would try that again for minutes."""
    from mlflow.store.db.utils import create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)
    engine.connect().close()
    engine.dispose()
