"""What a climb is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from skperceptron.network import Layers
from skperceptron.optim._metric import ACCURACY, Metric
from skperceptron.optim._regression_metric import RegressionMetric
from skperceptron.optim.climbs._mutation import Mutation

Array = NDArray[np.floating]

# What is smaller is copied from a memory-mapped file, where that makes a climb faster.
MIN_BYTES_LEFT = 2**28


@dataclass(frozen=True, eq=False)
class Problem:
    """What is maximised, and on which samples.

    Attributes
    ----------
    layers : Layers
        The network; one output unit for two classes, else one each.

    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples.

    y : ndarray of int of shape (n_samples,)
        Index of the true class; all the same where numbers are predicted.

    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Weights of the samples.

    metric : Metric, RegressionMetric or None, default=ACCURACY
        What is maximised (losses are negated). None for what only Python can compute.
        A `RegressionMetric` has the targets.

    alpha : float, default=0.0
        Strength of a penalty, for what has a slope only: candidates are compared by the
        objective, in its unit, less ``alpha / 2`` times the sum of all squared weights
        (not of biases), divided by the total weight of the samples.

    descends : bool, default=False
        Whether noise that raises the loss to first order is subtracted instead of
        added, see `Descent`. Without influence on other objectives, and on candidates
        that move more than one unit.
    """

    layers: Layers
    X: Any
    y: NDArray[np.intp]
    sample_weight: NDArray[np.float64] | None = None
    metric: Metric | RegressionMetric | None = ACCURACY
    alpha: float = 0.0
    descends: bool = False

    @property
    def has_slope(self) -> bool:
        """Whether it is a smooth or convex loss: of classes, only the log loss is."""
        return self.metric is not None and self.metric.has_slope

    @property
    def decay(self) -> float:
        """Penalty of a squared weight, times the total weight of the samples."""
        return self.alpha / 2 if self.has_slope else 0.0

    @cached_property
    def total(self) -> float:
        """Total weight of the samples."""
        if self.sample_weight is None:
            return float(len(self.y))
        return float(self.sample_weight.sum())

    @cached_property
    def stays_on_disk(self) -> bool:
        """Whether the samples are in a large memory-mapped file and not to be copied.

        They would have to be if they were not stored row by row.
        """
        X = self.X
        if issparse(X) or X.nbytes < MIN_BYTES_LEFT or not X.flags.c_contiguous:
            return False
        while isinstance(X, np.ndarray):
            if isinstance(X, np.memmap):
                return True
            X = X.base
        return False

    def penalty(self, params: Array) -> float:
        """Compute the penalty of weights, in the unit of the metric."""
        weights = params[: self.layers.n_coefs]
        unit = 1.0 if self.metric is None else self.metric.unit
        return float(unit * self.decay / self.total * (weights @ weights))

    def turns(self, mutation: Mutation) -> bool:
        """Tell whether the noise of such candidates is turned, see `Descent`."""
        return self.descends and self.has_slope and mutation.by_group
