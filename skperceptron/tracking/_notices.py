"""What the user should know, found out where a warning would reach nobody.

A thread, or the process that delivers, notes it. Whatever the user calls tells it.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from skperceptron.tracking._warnings import TrackingWarning

# At most this many messages wait; the oldest ones are dropped.
MAX_NOTICES = 20
_notices: deque[str] = deque(maxlen=MAX_NOTICES)


def note(message: str) -> None:
    """Keep a message for the user."""
    _notices.append(message)


def take_notices() -> Iterator[str]:
    """Give out the messages, none of them twice."""
    with suppress(IndexError):  # other threads may take some as well
        while True:
            yield _notices.popleft()


def tell_notices() -> None:
    """Warn of all that was noted."""
    for message in take_notices():
        warnings.warn(message, TrackingWarning, stacklevel=3)
