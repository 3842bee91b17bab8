"""Figures that become artifacts: drawn without a window, beside other threads."""

from __future__ import annotations

import importlib
import io
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Points per inch of what is kept.
_DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """Make a figure that no window shows.

    Parameters
    ----------
    width, height : float
        In inches.
    """
    from matplotlib.figure import Figure

    _wait_for_imports()
    return Figure(figsize=(width, height), layout="constrained")


def _wait_for_imports() -> None:
    """Let no other thread be in the middle of the import of IPython.

    MLflow imports it where it is installed, and matplotlib asks it for its version as
    soon as it can be found.
    """
    if "mlflow" in sys.modules or "IPython" in sys.modules:
        with suppress(ImportError):
            importlib.import_module("IPython")


def as_png(figure: Figure) -> bytes:
    """Draw a figure into the bytes of a file."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=_DPI)
    return image.getvalue()
