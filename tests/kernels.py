"""The kernels that many tests need, compiled before them, each by one process.

Processes that need a kernel at the same time would all compile it, for up to half a
minute, and tests that start processes would wait for that.
"""

import fcntl
import warnings
from itertools import product

import numpy as np
from sklearn.datasets import load_iris

from skperceptron import (
    BackpropMLP,
    HillClimbMLP,
    HillClimbMLPRegressor,
    HillClimbPerceptron,
    config_context,
)

RANKS = "average_precision"
# Those that take longest come first, so that no process waits for long at the end.
FITS = [
    *product(["network"], ["float64", "float32"]),
    ("network by rank", "float64"),
    ("network of numbers", "float64"),
    *product(["whole network"], ["float64", "float32"]),
    *product(["perceptron", "gradients"], ["float32", "float64"]),
]
CLASSIFIERS = {
    "network": HillClimbMLP(max_iter=1),
    "network by rank": HillClimbMLP(max_iter=1, objective=RANKS, surrogate_iter=0),
    "network of numbers": HillClimbMLPRegressor(max_iter=1),
    "whole network": HillClimbMLP(max_iter=1, mutation="all"),
    "perceptron": HillClimbPerceptron(max_iter=1, surrogate_iter=0),
    "gradients": BackpropMLP(max_iter=1),
}


def compile_all(folder):
    """Compile what no other process with this folder does, and wait for the rest."""
    files = {fit: folder / " ".join(fit) for fit in FITS}
    for fit, path in files.items():
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if file.tell() == 0:
                compile_for(*fit)
                file.write("compiled")
    for path in files.values():
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)


def compile_for(name, dtype):
    X, y = load_iris(return_X_y=True)
    X = X.astype(dtype)
    with config_context(tracking=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n_samples in (100, 150):  # of two and of three classes
            clf = CLASSIFIERS[name].fit(X[:n_samples], y[:n_samples])
            clf.predict(X)
        if name == "perceptron":  # there is another climb for more features
            clf.fit(np.tile(X[:100], 3), y[:100])
