"""Hill climbing against the same algorithm written in NumPy and in plain Python."""

from __future__ import annotations

import random

import numpy as np
from scipy.special import expit
from sklearn.datasets import make_classification

from benchmarks._timing import compare, show
from skperceptron import HillClimbMLP, HillClimbPerceptron

TEXTBOOK = {
    "objective": "accuracy",
    "mutation": "all",
    "step_schedule": "constant",
    "init": "uniform",
    "random_state": 0,
}


def main() -> None:
    X, y = make_classification(1000, 5, n_informative=2, n_redundant=1, random_state=1)
    X, y = X[:670], y[:670]
    show(
        "Hill climbing",
        [
            compare(
                "perceptron 670x5, 10 000 iterations",
                "vectorised NumPy loop",
                lambda: fit_perceptron(X, y, 10_000),
                lambda: numpy_perceptron(X, y, 10_000),
                at_least=15,
            ),
            compare(
                "the same",
                "plain Python loop (from 100 iterations)",
                lambda: fit_perceptron(X, y, 10_000),
                lambda: python_perceptron(X.tolist(), y.tolist(), 100),
                scale_theirs=100,
                at_least=2000,
            ),
            compare(
                "MLP 5-10-1 logistic, 670 rows, 1000 iterations",
                "vectorised NumPy loop",
                lambda: fit_mlp(X, y, 1000),
                lambda: numpy_mlp(X, y, 1000),
                at_least=6,
            ),
            big_perceptron(),
        ],
    )


def big_perceptron():
    X, y = make_classification(100_000, 100, random_state=0)
    return compare(
        "perceptron 100 000x100, 200 iterations",
        "vectorised NumPy loop",
        lambda: fit_perceptron(X, y, 200),
        lambda: numpy_perceptron(X, y, 200),
        at_least=10,
        n_rounds=3,
    )


def fit_perceptron(X, y, n_iter):
    return HillClimbPerceptron(max_iter=n_iter, step_size=0.05, **TEXTBOOK).fit(X, y)


def fit_mlp(X, y, n_iter):
    return HillClimbMLP(
        (10,), "logistic", max_iter=n_iter, step_size=0.1, **TEXTBOOK
    ).fit(X, y)


def climb(accuracy, n_params, step_size, n_iter):
    rng = np.random.default_rng(0)
    current = rng.random(n_params)
    value = accuracy(current)
    for _ in range(n_iter):
        candidate = current + step_size * rng.standard_normal(n_params)
        candidate_value = accuracy(candidate)
        if candidate_value >= value:
            current, value = candidate, candidate_value
    return current


def numpy_perceptron(X, y, n_iter):
    def accuracy(w):
        return np.mean((X @ w[:-1] + w[-1] >= 0) == y)

    return climb(accuracy, X.shape[1] + 1, 0.05, n_iter)


def numpy_mlp(X, y, n_iter):
    def accuracy(w):
        hidden = expit(X @ w[:50].reshape(5, 10) + w[50:60])
        return np.mean((hidden @ w[60:70] + w[70] > 0) == y)

    return climb(accuracy, 71, 0.1, n_iter)


def python_perceptron(X, y, n_iter):
    def accuracy(w):
        n_correct = 0
        for row, label in zip(X, y, strict=True):
            total = w[-1]
            for x, weight in zip(row, w, strict=False):
                total += x * weight
            n_correct += (total >= 0) == label
        return n_correct / len(X)

    rng = random.Random(0)
    current = [rng.random() for _ in range(len(X[0]) + 1)]
    value = accuracy(current)
    for _ in range(n_iter):
        candidate = [w + rng.gauss(0, 0.05) for w in current]
        candidate_value = accuracy(candidate)
        if candidate_value >= value:
            current, value = candidate, candidate_value
    return current
