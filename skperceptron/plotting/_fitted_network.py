"""The network that a display is about."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from skperceptron.plotting._option_checks import check_estimator, check_has_searched


def fitted_network(estimator: Any) -> Any:
    """Find the network in a pipeline or a search.

    Parameters
    ----------
    estimator : estimator
        What the user has given.

    Returns
    -------
    estimator
        The fitted estimator that is a network, or else what a display refuses.

    Raises
    ------
    NotFittedError
        When it is not fitted, or all fits of a search have failed.

    TypeError
        When it is no estimator, or a search that has refitted none.
    """
    check_estimator(
        "estimator",
        estimator,
        "a fitted estimator, a pipeline that ends with one or a search that has "
        "refitted one",
    )
    check_is_fitted(estimator)
    if hasattr(estimator, "steps"):
        return fitted_network(estimator.steps[-1][1])
    if hasattr(estimator, "best_estimator_"):
        return fitted_network(estimator.best_estimator_)
    if hasattr(estimator, "refit") and hasattr(estimator, "estimator"):
        # A search in which all fits failed passes for fitted.
        check_has_searched(estimator)
        raise TypeError(
            f"This {type(estimator).__name__} has no best_estimator_ that could be "
            "drawn: it needs refit=True."
        )
    return estimator
