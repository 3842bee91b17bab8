"""Every fit is an MLflow run.

A recorder follows a fit through scikit-learn's callback protocol and writes it to a
journal on disk. Another process delivers the journal to MLflow. Nothing here knows how
a network is trained.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from skperceptron.tracking._flush import flush, pending
from skperceptron.tracking._warnings import TrackingWarning

if TYPE_CHECKING:
    from skperceptron.tracking.recording._study import study_run_id, track_study
    from skperceptron.tracking.recording._threads import inherit_parent_run
    from skperceptron.tracking.recording._tracker import MLflowTracker

__all__ = [
    "MLflowTracker",
    "TrackingWarning",
    "flush",
    "inherit_parent_run",
    "pending",
    "study_run_id",
    "track_study",
]
# Imported late, because Optuna is needed for studies only, and the delivering process
# needs no scikit-learn.
_IMPORTED_LATE = {
    "MLflowTracker": "_tracker",
    "inherit_parent_run": "_threads",
    "study_run_id": "_study",
    "track_study": "_study",
}


def __getattr__(name: str) -> Any:
    if name in _IMPORTED_LATE:
        where = f"skperceptron.tracking.recording.{_IMPORTED_LATE[name]}"
        return getattr(import_module(where), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
