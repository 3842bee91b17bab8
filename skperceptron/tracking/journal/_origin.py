"""By whom, from where and with what a run is logged."""

from __future__ import annotations

import getpass
import platform
import sys

import numpy as np
import sklearn

from skperceptron._version import __version__

SOURCE_TAG = "mlflow.source.name"


def origin_tags() -> dict[str, str]:
    """Tell with what, from where and by whom a run is logged, without MLflow."""
    return {
        "skperceptron_version": __version__,
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
