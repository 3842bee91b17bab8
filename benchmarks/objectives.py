"""Climbs on a metric, beside what else can be done for it, on held-out data.

Prints three comparisons. Two classes, of which one is rare: linear rules and networks
on five metrics, beside balanced class weights, weights found by a search, and a tuned
threshold. Several classes: macro F1, weighted kappa and a cost matrix, beside balanced
weights and the decision of least expected cost. And labels of which some are wrong.

All candidates see the same splits, 60 % to train on. No setting is chosen on a test
part: those of the climbs were chosen on the sets in `CHOSEN_ON`, which are marked by a
star and left out where differences are counted.
Everything runs on one core.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from joblib import hash as digest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import check_scoring, cohen_kappa_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedShuffleSplit,
    TunedThresholdClassifierCV,
)
from threadpoolctl import threadpool_limits

from benchmarks._data_sets import load_keel, preprocessing
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.metrics import cost_matrix_score

N_SPLITS = 5
TEST_SIZE = 0.4
SHARES_OF_WRONG_LABELS = (0.0, 0.25)

# Name, folder of the package and the class that is looked for.
REPORTED_ON = [
    ("satimage", "balanced", "4"),
    ("marketing", "balanced", "9"),
    ("magic", "balanced", "h"),
    ("german", "balanced", "2"),
    ("spambase", "balanced", "1"),
    ("contraceptive", "balanced", "2"),
    ("kr-vs-k-zero-one_vs_draw", "imbalanced", "positive"),
]
CHOSEN_ON = [
    ("page-blocks0", "imbalanced", "positive"),
    ("phoneme", "balanced", "1"),
    ("vehicle1", "imbalanced", "positive"),
    ("yeast3", "imbalanced", "positive"),
    ("winequality-red-4", "imbalanced", "positive"),
]
COSTS = [[0, 1], [10, 0]]
WEIGHTS = [{0: 1, 1: weight} for weight in np.geomspace(0.25, 64, 9)]
AVERAGE = {"n_restarts": 4, "combine": "average", "random_state": 0}
ORDERED = ("marketing", "diabetes in fifths")
NOISY = [
    ("wdbc", "balanced", "M"),
    ("pima", "imbalanced", "positive"),
    ("wisconsin", "imbalanced", "positive"),
    ("segment0", "imbalanced", "positive"),
    ("spambase", "balanced", "1"),
    ("satimage", "balanced", "4"),
]

LR = LogisticRegression(max_iter=1000)
BACKPROP = BackpropMLP(random_state=0)
HILL_CLIMB = HillClimbMLP((20,), max_iter=6000, **AVERAGE)
LINEAR_CLIMBS: dict[str, Callable[..., Any]] = {
    "perceptron": partial(HillClimbPerceptron, random_state=0),
    "perceptron, 5 averaged": partial(HillClimbPerceptron, **AVERAGE),
    "perceptron from random weights": partial(
        HillClimbPerceptron,
        surrogate_iter=0,
        step_schedule="constant",
        step_size=0.3,
        **AVERAGE,
    ),
}
CLIMB = partial(HillClimbMLP, (20,), surrogate_iter=5000, max_iter=1000, **AVERAGE)

# What each climb is compared with, split by split, where it is there.
LINEAR_PEERS = (
    "LR",
    "LR, balanced",
    "LR, weights searched",
    "LR, threshold tuned",
    "LR, least cost",
    "LR, penalty searched",
)
PEERS = {
    "perceptron": (*LINEAR_PEERS, "perceptron from random weights"),
    "perceptron, 5 averaged": (
        *LINEAR_PEERS,
        "perceptron",
        "perceptron from random weights",
    ),
    "perceptron from random weights": LINEAR_PEERS,
    "HillClimbMLP": (
        "BackpropMLP",
        "BackpropMLP, balanced",
        "BackpropMLP, threshold tuned",
        "BackpropMLP, least cost",
        "HillClimbMLP, log loss",
        "HillClimbMLP, threshold tuned",
        "HillClimbMLP, log loss, balanced",
        "HillClimbMLP, log loss, least cost",
    ),
}
Array = NDArray[Any]


@dataclass
class _Metric:
    """A metric of two classes: for a climb, and as a function of the four counts.

    The function lets the search for weights and thresholds score a thousand times
    faster than with scikit-learn's metrics, which does not change what is found.
    """

    objective: Any
    value: Callable[[float, float, float, float], float] | None = None

    def __call__(self, y_true, y_pred):
        hits, size = y_true @ y_pred, len(y_true)
        false_alarms, missed = y_pred.sum() - hits, y_true.sum() - hits
        return self.value(hits, false_alarms, missed, size - y_pred.sum() - missed)


def f1(hits, false_alarms, missed, right_rejections):
    return 2 * hits / max(2 * hits + false_alarms + missed, 1)


def balanced_accuracy(hits, false_alarms, missed, right_rejections):
    sensitivity = hits / (hits + missed)
    return (sensitivity + right_rejections / (right_rejections + false_alarms)) / 2


def matthews(hits, false_alarms, missed, right_rejections):
    found, positive = hits + false_alarms, hits + missed
    negative, rejected = right_rejections + false_alarms, right_rejections + missed
    product = float(found) * positive * negative * rejected
    covariance = hits * right_rejections - false_alarms * missed
    return covariance / np.sqrt(product) if product else 0.0


def negative_cost(hits, false_alarms, missed, right_rejections):
    size = hits + false_alarms + missed + right_rejections
    return -(COSTS[1][0] * missed + COSTS[0][1] * false_alarms) / size


METRICS = {
    "F1": _Metric("f1", f1),
    "balanced accuracy": _Metric("balanced_accuracy", balanced_accuracy),
    "Matthews": _Metric("matthews_corrcoef", matthews),
    "negative cost": _Metric(
        make_scorer(cost_matrix_score, costs=COSTS, labels=[0, 1]), negative_cost
    ),
    "average precision": _Metric("average_precision"),
}


class _Remembered(ClassifierMixin, BaseEstimator):
    """A classifier that is fitted once to the same data, however many metrics ask."""

    _fits: ClassVar[dict[str, Any]] = {}

    @classmethod
    def forget(cls):
        cls._fits.clear()

    def __init__(self, classifier):
        self.classifier = classifier

    def fit(self, X, y):
        key = digest((repr(self.classifier), X, y))
        if key not in self._fits:
            self._fits[key] = clone(self.classifier).fit(X, y)
        self.fitted_, self.classes_ = self._fits[key], self._fits[key].classes_
        return self

    def predict(self, X):
        return self.fitted_.predict(X)

    def predict_proba(self, X):
        return self.fitted_.predict_proba(X)


class _LeastCost(ClassifierMixin, BaseEstimator):
    """Predicts the class whose expected cost is the least, by the probabilities.

    With squared distances as costs, it is the class nearest to the expected one.
    """

    def __init__(self, classifier, costs):
        self.classifier = classifier
        self.costs = costs

    def fit(self, X, y):
        self.fitted_ = self.classifier.fit(X, y)
        self.classes_ = self.fitted_.classes_
        return self

    def predict(self, X):
        expected = self.fitted_.predict_proba(X) @ self.costs
        return self.classes_[expected.argmin(axis=1)]


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    for part in (compare_two_classes, compare_several_classes, compare_wrong_labels):
        started = time.perf_counter()
        with threadpool_limits(1):
            part()
        print(f"\n{time.perf_counter() - started:.0f} s in all", flush=True)


def compare_two_classes() -> None:
    """Compare linear rules and networks on sets with one class to be found."""
    judgements = []
    for case in REPORTED_ON + CHOSEN_ON:
        X, y = load_case(case)
        title = f"{case[0]}: {case[2]}" + "*" * (case in CHOSEN_ON)
        for split, data in enumerate(splits(X, y)):
            _Remembered.forget()
            for name, metric in METRICS.items():
                for family, candidates in binary_candidates(metric).items():
                    place = (f"{name}, {family}", title, split)
                    judgements += judge(candidates, metric.objective, data, place)
    show(judgements, PEERS)


def compare_several_classes() -> None:
    """Compare macro F1, balanced accuracy, weighted kappa and the mean cost."""
    judgements = []
    for title, (X, y) in several_class_sets().items():
        for split, data in enumerate(splits(X, y)):
            _Remembered.forget()
            for name, (objective, costs) in multiclass_metrics(data[1], split).items():
                if name == "weighted kappa" and title not in ORDERED:
                    continue
                candidates = multiclass_candidates(objective, costs)
                judgements += judge(candidates, objective, data, (name, title, split))
    show(judgements, PEERS)


def compare_wrong_labels() -> None:
    """Compare the accuracy on right labels after training on some that are wrong."""
    judgements = []
    for case in NOISY:
        for split, data in enumerate(splits(*load_case(case))):
            X_train, y_train, *test = data
            wrong = np.random.default_rng(split).random(len(y_train))
            for share in SHARES_OF_WRONG_LABELS:
                _Remembered.forget()
                labels = np.where(wrong < share, 1 - y_train, y_train)
                place = (f"accuracy, {share:.0%} of the labels wrong", case[0], split)
                judgements += judge(
                    noise_candidates(), "accuracy", (X_train, labels, *test), place
                )
    show(judgements, PEERS)


def binary_candidates(metric: _Metric) -> dict[str, dict[str, Any]]:
    """Make what can be done for a metric of two classes, by family."""
    linear = {"LR": _Remembered(LR), "LR, balanced": balanced(LR)}
    networks = {
        "BackpropMLP": _Remembered(BACKPROP),
        "BackpropMLP, balanced": balanced(BACKPROP),
        "HillClimbMLP, log loss": _Remembered(HILL_CLIMB),
    }
    if metric.value is not None:
        scorer = make_scorer(metric)
        linear["LR, weights searched"] = GridSearchCV(
            _Remembered(LR), {"classifier__class_weight": WEIGHTS}, scoring=scorer
        )
        tuned = partial(TunedThresholdClassifierCV, scoring=scorer)
        linear["LR, threshold tuned"] = tuned(_Remembered(LR))
        networks["BackpropMLP, threshold tuned"] = tuned(_Remembered(BACKPROP))
        networks["HillClimbMLP, threshold tuned"] = tuned(_Remembered(HILL_CLIMB))
    linear |= {
        name: make(objective=metric.objective) for name, make in LINEAR_CLIMBS.items()
    }
    networks["HillClimbMLP"] = CLIMB(objective=metric.objective)
    return {"linear rules": linear, "networks": networks}


def multiclass_candidates(objective: Any, costs: Any) -> dict[str, Any]:
    """Make what can be done for a metric of several classes."""
    candidates = {}
    for name, classifier in {"LR": LR, "BackpropMLP": BACKPROP}.items():
        candidates[name] = _Remembered(classifier)
        candidates[f"{name}, balanced"] = balanced(classifier)
        if costs is not None:
            candidates[f"{name}, least cost"] = _LeastCost(
                _Remembered(classifier), costs
            )
    candidates["HillClimbMLP, log loss, balanced"] = balanced(HILL_CLIMB)
    if costs is not None:
        candidates["HillClimbMLP, log loss, least cost"] = _LeastCost(
            _Remembered(HILL_CLIMB), costs
        )
    candidates |= {
        name: make(objective=objective) for name, make in LINEAR_CLIMBS.items()
    }
    candidates["HillClimbMLP"] = CLIMB(objective=objective)
    return candidates


def noise_candidates() -> dict[str, Any]:
    return {
        "LR": LR,
        "LR, penalty searched": GridSearchCV(LR, {"C": np.logspace(-4, 2, 7)}),
        "BackpropMLP": BACKPROP,
        "HillClimbMLP, log loss": HILL_CLIMB,
        **{name: make(objective="accuracy") for name, make in LINEAR_CLIMBS.items()},
        "HillClimbMLP": CLIMB(objective="accuracy"),
    }


def balanced(classifier: Any) -> _Remembered:
    return _Remembered(clone(classifier).set_params(class_weight="balanced"))


def multiclass_metrics(y: Array, seed: int) -> dict[str, tuple[Any, Array | None]]:
    """Make the metrics of several classes, and the costs that stand for them."""
    classes = np.arange(y.max() + 1)
    costs = draw_costs(y, np.random.default_rng(seed))
    kappa = make_scorer(cohen_kappa_score, weights="quadratic")
    cost = make_scorer(cost_matrix_score, costs=costs, labels=classes.tolist())
    return {
        "macro F1": ("f1_macro", None),
        "balanced accuracy": ("balanced_accuracy", None),
        "weighted kappa": (kappa, np.subtract.outer(classes, classes) ** 2),
        "negative cost": (cost, costs),
    }


def draw_costs(y: Array, rng: np.random.Generator) -> Array:
    """Draw costs of mistakes, on average inversely proportional to a class's size.

    As P. Domingos does, "MetaCost", KDD 1999, but for a factor: uniform up to the size
    of the predicted class, divided by that of the true one.
    """
    sizes = np.bincount(y)
    costs = rng.random((len(sizes), len(sizes))) * sizes / sizes[:, np.newaxis]
    np.fill_diagonal(costs, 0)
    return costs


def several_class_sets() -> dict[str, tuple[pd.DataFrame, Array]]:
    names = ("marketing", "contraceptive", "satimage", "vehicle")
    found = {}
    for name in names:
        X, y = load_keel(name)
        found[name] = X, np.unique(y, return_inverse=True)[1]
    X, y = load_diabetes(return_X_y=True)
    found["diabetes in fifths"] = pd.DataFrame(X), pd.qcut(y, 5, labels=False)
    return found


def load_case(case: tuple[str, str, str]) -> tuple[pd.DataFrame, Array]:
    """Load a set of KEEL, and 1 as the label of the class that is looked for."""
    name, folder, label = case
    X, y = load_keel(name, folder=folder)
    return X, (y == label).astype(int)


def splits(X: pd.DataFrame, y: Array) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Split data at random, and prepare the features by their training part."""
    splitter = StratifiedShuffleSplit(N_SPLITS, test_size=TEST_SIZE, random_state=0)
    for train, test in splitter.split(X, y):
        prepare = preprocessing().fit(X.iloc[train])
        X_train, X_test = map(prepare.transform, (X.iloc[train], X.iloc[test]))
        yield X_train, y[train], X_test, y[test]


