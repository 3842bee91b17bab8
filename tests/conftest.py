"""Every test logs to one SQLite store in a temporary folder, never to a real one."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest

STORE = Path(tempfile.mkdtemp(prefix="skperceptron-tests-"))

# Set before anything imports MLflow, so that worker processes inherit it.
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{STORE / 'mlflow.db'}"
os.environ["SKPERCEPTRON_JOURNAL"] = str(STORE / "journal")
# Without it scikit-learn skips its check of array API input.
os.environ["SCIPY_ARRAY_API"] = "1"
for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "SKPERCEPTRON_TRACKING"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session", autouse=True)
def _quiet_mlflow():
    logging.getLogger("mlflow").setLevel(logging.WARNING)


@pytest.fixture
def untracked():
    """Switch tracking off for tests that are about something else and fit a lot."""
    import skperceptron

    with skperceptron.config_context(tracking=False):
        yield
