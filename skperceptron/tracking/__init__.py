"""Every fit is an MLflow run.

A recorder listens to a fit through scikit-learn's callback protocol and writes down
what happens, in a journal on disk. Threads deliver the journal to MLflow. Nothing here
knows how a network is trained, and MLflow is imported when the first run is delivered.
"""

from typing import TYPE_CHECKING, Any

from skperceptron.tracking._flush import flush, pending
from skperceptron.tracking._warnings import TrackingWarning
from skperceptron.tracking.recording._threads import inherit_parent_run
from skperceptron.tracking.recording._tracker import MLflowTracker

if TYPE_CHECKING:
    from skperceptron.tracking.recording._study import study_run_id, track_study

__all__ = [
    "MLflowTracker",
    "TrackingWarning",
    "flush",
    "inherit_parent_run",
    "pending",
    "study_run_id",
    "track_study",
]


def __getattr__(name: str) -> Any:
    # Optuna is imported only for those who have a study.
    if name in ("study_run_id", "track_study"):
        from skperceptron.tracking.recording import _study

        return getattr(_study, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
