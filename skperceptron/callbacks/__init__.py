"""Callbacks that follow fits, on scikit-learn's protocol.

`skperceptron.tracking.MLflowTracker` and `skperceptron.tuning.PruningCallback` are
callbacks, too.
"""

from skperceptron.callbacks._live_plot import LivePlot

__all__ = ["LivePlot"]
