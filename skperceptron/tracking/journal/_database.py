"""The SQLite file of a journal: its owner, its tables and its connections."""

from __future__ import annotations

import atexit
import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from skperceptron.tracking._notices import note

T = TypeVar("T")

# Kept in the file, so that a later version knows what it reads.
VERSION = 1
SCHEMA = (
    """CREATE TABLE run (
    key TEXT PRIMARY KEY,
    parent TEXT, -- the key of the run above it, which may be in another journal
    name TEXT NOT NULL,
    start_time INTEGER NOT NULL, -- milliseconds since 1970, as all times
    end_time INTEGER,
    status TEXT, -- how it has ended; NULL before
    done INTEGER NOT NULL, -- whether its owner writes no more
    status_if_killed TEXT NOT NULL,
    was_killed INTEGER NOT NULL DEFAULT 0, -- its owner has ended before it
    is_managed INTEGER NOT NULL, -- somebody tells when it ends
    last_sign INTEGER NOT NULL, -- when it, or something below it, went on last
    address TEXT NOT NULL, -- where it goes, as JSON
    signature TEXT NOT NULL, -- shows that the user has said so
    store TEXT NOT NULL, -- the store of the address; empty for the default one
    owner TEXT NOT NULL, -- the process that writes it
    deliverer TEXT NOT NULL, -- the process that is to deliver it
    origin TEXT NOT NULL, -- the process for which it is fitted
    is_spread INTEGER NOT NULL DEFAULT 0, -- other machines may have runs below it
    run_id TEXT, -- the run in MLflow
    lacks_files INTEGER NOT NULL DEFAULT 0, -- it is in MLflow without its files
    due INTEGER NOT NULL, -- MLflow does not have all of it
    n_tries INTEGER NOT NULL, -- more than 0: MLflow may have it
    next_try INTEGER NOT NULL DEFAULT 0,
    claimed_by TEXT, -- the process that is just delivering it
    error TEXT -- why that has failed
)""",
    """CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    body TEXT NOT NULL -- JSON
)""",
    "CREATE INDEX due_runs ON run (store, last_sign) WHERE due",
    "CREATE INDEX open_runs ON run (owner) WHERE NOT done",
    "CREATE INDEX open_searches ON run (deliverer) WHERE NOT done AND NOT is_managed",
    "CREATE INDEX runs_below ON run (parent)",
    "CREATE INDEX events_of_run ON event (key)",
)
# How long a transaction waits for others to end.
SECONDS_TO_WAIT = 10.0
# File systems that hosts share. SQLite's WAL mode works on one host only.
_NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "lustre",
    "gpfs",
    "afs",
    "beegfs",
    "ceph",
    "fuse.",
    "9p",
)
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class JournalError(OSError):
    """A journal that cannot be used."""


class LaterVersionError(JournalError):
    """A journal of a later version of this package, which is not put aside."""


class _CorruptError(Exception):
    """A file that is not a journal."""


@dataclass
class Connection:
    """The connection of one process, which its threads use in turn."""

    lock: Any = field(default_factory=threading.RLock)
    db: sqlite3.Connection | None = None
    file: tuple[int, int] = (0, 0)


# One for each folder in which this process has a journal.
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
# The connections whose locks are held during a fork.
_held: list[Connection] = []


