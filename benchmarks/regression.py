"""The regressors against scikit-learn's MLPRegressor.

For BackpropMLPRegressor, the nets and the data are the small ones of the benchmark of
BackpropMLP, with numbers to be learned: whether a tumour is benign as 0 or 1, and a
digit as ten such columns. HillClimbMLPRegressor, with its defaults, is compared by R2
with MLPRegressor on scaled targets.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from statistics import geometric_mean

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RepeatedKFold, cross_validate
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._peers import Job, sklearn_trainer
from benchmarks._regression_data import data_sets
from benchmarks._timing import Comparison, compare, show
from benchmarks.backprop import small_jobs
from skperceptron import BackpropMLPRegressor, HillClimbMLPRegressor

# By how much R2 may be smaller than that of MLPRegressor.
MARGIN = 0.02
# The ratios aimed at: of one small net, and the geometric mean of all.
AIM, AIM_MEAN = 3, 10


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    speed = [against_sklearn(with_numbers(job)) for job in small_jobs()]
    show("Backpropagation of numbers, 50 epochs", speed)
    ratios = [comparison.ratio for comparison in speed]
    print(
        f"MLPRegressor: geometric mean of the {len(ratios)} ratios "
        f"{geometric_mean(ratios):.2f} (aim {AIM_MEAN}), smallest {min(ratios):.2f} "
        f"(aim {AIM})"
    )
    show_quality()


def show_quality() -> None:
    """Print R2 and the time of a fit, of hill climbing and of MLPRegressor."""
    table = Table(title="R2 on held-out data, hill climbing and MLPRegressor")
    for name in (
        "data",
        "samples x features",
        "ours",
        "theirs",
        "ours, s",
        "theirs, s",
    ):
        table.add_column(name, no_wrap=True)
    differences, ratios = [], []
    scaler = StandardScaler()
    ours = make_pipeline(scaler, HillClimbMLPRegressor(random_state=0))
    theirs = make_pipeline(scaler, MLPRegressor(random_state=0))
    scaled = TransformedTargetRegressor(theirs, transformer=scaler)
    for name, (X, y) in data_sets().items():
        (own, own_time), (other, other_time) = (
            cross_validated(model, X, y) for model in (ours, scaled)
        )
        differences.append(own - other)
        ratios.append(other_time / own_time)
        shape = f"{X.shape[0]} x {X.shape[1]}"
        times = f"{own_time:.3f}", f"{other_time:.3f}"
        table.add_row(name, shape, f"{own:.3f}", f"{other:.3f}", *times)
    Console(width=110).print(table)
    n_good = sum(difference >= -MARGIN for difference in differences)
    print(
        f"At most {MARGIN} below MLPRegressor on {n_good} of {len(differences)} sets; "
        f"geometric mean of theirs / ours in time {geometric_mean(ratios):.2f}"
    )


def cross_validated(model: object, X: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Compute the mean R2 of three times five folds, and the median time of a fit."""
    folds = RepeatedKFold(n_splits=5, n_repeats=3, random_state=0)
    found = cross_validate(model, X, y, cv=folds, scoring="r2")
    return found["test_score"].mean(), float(np.median(found["fit_time"]))


def with_numbers(job: Job) -> Job:
    """Make targets of classes: a column for two, else one for each."""
    columns = job.y[:, np.newaxis] == np.arange(job.y.max() + 1)
    is_binary = job.sizes[-1] == 1
    return replace(job, y=job.y.astype(float) if is_binary else columns.astype(float))


def against_sklearn(job: Job) -> Comparison:
    ours = sklearn_trainer(BackpropMLPRegressor, job)
    theirs = sklearn_trainer(MLPRegressor, job)
    np.testing.assert_allclose(ours(), theirs(), rtol=1e-6)
    return compare(str(job), "MLPRegressor", ours, theirs, at_least=AIM)


if __name__ == "__main__":
    main()
