"""Target values of regressors: which of them cannot be used, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import issparse

from skperceptron.classifiers._labels import is_any_missing

# Kinds of dtypes that are no numbers.
_NO_NUMBERS = {
    "U": "strings",
    "S": "bytes",
    "M": "points in time",
    "m": "durations",
    "c": "complex numbers",
}


def check_numbers(y: Any, classifier: str) -> None:
    """Refuse target values of which scikit-learn does not say what is wrong with them.

    Parameters
    ----------
    y : array-like
        As the user has given them.

    classifier : str
        Name of the estimator for class labels.

    Raises
    ------
    ValueError
        For values that are missing or no real numbers.
    """
    if y is None or issparse(y):
        return
    try:
        values = np.asarray(y)
    except ValueError:  # a list of lists of different lengths, which is refused later
        return
    if values.dtype.kind == "f":
        return
    if is_any_missing(y, values):
        raise ValueError(
            "y must not contain missing values (None, NaN, NA or NaT). Leave these "
            "samples out."
        )
    found = _NO_NUMBERS.get(values.dtype.kind)
    if values.dtype == object:
        found = _found_in_objects(values)
    if found is None:
        return
    instead = f" For class labels use {classifier}." if found == "strings" else ""
    # The last words are scikit-learn's.
    ending = " Complex data not supported." if found == "complex numbers" else ""
    raise ValueError(
        f"y must contain real numbers to be learned, got {found}.{instead}{ending}"
    )


def _found_in_objects(values: NDArray) -> str | None:
    """Say what else than numbers is among objects."""
    if any(isinstance(value, str) for value in values.flat):
        return "strings"
    try:
        values.astype(float)
    except OverflowError:
        return "some that are not within the range of float64"
    except (TypeError, ValueError):
        return " and ".join(sorted({type(value).__name__ for value in values.flat}))
    return None


def check_range(y: NDArray, dtype: DTypeLike) -> NDArray[np.floating]:
    """Convert target values to the precision of the computation.

    Parameters
    ----------
    y : ndarray
        Numbers.

    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        For numbers that are too large for it.
    """
    with np.errstate(over="ignore"):
        converted = y.astype(dtype, copy=False)
    if not np.isfinite(converted).all():
        raise ValueError(
            f"y must be within the range of {np.dtype(dtype)}, which X is computed in. "
            "Scale the target values, or give X in float64."
        )
    return converted
