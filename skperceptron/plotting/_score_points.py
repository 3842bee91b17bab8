"""Scores as points: over one hyperparameter, or over two with many values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skperceptron.plotting._axes import COLORS
from skperceptron.plotting._cells import Cells
from skperceptron.plotting._hyperparameters import Floats, Hyperparameter, Mask
from skperceptron.plotting._value_axis import set_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

_FAILED = {"marker": "x", "color": "0.25", "label": "failed"}


def draw_line(ax: Axes, x: Hyperparameter, cells: Cells) -> None:
    """Draw the scores on each split, with their deviation over the folds.

    Values that have no order are not joined. What has failed on any split is marked
    below.
    """
    places = x.coordinates[cells.columns]
    for color, (split, scores) in zip(COLORS, cells.scores.items(), strict=False):
        ax.errorbar(
            places,
            scores.means,
            yerr=scores.stds,
            fmt="o-" if x.is_numeric else "o",
            capsize=3,
            color=color,
            label=split,
        )
    scores_by_split = cells.scores.values()
    failed = np.any([scores.has_failed for scores in scores_by_split], axis=0)
    partly = np.any([scores.has_partly_failed for scores in scores_by_split], axis=0)
    _mark_below(ax, places[failed], **_FAILED)
    _mark_below(ax, places[partly], marker="+", color="0.25", label="partly failed")
    if len(cells.scores) > 1 or (failed | partly).any():
        ax.legend()
    set_scale(ax, "x", x)


def _mark_below(ax: Axes, places: Floats, **style: Any) -> None:
    if len(places):
        # Not at a score, but at a share of the height.
        at_height = ax.get_xaxis_transform()
        heights = np.full(len(places), 0.03)
        ax.plot(places, heights, transform=at_height, linestyle="none", **style)


def draw_points(
    ax: Axes,
    x: Hyperparameter,
    y: Hyperparameter,
    cells: Cells,
    split: str,
    **colours: Any,
) -> PathCollection:
    """Draw a point for each score on one split.

    What has failed is a cross, what has partly failed has a ring; `colours` are the
    options cmap and norm of ``Axes.scatter``.
    """
    scores = cells.scores[split]
    at_x, at_y = x.coordinates[cells.columns], y.coordinates[cells.rows]

    def mark(where: Mask, **style: Any) -> PathCollection:
        return ax.scatter(at_x[where], at_y[where], **style)

    ok = ~scores.has_failed
    points = mark(
        ok, c=scores.means[ok], s=50, edgecolors="0.6", linewidths=0.5, **colours
    )
    if scores.has_failed.any():
        mark(scores.has_failed, **_FAILED)
    if scores.has_partly_failed.any():
        mark(
            scores.has_partly_failed,
            s=50,
            facecolors="none",
            edgecolors="black",
            linewidths=2,
            label="partly failed",
        )
    set_scale(ax, "x", x)
    set_scale(ax, "y", y)
    return points
