"""Stores of MLflow: how to find, create and reach them."""

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

# How long a server may take to answer at all, in seconds.
ANSWER_TIMEOUT = 5.0
SECONDS_BETWEEN_CHECKS = 1.0
_SERVERS = ("http", "https")
_DATABASE_SERVERS = ("mssql", "mysql", "postgresql")

# The stores that each thread has locked.
_this_thread = threading.local()
# The threads that import MLflow or create a store, neither of which a server can delay.
_getting_ready: set[int] = set()


@contextmanager
def _preparation() -> Iterator[None]:
    """Note during the block that this thread gets ready and is worth waiting for."""
    thread_id = threading.get_ident()
    _getting_ready.add(thread_id)
    try:
        yield
    finally:
        _getting_ready.discard(thread_id)


def is_getting_ready(thread: threading.Thread | None) -> bool:
    """Return whether a thread imports MLflow, or creates a store or waits for its lock.

    That takes seconds, and longer on a busy machine.
    """
    return thread is not None and thread.ident in _getting_ready


def client_of(address: Address) -> MlflowClient:
    """Return a client of the store.

    Raises
    ------
    OSError, mlflow.exceptions.MlflowException
        When the store cannot be reached.
    """
    uri = tracking_uri_of(address)
    _check_answers(uri)
    return _cached_client(uri)


def tracking_uri_of(address: Address) -> str:
    """Return the complete address of a store, including credentials."""
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
    """Check that a store of a run of another machine can be reached from here.

    Raises
    ------
    FileNotFoundError
        When the store is a file that this machine does not have. MLflow would create
        it, where nobody would look for it.
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
    # The first client of a database creates its tables. Two processes must not do that
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
    if not tracking_uri.lower().startswith(_SERVERS):  # servers were asked before
        client.search_experiments(max_results=1)
    return client


def _make_database(tracking_uri: str, path: Path) -> None:
    """Create an SQLite store as a whole or not at all.

    MLflow creates its tables in several transactions, which takes a second. If its
    process is killed meanwhile, it can neither use nor complete the file later.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix, suffix = f".{path.name}.", ".new"
    for item in path.parent.iterdir():
        if item.name.startswith(prefix) and suffix in item.name:
            item.unlink(missing_ok=True)  # left by a process that was killed here
    # A new name each time, as MLflow keeps connections by address. It is derived from
    # the store's address, so that MLflow finds the same folder.
    folder, _, name = tracking_uri.rpartition("/")
    new_uri = f"{folder}/.{name}.{uuid.uuid4().hex}{suffix}"
    new = database_of(new_uri)
    if new is None or new.parent != path.parent:  # there is a quoted slash in the name
        return
    try:
        # Raises an error where MLflow would retry for minutes.
        new.touch(mode=0o644)
        _connect(new_uri)
        try:
            os.link(new, path)
        except FileExistsError:
            return  # another process, such as `mlflow ui`, was faster
        except OSError:  # a file system without hard links
            new.rename(path)
    finally:
        new.unlink(missing_ok=True)


def _leave_connections() -> None:
    """Drop the parent's database connections in a forked child.

    MLflow keeps them by address, and new clients of the child would use them, too.
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
    """Lock a store against other processes of the user on this machine, and threads.

    A thread that has the lock may enter again.
    """
    held = vars(_this_thread).setdefault("held", set())
    # By its path, as a file may have several addresses.
    store = str(database_of(tracking_uri) or tracking_uri)
    if fcntl is None or store in held:
        yield
        return
    name = hashlib.sha256(os.fsencode(store)).hexdigest()[:16]
    # One for each user, as users cannot open each other's.
    path = Path(tempfile.gettempdir()) / f"skperceptron-{os.getuid()}-{name}.lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        held.add(store)
        try:
            yield
        finally:
            held.discard(store)
            # Closing the file would not unlock it if a child that was forked meanwhile
            # has it open as well.
            fcntl.flock(file, fcntl.LOCK_UN)


# When each server has last answered, and the threads that are asking one, with the
# errors that they got.
_answered_at: dict[str, float] = {}
_asking: dict[str, tuple[threading.Thread, list[Exception]]] = {}


def _check_answers(uri: str) -> None:
    """Raise an error unless a server answers within a few seconds.

    MLflow's own client or the driver of the database asks, since only these know of
    proxies, certificates, headers and sockets.
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
    """Ask in a thread, because MLflow or a database driver may wait for minutes."""
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
        except Exception as error:  # any error of a driver
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
        # Any answer will do, even an error of the server. Whether it stores runs shows
        # when a run is delivered.
        has_answered = isinstance(error.__context__, RetryError)
        if "API request to http" in str(error) and not has_answered:
            raise


def _ask_database(uri: str) -> None:
    """Connect once, where MLflow would retry for minutes."""
    from mlflow.store.db.utils import create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)
    engine.connect().close()
    engine.dispose()
