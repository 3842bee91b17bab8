"""Files of runs that the artifact location of their experiment does not take.

The run itself is stored by then. If a retry can succeed, its files wait in the journal.
Otherwise they are put aside for the user.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from http import HTTPStatus

from skperceptron.tracking._reasons import reason_of
from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.journal._record import Address

# First and longest pause, in seconds, before a place for files that could not be
# reached is tried again.
FIRST_RETRY = 5.0
LAST_RETRY = 600.0
# The pause is at least this many times as long as the last attempt took: meanwhile,
# nothing else is delivered.
MIN_PAUSE = 10
# Errors of file systems that only the user can mend.
_LASTING = {
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
_MAY_PASS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class FilesAwayError(Exception):
    """A run is stored, but its files cannot be stored at the moment.

    Runs whose files wait for the same reason have equal `cause`, so that it is reported
    once. `was_stored` says whether the store has just taken something of the run.
    """

    def __init__(self, message: str, *, cause: object, was_stored: bool) -> None:
        super().__init__(message)
        self.cause = cause
        self.was_stored = was_stored


@dataclass(frozen=True)
class Missing:
    """The files that a run lacks, as names of their folders in the journal, and why.

    `seconds` is how long the failed attempt took; None without an attempt.
    """

    files: list[str]
    experiment_id: str
    error: Exception
    seconds: float | None

    @property
    def cause(self) -> object:
        """Equal for all missing files that are reported in one warning."""
        detail: object = None
        if isinstance(self.error, OSError):
            detail = self.error.errno
        elif isinstance(self.error, ImportError):
            detail = reason_of(self.error)
        return self.experiment_id, type(self.error), detail


class Places:
    """Experiments whose place for files is out of reach, and when to try it again."""

    def __init__(self) -> None:
        self._away: dict[str, tuple[Exception, float, float]] = {}

    def reason(self, experiment_id: str) -> Exception | None:
        """Return why a place must not be tried now; None if it may be tried."""
        error, _, retry_at = self._away.get(experiment_id, (None, 0.0, 0.0))
        return error if time.monotonic() < retry_at else None

    def note(self, experiment_id: str, error: Exception, seconds: float) -> None:
        """Note that a place could not be reached, in an attempt of some seconds."""
        _, before, _ = self._away.get(experiment_id, (None, 0.0, 0.0))
        pause = max(FIRST_RETRY, 2 * before, MIN_PAUSE * seconds)
        pause = min(pause, LAST_RETRY)
        self._away[experiment_id] = (error, pause, time.monotonic() + pause)

    def retry_after(self, experiment_id: str) -> float:
        """Return the seconds until a place is to be tried again."""
        *_, retry_at = self._away.get(experiment_id, (None, 0.0, 0.0))
        return max(retry_at - time.monotonic(), FIRST_RETRY)

    def note_success(self, experiment_id: str) -> None:
        """Note that a place has taken files."""
        self._away.pop(experiment_id, None)

    def allow_all(self) -> None:
        """Let all places be tried at once."""
        self._away = {
            key: (error, pause, 0.0) for key, (error, pause, _) in self._away.items()
        }


def will_last(error: Exception, address: Address) -> bool:
    """Return whether files cannot be logged until the user mends something."""
    if isinstance(error, ImportError):  # of a driver, such as boto3
        return True
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _MAY_PASS
    if isinstance(error, OSError):
        return error.errno in _LASTING
    if _runs.is_refusal(error):
        return True
    return not _runs.has_usable_place(address)
