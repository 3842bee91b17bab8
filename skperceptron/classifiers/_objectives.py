"""What a hill climb maximises."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import get_scorer
from sklearn.metrics._scorer import _BaseScorer

from skperceptron.classifiers._validation import fits_float, is_finite
from skperceptron.network import Layers, forward, log_likelihood

if TYPE_CHECKING:
    from skperceptron.classifiers._base import BaseNetworkClassifier, TrainingData

Array = NDArray[np.floating]
Objective = Callable[[Array], float]

# The objectives that compiled code knows.
BUILT_IN_OBJECTIVES = ("accuracy", "log_loss")


def make_objective(
    estimator: BaseNetworkClassifier,
    layers: Layers,
    data: TrainingData,
) -> Objective:
    """Make the function of the flat parameter vector that a climb maximises.

    Parameters
    ----------
    estimator : classifier
        The classifier being fitted; its ``objective`` says what to compute and
        ``classes_`` must be set.

    layers : Layers
        Its network.

    data : TrainingData
        The data.

    Returns
    -------
    callable
        ``objective(params) -> float``. Parameters for which the network overflows
        are worth minus infinity.
    """
    X, y, labels = data.X, data.y, data.labels
    weight = objective_weight(data)
    objective: Any = estimator.objective
    from_sums: Callable[[Array], float]
    if objective == "accuracy":
        from_sums = _accuracy(estimator, y, weight)
    elif objective == "log_loss":

        def from_sums(z: Array) -> float:
            return log_likelihood(z, y, weight)

    elif isinstance(objective, (str, _BaseScorer)):
        return _scorer_objective(estimator, layers, X, labels, weight)
    else:
        from_sums = _metric_objective(estimator, labels, weight)

    def evaluate(params: Array) -> float:
        z = _finite_sums(X, layers, params)
        return -math.inf if z is None else from_sums(z)

    return evaluate


def objective_weight(data: TrainingData) -> NDArray[np.float64] | None:
    """Weights of the samples, as float64, so that whole numbers add up exactly."""
    return None if data.sample_weight is None else data.sample_weight.astype(float)


def check_first_value(value: Any, objective: Any) -> None:
    """Refuse an objective whose first value is useless.

    Parameters
    ----------
    value : object
        What it returned for the start weights.

    objective : object
        The parameter of that name.

    Raises
    ------
    ValueError
        When the value is not a finite number.
    """
    if isinstance(value, Real) and value == -math.inf:
        raise ValueError(
            "The network overflows already with its start weights. The input data may "
            "contain large values and need to be preprocessed."
        )
    if not is_finite(value):
        raise _useless(value, objective)


def _checked(value: Any, objective: Any) -> float:
    """Refuse what cannot be compared. NaN can: it is never better."""
    if not (isinstance(value, Real) and fits_float(value)):
        raise _useless(value, objective)
    return value  # type: ignore[return-value]


def _useless(value: Any, objective: Any) -> ValueError:
    return ValueError(
        f"objective={objective!r} must return one finite number, got {value!r}."
    )


def _accuracy(
    estimator: BaseNetworkClassifier, y: NDArray, weight: Array | None
) -> Callable[[Array], float]:
    if weight is None:
        return lambda z: float(np.mean(estimator._decide(z) == y))
    total = weight.sum()
    return lambda z: float(weight @ (estimator._decide(z) == y) / total)


def _metric_objective(
    estimator: BaseNetworkClassifier, labels: NDArray, weight: Array | None
) -> Callable[[Array], float]:
    metric = estimator.objective
    options = {} if weight is None else {"sample_weight": weight}

    def from_sums(z: Array) -> float:
        with _naming(metric):
            value = metric(labels, estimator._decode(z), **options)
        return _checked(value, metric)

    return from_sums


def _scorer_objective(
    estimator: BaseNetworkClassifier,
    layers: Layers,
    X: Any,
    labels: NDArray,
    weight: Array | None,
) -> Objective:
    scorer = get_scorer(estimator.objective)
    options = {} if weight is None else {"sample_weight": weight}
    # A scorer wants a fitted estimator. This copy predicts with the candidate's
    # weights; it has seen no feature names, as `X` has none any more.
    view = copy.copy(estimator)
    if hasattr(view, "feature_names_in_"):
        del view.feature_names_in_

    def evaluate(params: Array) -> float:
        if _finite_sums(X, layers, params) is None:
            return -math.inf
        view._set_weights(layers, params)
        with _naming(estimator.objective):
            value = scorer(view, X, labels, **options)
        return _checked(value, estimator.objective)

    return evaluate


def _finite_sums(X: Any, layers: Layers, params: Array) -> Array | None:
    """Compute the output sums; None if anything overflows."""
    # Saturating activations can hide infinite weights and sums behind finite outputs.
    if not np.isfinite(params).all():
        return None
    try:
        with np.errstate(over="raise", invalid="raise"):
            z = forward(X, *layers.unpack(params), layers.activations)
    except FloatingPointError:
        return None
    return z if np.isfinite(z).all() else None


@contextmanager
def _naming(objective: Any) -> Iterator[None]:
    """Say in errors that they come from the objective."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"objective={objective!r} cannot be evaluated: {type(error).__name__}: "
            f"{error}"
        ) from error
