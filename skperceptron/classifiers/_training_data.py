"""The data of a fit, as training takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class TrainingData:
    """The data of one fit: as the user gave it, and checked and encoded.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples, float32 or float64.

    y_true : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The user's labels or numbers.

    y : ndarray of int or float of shape (n_samples,) or (n_samples, n_outputs)
        Index of each label in ``classes_``, or the indicators of a multilabel problem;
        the numbers themselves for a regressor.

    sample_weight : ndarray of shape (n_samples,) or None
        Sample weights, times class weights.

    hook_args : dict
        What callbacks receive.

    validation : TrainingData or None
        What early stopping validates on, if the user has given it.
    """

    X: Any
    y_true: NDArray
    y: NDArray
    sample_weight: Array | None
    hook_args: dict[str, Any]
    validation: TrainingData | None = None

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Copy some of the samples."""
        weight = self.sample_weight
        return replace(
            self,
            X=self.X[rows],
            y_true=self.y_true[rows],
            y=self.y[rows],
            sample_weight=None if weight is None else weight[rows],
        )
