"""What prevents deliveries to a store, and when to try again."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.delivery._artifacts import FilesAwayError
from skperceptron.tracking.delivery._delivery import WaitsForAboveError
from skperceptron.tracking.delivery._store_check import UnsignedStoreError

# A store that could not be reached is tried again after a while, then less often.
FIRST_RETRY = 5.0
LAST_RETRY = 60.0
# So is a run that a store refuses, though it takes others.
LAST_RETRY_OF_REFUSED = 600.0


@dataclass(frozen=True)
class Failure:
    """Why a run could not be delivered.

    Attributes
    ----------
    reason : Exception
        What the store said.

    n_times : int
        How often that happened.

    failed_at : float
        When that happened last, by the clock of `time.monotonic`.

    retry_after : float
        Seconds for which the run is left alone. 0 if that is up to the store, which
        seems to be out of reach.

    n_stored : int
        What had been stored by then.
    """

    reason: Exception
    n_times: int
    failed_at: float
    retry_after: float
    n_stored: int

    @property
    def retry_at(self) -> float:
        """When the run is to be tried again."""
        return self.failed_at + self.retry_after


class Failures:
    """The runs that one store has not taken, and whether it can be reached at all.

    A deliverer changes its failures only while it holds its own lock.

    Attributes
    ----------
    outage : Exception or None
        Why the store is thought to be out of reach.

    n_stored : int
        How many runs the store has taken.
    """

    def __init__(self) -> None:
        self.outage: Exception | None = None
        self.n_stored = 0
        self._outage_is_told = False
        self._retry_at = 0.0
        self._retry_after = FIRST_RETRY
        self._of_runs: dict[str, Failure] = {}
        self._told: set[str] = set()
        # Of files that wait: one place may have many.
        self._told_causes: set[object] = set()

    def __len__(self) -> int:
        return len(self._of_runs)

    # What has happened

    def note_success(self, key: str, *, was_stored: bool) -> None:
        """Note that a run is delivered, or that there was nothing to do."""
        self._of_runs.pop(key, None)
        if was_stored:
            self._note_stored()

    def _note_stored(self) -> None:
        self.n_stored += 1
        self.outage, self._retry_after = None, FIRST_RETRY

    def note_failure(self, key: str, reason: Exception) -> float:
        """Note why a run could not be delivered, which may be an outage.

        Returns
        -------
        float
            Seconds for which the run is to be left alone.
        """
        before = self._of_runs.get(key)
        n_times = 1 if before is None else before.n_times + 1
        # The store has taken other runs since this one failed before.
        takes_others = before is not None and before.n_stored < self.n_stored
        retry_after = 0.0
        if isinstance(reason, FilesAwayError):
            retry_after = reason.retry_after
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
        self._of_runs[key] = Failure(
            reason, n_times, time.monotonic(), retry_after, self.n_stored
        )
        return retry_after

    def _note_outage(self, reason: Exception) -> None:
        if self.outage is None:
            self._outage_is_told = False
        self.outage = reason
        self._retry_at = time.monotonic() + self._retry_after
        self._retry_after = min(2 * self._retry_after, LAST_RETRY)

    def note_silence(self, reason: str) -> None:
        """Let nobody else wait for a store that says nothing."""
        self.outage = TimeoutError(reason)
        self._outage_is_told = False
        self._retry_at = time.monotonic() + self._retry_after

    # When to try again

    def allow(self, key: str) -> None:
        """Let a run be tried at once, whatever was before."""
        self.outage, self._retry_at = None, 0.0
        self._of_runs.pop(key, None)

    def allow_all(self) -> None:
        """Let everything be tried at once."""
        self.outage, self._retry_at = None, 0.0
        self._of_runs = {
            key: replace(failure, retry_after=0.0)
            for key, failure in self._of_runs.items()
        }

    @property
    def keys(self) -> set[str]:
        """The runs."""
        return set(self._of_runs)

    def keep_only(self, keys: set[str]) -> None:
        """Forget the failures of runs that wait no longer."""
        self._of_runs = {key: self._of_runs[key] for key in keys}
        if not self._of_runs:
            self.outage, self._retry_after = None, FIRST_RETRY

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the store is not even to be tried now."""
        return self.outage is not None and time.monotonic() < self._retry_at

    @property
    def retry_at(self) -> float:
        """When something is to be tried again, by the clock of `time.monotonic`."""
        if self.outage is not None:
            return self._retry_at
        return min((f.retry_at for f in self._of_runs.values()), default=math.inf)

    # What there is to tell

    @property
    def outage_is_told(self) -> bool:
        """Whether the store is out of reach, and somebody has been told so."""
        return self.outage is not None and self._outage_is_told

    def prevents(self, key: str) -> Exception | None:
        """Find what keeps a run from its store."""
        return self.outage or self._refusal_of(key)

    def tell(self, key: str) -> Exception | None:
        """Find what keeps a run from its store, and note that it was told."""
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
        """Leave out that files wait, if that was told of others."""
        if not isinstance(reason, FilesAwayError):
            return reason
        if reason.cause in self._told_causes:
            return None
        self._told_causes.add(reason.cause)
        return reason

    def tell_new(self) -> list[Exception]:
        """List what has not been told before."""
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
        """List what there is, each reason once."""
        reasons = [f.reason for f in self._of_runs.values()]
        if self.outage is not None:
            reasons.insert(0, self.outage)
        self._note_all_told()
        self._told_causes |= {r.cause for r in reasons if isinstance(r, FilesAwayError)}
        return list({getattr(r, "cause", str(r)): r for r in reasons}.values())

    def _note_all_told(self) -> None:
        self._told = set(self._of_runs)
        self._outage_is_told = True
