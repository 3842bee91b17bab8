"""Metrics of samples whose sums are known, computed by compiled code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim._metric import Metric
from skperceptron.optim._regression_metric import RegressionMetric


class MetricOfSums:
    """Computes a metric from the sums of the output units of samples.

    Parameters
    ----------
    metric : Metric or RegressionMetric
        What to compute; neither "accuracy" nor "log_loss".

    y : ndarray of int of shape (n_samples,)
        Index of the true class; all the same where numbers are predicted.

    weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    n_outputs : int
        Number of output units: 1 for two classes.

    dtype : numpy dtype
        Type of the sums.
    """

    def __init__(
        self,
        metric: Metric | RegressionMetric,
        y: NDArray[np.intp],
        weight: NDArray[np.float64] | None,
        n_outputs: int,
        dtype: np.dtype,
    ) -> None:
        # Kernels are imported by the first fit that needs them.
        from skperceptron.optim.kernels._elementwise import padded
        from skperceptron.optim.kernels._outputs import make_targets, make_terms

        self._metric = metric
        self._order = np.argsort(y, kind="stable")
        sorted_weight = np.empty(0) if weight is None else weight[self._order]
        self._targets = make_targets(
            metric, y[self._order], sorted_weight, n_outputs, dtype
        )
        width = padded(len(y))
        self._terms = make_terms(metric, n_outputs, width, dtype)
        self._sums = np.zeros((n_outputs, width), dtype)
        self._total = 1.0
        if metric.is_additive:
            self._total = len(y) if weight is None else float(weight.sum())

    def __call__(self, z: NDArray[np.floating]) -> float:
        """Compute the metric.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_outputs)
            Finite sums.
        """
        from skperceptron.optim.kernels._outputs import evaluate

        self._sums[:, : len(z)] = z[self._order].T
        value, _ = evaluate(self._sums, 0, self._targets, self._terms, -np.inf)
        return float(value / self._total * self._metric.unit + self._metric.shift)

    def slope(self, z: NDArray[np.floating]) -> NDArray[np.floating]:
        """Compute the slope of the total loss of a `RegressionMetric` in the sums.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_outputs)
            Finite sums.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
        """
        from skperceptron.optim.kernels._outputs import update_slope

        self._sums[:, : len(z)] = z.T
        slope = np.empty_like(self._sums)
        update_slope(slope, self._sums, 0, self._targets, self._terms)
        return slope[:, : len(z)].T
