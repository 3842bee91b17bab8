"""Climbing on a metric.

When does it pay to climb on the metric itself, compared with the alternatives?

Both parts use real data, and means over several random splits, which are the same for
all classifiers:

- **A rare class.** Find the digit 8 among the other digits, of which there are nine
  times as many. The metrics are F2, which weighs a missed 8 more than a false alarm,
  and a cost: 10 for a missed 8, 1 for a false alarm. Climbs on these metrics are
  compared with networks and logistic regressions that have balanced class weights, or a
  threshold tuned by cross-validation. Climbing does not pay here: its linear rule is
  about as good as a logistic regression with a tuned threshold, and its network is
  worse than a `BackpropMLP` with one.
- **Wrong labels.** Classify tumours after learning from labels of which some were
  flipped at random. The log loss gives most weight to the samples far on the wrong side
  of the border; in the accuracy, each of them is one error. Climbing from random
  weights pays here, more than searching for the penalty of a logistic regression.

Nothing is tuned on the held-out data.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, fbeta_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedShuffleSplit,
    TunedThresholdClassifierCV,
)
from sklearn.preprocessing import StandardScaler

import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.metrics import cost_matrix_score

FIGURE = Path(__file__).with_name("figures") / "optimize_any_metric.png"
N_SPLITS = 6
DIRECT = "HillClimbPerceptron"
COSTS = [[0, 1], [10, 0]]
SHARES_OF_WRONG_LABELS = (0.0, 0.1, 0.2, 0.3)
Metric = Callable[..., float]


def f2(y_true: NDArray, y_pred: NDArray) -> float:
    """Compute the F2 score: a missed case weighs four times a false alarm.

    scikit-learn's ``fbeta_score`` gives the same in a millisecond, this in some
    microseconds: to tune a threshold, it is computed some hundreds of times.
    """
    hits = y_true @ y_pred
    return float(5 * hits / max(4 * y_true.sum() + y_pred.sum(), 1))


def negative_cost(y_true: NDArray, y_pred: NDArray) -> float:
    """Compute the mean cost, negated: 10 for a missed case, 1 for a false alarm."""
    return -float(np.mean(10 * (y_true > y_pred) + (y_true < y_pred)))


# What a climb is given: compiled code knows the functions behind these scorers.
OBJECTIVES = {
    f2: make_scorer(fbeta_score, beta=2),
    negative_cost: make_scorer(cost_matrix_score, costs=COSTS),
}


def make_climb(objective: Any, seed: int) -> HillClimbPerceptron:
    """Make the average of five climbs that begin at random weights.

    The defaults begin where the log loss leads to, and keep only gains that luck does
    not explain. On few samples, that is seldom far from there: with wrong labels, it is
    no better than a logistic regression.
    """
    return HillClimbPerceptron(
        objective=objective,
        surrogate_iter=0,
        step_schedule="constant",
        step_size=0.3,
        n_restarts=4,
        combine="average",
        random_state=seed,
    )


def make_classifiers(metric: Metric, seed: int) -> dict[str, Any]:
    """Name the classifiers to compare on a metric, the direct one first."""
    objective = OBJECTIVES[metric]
    logistic = partial(LogisticRegression, max_iter=1000)
    network = partial(BackpropMLP, (20,), random_state=seed)
    tuned = partial(TunedThresholdClassifierCV, scoring=make_scorer(metric))
    return {
        DIRECT: make_climb(objective, seed),
        "LogisticRegression, balanced": logistic(class_weight="balanced"),
        "LogisticRegression, tuned": tuned(logistic()),
        "HillClimbMLP": HillClimbMLP(
            (20,),
            objective=objective,
            surrogate_iter=5000,
            max_iter=1000,
            random_state=seed,
        ),
        "BackpropMLP, balanced": network(class_weight="balanced"),
        "BackpropMLP, tuned": tuned(network()),
    }


def compare(metric: Metric, n_splits: int = N_SPLITS) -> pd.DataFrame:
    """Score the classifiers on held-out digits: a row per split."""
    X, digits = load_digits(return_X_y=True)
    rows = []
    for seed, data in enumerate(split(X, (digits == 8).astype(int), n_splits)):
        classifiers = make_classifiers(metric, seed)
        rows.append(score_all(classifiers, metric, *data))
    return pd.DataFrame(rows)


def compare_by_wrong_labels(n_splits: int = N_SPLITS) -> dict[float, pd.DataFrame]:
    """Score the accuracy on held-out tumours, by the share of wrong labels."""
    X, y = load_breast_cancer(return_X_y=True)
    rows: dict[float, list] = {share: [] for share in SHARES_OF_WRONG_LABELS}
    for seed, (X_train, y_train, *test) in enumerate(split(X, y, n_splits)):
        luck = np.random.default_rng(seed).random(len(y_train))
        for share, scores in rows.items():
            labels = np.where(luck < share, 1 - y_train, y_train)
            classifiers = {
                DIRECT: make_climb("accuracy", seed),
                "LogisticRegression": LogisticRegression(max_iter=1000),
                "LogisticRegression, searched": GridSearchCV(
                    LogisticRegression(max_iter=1000), {"C": np.logspace(-4, 2, 7)}
                ),
                "BackpropMLP": BackpropMLP(random_state=seed),
            }
            scores.append(
                score_all(classifiers, accuracy_score, X_train, labels, *test)
            )
    return {share: pd.DataFrame(scores) for share, scores in rows.items()}


def split(X: NDArray, y: NDArray, n_splits: int) -> Iterator[tuple[NDArray, ...]]:
    """Split data at random, 60 % to train on, and standardise the features."""
    splitter = StratifiedShuffleSplit(n_splits, test_size=0.4, random_state=0)
    for train, test in splitter.split(X, y):
        scaler = StandardScaler().fit(X[train])
        yield scaler.transform(X[train]), y[train], scaler.transform(X[test]), y[test]


def score_all(
    classifiers: dict[str, Any],
    metric: Metric,
    X_train: NDArray,
    y_train: NDArray,
    X_test: NDArray,
    y_test: NDArray,
) -> dict[str, float]:
    """Fit the classifiers, the direct one tracked, and score them on the test part."""
    scores = {}
    for name, classifier in classifiers.items():
        with skperceptron.config_context(tracking=name == DIRECT):
            classifier.fit(X_train, y_train)
        scores[name] = metric(y_test, classifier.predict(X_test))
    return scores


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Compute means, and how far each is behind the direct one, with standard error."""
    behind = -scores.sub(scores[DIRECT], axis=0)
    return pd.DataFrame(
        {"mean": scores.mean(), "behind by": behind.mean(), "±": behind.sem()}
    )


