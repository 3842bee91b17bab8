"""Writes runs to the rows of a journal, and reads them.

Each function is part of a transaction. Rows that are read may be forged.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

from skperceptron.tracking.journal._record import (
    KEY,
    ParentRun,
    RunHead,
    RunRecord,
    Status,
    WaitingRun,
    as_address,
    as_time,
    now,
)
from skperceptron.tracking.journal._signature import is_signed, sign

# Maximum number of runs above another one: a study, its trial, a search, and so on.
MAX_DEPTH = 100
# When to try runs again that cannot be read; runs below them are not tried either.
NEVER = 2**62
# Condition for runs that can be delivered now, with the parameters of `due_for`.
DUE = (
    "due AND store = ? AND next_try <= ? AND "
    "(? OR deliverer IN (SELECT value FROM json_each(?)))"
)
# Condition for runs below the run of a key.
IS_BELOW = """? IN (WITH RECURSIVE above(key) AS (
    SELECT run.parent
    UNION SELECT next.parent FROM run AS next JOIN above ON next.key = above.key
) SELECT key FROM above)"""
# Errors that reading a forged row can raise.
NONSENSE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)


def due_for(store: str | None, deliverers: Collection[str] | None) -> list[Any]:
    """Return the parameters of `DUE`."""
    names = json.dumps(list(deliverers or ()))
    return [store_name(store), now(), deliverers is None, names]


def rows_due(
    db: sqlite3.Connection, store: str | None, deliverers: Collection[str] | None
) -> Iterator[sqlite3.Row]:
    """List the runs that can be delivered, the newest first, as users watch these.

    Runs that have failed come last, so that no other run has to wait for them.
    """
    for condition in ("error IS NULL", "error IS NOT NULL"):
        yield from db.execute(
            f"SELECT * FROM run WHERE {DUE} AND {condition} "
            "ORDER BY last_sign DESC, start_time DESC",
            due_for(store, deliverers),
        )


def store_name(tracking_uri: str | None) -> str:
    """Return the name of a store in the rows."""
    return as_text(tracking_uri or "")


def as_text(value: str) -> str:
    """Replace characters that cannot be written as UTF-8."""
    return value.encode("utf-8", "replace").decode()


def _row_of(head: RunHead, parent: str | None) -> dict[str, Any]:
    """Return the columns that the rows of a run and of those above it share."""
    address = json.dumps(head.address)
    return {
        "parent": parent,
        "address": address,
        "signature": sign(address),
        "store": store_name(head.address["tracking_uri"]),
        "deliverer": head.deliverer,
        "origin": head.origin,
    }


def write_run(
    db: sqlite3.Connection,
    head: RunHead,
    above: str | None,
    record: RunRecord,
    owner: str,
    is_late: bool,
    *,
    is_done: bool,
) -> None:
    """Write down what is new of a run."""
    has_ended = record.end_time is not None
    has_news = has_ended or not record.is_empty
    row = {
        **_row_of(head, above),
        "key": head.key,
        "name": as_text(record.name),
        "start_time": record.start_time,
        "end_time": record.end_time,
        "status": record.status if has_ended else None,
        "done": is_done or has_ended,
        "status_if_killed": head.status_if_killed,
        "is_managed": True,
        "is_spread": head.is_spread,
        "owner": owner,
        "last_sign": record.last_sign,
        "n_tries": int(is_late),
        "due": True,
    }
    changed = ["name", "owner", "deliverer", "origin", "done"]
    if has_ended or not is_done:
        changed += ["status", "end_time"]
    _insert(
        db,
        row,
        f"{', '.join(f'{name} = excluded.{name}' for name in changed)}, "
        "last_sign = max(last_sign, excluded.last_sign), was_killed = 0, "
        "is_spread = max(is_spread, excluded.is_spread), "
        f"due = due OR run_id IS NULL OR {int(has_news)}",
    )
    if has_news:
        add_event(db, head.key, record)


def write_parent(
    db: sqlite3.Connection,
    head: RunHead,
    parent: ParentRun,
    above: str | None,
    owner: str,
    last_sign: int,
    is_late: bool,
) -> None:
    """Write a row for a run above another one, or update it."""
    row = {
        **_row_of(head, above),
        "key": parent.key,
        "name": as_text(parent.name),
        "start_time": parent.start_time,
        "status_if_killed": "KILLED",
        "is_managed": parent.is_managed,
        "owner": owner,
        "last_sign": last_sign,
        "done": False,
        "n_tries": int(is_late or parent.may_exist or head.origin != head.deliverer),
        "due": True,
    }
    _insert(
        db,
        row,
        "last_sign = max(last_sign, excluded.last_sign), "
        "start_time = min(start_time, excluded.start_time)",
    )


def has_run(db: sqlite3.Connection, key: str) -> bool:
    """Return whether there is a row of a run."""
    found = db.execute("SELECT 1 FROM run WHERE key = ?", [key]).fetchone()
    return found is not None


def _insert(db: sqlite3.Connection, row: dict[str, Any], update: str) -> None:
    names = ", ".join(row)
    places = ", ".join(f":{name}" for name in row)
    db.execute(
        f"INSERT INTO run ({names}) VALUES ({places}) "
        f"ON CONFLICT (key) DO UPDATE SET {update}",
        row,
    )


def add_event(db: sqlite3.Connection, key: str, record: RunRecord) -> None:
    """Write down an event of a run."""
    body = json.dumps(record.as_event(), default=str)
    db.execute("INSERT INTO event (key, body) VALUES (?, ?)", [key, body])


def end_run(
    db: sqlite3.Connection,
    run: sqlite3.Row,
    status: Status,
    end_time: int,
    *,
    was_killed: bool = False,
) -> None:
    """End a run, and let its end be delivered."""
    end_time = max(end_time, run["start_time"])
    db.execute(
        "UPDATE run SET done = 1, due = 1, status = ?, end_time = ?, was_killed = ? "
        "WHERE key = ?",
        [status, end_time, was_killed, run["key"]],
    )
    record = RunRecord("", run["start_time"], status=status, end_time=end_time)
    add_event(db, run["key"], record)


def end_unmanaged(db: sqlite3.Connection, condition: str, value: str) -> None:
    """End those searches that nobody else ends and whose rows meet a condition.

    They end with the last sign of their fits.
    """
    for run in db.execute(
        f"SELECT * FROM run WHERE NOT done AND NOT is_managed AND {condition}", [value]
    ).fetchall():
        end_run(db, run, "FINISHED", run["last_sign"])


def chain_of(db: sqlite3.Connection, row: sqlite3.Row) -> list[sqlite3.Row]:
    """List a run after the runs above it that MLflow does not have."""
    chain = [row]
    while above := db.execute(
        "SELECT * FROM run WHERE key = ? AND run_id IS NULL", [chain[0]["parent"]]
    ).fetchone():
        chain.insert(0, above)
        if len(chain) > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} runs are above it")
    return chain


def waiting_run(db: sqlite3.Connection, row: sqlite3.Row) -> WaitingRun:
    """Read what MLflow does not have of a run.

    Raises
    ------
    Exception
        One of `NONSENSE` when it cannot be read.
    """
    record = RunRecord(str(row["name"]), as_time(row["start_time"]))
    last_event = 0
    for event_id, body in db.execute(
        "SELECT id, body FROM event WHERE key = ? ORDER BY id", [row["key"]]
    ):
        record.take(json.loads(body))
        last_event = event_id
    if not all(map(KEY.fullmatch, (row["key"], row["parent"] or row["key"]))):
        raise ValueError("its key, or that of the run above it, is none")
    if any(name.partition("-")[0] != row["key"] for name in record.files):
        raise ValueError("it has files of another run")
    above = db.execute(
        "SELECT run_id, is_spread FROM run WHERE key = ?", [row["parent"]]
    ).fetchone()
    return WaitingRun(
        key=row["key"],
        parent=row["parent"],
        parent_run_id=None if above is None else above["run_id"],
        is_above_elsewhere=row["parent"] is not None and above is None,
        is_parent_spread=above is not None and bool(above["is_spread"]),
        record=record,
        last_event=last_event,
        address=as_address(json.loads(row["address"])),
        is_signed=is_signed(row["address"], row["signature"]),
        deliverer=str(row["deliverer"]),
        origin=str(row["origin"]),
        is_spread=bool(row["is_spread"]),
        was_killed=bool(row["was_killed"]),
        run_id=row["run_id"],
        lacks_files=bool(row["lacks_files"]),
        n_tries=int(row["n_tries"]),
    )


def settle_run(db: sqlite3.Connection, run: WaitingRun, run_id: str) -> None:
    """Note that MLflow has what was claimed of a run."""
    db.execute("DELETE FROM event WHERE key = ? AND id <= ?", [run.key, run.last_event])
    # There may be newer events by now.
    db.execute(
        "UPDATE run SET run_id = ?, claimed_by = NULL, error = NULL, next_try = 0, "
        "lacks_files = 0, due = EXISTS (SELECT 1 FROM event WHERE key = run.key) "
        "WHERE key = ?",
        [run_id, run.key],
    )


def files_in(body: str) -> list[str]:
    """List the folders of artifacts that an event names."""
    with suppress(*NONSENSE):
        return [str(name) for name in json.loads(body)["files"]]
    return []
