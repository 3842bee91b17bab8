"""Whom an interrupt of the user is meant for: the fit, or something around it."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

# Packages that call fits again and again, ...
_CALLERS = ("sklearn", "joblib", "optuna", "optuna_integration", "concurrent", "dask")
# ... and the parts of them that are around every fit, or only pass it on.
_AROUND_A_FIT = ("sklearn.base", "sklearn.callback", "sklearn.pipeline")


def is_called_by_user(estimator: Any) -> bool:
    """Tell whether the user has called the present fit, alone or as part of a pipeline.

    Otherwise a search, an ensemble, a study or the like has, and would go on with the
    next fit.

    Parameters
    ----------
    estimator : estimator
        What is being fitted.
    """
    for frame, _ in traceback.walk_stack(sys._getframe()):
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] in _CALLERS and not _is_in(module, _AROUND_A_FIT):
            return False
        owner = frame.f_locals.get("self")
        is_around = isinstance(owner, BaseEstimator) and owner is not estimator
        if is_around and not isinstance(owner, Pipeline):
            return False
    return True


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)
