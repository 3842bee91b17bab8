"""What those who write to the journal and those who deliver it have agreed on.

Neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable

# How long a fit, or the end of the process, waits for a store.
SECONDS_TO_WAIT = 10.0

# What is still to be written before the process ends, and before a flush.
before_finish: list[Callable[[], None]] = []
before_flush: list[Callable[[], None]] = []


class StoreDownError(Exception):
    """A store cannot be reached, and that has been said before."""


class FilesAwayError(Exception):
    """A run is stored, and its files cannot be at the moment.

    Parameters
    ----------
    message : str
        What to tell the user.

    cause : object
        The same for all runs that wait for the same reason, which is told once.

    retry_after : float
        Seconds from now in which it is of no use to try again.

    was_stored : bool
        Whether the store has just taken something of the run.
    """

    def __init__(
        self, message: str, *, cause: object, retry_after: float, was_stored: bool
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.retry_after = retry_after
        self.was_stored = was_stored
