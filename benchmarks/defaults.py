"""The defaults of HillClimbMLP, and others that were tried, by cross-validation.

Prints the mean accuracy of stratified cross-validation and the mean seconds of a fit,
for each data set and each candidate, beside MLPClassifier's defaults. Every feature is
standardised on the training part of each fold. No held-out test set is used.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
    make_moons,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import HillClimbMLP

TEXTBOOK = {
    "hidden_layer_sizes": (10,),
    "activation": "logistic",
    "max_iter": 1000,
    "objective": "accuracy",
    "mutation": "all",
    "step_schedule": "constant",
    "init": "uniform",
}
CANDIDATES = {
    "MLPClassifier()": MLPClassifier(),
    "HillClimbMLP()": HillClimbMLP(),
    "textbook": HillClimbMLP(**TEXTBOOK),
    **{
        f"{n_hidden} {activation}, {max_iter}": HillClimbMLP(
            (n_hidden,), activation, max_iter=max_iter
        )
        for n_hidden in (30, 50, 100)
        for activation in ("logistic", "tanh", "relu")
        for max_iter in (10_000, 20_000, 30_000)
    },
}


def data_sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Load what the candidates are compared on."""
    return {
        "breast cancer": load_breast_cancer(return_X_y=True),
        "digits": load_digits(return_X_y=True),
        "wine": load_wine(return_X_y=True),
        "iris": load_iris(return_X_y=True),
        "moons 1000x2": make_moons(1000, noise=0.25, random_state=0),
        "easy 2000x20": make_classification(2000, 20, n_informative=10, random_state=0),
        "5 classes 3000x30": make_classification(
            3000, 30, n_informative=12, n_classes=5, random_state=0
        ),
        "noisy 500x50": make_classification(
            500, 50, n_informative=8, flip_y=0.1, random_state=0
        ),
    }


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    for data_name, (X, y) in data_sets().items():
        print(f"\n{data_name}")
        for name, classifier in CANDIDATES.items():
            scores, times = [], []
            for seed in range(2):
                classifier.set_params(random_state=seed)
                result = cross_validate(
                    make_pipeline(StandardScaler(), classifier),
                    X,
                    y,
                    cv=StratifiedKFold(5, shuffle=True, random_state=seed),
                )
                scores.extend(result["test_score"])
                times.extend(result["fit_time"])
            print(
                f"{name:22} {np.mean(scores):.4f} {np.median(times):8.3f} s", flush=True
            )
