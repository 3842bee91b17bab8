"""A classifier to save, activations, and services that take models or serve them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import numba
import numpy as np
from sklearn.datasets import load_iris

import skperceptron
from benchmarks._servers import free_port
from skperceptron import HillClimbPerceptron
from skperceptron.tracking.delivery._model_building import built_model
from skperceptron.tracking.recording._model import keep_model

X, y = load_iris(return_X_y=True)
# Other processes use the package that is tested, whatever is installed.
ROOT = Path(skperceptron.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
BIN = Path(sys.executable).parent


def perceptron(**params):
    return HillClimbPerceptron(max_iter=50, random_state=0, **params)


def bump(z):
    return np.exp(-z * z)


@numba.njit
def jitted(z):
    return np.maximum(z, 0)


@numba.vectorize
def vectorized(z):
    return max(z, 0.0)


def save_model(estimator, X, folder, **options):
    """Keep a model, and make MLflow's model of it in a folder that is not there yet."""
    kept = folder.with_name(f"{folder.name} as it is kept")
    keep_model(estimator, X, kept, **options)
    with built_model(kept) as built:
        built.rename(folder)


class Service:
    """A process that answers on a port of this machine."""

    def __init__(self, folder, path, *command):
        self.port, self.path = free_port(), path
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", *command),
                *("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            ],
            cwd=folder,
            # MLflow looks for the programs of the environment by name.
            env={**ENVIRONMENT, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # its workers end with it
        )

    def __enter__(self):
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the service has ended"
            try:
                if self.ask("GET", self.path)[0] == 200:
                    return self
            except OSError:
                time.sleep(0.2)
        self.__exit__()
        raise TimeoutError("the service does not answer")

    def __exit__(self, *args):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=30)

    def ask(self, method, path, body=None):
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        with closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
