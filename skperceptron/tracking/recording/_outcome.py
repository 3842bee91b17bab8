"""How a run ends: as what it belongs to has ended."""

from __future__ import annotations

import sys

from skperceptron.tracking._credentials import hide_credentials
from skperceptron.tracking.journal._record import Status
from skperceptron.tracking.recording._fit_run import TrackedRun

MAX_TAG_LENGTH = 5000


def status_after(error: BaseException | None) -> Status:
    """Tell a fit that somebody wanted to end from one that went wrong."""
    wanted: tuple[type[BaseException], ...] = (KeyboardInterrupt,)
    if "optuna" in sys.modules:  # nobody else prunes
        wanted += (sys.modules["optuna"].TrialPruned,)
    return "KILLED" if isinstance(error, wanted) else "FAILED"


def note_failure(run: TrackedRun, error: BaseException | None) -> None:
    """Let a run end as what it belongs to was ended, by an error if there is one."""
    run.status = status_after(error)
    if error is not None and run.status == "FAILED":
        run.record.tags["error"] = error_tag(error)


def error_tag(error: BaseException) -> str:
    """Write an error so that it fits into a tag, and may be seen by others."""
    return hide_credentials(f"{type(error).__name__}: {error}")[:MAX_TAG_LENGTH]
