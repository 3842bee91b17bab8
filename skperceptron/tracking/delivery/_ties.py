"""Which run a key means, and how runs of several machines become one tree.

Only the process that owns a run creates it. Another machine stores what it has fitted
below that run without it, and says in the tag `PARENT_TAG` where it belongs. Then it
looks for the run above, and ties its own to it. When the run above has ended, its owner
looks for all that say they belong below it, and ties these. Both write first, and look
then: whatever the order, one of them sees the other.

A machine may be lost, and what it was at is fitted again elsewhere: such a task has
several runs. They stay until the run above has ended. Then one remains, and whoever
looks deletes the others.
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

# On a run that several machines may store: the key of the run above it.
PARENT_TAG = "skperceptron.parent"
# MLflow's own: the id of the run above.
PARENT_RUN_TAG = "mlflow.parentRunId"
# Which attempt at a task counts, by how it has ended; any that has not comes last.
_RANKS = {"FINISHED": 0, "FAILED": 1, "KILLED": 2}


def find_run(address: Address, key: str, start_time: int | None = None) -> str | None:
    """Look for a run by its identity.

    Of several attempts, it is the one that began at a time, or the one that counts.
    """
    found = runs_of_key(address, key)
    if start_time is not None:
        found = [run for run in found if run.info.start_time == start_time]
    return _that_counts(found).info.run_id if found else None


def runs_of_key(address: Address, key: str) -> list[Run]:
    """Look for all runs of a key; for deleted ones only if there are no others."""
    found = _runs.search(address, f"tags.`{KEY_TAG}` = '{key}'", deleted=True)
    return list(filter(_is_active, found)) or found


def is_deleted(address: Address, run_id: str) -> bool:
    """Tell whether somebody has deleted a run."""
    return not _is_active(client_of(address).get_run(run_id))


def tie(address: Address, key: str, run_id: str, parent: str) -> str:
    """Put a run of a key below the one of the key `parent`, if that is there.

    Returns
    -------
    run_id : str
        The run, or another one of its key that remains instead of it.
    """
    found = runs_of_key(address, parent)
    if not found:
        return run_id
    above = _that_counts(found).info
    if above.end_time is None:  # its owner will look
        client_of(address).set_tag(run_id, PARENT_RUN_TAG, above.run_id)
        return run_id
    return _keep_one(address, key, runs_of_key(address, key), above.run_id)


def gather(address: Address, key: str, run_id: str) -> None:
    """Put below a run that has ended what says that it belongs there, each task once.

    It can be repeated.
    """
    attempts: defaultdict[str, list[Run]] = defaultdict(list)
    for run in _runs.search(address, f"tags.`{PARENT_TAG}` = '{key}'"):
        attempts[run.data.tags.get(KEY_TAG, run.info.run_id)].append(run)
    for task, runs in attempts.items():
        _keep_one(address, task, runs, run_id)


def _keep_one(address: Address, key: str, runs: list[Run], above: str) -> str:
    """Delete all attempts at a task but one, which goes below a run."""
    client = client_of(address)
    one = _that_counts(runs)
    # One that goes on may be the only one that ever ends by itself.
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
            # One had just ended here, and was still going on for somebody else, who has
            # deleted it for the one that was deleted here.
            client.restore_run(_that_counts(left).info.run_id)
    return str(one.info.run_id)


def _that_counts(runs: list[Run]) -> Run:
    """Choose between attempts at a task: the first that has ended by itself."""
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
