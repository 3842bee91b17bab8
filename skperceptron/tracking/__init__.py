"""Every fit is an MLflow run.

A recorder listens to a fit through scikit-learn's callback protocol and writes down
what happens; the delivery turns that into a run. Nothing here knows how a network is
trained, and MLflow is imported when the first run is delivered.
"""

from skperceptron.tracking._tolerance import TrackingWarning

__all__ = ["TrackingWarning"]
