"""What a climb on numbers maximises, and which metrics compiled code computes."""

from __future__ import annotations

import inspect
import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from skperceptron.classifiers._objectives import (
    Objective,
    finite_sums,
    literal_objective,
    metric_of,
    objective_weight,
)
from skperceptron.network import Layers
from skperceptron.optim import NumberMetric

if TYPE_CHECKING:
    from skperceptron.classifiers._base import TrainingData

Array = NDArray[np.floating]

_ERRORS = {
    metrics.mean_squared_error: "squared_error",
    metrics.mean_absolute_error: "absolute_error",
    metrics.mean_pinball_loss: "quantile",
    metrics.r2_score: "r2",
}
_ERRORS |= {inspect.unwrap(function): kind for function, kind in _ERRORS.items()}


def recognise_number_metric(objective: Any) -> tuple[str, float] | None:
    """Find out which metric with a slope an objective is, if any.

    Parameters
    ----------
    objective : str, scorer or callable
        The parameter of that name.

    Returns
    -------
    kind : {"squared_error", "absolute_error", "quantile", "r2"}
    quantile : float
        Of the pinball loss.
    """
    found = metric_of(objective)
    if found is None:
        return None
    function, sign, arguments = found
    try:
        kind = _ERRORS.get(function)
    except TypeError:  # not hashable
        return None
    quantile = arguments.pop("alpha", 0.5) if kind == "quantile" else 0.5
    if kind is None or arguments or (sign > 0) != (kind == "r2"):
        return None
    if not isinstance(quantile, Real) or not 0 <= float(quantile) <= 1:
        return None
    return kind, float(quantile)


def find_number_metric(estimator: Any, data: TrainingData) -> NumberMetric | None:
    """Describe the objective for compiled code.

    Parameters
    ----------
    estimator : HillClimbMLPRegressor
        What is being fitted.

    data : TrainingData
        The data; its `y` has the scaled targets.

    Returns
    -------
    NumberMetric or None
        None for an objective that has to be evaluated as it is.
    """
    found = recognise_number_metric(estimator.objective)
    if found is None:
        return None
    kind, quantile = found
    y = in_columns(data.y)
    n_outputs = y.shape[1]
    if kind == "r2":
        _, variance = moments(y, objective_weight(data))
        if len(y) < 2 or not variance.all():
            return None  # scikit-learn has its own ideas of what R2 is then
        factors, power, shift = 1 / variance, 2, 1.0
    else:
        power = 2 if kind == "squared_error" else 1
        factors, shift = estimator.target_scale_.astype(float) ** power, 0.0
    # The mean of the factors is 1, so that the penalty means the same for all metrics.
    size = factors.mean()
    if not 0 < size < math.inf:
        return None
    return NumberMetric(
        "squared_error" if kind == "r2" else kind,
        y,
        factors / size,
        unit=power * size / n_outputs,
        shift=shift,
        quantile=quantile,
    )


def surrogate(data: TrainingData) -> NumberMetric:
    """Describe what a climb on another objective begins with: the squared error."""
    y = in_columns(data.y)
    return NumberMetric("squared_error", y, np.ones(y.shape[1]))


def make_number_objective(
    estimator: Any, layers: Layers, data: TrainingData, *, on_surrogate: bool = False
) -> Objective:
    """Make the function of the flat parameter vector that a climb maximises.

    Parameters
    ----------
    estimator : HillClimbMLPRegressor
        What is being fitted.

    layers : Layers
        Its network.

    data : TrainingData
        The data.

    on_surrogate : bool, default=False
        Whether it is the squared error, whatever `objective` says.

    Returns
    -------
    callable
        ``objective(params) -> float``. Parameters for which the network overflows
        are worth minus infinity.
    """
    metric = surrogate(data) if on_surrogate else find_number_metric(estimator, data)
    if metric is None:
        return literal_objective(estimator, layers, data)
    weight = objective_weight(data)

    def evaluate(params: Array) -> float:
        z = finite_sums(data.X, layers, params)
        return -math.inf if z is None else metric.value(z, weight)

    return evaluate


def in_columns(y: Array) -> Array:
    """See targets with one column for each output."""
    return y[:, np.newaxis] if y.ndim == 1 else y


def moments(
    y: Array, weight: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute mean and variance of each output.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_outputs)
        Targets.

    weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    Returns
    -------
    mean, variance : ndarray of float64 of shape (n_outputs,)
    """
    mean = np.average(y.astype(float), axis=0, weights=weight)
    return mean, np.average((y - mean) ** 2, axis=0, weights=weight)
