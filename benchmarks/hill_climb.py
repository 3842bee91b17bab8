"""Hill climbing against the same algorithm written in NumPy and in plain Python.

And with metrics of scikit-learn's as objectives, against built-in ones.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
import warnings
from copy import copy
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import expit
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, get_scorer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from benchmarks._timing import Comparison, compare, seconds, show
from skperceptron import HillClimbMLP, HillClimbPerceptron

TEXTBOOK = {
    "objective": "accuracy",
    "mutation": "all",
    "step_schedule": "constant",
    "init": "uniform",
    "random_state": 0,
}
SEED = np.random.RandomState(0).randint(np.iinfo(np.int32).max)  # as the fits draw it
# A Python in which mlrose_hiive can be imported; it needs older libraries than ours.
MLROSE_PYTHON = os.environ.get("MLROSE_PYTHON")
# What mlrose_hiive takes for 1000 iterations, where it is not there to be timed.
MLROSE_SECONDS = 1.7


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
                "literal loop over rows and features, from 100 its.",
                lambda: fit_perceptron(X, y, 10_000),
                lambda: literal_perceptron(X, y, 100),
                scale_theirs=100,
                at_least=2000,
            ),
            compare(
                "the same",
                "the same loop over lists, no NumPy in it",
                lambda: fit_perceptron(X, y, 10_000),
                lambda: python_perceptron(X.tolist(), y.tolist(), 100),
                scale_theirs=100,
            ),
            compare(
                "MLP 5-10-1 logistic, 670 rows, 1000 iterations",
                "vectorised NumPy loop",
                lambda: fit_mlp(X, y, 1000),
                lambda: numpy_mlp(X, y, 1000),
                at_least=6,
            ),
            against_mlrose(X, y),
            big_perceptron(),
            *digits("logistic"),
            *digits("relu"),
        ],
    )
    show_metrics()


def against_mlrose(X, y):
    times = [seconds(lambda: fit_mlp(X, y, 1000)) for _ in range(11)]
    ours = median(times[1:])
    theirs = mlrose_seconds() if MLROSE_PYTHON else MLROSE_SECONDS
    name = "mlrose_hiive" if MLROSE_PYTHON else "mlrose_hiive's 1.7 s, not run"
    return Comparison("the same", name, ours, theirs, theirs / ours, 300)


def big_perceptron():
    X, y = make_classification(100_000, 100, random_state=0)
    if fit_perceptron(X, y, 200).n_accepted_ != numpy_perceptron(X, y, 200):
        raise AssertionError("the two climbs kept other candidates")
    return compare(
        "perceptron 100 000x100, 1000 iterations, float64",
        "vectorised NumPy loop",
        lambda: fit_perceptron(X, y, 1000),
        lambda: numpy_perceptron(X, y, 1000),
        at_least=10,
    )


def digits(activation):
    """Time until 0.97 on held-out data, over several splits."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    own, evolution, adam, adam_scores = [], [], [], []
    for seed in range(7):
        split = train_test_split(X, y, test_size=0.2, random_state=seed, stratify=y)
        if seed == 0:
            climb_until_097(*split, activation, seed=0)  # to compile
        own.append(climb_until_097(*split, activation, seed=seed))
        if seed < 3:
            evolution.append(evolve_until_097(*split, activation, seed=seed))
        score, elapsed = fit_adam(*split, activation, seed=seed)
        adam.append(elapsed)
        adam_scores.append(score)
    return [
        Comparison(
            f"digits 64-50-10 {activation}, until 0.97 held out",
            "NumPy float32 (1+1)-ES, all weights (3 splits)",
            median(own[:3]),
            median(evolution),
            median(b / a for a, b in zip(own, evolution, strict=False)),
            30 if activation == "logistic" else None,
        ),
        Comparison(
            "the same (7 splits)",
            f"MLPClassifier's whole Adam fit, to {np.mean(adam_scores):.3f}",
            median(own),
            median(adam),
            median(b / a for a, b in zip(own, adam, strict=True)),
            2 if activation == "logistic" else None,
        ),
    ]


