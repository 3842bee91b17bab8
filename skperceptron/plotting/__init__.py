"""Figures of what a search has found.

They are scikit-learn displays. Importing this package does not import matplotlib;
drawing does.
"""

from skperceptron.plotting._search_heatmap import SearchHeatmapDisplay, influence

__all__ = ["SearchHeatmapDisplay", "influence"]
