"""The regressor trained by backpropagation against scikit-learn's MLPRegressor.

The nets and the data are the small ones of the benchmark of BackpropMLP, with numbers
to be learned: whether a tumour is benign as 0 or 1, and a digit as ten such columns.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from statistics import geometric_mean

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from benchmarks._peers import Job, sklearn_trainer
from benchmarks._timing import Comparison, compare, show
from benchmarks.backprop import small_jobs
from skperceptron import BackpropMLPRegressor

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