def climb_until_097(X, X_test, y, y_test, activation, *, seed):
    # Without a penalty, as its rival: the default keeps logistic units below 0.97.
    clf = HillClimbMLP(
        (50,), activation, alpha=0, max_iter=1000, warm_start=True, random_state=seed
    )
    elapsed = 0.0
    for _ in range(100):
        elapsed += seconds(lambda: clf.fit(X, y))
        if clf.score(X_test, y_test) >= 0.97:
            return elapsed
    return np.inf


def evolve_until_097(X, X_test, y, y_test, activation, *, seed, most=200_000):
    """(1+1)-ES with the one-fifth rule on all weights of the same net."""
    activate = {"logistic": expit, "relu": lambda z: np.maximum(z, 0)}[activation]
    rng = np.random.default_rng(seed)
    limit = np.sqrt(6 / (64 + 50)), np.sqrt(6 / (50 + 10))
    w = np.concatenate(
        [
            rng.uniform(-limit[0], limit[0], 64 * 50),
            np.zeros(50),
            rng.uniform(-limit[1], limit[1], 500),
            np.zeros(10),
        ]
    ).astype(np.float32)

    def sums(w, X):
        hidden = activate(X @ w[:3200].reshape(64, 50) + w[3200:3250])
        return hidden @ w[3250:3750].reshape(50, 10) + w[3750:]

    def loss(w):
        z = sums(w, X)
        z -= z.max(axis=1, keepdims=True)
        own = z[np.arange(len(y)), y]
        return np.mean(np.log(np.exp(z).sum(axis=1)) - own)

    current, sigma = loss(w), np.float32(0.1)
    elapsed, started = 0.0, time.perf_counter()
    for i in range(most):
        candidate = w + sigma * rng.standard_normal(w.size, dtype=np.float32)
        value = loss(candidate)
        if value <= current:
            w, current = candidate, value
            sigma *= np.float32(1.5)
        else:
            sigma *= np.float32(1.5**-0.25)
        if i % 500 == 499:
            elapsed += time.perf_counter() - started
            if np.mean(sums(w, X_test).argmax(axis=1) == y_test) >= 0.97:
                return elapsed
            started = time.perf_counter()
    return np.inf


