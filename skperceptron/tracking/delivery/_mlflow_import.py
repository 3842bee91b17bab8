"""The import of MLflow, which also works for a user without a home."""

from __future__ import annotations

import importlib
import os
from functools import lru_cache
from pathlib import Path

from skperceptron.tracking.journal._temporary_state import make_temporary_folder


@lru_cache
def import_mlflow() -> None:
    """Import MLflow, with a temporary home for a user who has none.

    Raises
    ------
    RuntimeError, OSError
        When there is no folder for temporary files either.
    """
    try:
        Path.home()
    except (RuntimeError, KeyError):
        # Only during the import: programs that the user starts must not see it.
        os.environ["HOME"] = str(make_temporary_folder())
        try:
            importlib.import_module("mlflow")
        finally:
            os.environ.pop("HOME", None)
    else:
        importlib.import_module("mlflow")
