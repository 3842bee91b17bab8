"""Made-up data of the same types as the user's, from which MLflow infers signatures.

MLflow looks at the values of a column only if its dtype does not determine their types.
"""

from __future__ import annotations

import datetime
import sys
from typing import Any

import numpy as np

from skperceptron.tracking.journal._values import (
    OTHER,
    Plain,
    as_plain,
    frame_as_plain,
    series_as_plain,
)

# Kinds of dtypes of NumPy and pandas that determine the type and have a zero.
_TELLING_KINDS = "biufM"


def specimen(value: Any) -> Plain:
    """Return data of the same types as rows or predictions, in the form of `as_plain`.

    This is an array without rows, or a frame with made-up ones. Predictions of other
    types are kept as they are. `OTHER` stands for those that cannot be written, whose
    types MLflow does not know either.
    """
    pandas = sys.modules.get("pandas")
    try:
        if isinstance(value, np.ndarray):
            return as_plain(value[:0] if value.ndim else value)
        if pandas is not None and isinstance(value, pandas.DataFrame):
            return _of_frame(value)
        if pandas is not None and isinstance(value, pandas.Series):
            return series_as_plain(value.name, value.dtype, _of_column(value))
        return as_plain(value)
    except TypeError:
        return OTHER


def _of_frame(frame: Any) -> Plain:
    columns = [column for _, column in frame.items()]
    values = [_of_column(column) for column in columns]
    n_rows = max(map(len, values), default=0)
    filled = [v + v[-1:] * (n_rows - len(v)) for v in values]
    dtypes = [column.dtype for column in columns]
    written = list(zip(dtypes, filled, strict=True))
    return frame_as_plain(frame.columns.tolist(), written)


def _of_column(column: Any) -> list[Any]:
    if column.dtype.kind in _TELLING_KINDS:
        return [None if column.isna().any() else 0]
    # One value of each type, but all lists, dicts and arrays: their items may differ.
    found: dict[Any, Any] = {}
    for i, value in enumerate(column.tolist()):
        is_open = isinstance(value, list | dict | np.ndarray)
        key = i if is_open else (type(value), _is_missing(value))
        if key not in found:
            found[key] = _blank(value)
    return list(found.values())


def _is_missing(value: Any) -> bool:
    """Return whether a value is NaN or NaT; None and NA have types of their own."""
    return isinstance(value, float | datetime.date) and value != value


def _blank(value: Any) -> Any:
    """Return a made-up value of the same type; missing values stay missing."""
    if isinstance(value, list):
        return [_blank(v) for v in value]
    if type(value) is dict:
        return {key: _blank(v) for key, v in value.items()}
    if isinstance(value, np.ndarray):
        is_open = value.dtype == object
        return _blank(value.tolist()) if is_open else np.zeros_like(value)
    if _is_missing(value):
        return value
    if isinstance(value, datetime.date):
        return type(value)(2000, 1, 1)
    if type(value) in (str, bytes, bool, int, float) or isinstance(value, np.generic):
        return type(value)()
    return value
