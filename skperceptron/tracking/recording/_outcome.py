"""The status and error with which a run ends."""

from __future__ import annotations

import sys

from skperceptron.tracking._credentials import hide_credentials
from skperceptron.tracking.journal._record import Status
from skperceptron.tracking.recording._fit_run import TrackedRun

MAX_TAG_LENGTH = 5000


def status_after(error: BaseException | None) -> Status:
    """Return KILLED after an interrupt or pruning, and FAILED after any other error."""
    wanted: tuple[type[BaseException], ...] = (KeyboardInterrupt,)
    if "optuna" in sys.modules:  # otherwise nothing is pruned
        wanted += (sys.modules["optuna"].TrialPruned,)
    return "KILLED" if isinstance(error, wanted) else "FAILED"


def note_failure(run: TrackedRun, error: BaseException | None) -> None:
    """Set the status of a run that has failed, and the tag of its error, if known."""
    run.status = status_after(error)
    if error is not None and run.status == "FAILED":
        run.record.tags["error"] = error_tag(error)


def error_tag(error: BaseException) -> str:
    """Return an error as the text of a tag, without credentials."""
    return hide_credentials(f"{type(error).__name__}: {error}")[:MAX_TAG_LENGTH]
