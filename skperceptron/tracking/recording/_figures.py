"""Figures that become artifacts. They are drawn without a window, in any thread."""

from __future__ import annotations

import importlib
import io
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Resolution in dots per inch.
_DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """Return a figure without a window. Width and height are in inches."""
    from matplotlib.figure import Figure

    _wait_for_imports()
    return Figure(figsize=(width, height), layout="constrained")


def _wait_for_imports() -> None:
    """Wait until no other thread is in the middle of importing IPython.

    MLflow imports it if it is installed, and matplotlib reads its version as soon as it
    is in `sys.modules`.
    """
    if "mlflow" in sys.modules or "IPython" in sys.modules:
        with suppress(ImportError):
            importlib.import_module("IPython")


def as_png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=_DPI)
    return image.getvalue()
