"""The journal: a folder of the user's own in which runs wait until MLflow has them.

A row of `run` says where a run goes and what is delivered of it. The rows of `event`
contain what MLflow does not have of it yet. Any number of processes and threads may use
them at once. Nothing here knows MLflow.

::

    journal/
      journal.db           the tables, see `_database`
      files/<run>-<n>/     artifacts that wait
      not_logged/          artifacts that the store does not take, for the user
      processes/<process>  locked by a live process, see `_owners`
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from skperceptron.tracking._notices import note
from skperceptron.tracking.journal import _owners, _rows
from skperceptron.tracking.journal._database import Database
from skperceptron.tracking.journal._folders import journals
from skperceptron.tracking.journal._record import (
    RunHead,
    RunRecord,
    Status,
    WaitingRun,
    now,
)

P = ParamSpec("P")
T = TypeVar("T")

# A model is saved before its run is written, but not this long before.
SECONDS_UNTIL_ORPHANED = 3600
# Delivered runs are kept for this time after their last sign, for lookups.
SECONDS_UNTIL_FORGOTTEN = 3600
# Free bytes that the disk must have: a run and its model may need them.
_MIN_FREE = 1_000_000


def _reading(
    verb: Callable[Concatenate[Journal, sqlite3.Connection, P], T],
) -> Callable[Concatenate[Journal, P], T]:
    """Run a method in one transaction that writes nothing."""
    return _in_transaction(verb, "BEGIN")


def _writing(
    verb: Callable[Concatenate[Journal, sqlite3.Connection, P], T],
) -> Callable[Concatenate[Journal, P], T]:
    """Run a method in one transaction, while nobody else writes."""
    return _in_transaction(verb, "BEGIN IMMEDIATE")


def _in_transaction(
    verb: Callable[Concatenate[Journal, sqlite3.Connection, P], T], begin: str
) -> Callable[Concatenate[Journal, P], T]:
    @wraps(verb)
    def call(self: Journal, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.database.run(begin, lambda db: verb(self, db, *args, **kwargs))

    return call


class Journal:
    """The journal in a folder, which is created when something is written.

    `journal_in` returns the one object of this process for a folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.not_logged = folder / "not_logged"
        self.database = Database(folder / "journal.db")

    @property
    def exists(self) -> bool:
        """Whether anything was written to the journal."""
        return os.path.lexists(self.database.path)

    def prepare(self) -> None:
        """Check that the journal can be written.

        Raises
        ------
        OSError
            When it cannot, or its disk is full.
        """
        self.database.check_folder()
        if hasattr(os, "statvfs"):  # not on Windows
            disk = os.statvfs(self.folder)
            # Some file systems do not know their size.
            if disk.f_blocks > 0 and disk.f_bavail * disk.f_frsize < _MIN_FREE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
        _owners.show_life(self.folder, _owners.this_process())
        self.database.run("BEGIN IMMEDIATE", lambda db: None)

    # The verbs of those who write

    @_writing
    def write(
        self,
        db: sqlite3.Connection,
        head: RunHead,
        record: RunRecord,
        *,
        is_done: bool = False,
        owner: str | None = None,
    ) -> None:
        """Write down what is new of a run, and the runs above it.

        Parameters
        ----------
        head : RunHead
            The run.

        record : RunRecord
            What is new of it.

        is_done : bool, default=False
            Whether it has ended before.

        owner : str or None, default=None
            The process whose end also ends the run. None is this process.

        Raises
        ------
        OSError
            When the journal cannot be written.
        """
        with suppress(OSError):  # writing the run matters more
            _owners.show_life(self.folder, _owners.this_process())
        # If its deliverer has ended, the run may be delivered and its row removed.
        is_late = head.may_exist or not _owners.is_alive(self.folder, head.deliverer)
        above: str | None = None
        # The runs above belong to the process for which the run is fitted, if that
        # uses this journal or has died. Otherwise only those from the first unmanaged
        # or known one on are written here. They belong to the deliverer.
        is_here = head.origin == head.deliverer or _owners.has_died(
            self.folder, head.origin
        )
        owner_above = head.origin if is_here else head.deliverer
        for parent in head.parents:
            is_here = is_here or not parent.is_managed or _rows.has_run(db, parent.key)
            if is_here:
                _rows.write_parent(
                    db, head, parent, above, owner_above, record.last_sign, is_late
                )
            above = parent.key
        owner = owner or _owners.this_process()
        _rows.write_run(db, head, above, record, owner, is_late, is_done=is_done)
        if record.end_time is not None:
            _rows.end_unmanaged(db, _rows.IS_BELOW, head.key)

    @_writing
    def end(
        self, db: sqlite3.Connection, key: str, status: Status, end_time: int
    ) -> None:
        """End a run, unless it has ended or is not in the journal."""
        row = db.execute("SELECT * FROM run WHERE key = ? AND NOT done", [key])
        for run in row.fetchall():
            _rows.end_run(db, run, status, end_time)
            _rows.end_unmanaged(db, _rows.IS_BELOW, key)

    @_writing
    def note_spread(self, db: sqlite3.Connection, key: str) -> None:
        """Note that other machines may have runs below a run of the journal."""
        db.execute("UPDATE run SET is_spread = 1 WHERE key = ?", [key])

    @_writing
    def end_unmanaged(self, db: sqlite3.Connection, deliverer: str) -> None:
        """End the runs of a deliverer's searches that nobody else ends."""
        _rows.end_unmanaged(db, "deliverer = ?", deliverer)

    def end_killed(self, deliverers: Collection[str] | None = None) -> None:
        """End runs that outlive their processes: of some deliverers, or of all."""
        if self._has_dead_owners():  # called often, so it must not block writers
            self._end_killed(deliverers)

    @_reading
    def _has_dead_owners(self, db: sqlite3.Connection) -> bool:
        return bool(self._dead_owners(db))

    @_writing
    def _end_killed(
        self, db: sqlite3.Connection, deliverers: Collection[str] | None
    ) -> None:
        for owner in self._dead_owners(db):
            (last_sign,) = db.execute(
                "SELECT max(last_sign) FROM run WHERE owner = ?", [owner]
            ).fetchone()
            for run in db.execute(
                "SELECT * FROM run WHERE owner = ? AND NOT done", [owner]
            ).fetchall():
                if deliverers is None or run["deliverer"] in deliverers:
                    end_time = min(max(last_sign, run["start_time"]), now())
                    _rows.end_run(
                        db, run, run["status_if_killed"], end_time, was_killed=True
                    )

    def _dead_owners(self, db: sqlite3.Connection) -> list[str]:
        """List the processes that have ended, but not all of their runs."""
        return [
            owner
            for (owner,) in db.execute(
                "SELECT DISTINCT owner FROM run WHERE NOT done"
            ).fetchall()
            if not _owners.is_alive(self.folder, owner)
        ]

    # Queries

    @_reading
    def run_id_of(self, db: sqlite3.Connection, key: str) -> str | None:
        """Return the MLflow id of the run of a key, if it is known."""
        row = db.execute("SELECT run_id FROM run WHERE key = ?", [key]).fetchone()
        return None if row is None else row["run_id"]

    @_reading
    def has(self, db: sqlite3.Connection, key: str) -> bool:
        """Return whether a run, or one below it, was written to the journal."""
        return _rows.has_run(db, key)

    @_reading
    def is_due(self, db: sqlite3.Connection, key: str) -> bool:
        """Return whether there is something of a run that MLflow does not have."""
        found = db.execute("SELECT 1 FROM run WHERE key = ? AND due", [key]).fetchone()
        return found is not None

    @_reading
    def below(self, db: sqlite3.Connection, key: str) -> list[sqlite3.Row]:
        """List the rows of the child runs of a run."""
        return db.execute("SELECT * FROM run WHERE parent = ?", [key]).fetchall()

    @_reading
    def count_due(
        self,
        db: sqlite3.Connection,
        store: str | None,
        deliverers: Collection[str] | None = None,
    ) -> int:
        """Count the runs for a store that could be delivered now."""
        (n_due,) = db.execute(
            f"SELECT count(*) FROM run WHERE {_rows.DUE}",
            _rows.due_for(store, deliverers),
        ).fetchone()
        return int(n_due)

    @_reading
    def last_sign(
        self,
        db: sqlite3.Connection,
        store: str | None,
        deliverers: Collection[str] | None = None,
    ) -> int:
        """Return the last sign of the runs that could be delivered now, or 0.

        It is in milliseconds since 1970.
        """
        (last_sign,) = db.execute(
            f"SELECT max(last_sign) FROM run WHERE {_rows.DUE}",
            _rows.due_for(store, deliverers),
        ).fetchone()
        return last_sign or 0

    @_reading
    def waiting(self, db: sqlite3.Connection) -> list[sqlite3.Row]:
        """List the rows of the runs that MLflow does not have completely."""
        dead = json.dumps(self._dead_owners(db))
        return db.execute(
            "SELECT * FROM run WHERE due OR NOT done AND owner IN "
            "(SELECT value FROM json_each(?)) ORDER BY start_time",
            [dead],
        ).fetchall()

    # The verbs of those who deliver

    @_writing
    def claim(
        self,
        db: sqlite3.Connection,
        store: str | None,
        deliverers: Collection[str] | None,
        limit: int,
        *,
        but: Collection[str] = (),
    ) -> list[WaitingRun]:
        """Take runs to deliver that nobody else is delivering.

        The caller settles, postpones or releases each of them. If this process ends
        before, another one may claim them.

        Parameters
        ----------
        store : str or None
            Their store.

        deliverers : collection of str or None
            The processes that are to deliver them. None stands for all.

        limit : int
            Maximum number of runs, not counting undelivered runs above them.

        but : collection of str, default=()
            Keys of runs to leave out.

        Returns
        -------
        list of WaitingRun
            The runs, each one after those above it.
        """
        # Otherwise the claims would look like those of a dead process.
        _owners.show_life(self.folder, _owners.this_process())
        found: dict[str, sqlite3.Row] = {}
        n_found = 0
        for row in _rows.rows_due(db, store, deliverers):
            if row["key"] in but or row["key"] in found:
                continue
            try:
                chain = _rows.chain_of(db, row)
                is_free = all(self._is_free(run) for run in chain)
            except _rows.NONSENSE as error:
                self._leave_alone(db, row["key"], error)
                continue
            if is_free:
                found |= {run["key"]: run for run in chain}
                n_found += 1
            if n_found == limit:
                break
        claimed = []
        for row in found.values():
            try:
                claimed.append(_rows.waiting_run(db, row))
            except _rows.NONSENSE as error:
                self._leave_alone(db, row["key"], error)
        db.executemany(
            "UPDATE run SET claimed_by = ?, n_tries = n_tries + 1 WHERE key = ?",
            [(_owners.this_process(), run.key) for run in claimed],
        )
        return claimed

    def _leave_alone(self, db: sqlite3.Connection, key: str, error: Exception) -> None:
        """Give up on a run that cannot be read. Its row stays for the user to see."""
        db.execute(
            "UPDATE run SET due = 0, done = 1, error = ?, next_try = ? WHERE key = ?",
            [_rows.as_text(str(error)), _rows.NEVER, key],
        )
        note(
            f"The run {key} in the journal {self.database.path} cannot be read, and is "
            f"not delivered: {type(error).__name__}: {error}."
        )

    def _is_free(self, row: sqlite3.Row) -> bool:
        if row["next_try"] > now():
            return False
        claimed_by = row["claimed_by"]
        return claimed_by in (None, _owners.this_process()) or not _owners.is_alive(
            self.folder, claimed_by
        )

    @_reading
    def count_claimed(
        self, db: sqlite3.Connection, store: str | None, deliverer: str | None = None
    ) -> int:
        """Count the runs, of one or all deliverers, that others are delivering now."""
        claimed = db.execute(
            "SELECT claimed_by FROM run WHERE due AND store = ? "
            "AND claimed_by IS NOT NULL AND (? IS NULL OR deliverer = ?)",
            [_rows.store_name(store), deliverer, deliverer],
        ).fetchall()
        others = [by for (by,) in claimed if by != _owners.this_process()]
        return sum(_owners.is_alive(self.folder, by) for by in others)

    def settle(self, settled: Collection[tuple[WaitingRun, str]]) -> None:
        """Note that claimed runs are delivered, given with their MLflow ids."""
        self._settle(settled)
        for run, _ in settled:
            for name in run.record.files:
                shutil.rmtree(self.files(name), ignore_errors=True)

    @_writing
    def _settle(
        self, db: sqlite3.Connection, settled: Iterable[tuple[WaitingRun, str]]
    ) -> None:
        for run, run_id in settled:
            _rows.settle_run(db, run, run_id)

    @_writing
    def settle_without_files(
        self,
        db: sqlite3.Connection,
        run: WaitingRun,
        run_id: str,
        files: list[str],
        error: str,
        next_try: int,
    ) -> None:
        """Note that a run is delivered without some files, which wait, and why."""
        _rows.settle_run(db, run, run_id)
        rest = RunRecord(run.record.name, run.record.start_time, files=files)
        # Its model may be among the files, and is registered with them.
        rest.registered_model_name = run.record.registered_model_name
        _rows.add_event(db, run.key, rest)
        db.execute(
            "UPDATE run SET due = 1, lacks_files = 1, error = ?, next_try = ? "
            "WHERE key = ?",
            [_rows.as_text(error), next_try, run.key],
        )

    @_writing
    def postpone(
        self, db: sqlite3.Connection, key: str, error: str, next_try: int
    ) -> None:
        """Give back a claimed run that could not be delivered, to be tried later."""
        db.execute(
            "UPDATE run SET claimed_by = NULL, error = ?, next_try = ? WHERE key = ?",
            [_rows.as_text(error), next_try, key],
        )

    @_writing
    def release(self, db: sqlite3.Connection, keys: Iterable[str]) -> None:
        """Give back claimed runs that were not tried."""
        db.executemany(
            "UPDATE run SET claimed_by = NULL, n_tries = n_tries - 1 WHERE key = ?",
            [(key,) for key in keys],
        )

    @_writing
    def try_again(
        self, db: sqlite3.Connection, store: str | None, key: str | None = None
    ) -> None:
        """Let a run and those above it be tried at once, or all runs of a store."""
        if key is None:
            db.execute(
                "UPDATE run SET next_try = 0 WHERE due AND store = ?",
                [_rows.store_name(store)],
            )
            return
        for row in db.execute("SELECT * FROM run WHERE key = ?", [key]).fetchall():
            db.executemany(
                "UPDATE run SET next_try = 0 WHERE key = ?",
                [(run["key"],) for run in _rows.chain_of(db, row)],
            )

    @_reading
    def due_among(self, db: sqlite3.Connection, keys: Collection[str]) -> set[str]:
        """Return which of some runs still wait."""
        found = db.execute(
            "SELECT key FROM run WHERE due AND key IN (SELECT value FROM json_each(?))",
            [json.dumps(list(keys))],
        )
        return {key for (key,) in found}

    @_writing
    def sweep(self, db: sqlite3.Connection, gone: Collection[str] = ()) -> None:
        """Remove delivered runs that are old, or whose deliverer has ended.

        The deliverers in `gone` are about to end.
        """
        deliverers = db.execute("SELECT DISTINCT deliverer FROM run").fetchall()
        dead = [
            name
            for (name,) in deliverers
            if name in gone or not _owners.is_alive(self.folder, name)
        ]
        n_removed = 1
        while n_removed:  # runs above others can go after these
            n_removed = db.execute(
                "DELETE FROM run WHERE NOT due AND error IS NULL AND "
                "((done OR owner != deliverer) "
                "AND deliverer IN (SELECT value FROM json_each(?)) "
                "OR done AND last_sign < ?) AND "
                "key NOT IN (SELECT parent FROM run WHERE parent IS NOT NULL)",
                [json.dumps(dead), now() - 1000 * SECONDS_UNTIL_FORGOTTEN],
            ).rowcount
        self._remove_orphans(db)
        owners = db.execute("SELECT owner FROM run UNION SELECT deliverer FROM run")
        _owners.forget_dead(self.folder, but={name for (name,) in owners})

    # Artifacts

    def new_files(self, key: str) -> str:
        """Create a folder for artifacts of a run, and return its name for `files`."""
        self.database.check_folder()
        self.files("").mkdir(mode=0o700, exist_ok=True)
        name = f"{key}-{uuid.uuid4().hex[:8]}"
        self.files(name).mkdir(mode=0o700)
        return name

    def files(self, name: str) -> Path:
        """Return the path of a folder of artifacts."""
        return self.folder / "files" / name

    def _remove_orphans(self, db: sqlite3.Connection) -> None:
        """Remove artifacts that no run names, because their process was killed."""
        known = {
            name
            for (body,) in db.execute("SELECT body FROM event")
            for name in _rows.files_in(body)
        }
        for folder in self.files("").glob("*"):
            with suppress(OSError):
                age = time.time() - folder.lstat().st_mtime
                if folder.name not in known and age > SECONDS_UNTIL_ORPHANED:
                    shutil.rmtree(folder)


@cache
def journal_in(folder: Path) -> Journal:
    """Return the journal in a folder, the same object each time."""
    return Journal(folder)


def usable_journals(
    report: Callable[[str], None] = lambda reason: None,
) -> Iterator[Journal]:
    """List the readable journals in which runs of this user may wait.

    `report` is called with the reason for each journal that cannot be read.
    """
    for journal in map(journal_in, journals()):
        try:
            if not journal.exists:
                continue
            journal.has("")
        except OSError as error:
            report(str(error))
        else:
            yield journal
