"""Which run is meant, where several machines may create it.

A fold of a search may be fitted twice, because the machine was lost that did it first,
and each machine may be the first to store something below the run of a search. MLflow
accepts several runs of one key, and machines have no lock in common. So each of them
looks for the run, creates it where there is none, and looks again before anything is
written to it:

- A run that is settled, or has ended, is the one.
- If the only one is the run that this process has created, it is the one: whoever
  creates another one later will see it first.
- Otherwise several were created at the same moment. All of them are visible after a
  while, and the one with the smallest id is the one.

What is created in vain is deleted, before anything is below it. Two runs can remain
only if a process stands still for longer than that while, just between looking for the
second time and settling.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.journal._record import Address

if TYPE_CHECKING:
    from mlflow.entities import Run

# How long a process may take from its first look until its run is visible, or from its
# second look until the run is settled: at least this, in seconds, ...
MIN_GRACE = 1.0
# ... and more with a store that is slow: this many times as long as a look takes.
LOOKS_OF_GRACE = 20


@dataclass(frozen=True)
class Elected:
    """The run that all agree on.

    Attributes
    ----------
    run_id : str
        The run.

    is_over : bool
        Whether somebody else has stored all of it.
    """

    run_id: str
    is_over: bool


class Election:
    """What this process knows of runs between which it is to be decided."""

    def __init__(self) -> None:
        # Since when that is known, by their key.
        self._undecided: dict[str, float] = {}

    def elect(
        self, address: Address, key: str, own: str | None, create: Callable[[], str]
    ) -> Elected | None:
        """Find the run of a key that all machines agree on, or create it.

        Parameters
        ----------
        address : dict
            Where it goes.

        key : str
            Its identity.

        own : str or None
            The run that this process has created earlier, if it has.

        create : callable
            Creates the run and tells its id.

        Returns
        -------
        Elected or None
            Settled as soon as the tag `SETTLED_TAG` is stored. None while it is open
            which of several runs it is.

        Raises
        ------
        OSError, mlflow.exceptions.MlflowException
            When the store cannot be asked.
        """
        began_at = time.monotonic()
        runs = _runs.runs_of_key(address, key)
        now = time.monotonic()
        grace = max(MIN_GRACE, LOOKS_OF_GRACE * (now - began_at))
        if not runs:
            own = create()
            runs = _runs.runs_of_key(address, key)
        by_id = {run.info.run_id: run for run in runs}
        settled = [i for i, run in by_id.items() if _is_settled(run)]
        is_alone = list(by_id) == [own]
        since = self._undecided.setdefault(key, now)
        if not (settled or is_alone or now - since > grace):
            return None
        del self._undecided[key]
        elected = min(settled or by_id)
        if own is not None and own in by_id and own != elected:
            _runs.discard_run(address, own)
        is_over = own != elected and by_id[elected].info.status in (
            "FINISHED",
            "FAILED",
        )
        return Elected(elected, is_over)


def _is_settled(run: Run) -> bool:
    return _runs.SETTLED_TAG in run.data.tags or run.info.end_time is not None
