"""The climbers' defaults, and others that were tried, by cross-validation.

Prints the mean accuracy of stratified 5-fold cross-validation, twice, and the median
seconds of a fit, for each data set and candidate, beside scikit-learn's classifiers
with their defaults. Every feature is standardised on the training part of each fold. No
held-out test set is used.
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
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import HillClimbMLP, HillClimbPerceptron

TEXTBOOK = {
    "max_iter": 1000,
    "objective": "accuracy",
    "mutation": "all",
    "step_schedule": "constant",
    "init": "uniform",
}
# The defaults, and one change at a time.
PERCEPTRONS = {
    "LogisticRegression()": LogisticRegression(),
    "Perceptron()": Perceptron(),
    "HillClimbPerceptron()": HillClimbPerceptron(),
    "textbook": HillClimbPerceptron(step_size=0.05, **TEXTBOOK),
    **{
        f"{name}={value!r}": HillClimbPerceptron(**{name: value})
        for name, values in {
            "max_iter": (2000, 10_000),
            "step_size": (0.03, 0.1),
            "step_schedule": ("one_fifth",),
            "mutation": ("all", 0.1),
            "init": ("normal",),
        }.items()
        for value in values
    },
}
MLPS = {
    "MLPClassifier()": MLPClassifier(),
    "HillClimbMLP()": HillClimbMLP(),
    "textbook": HillClimbMLP((10,), step_size=0.1, **TEXTBOOK),
    **{
        f"{name}={value!r}": HillClimbMLP(**{name: value})
        for name, values in {
            "hidden_layer_sizes": ((30,), (50,), (200,), (50, 50)),
            "activation": ("tanh", "relu"),
            "max_iter": (10_000, 30_000),
            "step_size": (0.03, 0.3, 1.0),
            "step_schedule": ("constant",),
            "init": ("normal",),
        }.items()
        for value in values
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
    for title, candidates in {"perceptrons": PERCEPTRONS, "MLPs": MLPS}.items():
        for data_name, (X, y) in data_sets().items():
            print(f"\n{title}, {data_name}")
            for name, classifier in candidates.items():
                accuracy, seconds = cross_validate_twice(classifier, X, y)
                print(f"{name:32} {accuracy:.4f} {seconds:8.3f} s", flush=True)


def cross_validate_twice(classifier, X, y):
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
    return np.mean(scores), np.median(times)
