"""Figures: curves of training, maps of searches, networks, activations.

They are scikit-learn displays. Importing this package does not import matplotlib;
drawing does.
"""

from skperceptron.plotting._activation import ActivationDisplay
from skperceptron.plotting._influence import influence
from skperceptron.plotting._loss_curve import LossCurveDisplay
from skperceptron.plotting._network import NetworkDisplay
from skperceptron.plotting._search_heatmap import SearchHeatmapDisplay

__all__ = [
    "ActivationDisplay",
    "LossCurveDisplay",
    "NetworkDisplay",
    "SearchHeatmapDisplay",
    "influence",
]
