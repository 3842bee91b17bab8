"""Tracking must never break a fit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from skperceptron.tracking._reasons import reason_of


class TrackingWarning(UserWarning):
    """A fit went on as it should, but something of it could not be logged."""


@contextmanager
def tolerate(problem: str) -> Iterator[None]:
    """Turn any error in the block into a warning, which begins with `problem`."""
    try:
        yield
    except Exception as error:  # whatever the error, the fit itself is fine
        warnings.warn(
            f"{problem}: {reason_of(error)}. The fit itself is not "
            "affected. Check that the store of mlflow.get_tracking_uri() can be "
            "reached and written, or switch tracking off with "
            "skperceptron.set_config(tracking=False).",
            TrackingWarning,
            stacklevel=3,
        )
