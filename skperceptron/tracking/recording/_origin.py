"""Tags that say with which versions, by whom and from where a run is logged."""

from __future__ import annotations

import platform

import numpy as np
import sklearn

from skperceptron._version import __version__
from skperceptron.tracking.journal._source import source_tags


def origin_tags() -> dict[str, str]:
    """Return the tags of versions, user and program, without MLflow."""
    return {
        "skperceptron_version": __version__,
        "scikit_learn_version": sklearn.__version__,
        "numpy_version": np.__version__,
        "python_version": platform.python_version(),
        **source_tags(),
    }