def fit_adam(X, X_test, y, y_test, activation, *, seed):
    clf = MLPClassifier((50,), activation, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        elapsed = seconds(lambda: clf.fit(X, y))
    return clf.score(X_test, y_test), elapsed


def fit_perceptron(X, y, n_iter):
    return HillClimbPerceptron(max_iter=n_iter, step_size=0.05, **TEXTBOOK).fit(X, y)


def fit_mlp(X, y, n_iter):
    return HillClimbMLP(
        (10,), "logistic", max_iter=n_iter, step_size=0.1, **TEXTBOOK
    ).fit(X, y)


def climb(accuracy, n_params, step_size, n_iter):
    """Climb from U[0, 1); return how many candidates were kept."""
    rng = np.random.default_rng(SEED)
    current = rng.random(n_params)
    value, n_accepted = accuracy(current), 0
    for _ in range(n_iter):
        candidate = current + step_size * rng.standard_normal(n_params)
        candidate_value = accuracy(candidate)
        if candidate_value >= value:
            current, value = candidate, candidate_value
            n_accepted += 1
    return n_accepted


def numpy_perceptron(X, y, n_iter):
    def accuracy(w):
        return np.mean((X @ w[:-1] + w[-1] >= 0) == y)

    return climb(accuracy, X.shape[1] + 1, 0.05, n_iter)


def numpy_mlp(X, y, n_iter):
    def accuracy(w):
        hidden = expit(X @ w[:50].reshape(5, 10) + w[50:60])
        return np.mean((hidden @ w[60:70] + w[70] > 0) == y)

    return climb(accuracy, 71, 0.1, n_iter)


def literal_perceptron(X, y, n_iter):
    """Climb as textbooks write it: predict row by row, then score the predictions."""

    def predict_row(row, w):
        activation = w[-1]
        for i in range(len(row)):
            activation += w[i] * row[i]
        return 1 if activation >= 0.0 else 0

    def accuracy(w):
        return accuracy_score(y, [predict_row(row, w) for row in X])

    return climb(accuracy, X.shape[1] + 1, 0.05, n_iter)


def python_perceptron(X, y, n_iter):
    """Do the same without NumPy: Python's own numbers are faster one by one."""

    def accuracy(w):
        n_correct = 0
        for row, label in zip(X, y, strict=True):
            activation = w[-1]
            for x, weight in zip(row, w, strict=False):
                activation += x * weight
            n_correct += (activation >= 0) == label
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


# Metrics as objectives: the built-in one that each is compared with, how many times its
# time it may take, and how many times as fast as in Python it should be.
OF_PERCEPTRONS = {
    "f1": ("accuracy", 1.5, 1),
    "roc_auc": ("accuracy", 20, 20),
    "average_precision": ("accuracy", 20, 20),
}
OF_NETWORKS = {
    "neg_log_loss": ("log_loss", 1.5, 1),
    "neg_brier_score": ("log_loss", 1.5, 1),
    **OF_PERCEPTRONS,
}
# From random weights: what is timed are iterations on the metric alone.
ON_METRIC = {"surrogate_iter": 0, "step_schedule": "constant", "random_state": 0}
# Samples, features, and iterations in compiled code and in Python.
SIZES = [(670, 5, 10_000, 100), (5000, 20, 4000, 50), (100_000, 20, 1000, 20)]


def show_metrics():
    """Print what an iteration takes with each metric."""
    table = Table(title="Metrics as objectives, microseconds an iteration")
    for heading in ("work", "objective", "against"):
        table.add_column(heading)
    for heading in ("ours", "theirs", "times", "at most"):
        table.add_column(heading, justify="right")
    for heading in ("in Python", "times faster", "at least"):
        table.add_column(heading, justify="right")
    for size in SIZES:
        for clf, metrics in (
            (HillClimbPerceptron(**ON_METRIC), OF_PERCEPTRONS),
            (HillClimbMLP((10,), **ON_METRIC), OF_NETWORKS),
        ):
            kind = type(clf).__name__.removeprefix("HillClimb")
            for objective, (base, at_most, at_least) in metrics.items():
                ours, theirs, python = time_metric(clf, size, objective, base)
                table.add_row(
                    f"{kind} {size[0]}x{size[1]}",
                    objective,
                    base,
                    *(f"{ours:.3g}", f"{theirs:.3g}"),
                    *(f"{ours / theirs:.2f}", f"{at_most:g}"),
                    *(f"{python:.0f}", f"{python / ours:.0f}", f"{at_least}"),
                )
    Console(width=130).print(table)


def time_metric(clf, size, objective, base):
    n_samples, n_features, n_iter, n_iter_in_python = size
    X, y = make_classification(
        n_samples, n_features, n_redundant=1, flip_y=0.1, random_state=1
    )
    todo = [(objective, n_iter), (base, n_iter)]
    todo.append((in_python(objective), n_iter_in_python))
    rounds = [[per_iteration(clf, X, y, *what) for what in todo] for _ in range(4)]
    return np.median(rounds[1:], axis=0)


def in_python(name):
    """Make the same scorer of a function that compiled code does not know."""
    scorer = copy(get_scorer(name))
    function = scorer._score_func
    scorer._score_func = lambda *args, **options: function(*args, **options)
    return scorer


def per_iteration(clf, X, y, objective, n_iter):
    """Time an iteration in microseconds, without what a fit does once."""
    clf.set_params(objective=objective)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no sample is predicted positive
        once = seconds(lambda: clf.set_params(max_iter=1).fit(X, y))
        elapsed = seconds(lambda: clf.set_params(max_iter=n_iter + 1).fit(X, y))
    return 1e6 * (elapsed - once) / n_iter


MLROSE_SCRIPT = """
import time
import mlrose_hiive
from sklearn.datasets import make_classification
X, y = make_classification(1000, 5, n_informative=2, n_redundant=1, random_state=1)
net = mlrose_hiive.NeuralNetwork(
    hidden_nodes=[10], activation="sigmoid", algorithm="random_hill_climb",
    max_iters=1000, learning_rate=0.1, clip_max=5, max_attempts=1000, random_state=0,
)
started = time.perf_counter()
net.fit(X[:670], y[:670])
print(time.perf_counter() - started)
"""


def mlrose_seconds():
    result = subprocess.run(
        [MLROSE_PYTHON, "-c", MLROSE_SCRIPT], capture_output=True, text=True, check=True
    )
    return float(result.stdout.split()[-1])


if __name__ == "__main__":
    main()
