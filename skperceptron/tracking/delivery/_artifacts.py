"""What becomes of the files of a run where the place for them takes none.

The run itself has arrived by then. Where trying again can help, the files wait; where
it cannot, they are put aside for the user, and nothing waits.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from http import HTTPStatus

from skperceptron.tracking._reasons import reason_of
from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.journal._record import Address

# A place for files that could not be reached is tried again after a while, ...
FIRST_RETRY = 5.0
LAST_RETRY = 600.0
# ... and not before this many times the time that the last attempt took: whatever else
# has to be delivered waits for an attempt.
MIN_PAUSE = 10
# Errors of file systems that nobody but the user can do something about.
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
    """A run is stored, and its files cannot be at the moment.

    Its `cause` is the same for all runs that wait for the same reason, which is told
    once. `was_stored` tells whether the store has just taken something of the run.
    """

    def __init__(self, message: str, *, cause: object, was_stored: bool) -> None:
        super().__init__(message)
        self.cause = cause
        self.was_stored = was_stored


@dataclass(frozen=True)
class Missing:
    """The files that a run lacks, by their folders in the journal, and why.

    `seconds` tells how long it took to find out; None if it was known.
    """

    files: list[str]
    experiment_id: str
    error: Exception
    seconds: float | None

    @property
    def cause(self) -> object:
        """The same for all files that need one warning, whatever their names."""
        detail: object = None
        if isinstance(self.error, OSError):
            detail = self.error.errno
        elif isinstance(self.error, ImportError):
            detail = reason_of(self.error)
        return self.experiment_id, type(self.error), detail


class Places:
    """Which experiments have a place for files that is out of reach, and since when."""

    def __init__(self) -> None:
        self._away: dict[str, tuple[Exception, float, float]] = {}

    def reason(self, experiment_id: str) -> Exception | None:
        """Tell why a place is not even to be tried now, if so."""
        error, _, retry_at = self._away.get(experiment_id, (None, 0.0, 0.0))
        return error if time.monotonic() < retry_at else None

    def note(self, experiment_id: str, error: Exception, seconds: float) -> None:
        """Note that a place could not be reached, which took some seconds."""
        _, before, _ = self._away.get(experiment_id, (None, 0.0, 0.0))
        pause = max(FIRST_RETRY, 2 * before, MIN_PAUSE * seconds)
        pause = min(pause, LAST_RETRY)
        self._away[experiment_id] = (error, pause, time.monotonic() + pause)

    def retry_after(self, experiment_id: str) -> float:
        """Tell in how many seconds a place is to be tried again."""
        *_, retry_at = self._away.get(experiment_id, (None, 0.0, 0.0))
        return max(retry_at - time.monotonic(), FIRST_RETRY)

    def note_success(self, experiment_id: str) -> None:
        """Note that a place has taken files."""
        self._away.pop(experiment_id, None)

    def allow_all(self) -> None:
        """Let every place be tried at once."""
        self._away = {
            key: (error, pause, 0.0) for key, (error, pause, _) in self._away.items()
        }


def will_last(error: Exception, address: Address) -> bool:
    """Tell whether files cannot be logged as long as the user does nothing about it."""
    if isinstance(error, ImportError):  # of the driver, such as boto3
        return True
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _MAY_PASS
    if isinstance(error, OSError):
        return error.errno in _LASTING
    if _runs.is_refusal(error):
        return True
    return not _runs.has_usable_place(address)
