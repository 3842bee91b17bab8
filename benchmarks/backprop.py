"""BackpropMLP against scikit-learn's MLPClassifier: same work, same weights."""

from __future__ import annotations

import warnings
from itertools import product

from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from benchmarks._timing import compare, show
from skperceptron import BackpropMLP

N_EPOCHS = 10
WORK = [
    ("breast cancer 30-32-2", load_breast_cancer, (32,), (4, 16, 32)),
    ("digits 64-50-10", load_digits, (50,), (32, 100)),
    ("digits 64-100-50-10", load_digits, (100, 50), (32, 100)),
]


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    comparisons = []
    for name, load, hidden, batch_sizes in WORK:
        X, y = load(return_X_y=True)
        X = StandardScaler().fit_transform(X)
        for batch_size, solver in product(batch_sizes, ("sgd", "adam")):
            params = {
                "hidden_layer_sizes": hidden,
                "batch_size": batch_size,
                "solver": solver,
                "max_iter": N_EPOCHS,
                "random_state": 0,
            }
            comparisons.append(
                compare(
                    f"{name}, batch {batch_size}, {solver}, {N_EPOCHS} epochs",
                    "MLPClassifier",
                    lambda p=params, X=X, y=y: BackpropMLP(**p).fit(X, y),
                    lambda p=params, X=X, y=y: MLPClassifier(**p).fit(X, y),
                    at_least=10 if load is load_breast_cancer else 3,
                )
            )
    show("Backpropagation", comparisons)
