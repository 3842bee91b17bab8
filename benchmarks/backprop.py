"""BackpropMLP against the same training elsewhere, and against its bare products.

The peers are scikit-learn's MLPClassifier and, where they can be imported, PyTorch
(eager) and JAX (one compiled scan per epoch, compiled before the clock starts). The
"ratio" of the bare products is their share of our time.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product
from statistics import geometric_mean, median

import numpy as np
from numba import njit
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._peers import Job, find_trainers, sklearn_trainer
from benchmarks._timing import Comparison, compare, seconds, show
from examples.breast_cancer_grid import GRID, make_network
from skperceptron import BackpropMLP

SMALL = [
    ("breast cancer 30-32-2", load_breast_cancer, (32,), (4, 16, 32)),
    ("digits 64-50-10", load_digits, (50,), (32, 100)),
    ("digits 64-100-50-10", load_digits, (100, 50), (32, 100)),
]
# The ratios aimed at: of one small net, the geometric mean of all, of the big net.
AIMS_SMALL = {"MLPClassifier": 3, "PyTorch": 3}
AIMS_MEAN = {"MLPClassifier": 10, "PyTorch": 10, "JAX": 2}
AIMS_BIG = {"MLPClassifier": 1.5, "PyTorch": 1, "JAX": 1}
PRODUCTS = "its bare matrix products"


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    trainers = find_trainers()
    small = [c for job in small_jobs() for c in against_all(job, trainers, AIMS_SMALL)]
    big = against_all(big_job(), trainers, AIMS_BIG)
    title = "Backpropagation, 50 epochs of the small nets, 1 of the big one"
    show(title, [*small, *big, lbfgs(), prediction(), grid_search()])
    for peer in trainers:
        print(summary(peer, [c.ratio for c in small if c.peer == peer]))
    print(first_fit())


def small_jobs() -> list[Job]:
    jobs = []
    for name, load, hidden, batch_sizes in SMALL:
        X, y = load_standardized(load)
        for batch_size, solver in product(batch_sizes, ("sgd", "adam")):
            jobs.append(Job(name, X, y, hidden, batch_size, solver))
    return jobs


def load_standardized(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def big_job() -> Job:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12_800, 784), dtype=np.float32)
    y = (X @ rng.standard_normal((784, 10), dtype=np.float32)).argmax(axis=1)
    return Job("784-512-512-10, float32", X, y, (512, 512), 128, "adam", n_epochs=1)


def against_all(
    job: Job, trainers: dict[str, Callable], aims: dict[str, float]
) -> list[Comparison]:
    """Compare with each peer and, for nets of more than two classes, the products."""
    fit = sklearn_trainer(BackpropMLP, job)
    comparisons = [
        compare(str(job), peer, fit, trainer(job), at_least=aims.get(peer))
        for peer, trainer in trainers.items()
    ]
    if job.sizes[-1] > 1:
        aim = 0.5 if aims is AIMS_SMALL else None
        products = bare_products(job)
        comparisons.append(compare(str(job), PRODUCTS, fit, products, at_least=aim))
    return [comparisons[0], *(replace(c, work="the same") for c in comparisons[1:])]


def bare_products(job: Job) -> Callable[[], None]:
    """Return what does the products that forward and backward passes of a fit need."""
    n_batches, n_left = divmod(len(job.X), job.batch_size)
    whole = allocate(job.sizes, job.batch_size, job.X.dtype)
    left = allocate(job.sizes, n_left, job.X.dtype)

    def multiply_all():
        for _ in range(job.n_epochs):
            multiply(*whole, n_batches)
            multiply(*left, int(n_left > 0))

    return multiply_all


def allocate(sizes, n_samples, dtype):
    """Draw the operands of the products of one batch, and allocate the results."""
    rng = np.random.default_rng(0)
    of_samples = [(n_samples, size) for size in sizes]
    of_weights = list(pairwise(sizes))

    def draw(shapes):
        return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)

    outputs, deltas, sums = (draw(of_samples) for _ in range(3))
    weights, gradients = draw(of_weights), draw(of_weights)
    return outputs, deltas, weights, sums, gradients


@njit
def multiply(outputs, deltas, weights, sums, gradients, n_times):
    """Multiply as a forward and a backward pass of one batch do, and do no more."""
    n_layers = len(weights)
    for _ in range(n_times):
        for i in range(n_layers):
            np.dot(outputs[i], weights[i], sums[i + 1])
        for i in range(n_layers - 1, -1, -1):
            np.dot(outputs[i].T, deltas[i + 1], gradients[i])
            if i > 0:
                np.dot(deltas[i + 1], weights[i].T, sums[i])


def lbfgs() -> Comparison:
    X, y = load_standardized(load_digits)

    def fit(estimator):
        classifier = estimator(
            (50,), solver="lbfgs", max_iter=100, tol=0, random_state=0
        ).fit(X, y)
        if classifier.n_iter_ != 100:
            raise AssertionError(f"{classifier.n_iter_} iterations, not 100")

    return compare(
        "digits 64-50-10, lbfgs, 100 iterations",
        "MLPClassifier",
        lambda: fit(BackpropMLP),
        lambda: fit(MLPClassifier),
        at_least=1.5,
    )


def prediction() -> Comparison:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100_000, 64)), np.arange(1000) % 10
    params = {"hidden_layer_sizes": (100,), "max_iter": 1, "random_state": 0}
    ours = BackpropMLP(**params).fit(X[:1000], y)
    theirs = MLPClassifier(**params).fit(X[:1000], y)
    return compare(
        "64-100-10, predict_proba, 100 000 samples",
        "MLPClassifier",
        lambda: ours.predict_proba(X),
        lambda: theirs.predict_proba(X),
        at_least=1.5,
    )


def grid_search() -> Comparison:
    """Search 216 networks, and with MLPClassifier the 72 of them without dropout."""
    X, y = load_breast_cancer(return_X_y=True)
    ours = make_network()
    params = {name: getattr(ours[-1], name) for name in MLPClassifier().get_params()}
    theirs = make_pipeline(StandardScaler(), MLPClassifier(**params))
    shared = {
        name.replace("backpropmlp", "mlpclassifier"): values
        for name, values in GRID.items()
        if not name.endswith("input_dropout")
    }
    own, other = time_per_fit(ours, GRID, X, y), time_per_fit(theirs, shared, X, y)
    return Comparison(
        "breast cancer, grid of 216 (theirs 72), 25 epochs, per fit",
        "MLPClassifier",
        own,
        other,
        other / own,
        10,
    )


def time_per_fit(network, grid, X, y):
    search = GridSearchCV(network, grid, cv=3, refit=False, error_score=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks whose weights overflow
        elapsed = seconds(lambda: search.fit(X, y))
    return elapsed / (3 * len(search.cv_results_["params"]))


def summary(peer: str, ratios: list[float]) -> str:
    """Say in a line how the small nets did against a peer."""
    smallest = f"smallest {min(ratios):.2f}"
    if peer in AIMS_SMALL:
        smallest += f" (aim {AIMS_SMALL[peer]:g})"
    return (
        f"{peer}: geometric mean of the {len(ratios)} ratios of small nets "
        f"{geometric_mean(ratios):.2f} (aim {AIMS_MEAN[peer]:g}), {smallest}"
    )


def first_fit() -> str:
    """Say how much longer the first fit of a new process takes than the second."""
    script = "from benchmarks.backprop import print_two_fits; print_two_fits()"
    times = []
    for _ in range(3):
        result = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        times.append([1e3 * float(word) for word in result.stdout.split()])
    first, second = (median(column) for column in zip(*times, strict=True))
    return (
        f"{small_jobs()[-1]}: first fit of a new process {first:.0f} ms, "
        f"second {second:.0f} ms, {first - second:.0f} ms less (aim: at most 500)"
    )


def print_two_fits() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    fit = sklearn_trainer(BackpropMLP, small_jobs()[-1])
    print(seconds(fit), seconds(fit))


if __name__ == "__main__":
    main()
