"""The reasons why runs could not be delivered to a store, and when to try again."""

from __future__ import annotations

import time
from dataclasses import dataclass

from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.delivery._artifacts import FilesAwayError
from skperceptron.tracking.delivery._delivery import WaitsForAboveError
from skperceptron.tracking.delivery._store_check import UnsignedStoreError

# First and longest pause, in seconds, before a store out of reach is tried again.
FIRST_RETRY = 5.0
LAST_RETRY = 60.0
# Longest pause for a run that a store refuses while it takes others.
LAST_RETRY_OF_REFUSED = 600.0


@dataclass(frozen=True)
class Failure:
    """Why a run could not be delivered, how often, and `Failures.n_stored` then."""

    reason: Exception
    n_times: int
    n_stored: int


class Failures:
    """The runs that one store has not taken, and whether it is within reach.

    A deliverer changes its failures only while it holds its own lock.

    Attributes
    ----------
    outage : Exception or None
        Why the store is believed to be out of reach.

    retry_at : float
        When to try the store again after an outage, by `time.monotonic`. When to try a
        single run again is written in the journal.

    n_stored : int
        How many runs the store has taken.
    """

    def __init__(self) -> None:
        self.outage: Exception | None = None
        self.retry_at = 0.0
        self.n_stored = 0
        self._outage_is_told = False
        self._retry_after = FIRST_RETRY
        self._of_runs: dict[str, Failure] = {}
        self._told: set[str] = set()
        # Many files may wait for one place, for the same reason.
        self._told_causes: set[object] = set()

    # Results of deliveries

    def note_success(self, key: str) -> None:
        """Note that a run is delivered."""
        self._of_runs.pop(key, None)
        self._note_stored()

    def _note_stored(self) -> None:
        self.n_stored += 1
        self.outage, self._retry_after = None, FIRST_RETRY

    def note_failure(self, key: str, reason: Exception) -> float:
        """Note why a run could not be delivered, which may be an outage.

        Returns the seconds for which the run must not be tried: 0 in an outage, which
        stops the whole store, and where only files wait, which the journal postpones.
        """
        before = self._of_runs.get(key)
        n_times = 1 if before is None else before.n_times + 1
        # The store has taken other runs since this one failed before.
        takes_others = before is not None and before.n_stored < self.n_stored
        retry_after = 0.0
        if isinstance(reason, FilesAwayError):
            if reason.was_stored:
                self._note_stored()
        elif (
            takes_others
            or _runs.is_refusal(reason)
            or isinstance(reason, UnsignedStoreError | WaitsForAboveError)
        ):
            longer = FIRST_RETRY * 2.0 ** min(n_times - 1, 10)
            retry_after = min(longer, LAST_RETRY_OF_REFUSED)
        else:
            self._note_outage(reason)
        self._of_runs[key] = Failure(reason, n_times, self.n_stored)
        return retry_after

    def _note_outage(self, reason: Exception) -> None:
        if self.outage is None:
            self._outage_is_told = False
        self.outage = reason
        self.retry_at = time.monotonic() + self._retry_after
        self._retry_after = min(2 * self._retry_after, LAST_RETRY)

    def note_silence(self, reason: str) -> None:
        """Note an outage after a store has not answered, so that nobody waits again."""
        self.outage = TimeoutError(reason)
        self._outage_is_told = False
        self.retry_at = time.monotonic() + self._retry_after

    # Retries

    def allow(self) -> None:
        """Let the store be tried at once."""
        self.outage, self.retry_at = None, 0.0

    def forget(self, key: str) -> None:
        """Forget the failure of a run."""
        self._of_runs.pop(key, None)

    @property
    def keys(self) -> set[str]:
        """The keys of the runs that have failed."""
        return set(self._of_runs)

    def keep_only(self, keys: set[str]) -> None:
        """Forget the failures of all other runs, which no longer wait."""
        self._of_runs = {key: self._of_runs[key] for key in keys}
        if not self._of_runs:
            self.outage, self._retry_after = None, FIRST_RETRY

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the store must not be tried now."""
        return self.outage is not None and time.monotonic() < self.retry_at

    # Reports: each reason is reported to the user once

    @property
    def outage_is_told(self) -> bool:
        """Whether there is an outage that was reported."""
        return self.outage is not None and self._outage_is_told

    def prevents(self, key: str) -> Exception | None:
        """Return the reason why a run is not delivered, if any."""
        return self.outage or self._refusal_of(key)

    def tell(self, key: str) -> Exception | None:
        """Return the reason why a run is not delivered, and note that it is reported.

        Waiting files are left out if their reason was reported for another run.
        """
        refusal = self._refusal_of(key)
        if refusal is not None:
            self._told.add(key)
            refusal = self._unless_told(refusal)
        if self.outage is not None:
            self._outage_is_told = True
        return self.outage or refusal

    def _refusal_of(self, key: str) -> Exception | None:
        failure = self._of_runs.get(key)
        return None if failure is None else failure.reason

    def _unless_told(self, reason: Exception) -> Exception | None:
        """Return a reason, or None if it is of files and was reported before."""
        if not isinstance(reason, FilesAwayError):
            return reason
        if reason.cause in self._told_causes:
            return None
        self._told_causes.add(reason.cause)
        return reason

    def tell_new(self) -> list[Exception]:
        """List the reasons that have not been reported before."""
        reasons = [
            failure.reason
            for key, failure in self._of_runs.items()
            if key not in self._told and self._unless_told(failure.reason) is not None
        ]
        if self.outage is not None and not self._outage_is_told:
            reasons.insert(0, self.outage)
        self._note_all_told()
        return reasons

    def tell_all(self) -> list[Exception]:
        """List all present reasons, each once."""
        reasons = [f.reason for f in self._of_runs.values()]
        if self.outage is not None:
            reasons.insert(0, self.outage)
        self._note_all_told()
        self._told_causes |= {r.cause for r in reasons if isinstance(r, FilesAwayError)}
        return list({getattr(r, "cause", str(r)): r for r in reasons}.values())

    def _note_all_told(self) -> None:
        self._told = set(self._of_runs)
        self._outage_is_told = True
