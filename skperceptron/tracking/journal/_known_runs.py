"""What this process knows of the runs that it has delivered."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

Value = TypeVar("Value")

# At most this many runs are known, the latest ones; for others, the store is asked.
_MAX_KNOWN = 100_000

_run_ids: OrderedDict[str, str] = OrderedDict()
_last_ends: OrderedDict[str, int] = OrderedDict()


def remember_run(key: str, run_id: str) -> None:
    """Note which run of MLflow's the one with a key is."""
    _keep(_run_ids, key, run_id)


def known_run(key: str) -> str | None:
    """Tell the run of a key, if this process has delivered it."""
    return _run_ids.get(key)


def note_end_below(key: str, end_time: int) -> None:
    """Note when a run right below that of a key has ended."""
    _keep(_last_ends, key, max(_last_ends.get(key, end_time), end_time))


def last_end_below(key: str) -> int | None:
    """Tell when the last run right below that of a key has ended, of those known."""
    return _last_ends.get(key)


def _keep(known: OrderedDict[str, Value], key: str, value: Value) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _MAX_KNOWN:
        known.popitem(last=False)
