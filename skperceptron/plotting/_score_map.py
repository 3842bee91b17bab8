"""A map of the scores over two hyperparameters with few values: a colour per cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skperceptron.plotting._cells import Cells
from skperceptron.plotting._hyperparameters import Floats, Hyperparameter, Mask
from skperceptron.plotting._value_axis import set_order

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.image import AxesImage

_FAILED = {"facecolor": "white", "edgecolor": "0.25", "hatch": "xxx", "linewidth": 0}
_MISSING = {"facecolor": "0.94", "edgecolor": "0.65", "hatch": "//", "linewidth": 0}
# Two colours, of which at least one stands out from whatever cell is framed.
_PARTLY_FAILED: dict[str, Any] = {
    "color": "white",
    "gapcolor": "black",
    "linestyle": "--",
    "linewidth": 1.5,
}
# Corners of a frame, as seen from the middle of its cell.
_ACROSS = 0.44 * np.array([-1, 1, 1, -1, -1])
_UPWARDS = 0.44 * np.array([-1, -1, 1, 1, -1])


def draw_map(
    ax: Axes,
    x: Hyperparameter,
    y: Hyperparameter,
    cells: Cells,
    split: str,
    **colours: Any,
) -> AxesImage:
    """Draw the scores on one split.

    What has failed or was not evaluated is hatched, what has partly failed is framed;
    `colours` are the options cmap and norm of ``Axes.imshow``.
    """
    scores = cells.scores[split]
    image = ax.imshow(
        np.ma.masked_invalid(cells.table(scores.means, np.nan)),
        origin="lower",
        aspect="auto",
        **colours,
    )
    _hatch(ax, cells.table(scores.has_failed, False), "failed", _FAILED)
    _hatch(ax, cells.table(False, True), "not evaluated", _MISSING)
    _frame(ax, cells.table(scores.has_partly_failed, False))
    set_order(ax, "x", x)
    set_order(ax, "y", y)
    return image


def _hatch(ax: Axes, mask: Mask, label: str, style: dict[str, Any]) -> None:
    from matplotlib.patches import Rectangle

    corners = [(column - 0.5, row - 0.5) for row, column in np.argwhere(mask)]
    patches = [ax.add_patch(Rectangle(corner, 1, 1, **style)) for corner in corners]
    _label_first(patches, label)


def _frame(ax: Axes, mask: Mask) -> None:
    frames = [
        ax.plot(column + _ACROSS, row + _UPWARDS, **_PARTLY_FAILED)[0]
        for row, column in np.argwhere(mask)
    ]
    _label_first(frames, "partly failed")


def _label_first(artists: Sequence[Artist], label: str) -> None:
    """Give a legend one entry for all of them."""
    for artist in artists[:1]:
        artist.set_label(label)


def print_values(ax: Axes, image: ScalarMappable, scores: Floats) -> None:
    """Print the scores in the cells of a map, where its axes have their final size."""
    n_decimals = _count_decimals(scores[np.isfinite(scores)])
    texts = {
        (column, row): f"{scores[row, column]:.{n_decimals}f}"
        for row, column in np.argwhere(np.isfinite(scores))
    }
    size = _fitting_size(ax, scores.shape, max(map(len, texts.values()), default=1))
    for (column, row), text in texts.items():
        color = _readable_on(image.to_rgba(scores[row, column]))
        ax.text(column, row, text, color=color, size=size, ha="center", va="center")


def _count_decimals(scores: Floats) -> int:
    """Count the decimals that tell a hundredth of the range apart."""
    span = np.ptp(scores) if len(scores) else 0.0
    return int(np.clip(1 - math.floor(math.log10(span)), 0, 4)) if span > 0 else 2


def _fitting_size(ax: Axes, shape: tuple[int, ...], n_characters: int) -> float:
    """Choose the largest size in points at which a text fits into a cell."""
    width, height = np.array(ax.bbox.size) * 72 / ax.figure.dpi
    # A digit is about 0.64 times as wide as the letters are high, a point half of that.
    by_width = 0.8 * width / shape[1] / (0.64 * n_characters - 0.3)
    return float(np.clip(min(by_width, 0.8 * height / shape[0]), 5, 11))


def _readable_on(rgba: Any) -> str:
    luminance = np.dot(np.power(rgba[:3], 2.2), [0.2126, 0.7152, 0.0722])
    # Where the contrasts with both are equal, as WCAG measures them.
    return "black" if luminance > 0.18 else "white"
