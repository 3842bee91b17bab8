"""What users pass: trials, and estimators with classifiers of this package in them."""

from __future__ import annotations

from typing import Any

from optuna.trial import BaseTrial

from skperceptron.classifiers._base import BaseNetworkClassifier


def check_trial(trial: Any) -> None:
    """Refuse what is not an Optuna trial.

    Raises
    ------
    TypeError
        When it is something else.
    """
    if not isinstance(trial, BaseTrial):
        raise TypeError(
            f"trial must be an Optuna trial, got {trial!r}. Pass the one that the "
            "function receives which study.optimize calls, or the one from study.ask()."
        )


def find_classifiers(estimator: Any) -> dict[str, BaseNetworkClassifier]:
    """Find the classifiers of this package in an estimator.

    Parameters
    ----------
    estimator : estimator
        One of the classifiers, or a pipeline or any other estimator that has some among
        its parameters.

    Returns
    -------
    dict of classifier
        By what the names of their parameters begin with among those of `estimator`: ""
        for the classifier itself, otherwise the way to it, as in "clf__".

    Raises
    ------
    TypeError
        When it is no estimator, or has none of these classifiers.
    """
    if isinstance(estimator, BaseNetworkClassifier):
        return {"": estimator}
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise TypeError(
            f"estimator must be a scikit-learn estimator, got {estimator!r}. Pass an "
            "instance, such as BackpropMLP() or a pipeline with one in it."
        )
    found = {
        f"{name}__": value
        for name, value in estimator.get_params(deep=True).items()
        if isinstance(value, BaseNetworkClassifier)
    }
    if not found:
        raise TypeError(
            f"This {type(estimator).__name__} contains no classifier of skperceptron. "
            "There must be a HillClimbPerceptron, HillClimbMLP or BackpropMLP among "
            "its parameters, for example as a step of a pipeline."
        )
    return found
