"""What those who write to the journal and those who deliver it have agreed on.

Neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

# How long a fit, or the end of the process, waits for a store.
SECONDS_TO_WAIT = 10.0

# The first thing that the process that delivers says.
READY = "ready"

# What is still to be written before the process ends, and before a flush.
before_finish: list[Callable[[], None]] = []
before_flush: list[Callable[[], None]] = []
# Does, in this process, what the process that delivers is asked for: where there can be
# none.
deliver_here: list[Callable[[str, dict[str, Any]], Any]] = []


class Problem(TypedDict):
    """What prevents a delivery, for the user.

    Attributes
    ----------
    text : str
        Without credentials.

    is_about_files : bool
        Whether the run is stored, and only its files cannot be.
    """

    text: str
    is_about_files: bool
