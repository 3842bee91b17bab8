"""Every test logs to one SQLite store in a temporary folder, never to a real one."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import pytest

STORE = Path(tempfile.mkdtemp(prefix="skperceptron-tests-"))

# Before anything imports them: their assertions, too, are to tell what they compared.
pytest.register_assert_rewrite(
    "tests.tracking.faults", "tests.tracking.tracked_searches"
)

# Set before anything imports MLflow, so that worker processes inherit it.
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{STORE / 'mlflow.db'}"
os.environ["SKPERCEPTRON_JOURNAL"] = str(STORE / "journal")
os.environ["XDG_STATE_HOME"] = str(STORE / "state")
# Without it scikit-learn skips its check of array API input.
os.environ["SCIPY_ARRAY_API"] = "1"
for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "SKPERCEPTRON_TRACKING"):
    os.environ.pop(name, None)


def pytest_collection_finish(session):
    """Before most of the tests, compile their kernels: here no test waits for them."""
    if "PYTEST_XDIST_WORKER" in os.environ and len(session.items) > 1000:
        from tests.kernels import compile_all

        run = os.environ["PYTEST_XDIST_TESTRUNUID"]
        folder = Path(tempfile.gettempdir()) / f"skperceptron-kernels-{run}"
        folder.mkdir(exist_ok=True)
        compile_all(folder)


@pytest.fixture(scope="session", autouse=True)
def _quiet_mlflow():
    logging.getLogger("mlflow").setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def new_store(tmp_path_factory):
    """A store without runs, made once: MLflow takes a second for its tables."""
    import mlflow

    store = tmp_path_factory.mktemp("store") / "mlflow.db"
    with chdir(store.parent):  # where models go
        mlflow.MlflowClient(f"sqlite:///{store}").search_experiments()
    return store


@dataclass(frozen=True)
class Quickstart:
    """What the main job has printed, and the store that it leaves behind."""

    out: str
    store: Path


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory):
    """Run the main job as a newcomer runs it, once for all processes of the tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "clone"
    out = folder / "out.txt"
    with (shared / "quickstart.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():
            out.write_text(run_quickstart(folder), encoding="utf-8")
    return Quickstart(out.read_text(encoding="utf-8"), folder / "mlruns" / "mlflow.db")


def run_quickstart(folder):
    """Run the main job in a folder like a clone, and give back what it prints."""
    for name in ("examples", "mlruns"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    source = Path(__file__).parents[1] / "examples" / "quickstart.py"
    script = shutil.copy(source, folder / "examples")
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    env["SKPERCEPTRON_JOURNAL"] = str(folder / "journal")
    done = subprocess.run(
        [sys.executable, script], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def untracked():
    """Switch tracking off for tests that are about something else and fit a lot."""
    import skperceptron

    with skperceptron.config_context(tracking=False):
        yield


@pytest.fixture
def without_models():
    """Keep no models, in tests that are about something else and fit a lot."""
    import skperceptron

    with skperceptron.config_context(log_models="none"):
        yield
