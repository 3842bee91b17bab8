"""What recording and delivery have agreed on. Neither imports the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

# How long a fit, or the end of the process, waits for a store.
SECONDS_TO_WAIT = 10.0

# The first line that the delivering process writes.
READY = "ready"

# Functions that write the rest to the journal before the process ends, or a flush.
before_finish: list[Callable[[], None]] = []
before_flush: list[Callable[[], None]] = []
# One function, which answers the questions to a delivering process where none can be
# started.
deliver_here: list[Callable[[str, dict[str, Any]], Any]] = []


class Problem(TypedDict):
    """What prevents a delivery, for the user.

    Attributes
    ----------
    text : str
        The reason, without credentials.

    is_about_files : bool
        Whether the run is stored, and only its files are not.
    """

    text: str
    is_about_files: bool
