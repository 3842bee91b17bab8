"""What the climbs of a single threshold unit have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._block_climb import BlockClimb
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]


class OneUnitClimb(BlockClimb):
    """A climb on a metric of one threshold unit's predictions, on dense data.

    Parameters are those of `BlockClimb`. There is one output unit, which predicts class
    1 where its sum is at least 0; the metric is the accuracy or one of a confusion
    matrix.
    """

    def __init__(
        self, params: Array, mutation: Mutation, problem: Problem, **options: Any
    ) -> None:
        super().__init__(params, mutation, problem, **options)
        self._X = problem.X
        self._use_accuracy = self._metric.kind == "accuracy"
        self._description = self._metric.describe(2, params.dtype)
        self._is_positive = problem.y == 1
        self._copy_data()
        self.evaluate()

    @abstractmethod
    def _copy_data(self) -> None:
        """Bring the samples into the form that the scan wants."""

    def _value_of(self, sums: Array) -> float:
        """Compute the metric; of the accuracy, the weight of what is right."""
        from skperceptron.optim.kernels._metrics import value_of_counts

        if not np.isfinite(sums).all():
            return -np.inf
        predicted, true = sums >= 0, self._is_positive
        # One after the other, as a scan adds: another order rounds otherwise, and a tie
        # would not be one.
        weights = self._weight if self._weight.size else np.ones(len(true))
        if self._use_accuracy:
            return float(np.cumsum(weights * (predicted == true))[-1])
        counts = self._description.counts
        for c in range(2):
            for k in range(2):
                mine = (true == c) & (predicted == k)
                counts[c, k] = np.cumsum(weights * mine)[-1]
        return float(value_of_counts(self._description))
