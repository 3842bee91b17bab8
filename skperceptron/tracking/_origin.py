"""By whom, from where and with what a run is logged."""

from __future__ import annotations

import getpass
import os
import platform
import sys
from functools import lru_cache

import numpy as np
import sklearn

from skperceptron.tracking._store import bounded

SOURCE_TAG = "mlflow.source.name"


def origin_tags() -> dict[str, str]:
    """Tell with what, from where and by whom a run is logged, without MLflow."""
    import skperceptron

    return {
        "skperceptron_version": skperceptron.__version__,
        "scikit_learn_version": sklearn.__version__,
        "numpy_version": np.__version__,
        "python_version": platform.python_version(),
        SOURCE_TAG: sys.argv[0] or "python",
        "mlflow.source.type": "LOCAL",
        **_user_tag(),
    }


def _user_tag() -> dict[str, str]:
    try:
        return {"mlflow.user": getpass.getuser()}
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return {}


def with_context(tags: dict[str, str]) -> dict[str, str]:
    """Add what MLflow says of a run that it begins in this process.

    That is the commit of the program's git repository, the notebook or job that it is,
    and what ``MLFLOW_RUN_CONTEXT`` holds.

    Parameters
    ----------
    tags : dict of str
        The tags of a run of this process. What the user has set stays.

    Returns
    -------
    dict of str
    """
    plain = origin_tags()
    context = _context(os.environ.get("MLFLOW_RUN_CONTEXT"), sys.argv[0])
    return tags | {
        name: value
        for name, value in context.items()
        if tags.get(name) in (None, plain.get(name))
    }


# Asked once for all runs: MLflow reads files and calls git for it.
@lru_cache(maxsize=1)
@bounded()
def _context(environment: str | None, main_file: str) -> dict[str, str]:
    from mlflow.tracking.context.registry import resolve_tags

    return {str(k): str(v) for k, v in resolve_tags().items() if k != "mlflow.user"}