class Database:
    """An SQLite file for any number of processes and threads.

    The file at `path` and its folder are created when they are first used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # By process id. A forked child opens its own and never closes that of its
        # parent, which would roll back a transaction of the parent.
        self._connections: dict[int, Connection] = {}
        _databases.add(self)

    def run(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function in one transaction. A damaged file is put aside first.

        Raises
        ------
        JournalError
            When the file cannot be used.
        """
        try:
            with self._transaction(begin) as db:
                return work(db)
        except _CorruptError as error:
            self._put_aside(error)
        with self._transaction(begin) as db:
            return work(db)

    def close(self) -> None:
        """Close the connection of this process until it is used again."""
        own = self.own
        with own.lock:
            if own.db is not None:
                own.db.close()
                own.db = None

    def __del__(self) -> None:
        if os.getpid() in self._connections:
            self.close()

    def check_folder(self) -> None:
        """Create folder and file if need be, and check that they are the user's own.

        Raises
        ------
        OSError
            When they are not, or cannot be created.
        """
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_own(folder, stat.S_ISDIR)
        with suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
            os.close(os.open(self.path, flags, 0o600))
        # Without opening the file: closing it would drop the locks of SQLite.
        _check_own(self.path, stat.S_ISREG)

    @property
    def own(self) -> Connection:
        """The connection of this process."""
        return self._connections.setdefault(os.getpid(), Connection())

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        own = self.own
        with own.lock:
            try:
                db = self._connect(own)
                db.execute(begin)
                try:
                    yield db
                except BaseException:
                    db.rollback()
                    raise
                db.commit()
            except UnicodeDecodeError as error:  # in a message of SQLite
                raise _CorruptError("it is damaged") from error
            except sqlite3.DatabaseError as error:
                if _code_of(error) in _CORRUPT:
                    raise _CorruptError(str(error)) from error
                raise JournalError(f"{self.path}: {error}") from error

    def _connect(self, own: Connection) -> sqlite3.Connection:
        # Another process may have removed the file or put it aside.
        if own.db is not None and own.file == _identity(self.path):
            return own.db
        self.close()
        self.check_folder()
        own.file = _identity(self.path)
        db = sqlite3.connect(
            self.path,
            timeout=SECONDS_TO_WAIT,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            db.row_factory = sqlite3.Row
            db.text_factory = _decode
            _prepare(db, self.path)
        except BaseException:
            db.close()
            raise
        own.db = db
        return db

    def _put_aside(self, error: _CorruptError) -> None:
        aside = f"{self.path}.corrupt-{time.time_ns()}"
        own = self.own
        with own.lock:
            self.close()
            if _identity(self.path) != own.file:  # another process has done it
                return
            for suffix in ("-shm", "-wal", ""):
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        note(
            f"The journal {self.path} cannot be read ({error}). It was put aside as "
            f"{aside}, and a new one is begun. What waited in it is not delivered."
        )


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Check the tables of a file, and create those of a new one."""
    # A schema that somebody else has written must not run functions.
    db.execute("PRAGMA trusted_schema = OFF")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise LaterVersionError(f"{path} is of a later version of skperceptron")
    if file_system_of(path).startswith(_NETWORK):
        _set_mode(db, "DELETE")  # slow, but safe where locks work
    else:
        _set_mode(db, "WAL")
        # A crash of the machine may lose the last writes; a killed process loses none.
        db.execute("PRAGMA synchronous = NORMAL")
    db.execute("BEGIN IMMEDIATE")
    try:
        tables = _schema_of(db)
        if not tables:
            for statement in SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
        elif tables != set(SCHEMA):
            raise _CorruptError("its tables are not those of a journal")
    finally:
        db.commit()


def file_system_of(path: Path) -> str:
    """Return the type of the file system of a file; empty if it is unknown."""
    kind, longest = "", -1
    with suppress(OSError), open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, where, name, *_ = line.split()
            if len(where) > longest and path.resolve().is_relative_to(where):
                kind, longest = name, len(where)
    return kind


def _set_mode(db: sqlite3.Connection, mode: str) -> None:
    # While another process sets it, SQLite fails at once, without a timeout.
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while True:
        try:
            db.execute(f"PRAGMA journal_mode = {mode}")
        except sqlite3.OperationalError as error:
            if _code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _code_of(error: sqlite3.Error) -> int:
    """Return the primary result code of an error of SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _schema_of(db: sqlite3.Connection) -> set[str]:
    return {
        sql
        for name, sql in db.execute("SELECT name, sql FROM sqlite_master")
        if sql is not None and name != "sqlite_sequence"
    }


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = os.lstat(path)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def _check_own(path: Path, is_kind: Callable[[int], bool]) -> None:
    status = os.lstat(path)
    if not is_kind(status.st_mode):
        raise JournalError(f"{path} is a link, or not a plain file or folder")
    if not hasattr(os, "getuid"):  # on Windows
        return
    if status.st_uid != os.getuid():
        raise JournalError(f"{path} belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise JournalError(f"{path} can be written by other users: chmod go-w helps")


def _close_all() -> None:
    for database in list(_databases):
        database.close()


# Registered before the handlers that deliver at the end, and so called after them.
atexit.register(_close_all)


def _hold_all() -> None:
    """Keep other threads out of SQLite during a fork: a child would wait for them."""
    for database in list(_databases):
        connection = database.own
        connection.lock.acquire()
        _held.append(connection)


def _let_all_go() -> None:
    while _held:
        _held.pop().lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_all, after_in_parent=_let_all_go)