def draw(
    results: dict[str, pd.DataFrame], by_share: dict[float, pd.DataFrame]
) -> Figure:
    figure = Figure(figsize=(13, 4), layout="constrained")
    *panels, last = figure.subplots(1, len(results) + 1)
    for ax, (title, scores) in zip(panels, results.items(), strict=True):
        for i, name in enumerate(scores):
            color = "C3" if name == DIRECT else "0.4"
            ax.plot(scores[name], [i] * len(scores), "o", color=color, alpha=0.4)
            ax.plot(scores[name].mean(), i, "|", color=color, markersize=30)
        ax.set(title="Digit 8: splits, mean", xlabel=f"{title} (more is better)")
        ax.set_yticks(range(len(scores.columns)), scores.columns)
        ax.invert_yaxis()
        ax.margins(y=0.2)
        ax.locator_params(axis="x", nbins=4)
        ax.label_outer()
    shares = [100 * share for share in by_share]
    names = next(iter(by_share.values())).columns
    for i, name in enumerate(names):
        color = "C3" if name == DIRECT else f"C{(0, 2, 4)[i - 1]}"
        last.errorbar(
            shares,
            [scores[name].mean() for scores in by_share.values()],
            [scores[name].sem() for scores in by_share.values()],
            fmt="o-",
            capsize=3,
            color=color,
            label=name,
        )
    last.set(
        title="Tumours: mean ± standard error",
        xlabel="wrong labels, %",
        ylabel="accuracy",
    )
    last.legend(loc="upper center", bbox_to_anchor=(0.4, -0.18), fontsize="small")
    return figure


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="F2, cost and wrong labels"):
        results = {"F2": compare(f2), "negative cost": compare(negative_cost)}
        by_share = compare_by_wrong_labels()
        for title, scores in results.items():
            mlflow.log_table(scores, f"{title}.json")
        for share, scores in by_share.items():
            mlflow.log_table(
                scores, f"accuracy with {100 * share:.0f} percent wrong.json"
            )
        FIGURE.parent.mkdir(exist_ok=True)
        draw(results, by_share).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    print(f"Held-out scores, means of {N_SPLITS} splits")
    tables = {f"{title}, digit 8": scores for title, scores in results.items()} | {
        f"Accuracy, tumours, {share:.0%} of the labels wrong": scores
        for share, scores in by_share.items()
    }
    for title, scores in tables.items():
        print(f"\n{title}:")
        print(summarise(scores).round(3).to_string())
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
