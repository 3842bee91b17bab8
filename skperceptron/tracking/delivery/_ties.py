"""Finds runs by their keys, and ties the runs of several machines into one tree.

Only the process that owns a run creates it. Another machine that fits something below
that run stores its own run without a parent, with the key of the parent in the tag
`PARENT_TAG`. Then it looks for the parent, and ties its run to it. When the parent has
ended, its owner looks for all runs with that tag, and ties them, too. Both store first
and look afterwards: whatever the order, at least one sees the other.

If a machine is lost, its task is fitted again elsewhere, and may have several runs.
They stay until the parent has ended. Then the process that ties them keeps one and
deletes the others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.delivery._store import client_of
from skperceptron.tracking.journal._record import KEY_TAG, Address

if TYPE_CHECKING:
    from mlflow.entities import Run

# Tag of a run that several machines may store: the key of its parent.
PARENT_TAG = "skperceptron.parent"
# MLflow's own tag: the id of the parent.
PARENT_RUN_TAG = "mlflow.parentRunId"
# Which attempt at a task is kept, by its status. Attempts that go on come last.
_RANKS = {"FINISHED": 0, "FAILED": 1, "KILLED": 2}


def find_run(address: Address, key: str, start_time: int | None = None) -> str | None:
    """Return the id of the run of a key.

    Of several attempts, it is the one with this start time, or else the one to keep.
    """
    found = runs_of_key(address, key)
    if start_time is not None:
        found = [run for run in found if run.info.start_time == start_time]
    return _that_counts(found).info.run_id if found else None


def runs_of_key(address: Address, key: str) -> list[Run]:
    """List all runs of a key; deleted ones only if there are no others."""
    found = _runs.search(address, f"tags.`{KEY_TAG}` = '{key}'", deleted=True)
    return list(filter(_is_active, found)) or found


def is_deleted(address: Address, run_id: str) -> bool:
    """Return whether a run is deleted."""
    return not _is_active(client_of(address).get_run(run_id))


def tie(address: Address, key: str, run_id: str, parent: str) -> str:
    """Make the run of the key `parent`, if it exists, the parent of a run.

    Returns the id of the run, or of another one of its key that is kept instead.
    """
    found = runs_of_key(address, parent)
    if not found:
        return run_id
    above = _that_counts(found).info
    if above.end_time is None:  # its owner will look for repeated runs
        client_of(address).set_tag(run_id, PARENT_RUN_TAG, above.run_id)
        return run_id
    return _keep_one(address, key, runs_of_key(address, key), above.run_id)


def gather(address: Address, key: str, run_id: str) -> None:
    """Make an ended run the parent of the runs tagged with its key, one for each task.

    It can be repeated after an interruption.
    """
    attempts: defaultdict[str, list[Run]] = defaultdict(list)
    for run in _runs.search(address, f"tags.`{PARENT_TAG}` = '{key}'"):
        attempts[run.data.tags.get(KEY_TAG, run.info.run_id)].append(run)
    for task, runs in attempts.items():
        _keep_one(address, task, runs, run_id)


def _keep_one(address: Address, key: str, runs: list[Run], above: str) -> str:
    """Delete all attempts at a task but one, which gets the parent `above`."""
    client = client_of(address)
    one = _that_counts(runs)
    # One that still goes on may be the only one to finish, unless another one has.
    losers = [
        run
        for run in runs
        if run is not one and (_is_complete(one) or run.info.end_time is not None)
    ]
    for run in runs:
        if run not in losers and run.data.tags.get(PARENT_RUN_TAG) != above:
            client.set_tag(run.info.run_id, PARENT_RUN_TAG, above)
    for run in losers:
        client.delete_run(run.info.run_id)
    if losers:
        gather(address, key, one.info.run_id)
        left = runs_of_key(address, key)
        if not any(map(_is_active, left)):
            # Another process, which has seen the kept run before it ended, has chosen
            # the one that was deleted here, and has deleted the kept one.
            client.restore_run(_that_counts(left).info.run_id)
    return str(one.info.run_id)


def _that_counts(runs: list[Run]) -> Run:
    """Choose between attempts at a task: the first that has finished, if any."""
    return min(
        runs,
        key=lambda run: (
            _RANKS.get(run.info.status, len(_RANKS)),
            run.info.end_time or math.inf,
            run.info.run_id,
        ),
    )


def _is_complete(run: Run) -> bool:
    return run.info.status in ("FINISHED", "FAILED")


def _is_active(run: Run) -> bool:
    return bool(run.info.lifecycle_stage == "active")
