"""What a climb of a regressor maximises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.classifiers._objectives import (
    Objective,
    literal_objective,
    objective_of_sums,
    objective_weight,
)
from skperceptron.classifiers._regression_metrics import Recognised, recognise
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.network import Layers
from skperceptron.optim import MetricOfSums, RegressionMetric

Array = NDArray[np.floating]


def find_regression_metric(
    estimator: Any, data: TrainingData
) -> RegressionMetric | None:
    """Describe the objective for compiled code.

    Parameters
    ----------
    estimator : HillClimbMLPRegressor
        What is being fitted. It must know already how its targets are scaled.

    data : TrainingData
        The data.

    Returns
    -------
    RegressionMetric or None
        None for an objective that has to be evaluated as it is.
    """
    found = recognise(estimator.objective)
    if found is None:
        return None
    y = in_columns(data.y_true).astype(float)
    n_outputs, weight = y.shape[1], objective_weight(data)
    if isinstance(found.outputs, np.ndarray) and len(found.outputs) != n_outputs:
        return None  # which scikit-learn refuses
    if (found.kind in ("poisson", "gamma")) != (estimator.out_activation_ == "exp"):
        return None
    if found.kind in ("poisson", "gamma"):
        return _deviance(estimator, found.kind, y)
    if found.kind in ("r2", "explained_variance"):
        return _share_of_variance(estimator, found, y, weight)
    if found.kind == "median" and weight is not None:
        return None
    scale: NDArray[np.float64] = estimator.target_scale_
    outputs = _shares(found.outputs, np.ones(n_outputs))
    options: dict[str, Any] = {"kind": found.kind, "quantile": found.quantile}
    if found.kind == "squared_error":
        return _make(estimator, y, outputs * scale**2, unit=2.0, **options)
    if found.kind == "percentage_error":
        importance = 1 / np.maximum(np.abs(y), np.finfo(np.float64).eps)
        typical = float(np.average(importance.mean(axis=1), weights=weight))
        options["kind"] = "absolute_error"
        options["importance"] = importance / typical
        return _make(estimator, y, outputs * scale, unit=typical, **options)
    return _make(estimator, y, outputs * scale, **options)


def surrogate(estimator: Any, data: TrainingData) -> RegressionMetric:
    """Describe what a climb on another objective begins with.

    Parameters
    ----------
    estimator : HillClimbMLPRegressor
        What is being fitted.

    data : TrainingData
        The data.

    Returns
    -------
    RegressionMetric
        The squared error of scaled targets; the absolute error where the objective is
        the median of absolute errors; or the Poisson deviance where predictions are
        positive.
    """
    y = in_columns(data.y_true).astype(float)
    found, kind = recognise(estimator.objective), "squared_error"
    if estimator.out_activation_ == "exp":
        kind = "poisson"
    elif found is not None and found.kind == "median":
        kind = "absolute_error"
    scaled = (y - estimator.target_mean_) / estimator.target_scale_
    return RegressionMetric(kind, scaled, np.ones(y.shape[1]))


def make_regression_objective(
    estimator: Any,
    layers: Layers,
    data: TrainingData,
    *,
    on_surrogate: bool = False,
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
        Whether it is what comes before the climb on `objective`.

    Returns
    -------
    callable
        ``objective(params) -> float``. Parameters for which the network overflows
        are worth minus infinity.

    Raises
    ------
    ValueError
        For R2 of a single sample.
    """
    metric = estimator._find_metric(data, on_surrogate=on_surrogate)
    if metric is None:
        _check_defined(estimator.objective, len(data.y_true))
        return literal_objective(estimator, layers, data)
    codes, weight = estimator._codes(data), objective_weight(data)
    of_sums = MetricOfSums(metric, codes, weight, layers.units[-1], data.X.dtype)
    return objective_of_sums(data.X, layers, of_sums)


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


def _deviance(
    estimator: Any, kind: str, y: NDArray[np.float64]
) -> RegressionMetric | None:
    smallest, n_outputs = y.min(), y.shape[1]
    if n_outputs > 1 or smallest < 0 or (kind == "gamma" and smallest == 0):
        return None  # which scikit-learn refuses
    # The gamma deviance does not depend on the unit of what is predicted.
    unit = float(estimator.target_scale_[0]) if kind == "poisson" else 1.0
    return _make(estimator, y, np.ones(1), kind=kind, unit=2 * unit)


def _share_of_variance(
    estimator: Any,
    found: Recognised,
    y: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
) -> RegressionMetric | None:
    _, variance = moments(y, weight)
    if len(y) < 2 or not variance.all():
        return None  # scikit-learn has rules of its own for constant targets
    # Relative to the variance here, which that of all targets may differ from.
    relative = estimator.target_scale_**2 / variance
    factors = _shares(found.outputs, variance) * relative
    kind = "squared_error" if found.kind == "r2" else "variance"
    return _make(estimator, y, factors, kind=kind, unit=2.0, shift=1.0)


def _shares(
    outputs: NDArray[np.float64] | str, variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute how much outputs count, 1 in all."""
    if not isinstance(outputs, str):
        weights = outputs
    elif outputs == "variance_weighted":
        weights = variance
    else:
        weights = np.ones(len(variance))
    return np.asarray(weights / weights.sum())


def _make(
    estimator: Any,
    y: NDArray[np.float64],
    factors: NDArray[np.float64],
    *,
    unit: float = 1.0,
    **options: Any,
) -> RegressionMetric | None:
    """Describe a metric in the unit of the outputs.

    The mean of the factors becomes 1, so that a penalty means the same for all metrics.
    """
    size = float(factors.mean())
    if not 0 < size < math.inf:
        return None
    scaled = (y - estimator.target_mean_) / estimator.target_scale_
    return RegressionMetric(
        y=scaled, factors=factors / size, unit=unit * size, **options
    )


def _check_defined(objective: Any, n_samples: int) -> None:
    found = recognise(objective)
    if found is not None and found.kind == "r2" and n_samples < 2:
        raise ValueError(
            f"R2 is not defined for n_samples={n_samples}, in training or in the part "
            "that early stopping validates on. Give more samples, or choose "
            "objective='neg_mean_squared_error'."
        )
