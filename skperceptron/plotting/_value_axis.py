"""An axis along which a hyperparameter varies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from skperceptron.plotting._hyperparameters import Hyperparameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_TICKS = 12


def set_order(ax: Axes, which: str, shown: Hyperparameter) -> None:
    """Label the values at the places 0, 1, ... of "x" or "y", or every n-th of them."""
    step = math.ceil(len(shown.values) / _MAX_TICKS)
    places = np.arange(len(shown.values))[::step]
    _label_ticks(ax, which, places, shown.tick_labels[::step])
    ax.set(**{f"{which}label": shown.axis_label})


def set_scale(ax: Axes, which: str, shown: Hyperparameter) -> None:
    """Prepare an axis, "x" or "y", for the coordinates of the values."""
    from matplotlib.ticker import NullFormatter

    if shown.is_ordinal:
        set_order(ax, which, shown)
        return
    scale = "log" if shown.is_log else "linear"
    ax.set(**{f"{which}scale": scale, f"{which}label": shown.axis_label})
    if len(shown.values) <= _MAX_TICKS:
        axis = ax.xaxis if which == "x" else ax.yaxis
        axis.set_minor_formatter(NullFormatter())
        _label_ticks(ax, which, shown.coordinates, shown.tick_labels)


def _label_ticks(
    ax: Axes, which: str, places: ArrayLike, labels: Sequence[str]
) -> None:
    ax.set(**{f"{which}ticks": places, f"{which}ticklabels": labels})
    width = ax.bbox.width * 72 / ax.figure.dpi
    # A letter is some six points wide, and a colour bar will take its share.
    n_letters = (max(map(len, labels)) + 1) * len(labels)
    if which == "x" and 6 * n_letters > 0.75 * width:
        for text in ax.get_xticklabels():
            text.set(rotation=45, ha="right", rotation_mode="anchor")
