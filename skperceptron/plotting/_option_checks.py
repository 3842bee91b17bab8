"""Checks of what the displays are given."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from inspect import isclass
from typing import Any

from sklearn.exceptions import NotFittedError

from skperceptron._names import did_you_mean


def check_option(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Refuse a value that is none of the allowed ones."""
    options = list(dict.fromkeys(allowed))
    if not isinstance(value, str) or value not in options:
        raise ValueError(
            f"{name} must be one of {options}, got {value!r}."
            f"{did_you_mean(value, options)}"
        )


def check_estimator(name: str, value: Any, wanted: str) -> None:
    """Refuse what is no estimator, or the class of one; say what is wanted."""
    if isclass(value) or not hasattr(value, "fit"):
        raise TypeError(f"{name} must be {wanted}; got {reprlib.repr(value)}.")


def check_has_searched(search: Any) -> None:
    """Refuse an estimator that has no results of a search."""
    if not hasattr(search, "cv_results_"):
        raise NotFittedError(
            f"This {type(search).__name__} has no cv_results_: it is not a search, or "
            "it is not fitted yet, or all of its fits failed. Call 'fit' of a search "
            "such as GridSearchCV first; error_score='raise' shows why a fit fails."
        )
