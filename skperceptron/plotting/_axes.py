"""What the displays of curves have in common: axes and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008), "Color universal design": told apart with any colour vision.
# Without yellow, which is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Lines of the second round through the colours differ by their style.
_STYLES = ("-", ":", "-.")


def make_axes(ax: Axes | None) -> Axes:
    """Make axes with pyplot where none are given."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    # Small, so that the letters are large where the figure is shown small.
    return plt.subplots(figsize=(5.0, 4.0), layout="constrained")[1]


def line_style(index: int) -> dict[str, str]:
    """Choose colour and style of a line.

    Parameters
    ----------
    index : int
        How many lines were drawn before.

    Returns
    -------
    dict of str
        Options of ``Axes.plot``.
    """
    turn, place = divmod(index, len(COLORS))
    return {"color": COLORS[place], "linestyle": _STYLES[turn % len(_STYLES)]}
