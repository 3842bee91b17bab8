"""Metrics that scikit-learn does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix

__all__ = ["cost_matrix_score"]


def cost_matrix_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    costs: ArrayLike,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Compute minus the mean cost of predictions, where each mistake has its own.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.

    y_pred : array-like of shape (n_samples,)
        Predicted labels.

    costs : array-like of shape (n_classes, n_classes)
        What it costs to predict the class of the column for a sample of the class of
        the row. A right prediction usually costs 0; negative costs are gains.

    labels : array-like of shape (n_classes,) or None, default=None
        Labels of the classes in the order of `costs`; by default those in `y_true` and
        `y_pred`, sorted.

    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of the samples.

    Returns
    -------
    float
        Minus the weighted mean of the costs: greater is better.

    Raises
    ------
    ValueError
        When the costs are not a square matrix of finite numbers with one row for each
        class, or when labels occur that are not in `labels`.

    Examples
    --------
    A tumour (class 0) that is missed costs ten times as much as a false alarm:

    >>> from sklearn.metrics import make_scorer
    >>> from skperceptron.metrics import cost_matrix_score
    >>> costs = [[0, 10], [1, 0]]
    >>> cost_matrix_score([0, 0, 1, 1], [0, 1, 0, 1], costs=costs)
    -2.75
    >>> scorer = make_scorer(cost_matrix_score, costs=costs)
    """
    matrix = check_costs(costs)
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    found = np.union1d(y_true, y_pred)
    known = found if labels is None else np.asarray(labels)
    if len(known) != len(matrix):
        hint = " Give the labels of all classes as labels=." if labels is None else ""
        raise ValueError(
            f"costs must have one row and one column for each of the {len(known)} "
            f"labels {known.tolist()}, got shape {matrix.shape}.{hint}"
        )
    if len(set(known.tolist())) < len(known):
        raise ValueError(f"labels must be different, got {known.tolist()}.")
    if unknown := sorted(set(found.tolist()) - set(known.tolist())):
        raise ValueError(f"There are no costs for the labels {unknown}.")
    counts = confusion_matrix(y_true, y_pred, labels=known, sample_weight=sample_weight)
    return -float((matrix * counts).sum() / counts.sum())


def check_costs(costs: Any) -> NDArray[np.float64]:
    """Validate a cost matrix.

    Parameters
    ----------
    costs : array-like of shape (n_classes, n_classes)

    Returns
    -------
    ndarray of float64 of shape (n_classes, n_classes)

    Raises
    ------
    ValueError
        When it is not a square matrix of finite numbers.
    """
    try:
        matrix = np.array(costs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"costs must be numbers, got {costs!r}.") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(
            "costs must be a square matrix, with a row for each true class and a "
            f"column for each predicted one, got shape {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        raise ValueError(f"costs must be finite numbers, got {matrix.tolist()}.")
    return matrix
