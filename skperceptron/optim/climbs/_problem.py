"""What a climb is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers
from skperceptron.optim._metric import ACCURACY, Metric
from skperceptron.optim._number_metric import NumberMetric
from skperceptron.optim.climbs._mutation import Mutation

Array = NDArray[np.floating]


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
        Index of the true class.

    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Weights of the samples.

    metric : Metric, NumberMetric or None, default=ACCURACY
        What is maximised (a log loss is negated). None for what only Python can
        compute. One of numbers has the targets.

    alpha : float, default=0.0
        Strength of a penalty, for the log loss only: candidates are compared by the
        objective less ``alpha / 2`` times the sum of all squared weights (not of
        biases), divided by the total weight of the samples.

    descends : bool, default=False
        Whether noise that raises the log loss to first order is subtracted instead of
        added, see `Descent`. Without influence on other objectives, and on candidates
        that move more than one unit.

    has_thresholds : bool, default=False
        Whether the output units are threshold units: of two classes, the second is
        predicted where the sum is 0.
    """

    layers: Layers
    X: Any
    y: NDArray[np.intp]
    sample_weight: NDArray[np.float64] | None = None
    metric: Metric | NumberMetric | None = ACCURACY
    alpha: float = 0.0
    descends: bool = False
    has_thresholds: bool = False

    @property
    def is_log_loss(self) -> bool:
        """Whether it has a slope: of classes, the log loss is what has one."""
        return self.metric is not None and self.metric.has_slope

    @property
    def decay(self) -> float:
        """Penalty of a squared weight, times the total weight of the samples."""
        return self.alpha / 2 if self.is_log_loss else 0.0

    @cached_property
    def total(self) -> float:
        """Total weight of the samples."""
        if self.sample_weight is None:
            return float(len(self.y))
        return float(self.sample_weight.sum())

    def penalty(self, params: Array) -> float:
        """Compute the penalty of weights, in the unit of the metric."""
        weights = params[: self.layers.n_coefs]
        unit = 1.0 if self.metric is None else self.metric.unit
        return float(unit * self.decay / self.total * (weights @ weights))

    def turns(self, mutation: Mutation) -> bool:
        """Tell whether the noise of such candidates is turned, see `Descent`."""
        return self.descends and self.is_log_loss and mutation.by_group
