"""Messages for the user from places where a warning would reach nobody.

A thread or the delivering process notes them. The next call that tracks or delivers
something issues them as warnings.
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
    """Yield and remove all messages."""
    with suppress(IndexError):  # other threads may take some as well
        while True:
            yield _notices.popleft()


def tell_notices() -> None:
    """Issue all messages as warnings."""
    for message in take_notices():
        warnings.warn(message, TrackingWarning, stacklevel=3)
