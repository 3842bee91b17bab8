"""Figures, axes, legends and colours of all displays."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

# Small, so that the letters are large where the figure is shown small.
_SIZES = {1: (5.0, 4.0), 2: (6.4, 3.6)}
# Okabe and Ito (2008), "Color universal design": told apart with any colour vision.
# Without yellow, which is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Lines of the second round through the colours differ by their style.
_STYLES = ("-", ":", "-.")


def line_style(index: int) -> dict[str, str]:
    """Choose the options of a line before which `index` others were drawn."""
    turn, place = divmod(index, len(COLORS))
    return {"color": COLORS[place], "linestyle": _STYLES[turn % len(_STYLES)]}


def make_panels(ax: Axes | Sequence[Axes] | None, n_panels: int) -> list[Axes]:
    """Check one or two axes, or make them with pyplot where none are given.

    Two are put in the place of one where that is given.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=_SIZES[n_panels], layout="constrained")
        return list(figure.subplots(1, n_panels, sharey=True, squeeze=False)[0])
    panels = as_axes(ax)
    if len(panels) == 1 and n_panels == 2:
        return _divide(panels[0])
    if len(panels) != n_panels:
        allowed = "one axes" if n_panels == 1 else "two axes, or one to be divided"
        raise ValueError(f"ax must be {allowed}; got {len(panels)} axes.")
    return panels


def as_axes(ax: Axes | Sequence[Axes]) -> list[Axes]:
    """Check one or several axes, and list them."""
    from matplotlib.axes import Axes

    panels = list(np.ravel(np.array(ax, dtype=object)))
    if not all(isinstance(panel, Axes) for panel in panels):
        raise TypeError(
            "ax must be matplotlib axes, as 'plt.subplots()' and 'Figure().subplots()' "
            f"make them, or None for a new figure; got {ax!r}."
        )
    return panels


def _divide(ax: Axes) -> list[Axes]:
    """Put two axes in the place of one."""
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            "A map of both splits needs two axes, and this one cannot be divided, "
            "because it is in no grid: give two axes, or one made by 'subplots'."
        )
    ax.set_axis_off()
    halves = spec.subgridspec(1, 2)
    left = ax.figure.add_subplot(halves[0, 0])
    return [left, ax.figure.add_subplot(halves[0, 1], sharey=left)]


def add_legend_above(ax: Axes, handles: Iterable[Artist], n_columns: int) -> Legend:
    """Explain what is drawn where it covers nothing."""
    return ax.legend(
        handles=list(handles),
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=n_columns,
        frameon=False,
        fontsize="small",
        borderaxespad=0.2,
        borderpad=0,
        handlelength=1.8,
        handleheight=1,
        columnspacing=1.2,
    )


def set_title(ax: Axes, parts: Iterable[str], *, above_legend: bool = False) -> None:
    """Write lines as wide as the axes on top, or above one line of a legend there."""
    # A letter of a title is some six points wide.
    n_characters = max(int(ax.bbox.width * 72 / ax.figure.dpi / 6), 20)
    lines = [textwrap.fill(part, n_characters) for part in parts if part]
    if lines:
        pad = 22 if above_legend else None
        ax.set_title("\n".join(lines), pad=pad, fontsize="medium")
