"""Curves as text, for terminals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# How far a cell is filled, in eighths.
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "    #####"


def text_chart(
    values: NDArray, *, width: int, height: int, ascii_only: bool = False
) -> list[str]:
    """Draw a curve with characters, as the area below it.

    Parameters
    ----------
    values : ndarray of shape (n_points,)
        The curve. Points that are not finite leave a gap.

    width, height : int
        How many characters and lines the area takes.

    ascii_only : bool, default=False
        Whether to do without block characters.

    Returns
    -------
    list of str
        The lines, each with the largest or the smallest value or a space before it.
    """
    columns = np.linspace(0, len(values) - 1, width)
    shown = np.asarray(values, dtype=float)[columns.round().astype(int)]
    is_finite = np.isfinite(shown)
    if not is_finite.any():
        return []
    low, high = shown[is_finite].min(), shown[is_finite].max()
    # The lowest point is one eighth high, so that the curve has no gap there.
    n_eighths = 8 * height - 1
    share = (shown - low) / (high - low) if high > low else np.full_like(shown, 0.5)
    filled = np.where(is_finite, 1 + share * n_eighths, 0).round().astype(int)
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]
    margin = max(map(len, labels))
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    return [
        f"{label:>{margin}} {_line(filled - 8 * below, blocks)}".rstrip()
        for below, label in zip(reversed(range(height)), labels, strict=True)
    ]


def _line(filled: NDArray, blocks: Sequence[str]) -> str:
    return "".join(blocks[n] for n in filled.clip(0, 8))
