"""By what an estimator finds the run of its last fit again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.journal._known_runs import known_run
from skperceptron.tracking.journal._record import Address


@dataclass(frozen=True)
class RunTicket:
    """By which an estimator finds its run again, in any process.

    Attributes
    ----------
    key : str
        Identity of the run.

    address : dict
        Where it went.
    """

    key: str
    address: Address

    @property
    def is_known(self) -> bool:
        """Whether this process has delivered the run."""
        return known_run(self.key) is not None

    def run_id(self) -> str | None:
        """Look the run up.

        Returns
        -------
        str or None
            None if it is not delivered yet, or the store cannot be asked.
        """
        run_id = known_run(self.key)
        if run_id is None:
            with suppress(Exception):  # whatever keeps the store from answering
                run_id = _runs.look_up(self.address, self.key)
        return run_id
