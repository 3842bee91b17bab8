"""Class labels of all types: which of them cannot be used, and why."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

# Types of the labels in arrays of these kinds; pandas' own are subclasses.
_TIMES = {"M": (np.datetime64, date), "m": (np.timedelta64, timedelta)}
# Of pandas, which need not be installed.
_MISSING = {"NAType", "NaTType"}


def check_labels(name: str, labels: Any) -> None:
    """Refuse labels of which scikit-learn does not say what is wrong with them.

    Parameters
    ----------
    name : str
        The parameter.

    labels : array-like
        As the user has given them.

    Raises
    ------
    ValueError
        For labels that are missing, complex numbers, or objects other than strings.

    TypeError
        For strings beside other objects, and for bytes.
    """
    if labels is None or issparse(labels):
        return
    try:
        values = np.asarray(labels)
    except ValueError:  # a list of lists of different lengths, which is refused later
        return
    if is_any_missing(labels, values):
        raise ValueError(
            f"{name} must not contain missing labels (None, NaN, NA or NaT). Leave "
            "these samples out, or give them a label of their own."
        )
    if values.dtype.kind == "c":
        raise ValueError(
            f"{name} must contain class labels, which cannot be complex numbers. "
            "Complex data not supported."
        )
    if values.dtype.kind == "S":
        raise TypeError(
            f"{name} must not contain bytes. Convert them to strings, by "
            f"np.char.decode({name})."
        )
    # What pandas has types of its own for, scikit-learn converts.
    if getattr(labels, "dtype", values.dtype) == values.dtype == object:
        _check_objects(name, values)


def _check_objects(name: str, values: NDArray) -> None:
    types = {type(value) for value in values.flat}
    strings = {cls for cls in types if issubclass(cls, str)}
    found = " and ".join(sorted(cls.__name__ for cls in types))
    if strings and strings != types:
        raise TypeError(
            f"The labels in {name} must be all numbers or all strings, so that they "
            f"can be sorted; got {found}. Convert them, by "
            f"[str(label) for label in {name}]."
        )
    if not strings and not any(hasattr(cls, "__len__") for cls in types):
        raise ValueError(
            f"Unknown label type: {name} is an array of objects of type {found}. "
            f"Convert it to an array of numbers, by np.array({name}.tolist()), or of "
            f"strings, by {name}.astype(str)."
        )


def is_any_missing(labels: Any, values: NDArray) -> bool:
    """Tell whether any of the labels, and of the array made of them, is missing."""
    if np.ma.is_masked(labels):
        return True
    if callable(isna := getattr(labels, "isna", None)):  # of pandas
        return bool(np.any(isna()))
    kind = values.dtype.kind
    if kind in "mM":
        return bool(np.isnat(values).any())
    if kind == "f":
        return bool(np.isnan(values).any())
    if kind == "O":
        return any(map(_is_missing, values.flat))
    # NumPy makes strings of numbers that are among strings.
    is_list = kind == "U" and isinstance(labels, list | tuple)
    return is_list and any(map(_is_missing, labels))


def _is_missing(label: Any) -> bool:
    if label is None or type(label).__name__ in _MISSING:
        return True
    return isinstance(label, float | np.floating) and label != label


def check_indicators(indicators: Any) -> None:
    """Refuse indicators of labels that are not 0 and 1, or False and True."""
    values = np.unique(
        np.append(indicators.data, 0) if issparse(indicators) else indicators
    )
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            "Multilabel indicators in y must be 0 or 1, got "
            f"{np.array2string(values, separator=', ')}. If {values[-1]} marks the "
            f"labels of a sample, pass (y == {values[-1]}).astype(int)."
        )


def as_listed(label: Any, dtype: np.dtype) -> Any:
    """Turn a label into what `tolist` makes of an equal one in an array of `dtype`.

    Only points in time and durations differ: it depends on the unit of the array
    whether they become objects of the standard library or numbers.

    Parameters
    ----------
    label : object
        The label.

    dtype : dtype
        Of the array.

    Returns
    -------
    object
        None for a point in time or a duration that the array cannot have.
    """
    if not isinstance(label, _TIMES.get(dtype.kind, ())):
        return label
    if getattr(label, "tzinfo", None) is not None:
        return None
    # Those of pandas know nanoseconds, of which numpy would take no notice.
    of_pandas = getattr(label, "to_numpy", None)
    value = np.array(label, f"{dtype.kind}8") if of_pandas is None else of_pandas()
    try:
        converted = value.astype(dtype)
        return converted.item() if converted == value else None
    except (TypeError, OverflowError):  # years beside days, attoseconds beside years
        return None
