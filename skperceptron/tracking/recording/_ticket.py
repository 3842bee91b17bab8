"""The ticket by which an estimator finds the run of its last fit."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from skperceptron.tracking.journal._journal import usable_journals
from skperceptron.tracking.journal._process import delivering_process
from skperceptron.tracking.journal._record import Address


@dataclass(frozen=True)
class RunTicket:
    """Key and address of a run, by which an estimator finds it in any process."""

    key: str
    address: Address

    @property
    def is_known(self) -> bool:
        """Whether the run is known without asking the store."""
        return self._known_id() is not None

    def run_id(self) -> str | None:
        """Return the MLflow id; None before delivery, or if the store is away."""
        run_id = self._known_id()
        if run_id is None:
            with suppress(OSError):  # no process could look it up
                run_id = delivering_process().ask(
                    "look_up", address=self.address, key=self.key
                )
        return run_id

    def _known_id(self) -> str | None:
        run_ids = (journal.run_id_of(self.key) for journal in usable_journals())
        return next(filter(None, run_ids), None)
