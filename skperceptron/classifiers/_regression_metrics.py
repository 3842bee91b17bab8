"""Recognises metrics of regression, and says which of them compiled code computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from skperceptron.classifiers._objectives import take_apart

# Losses that scikit-learn averages over samples and outputs, and scores, by their kinds
# in `RegressionMetric`.
_LOSSES: dict[Callable[..., Any], str] = {
    metrics.mean_squared_error: "squared_error",
    metrics.root_mean_squared_error: "root_squared_error",
    metrics.mean_absolute_error: "absolute_error",
    metrics.mean_absolute_percentage_error: "percentage_error",
    metrics.mean_pinball_loss: "quantile",
    metrics.median_absolute_error: "median",
    metrics.mean_poisson_deviance: "poisson",
    metrics.mean_gamma_deviance: "gamma",
}
_SCORES: dict[Callable[..., Any], str] = {
    metrics.r2_score: "r2",
    metrics.explained_variance_score: "explained_variance",
}
_DEVIANCES = ("poisson", "gamma")
# Others that only positive predictions have a value for. (Some of the power of a
# Tweedie deviance.)
_TWEEDIE = (metrics.mean_tweedie_deviance, metrics.d2_tweedie_score)
_LOGARITHMIC = (
    metrics.mean_squared_log_error,
    metrics.root_mean_squared_log_error,
)


@dataclass(frozen=True, eq=False)
class Recognised:
    """A metric of regression that compiled code knows.

    Attributes
    ----------
    kind : str
        A kind of `RegressionMetric`, or "percentage_error", "r2" or
        "explained_variance", which can be expressed by one.

    outputs : ndarray of shape (n_outputs,), or str
        Weights of the outputs, "uniform_average" or "variance_weighted".

    quantile : float
        Of the pinball loss.
    """

    kind: str
    outputs: NDArray[np.float64] | str = "uniform_average"
    quantile: float = 0.5


def recognise(objective: Any) -> Recognised | None:
    """Find out which metric an objective is.

    Parameters
    ----------
    objective : str, scorer or callable
        The parameter of that name.

    Returns
    -------
    Recognised or None
        None for what is left to scikit-learn, or to the user's function.
    """
    function, sign, arguments, methods = take_apart(objective)
    kind = _find(_LOSSES if sign < 0 else _SCORES, function)
    if kind is None or "predict" not in methods:
        return None
    quantile = arguments.pop("alpha", 0.5) if kind == "quantile" else 0.5
    if not isinstance(quantile, Real) or not 0 <= float(quantile) <= 1:
        return None
    if kind in _SCORES.values() and arguments.pop("force_finite", True) is not True:
        return None
    outputs: Any = "uniform_average"
    if kind not in _DEVIANCES:
        outputs = _weights_of_outputs(arguments.pop("multioutput", outputs), kind)
    if outputs is None or arguments:
        return None
    return Recognised(kind, outputs, float(quantile))


def needs_positive(objective: Any) -> bool:
    """Tell whether a metric has no value unless all predictions are positive.

    Parameters
    ----------
    objective : str, scorer or callable
        The parameter of that name.
    """
    function, _, arguments, _ = take_apart(objective)
    if _find(dict.fromkeys(_TWEEDIE, "tweedie"), function):
        power = arguments.get("power", 0)
        return isinstance(power, Real) and not 0 <= float(power) < 1
    known = dict.fromkeys(_LOGARITHMIC, "logarithmic")
    known |= {f: kind for f, kind in _LOSSES.items() if kind in _DEVIANCES}
    return _find(known, function) is not None


def _find(table: dict[Callable[..., Any], str], function: Any) -> str | None:
    """Look a function up, be it wrapped as scikit-learn wraps it or not."""
    return next(
        (
            kind
            for known, kind in table.items()
            if function is known or function is inspect.unwrap(known)
        ),
        None,
    )


def _weights_of_outputs(given: Any, kind: str) -> Any:
    """Check how outputs are combined; None for what scikit-learn has to look at."""
    if isinstance(given, str):
        allowed = ["uniform_average"]
        if kind in _SCORES.values():
            allowed.append("variance_weighted")
        return given if given in allowed else None
    try:
        weights = np.asarray(given, float)
    except (TypeError, ValueError):
        return None
    is_useful = weights.ndim == 1 and bool(
        np.isfinite(weights).all() and (weights >= 0).all() and weights.any()
    )
    return weights if is_useful else None
