"""The estimators of this package in what users pass."""

from __future__ import annotations

from typing import Any

from skperceptron.classifiers._base import BaseNetwork


def find_networks(estimator: Any) -> dict[str, BaseNetwork]:
    """Find the estimators of this package in an estimator.

    Parameters
    ----------
    estimator : estimator
        One of them, or a pipeline or any other estimator that has some among its
        parameters.

    Returns
    -------
    dict of estimator
        By what the names of their parameters begin with among those of `estimator`: ""
        for `estimator` itself, otherwise the way to it, as in "clf__".

    Raises
    ------
    TypeError
        When it is no estimator, or has none of them.
    """
    if isinstance(estimator, BaseNetwork):
        return {"": estimator}
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise TypeError(
            f"estimator must be a scikit-learn estimator, got {estimator!r}. Pass an "
            "instance, such as BackpropMLP() or a pipeline with one in it."
        )
    found = {
        f"{name}__": value
        for name, value in estimator.get_params(deep=True).items()
        if isinstance(value, BaseNetwork)
    }
    if not found:
        raise TypeError(
            f"This {type(estimator).__name__} contains no estimator of skperceptron. "
            "There must be a HillClimbPerceptron, HillClimbMLP, HillClimbMLPRegressor, "
            "BackpropMLP or BackpropMLPRegressor among its parameters, for example as "
            "a step of a pipeline."
        )
    return found
