"""Conversion of samples and predictions to the types of JSON and back.

Their own types are kept. Reading them runs no code of whoever wrote them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any

import numpy as np

# A value in the types of JSON. A value of another type is an object with one key, which
# names the form of its content.
Plain = Any
OTHER: Plain = {"other": None}


class Other:
    """Placeholder for a value of a type that has no form."""


def as_plain(value: Any) -> Plain:
    """Convert a value of Python, NumPy or pandas to the types of JSON.

    Raises
    ------
    TypeError
        When there is no form for its type, or for the type of a value in it.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [as_plain(v) for v in value]
    name = _form_of(value)
    if name not in _FORMS:
        raise TypeError(f"values of type {type(value).__name__} cannot be written down")
    write, _ = _FORMS[name]
    return {name: write(value)}


def from_plain(plain: Plain) -> Any:
    """Convert a value of `as_plain` back.

    Raises
    ------
    Exception
        Any exception, when the value is forged.
    """
    if isinstance(plain, list):
        return [from_plain(p) for p in plain]
    if isinstance(plain, dict):
        ((name, content),) = plain.items()
        _, read = _FORMS[name]
        return read(content)
    return plain


def frame_as_plain(names: list[Any], columns: list[tuple[Any, list[Any]]]) -> Plain:
    """Convert a dataframe, given the names, dtypes and values of its columns."""
    written = [[str(dtype), as_plain(values)] for dtype, values in columns]
    return {"DataFrame": [as_plain(names), written]}


def series_as_plain(name: Any, dtype: Any, values: list[Any]) -> Plain:
    """Convert a series, given its name, dtype and values."""
    return {"Series": [as_plain(name), str(dtype), as_plain(values)]}


def _form_of(value: Any) -> str:
    for name, cls in (("array", np.ndarray), ("scalar", np.generic)):
        if isinstance(value, cls):
            return name
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return "DataFrame"
    package = type(value).__module__.split(".")[0]
    is_known = package in ("builtins", "datetime", "pandas")
    return type(value).__name__ if is_known else ""


def _write_array(array: np.ndarray) -> Plain:
    flat = array.astype("int64") if array.dtype.kind in "mM" else array
    return [array.dtype.str, array.shape, as_plain(flat.ravel().tolist())]


def _read_array(content: Plain) -> np.ndarray:
    code, shape, flat = content
    dtype = np.dtype(code)
    array = np.empty(len(flat), "int64" if dtype.kind in "mM" else dtype)
    for i, value in enumerate(from_plain(flat)):  # one by one: values may be lists
        array[i] = value
    return array.view(dtype).reshape(shape)


def _write_scalar(scalar: np.generic) -> Plain:
    value = scalar.item()
    if isinstance(value, np.generic):
        raise TypeError(f"values of type {scalar.dtype} cannot be written down")
    return [scalar.dtype.str, as_plain(value)]


def _read_scalar(content: Plain) -> Any:
    code, value = content
    return np.dtype(code).type(from_plain(value))


def _pandas() -> Any:
    return importlib.import_module("pandas")


def _read_series(content: Plain) -> Any:
    name, dtype, values = content
    return _pandas().Series(from_plain(values), dtype=dtype, name=from_plain(name))


def _write_frame(frame: Any) -> Plain:
    columns = [column for _, column in frame.items()]
    written = [(column.dtype, column.tolist()) for column in columns]
    return frame_as_plain(frame.columns.tolist(), written)["DataFrame"]


def _read_frame(content: Plain) -> Any:
    names, columns = content
    series = [_read_series([None, *column]) for column in columns]
    frame = _pandas().DataFrame(dict(enumerate(series)))
    frame.columns = from_plain(names)
    return frame


# The functions that write and read each form.
_FORMS: dict[str, tuple[Callable[[Any], Plain], Callable[[Plain], Any]]] = {
    "other": (lambda v: None, lambda p: Other()),
    "tuple": (lambda v: as_plain(list(v)), lambda p: tuple(from_plain(p))),
    "dict": (
        lambda v: as_plain([list(item) for item in v.items()]),
        lambda p: dict(from_plain(p)),
    ),
    "bytes": (bytes.hex, bytes.fromhex),
    "date": (date.isoformat, date.fromisoformat),
    "datetime": (datetime.isoformat, datetime.fromisoformat),
    "time": (time.isoformat, time.fromisoformat),
    "array": (_write_array, _read_array),
    "scalar": (_write_scalar, _read_scalar),
    "Timestamp": (lambda v: v.isoformat(), lambda p: _pandas().Timestamp(p)),
    "NaTType": (lambda v: None, lambda p: _pandas().NaT),
    "NAType": (lambda v: None, lambda p: _pandas().NA),
    "Series": (
        lambda v: series_as_plain(v.name, v.dtype, v.tolist())["Series"],
        _read_series,
    ),
    "DataFrame": (_write_frame, _read_frame),
}
