"""Search spaces and pruning: what they find, and what they save.

First, studies of 20 trials in the search spaces, beside the defaults. The score is the
mean accuracy of 5-fold cross-validation, repeated on small data sets so that each score
is of about as many predictions as one of digits. Because the best of many scores is a
lucky one, what was found and the defaults are compared once more on other folds.

Then, studies of 50 trials on digits with and without pruning, from the same seeds. The
score is the accuracy on a validation set, or the mean over the folds of a
cross-validation. The fits themselves hold out a part of what they are given, stop early
by it, and report the score on it to the pruner.

Features are standardised on the training data. Test sets play no part.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from statistics import median

import numpy as np
import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import TPESampler
from rich.console import Console
from rich.table import Table
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import (
    RepeatedStratifiedKFold,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.tuning import PruningCallback, suggest_params

Data = tuple[np.ndarray, np.ndarray]

SEEDS = range(5)
SEEDS_OF_OTHER_FOLDS = range(100, 103)
N_PREDICTIONS = 1797  # samples of digits


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console = Console(width=110)
    console.print(compare_with_defaults())
    console.print(compare_pruners())


# Search spaces


def compare_with_defaults() -> Table:
    table = Table(title="20 trials and the defaults, medians of 5 seeds")
    for heading in (
        "data",
        "classifier",
        "defaults",
        "found",
        "at least as good",
        "gain",
        "gain on other folds",
    ):
        table.add_column(heading)
    for data_name, load in {
        "breast cancer": load_breast_cancer,
        "digits": load_digits,
        "wine": load_wine,
    }.items():
        for cls in (HillClimbPerceptron, HillClimbMLP, BackpropMLP):
            table.add_row(data_name, cls.__name__, *tune(cls, load(return_X_y=True)))
    return table


def tune(cls: type, data: Data) -> list[str]:
    """Run the studies of one row."""
    pipeline = make_pipeline(StandardScaler(), cls(random_state=0))
    defaults, found, gains = [], [], []
    for seed in SEEDS:
        study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=seed))

        def objective(trial: optuna.Trial, seed: int = seed) -> float:
            params = suggest_params(trial, pipeline)
            return cross_validate(clone(pipeline).set_params(**params), data, seed)

        study.optimize(objective, n_trials=20)
        defaults.append(cross_validate(pipeline, data, seed))
        found.append(study.best_value)
        tuned = clone(pipeline).set_params(**study.best_params)
        gains += [
            cross_validate(tuned, data, other) - cross_validate(pipeline, data, other)
            for other in SEEDS_OF_OTHER_FOLDS
        ]
    gain = np.subtract(found, defaults)
    return [
        f"{median(defaults):.4f}",
        f"{median(found):.4f}",
        f"{sum(gain > -1e-9)} of {len(SEEDS)}",  # equal ones are summed up differently
        f"{median(gain):+.4f}",
        f"{median(gains):+.4f}",
    ]


def cross_validate(pipeline: Pipeline, data: Data, seed: int) -> float:
    X, y = data
    cv = RepeatedStratifiedKFold(
        n_splits=5, n_repeats=round(N_PREDICTIONS / len(y)), random_state=seed
    )
    return float(cross_val_score(pipeline, X, y, cv=cv, error_score="raise").mean())


# Pruning


def compare_pruners() -> Table:
    table = Table(title="Pruning in studies of 50 trials on digits, medians of 5 seeds")
    for heading in (
        "fits of a trial",
        "pruner",
        "reports",
        "saved",
        "best score",
        "difference",
    ):
        table.add_column(heading)
    fits = {
        "BackpropMLP, one": (BackpropMLP(), score_on_validation_set),
        "BackpropMLP, 3 folds": (BackpropMLP(), score_on_folds),
        "HillClimbMLP, one": (HillClimbMLP(), score_on_validation_set),
    }
    for name, (classifier, score) in fits.items():
        pipeline = make_pipeline(
            StandardScaler(),
            classifier.set_params(early_stopping=True, random_state=0),
        )
        for row in prune(pipeline, score):
            table.add_row(name, *row)
    return table


def make_pruners(max_iter: int) -> dict[str, BasePruner]:
    """Make pruners that have seen no study yet."""
    least = max_iter // 40
    return {
        "none": NopPruner(),
        "median": MedianPruner(),
        "successive halving": SuccessiveHalvingPruner(
            min_resource=least, reduction_factor=3
        ),
        "Hyperband": HyperbandPruner(min_resource=least, max_resource=max_iter),
    }


def prune(
    pipeline: Pipeline, score: Callable[[Pipeline], float]
) -> list[tuple[str, ...]]:
    """Run the studies of one kind of trials."""

    def objective(trial: optuna.Trial) -> float:
        one = clone(pipeline).set_params(**suggest_params(trial, pipeline))
        return score(one.set_callbacks(PruningCallback(trial)))

    max_iter = pipeline[-1].max_iter
    reports: dict[str, list[int]] = {name: [] for name in make_pruners(max_iter)}
    best: dict[str, list[float]] = {name: [] for name in reports}
    for seed in SEEDS:
        for name, pruner in make_pruners(max_iter).items():
            study = optuna.create_study(
                study_name="digits",  # by which Hyperband assigns trials to brackets
                direction="maximize",
                sampler=TPESampler(seed=seed),
                pruner=pruner,
            )
            study.optimize(objective, n_trials=50)
            reports[name].append(sum(len(t.intermediate_values) for t in study.trials))
            best[name].append(study.best_value)
    return [
        (
            name,
            f"{median(reports[name]):.0f}",
            f"{median(1 - np.divide(reports[name], reports['none'])):.2f}",
            f"{median(best[name]):.4f}",
            f"{median(np.subtract(best[name], best['none'])):+.4f}",
        )
        for name in reports
    ]


def score_on_validation_set(pipeline: Pipeline) -> float:
    X, y = load_digits(return_X_y=True)
    X_train, X_valid, y_train, y_valid = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )
    return pipeline.fit(X_train, y_train).score(X_valid, y_valid)


def score_on_folds(pipeline: Pipeline) -> float:
    X, y = load_digits(return_X_y=True)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    return float(cross_val_score(pipeline, X, y, cv=cv, error_score="raise").mean())
