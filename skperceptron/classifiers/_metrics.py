"""Recognises metrics of scikit-learn's that compiled code can compute."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from skperceptron.metrics import check_costs, cost_matrix_score
from skperceptron.optim import Metric


class _NotCoveredError(Exception):
    """The metric, or an argument of it, is left to scikit-learn."""


class _Arguments:
    """Keyword arguments of a metric, each to be taken once."""

    def __init__(
        self, given: dict[str, Any], classes: NDArray, method: str, is_weighted: bool
    ) -> None:
        self.rest = dict(given)
        self.classes = classes.tolist()
        self.method = method
        self.is_weighted = is_weighted

    def take(self, name: str, default: Any, *allowed: Any) -> Any:
        """Take an argument that must be one of those allowed."""
        value = self.rest.pop(name, default)
        for one in allowed:
            if value is one or (type(value) is type(one) and value == one):
                return value
        raise _NotCoveredError

    def number(self, name: str, default: float) -> float:
        """Take a number from 0 on."""
        value = self.rest.pop(name, default)
        if (
            not isinstance(value, Real)
            or isinstance(value, bool)
            or not float(value) >= 0
        ):
            raise _NotCoveredError
        return float(value)

    def place(self, label: Any) -> int:
        """Find the place of a label among the classes."""
        try:
            return self.classes.index(label)
        except ValueError:
            raise _NotCoveredError from None

    def average(self) -> dict[str, Any]:
        """Take what precision, recall and the like have in common."""
        self.take("zero_division", "warn", "warn", 0, 0.0)
        average = self.take("average", "binary", "binary", "micro", "macro", "weighted")
        pos_label, labels = self.rest.pop("pos_label", 1), self.rest.pop("labels", None)
        if average == "binary":
            if len(self.classes) != 2:
                raise _NotCoveredError
            return {"average": "micro", "classes": (self.place(pos_label),)}
        if pos_label not in (None, 1):
            raise _NotCoveredError  # scikit-learn warns that it does not count
        chosen = self.places(labels)
        return {"average": average, "classes": chosen}

    def places(self, labels: Any) -> tuple[int, ...]:
        """Find the places of the labels, () if there are none."""
        if labels is None:
            return ()
        chosen = tuple(self.place(label) for label in np.asarray(labels).tolist())
        if not chosen or len(set(chosen)) < len(chosen):
            raise _NotCoveredError
        return chosen


def _accuracy(arguments: _Arguments) -> Metric:
    arguments.take("normalize", True, True)
    return Metric("accuracy")


def _zero_one(arguments: _Arguments) -> Metric:
    arguments.take("normalize", True, True)
    return Metric("accuracy", shift=-1.0)


def _balanced_accuracy(arguments: _Arguments) -> Metric:
    adjusted = arguments.take("adjusted", False, True, False)
    return Metric("balanced_accuracy", number=float(adjusted))


def _precision(arguments: _Arguments) -> Metric:
    return Metric("precision", **arguments.average())


def _recall(arguments: _Arguments) -> Metric:
    return Metric("recall", **arguments.average())


def _f1(arguments: _Arguments) -> Metric:
    return Metric("f_score", number=1.0, **arguments.average())


def _f_beta(arguments: _Arguments) -> Metric:
    if "beta" not in arguments.rest:
        raise _NotCoveredError
    beta = arguments.number("beta", 1.0)
    return Metric("f_score", number=beta, **arguments.average())


def _jaccard(arguments: _Arguments) -> Metric:
    return Metric("jaccard", **arguments.average())


def _matthews(arguments: _Arguments) -> Metric:
    return Metric("matthews")


def _kappa(arguments: _Arguments) -> Metric:
    arguments.take("labels", None, None)
    replacement = arguments.rest.pop("replace_undefined_by", math.nan)
    if not (isinstance(replacement, float) and math.isnan(replacement)):
        raise _NotCoveredError
    kind = arguments.take("weights", None, None, "linear", "quadratic")
    place = np.arange(len(arguments.classes), dtype=float)
    apart = np.abs(place[:, np.newaxis] - place)
    weights = {None: apart > 0, "linear": apart, "quadratic": apart**2}[kind]
    return Metric("kappa", costs=_rows(weights))


def _log_loss(arguments: _Arguments) -> Metric:
    arguments.take("normalize", True, True)
    arguments.take("labels", None, None)
    return Metric("clipped_log_loss")


def _brier(arguments: _Arguments) -> Metric:
    arguments.take("labels", None, None)
    arguments.take("scale_by_half", "auto", "auto")
    pos_label = arguments.rest.pop("pos_label", None)
    if pos_label is not None:
        arguments.place(pos_label)
    elif any(isinstance(label, str) for label in arguments.classes):
        raise _NotCoveredError  # which one is the positive class?
    return Metric("brier")


def _roc_auc(arguments: _Arguments) -> Metric:
    arguments.take("max_fpr", None, None)
    arguments.take("labels", None, None)
    average = arguments.take("average", "macro", "macro", "weighted")
    compared = arguments.take("multi_class", "raise", "raise", "ovr", "ovo")
    of_proba = float(arguments.method == "predict_proba")
    if len(arguments.classes) == 2:
        return Metric("roc_auc", number=of_proba)
    if compared == "raise" or not of_proba:
        raise _NotCoveredError
    if compared == "ovr":
        return Metric("roc_auc", average=average, number=of_proba)
    if arguments.is_weighted:
        raise _NotCoveredError  # which scikit-learn refuses
    return Metric("roc_auc_ovo", average=average, number=of_proba)


def _average_precision(arguments: _Arguments) -> Metric:
    average = arguments.take("average", "macro", "macro", "weighted")
    pos_label = arguments.rest.pop("pos_label", 1)
    of_proba = float(arguments.method == "predict_proba")
    if len(arguments.classes) == 2:
        positive = (arguments.place(pos_label),)
        return Metric("average_precision", number=of_proba, classes=positive)
    if pos_label != 1:
        raise _NotCoveredError
    return Metric("average_precision", average=average, number=of_proba)


def _top_k(arguments: _Arguments) -> Metric:
    arguments.take("normalize", True, True)
    arguments.take("labels", None, None)
    k = arguments.rest.pop("k", 2)
    n_classes = len(arguments.classes)
    if not isinstance(k, Integral) or isinstance(k, bool) or n_classes == 2:
        raise _NotCoveredError
    if not 1 <= int(k) < n_classes:
        raise _NotCoveredError  # scikit-learn warns that it says nothing
    return Metric("top_k", number=float(k))


def _costs(arguments: _Arguments) -> Metric:
    costs = arguments.rest.pop("costs", None)
    try:
        matrix = check_costs(costs)
    except ValueError:
        raise _NotCoveredError from None
    labels = arguments.rest.pop("labels", None)
    places = arguments.places(labels) or tuple(range(len(arguments.classes)))
    if not len(places) == len(matrix) == len(arguments.classes):
        raise _NotCoveredError
    in_order = np.empty_like(matrix)
    in_order[np.ix_(places, places)] = matrix
    return Metric("costs", costs=_rows(in_order))


def _rows(matrix: NDArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.astype(float).tolist())


# What each of scikit-learn's functions is made of, and the methods of a classifier
# whose results it may be given.
_METRICS: dict[
    Callable[..., Any], tuple[Callable[[_Arguments], Metric], tuple[str, ...]]
] = {
    metrics.accuracy_score: (_accuracy, ("predict",)),
    metrics.zero_one_loss: (_zero_one, ("predict",)),
    metrics.balanced_accuracy_score: (_balanced_accuracy, ("predict",)),
    metrics.precision_score: (_precision, ("predict",)),
    metrics.recall_score: (_recall, ("predict",)),
    metrics.f1_score: (_f1, ("predict",)),
    metrics.fbeta_score: (_f_beta, ("predict",)),
    metrics.jaccard_score: (_jaccard, ("predict",)),
    metrics.matthews_corrcoef: (_matthews, ("predict",)),
    metrics.cohen_kappa_score: (_kappa, ("predict",)),
    metrics.log_loss: (_log_loss, ("predict_proba",)),
    metrics.brier_score_loss: (_brier, ("predict_proba",)),
    metrics.roc_auc_score: (_roc_auc, ("decision_function", "predict_proba")),
    metrics.average_precision_score: (
        _average_precision,
        ("decision_function", "predict_proba"),
    ),
    metrics.top_k_accuracy_score: (_top_k, ("decision_function",)),
    cost_matrix_score: (_costs, ("predict",)),
}
_METRICS.update(
    {inspect.unwrap(function): entry for function, entry in _METRICS.items()}
)


def recognise(
    function: Any,
    arguments: dict[str, Any],
    method: str,
    classes: NDArray,
    *,
    is_weighted: bool,
) -> Metric | None:
    """Describe a metric for compiled code.

    Parameters
    ----------
    function : callable
        The metric.

    arguments : dict
        Keyword arguments that it is called with, beside `sample_weight`.

    method : {"predict", "predict_proba", "decision_function"}
        What the classifier is asked for.

    classes : ndarray of shape (n_classes,)
        Class labels. There must be samples of each.

    is_weighted : bool
        Whether samples have weights.

    Returns
    -------
    Metric or None
        None for a metric that is left to scikit-learn.
    """
    try:
        make, expected = _METRICS[function]
    except (KeyError, TypeError):  # not hashable
        return None
    if method not in expected:
        return None
    taken = _Arguments(arguments, classes, method, is_weighted)
    try:
        metric = make(taken)
    except _NotCoveredError:
        return None
    return None if taken.rest else metric