def judge(
    candidates: dict[str, Any], scoring: Any, data: tuple, place: tuple
) -> list[tuple]:
    """Fit the candidates, and score each on the test part."""
    X_train, y_train, X_test, y_test = data
    judgements = []
    for name, classifier in candidates.items():
        started = time.perf_counter()
        classifier.fit(X_train, y_train)
        seconds = time.perf_counter() - started
        score = check_scoring(classifier, scoring)(classifier, X_test, y_test)
        judgements.append((*place, name, score, seconds))
    return judgements


def show(judgements: list[tuple], peers: dict[str, tuple[str, ...]]) -> None:
    """Print a table for each metric, and how the climbs compare with their peers."""
    columns = ["metric", "data", "split", "candidate", "score", "seconds"]
    table = pd.DataFrame(judgements, columns=columns)
    for metric, rows in table.groupby("metric", sort=False):
        scores = rows.pivot(
            index=["data", "split"], columns="candidate", values="score"
        )[rows["candidate"].unique()]
        print(f"\n{metric}\n")
        means = scores.groupby("data").mean().loc[rows["data"].unique()]
        print_table(means.map("{:.3f}".format))
        new = scores[~scores.index.get_level_values("data").str.endswith("*")]
        for climb, names in peers.items():
            for peer in names:
                if {climb, peer} <= set(scores):
                    print(comparison(new, climb, peer))
    # Metrics share the fits that do not depend on them; the first has paid for them.
    medians = table.groupby(["metric", "candidate"])["seconds"].median()
    slowest = medians.groupby("candidate").max().sort_values()
    print("\nMedian seconds of a fit, of the metric for which it takes longest:")
    print(", ".join(f"{name} {seconds:.2f}" for name, seconds in slowest.items()))


def comparison(scores: pd.DataFrame, climb: str, peer: str) -> str:
    """Say how much better a climb is than a peer on each set, with standard errors.

    "Better" and "worse" are differences of more than two standard errors.
    """
    difference = (scores[climb] - scores[peer]).groupby("data")
    mean, error = difference.mean(), difference.sem()
    better, worse = (mean > 2 * error).sum(), (mean < -2 * error).sum()
    each = ", ".join(
        f"{name} {mean[name]:+.3f} ± {error[name]:.3f}" for name in mean.index
    )
    return (
        f"- {climb} - {peer}: {better} better, {len(mean) - better - worse} alike, "
        f"{worse} worse; mean {mean.mean():+.4f} ({each})"
    )


def print_table(table: pd.DataFrame) -> None:
    """Print a table in Markdown."""
    print("| data |", " | ".join(table), "|")
    print("|", " | ".join(["---"] * (1 + len(table.columns))), "|")
    for name, row in table.iterrows():
        print("|", name, "|", " | ".join(row), "|")
