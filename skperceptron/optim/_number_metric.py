"""What a climb on numbers maximises: a loss that is convex in the outputs, negated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

# The codes of `kernels/_numbers.py` are the places in this tuple.
KINDS = ("squared_error", "absolute_error", "quantile")


@dataclass(frozen=True, eq=False)
class NumberMetric:
    """A metric of numbers that compiled code can compute, and that has a slope.

    With errors ``e = z - y`` of the outputs it is ``shift - unit * loss``, where the
    loss of a sample is the sum over the outputs of ``factors`` times ``e ** 2 / 2``,
    ``|e|``, or the pinball loss, and that of all samples is their weighted mean.

    Attributes
    ----------
    kind : str
        One of `KINDS`.

    y : ndarray of shape (n_samples, n_outputs)
        Targets.

    factors : ndarray of shape (n_outputs,)
        How much the outputs matter to each other.

    unit, shift : float, default=1, 0
        What makes the metric of the loss.

    quantile : float, default=0.5
        Which quantile the pinball loss is for.
    """

    kind: str
    y: Array
    factors: NDArray[np.float64]
    unit: float = 1.0
    shift: float = 0.0
    quantile: float = 0.5

    # What it has in common with metrics of classes.
    is_additive = True
    has_slope = True
    is_of_counts = is_of_ranks = uses_odds = positive_at_zero = False

    def value(self, z: Array, sample_weight: Array | None = None) -> float:
        """Compute the metric.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_outputs)
            Outputs.

        sample_weight : ndarray of shape (n_samples,) or None, default=None
            Weights of the samples.
        """
        error = z.astype(float) - self.y
        if self.kind == "squared_error":
            losses = error**2 / 2
        else:
            losses = np.abs(error)
            if self.kind == "quantile":
                losses *= self._shares(error)
        mean = np.average(losses @ self.factors, weights=sample_weight)
        return float(self.shift - self.unit * mean)

    def slope(self, z: Array) -> Array:
        """Compute the derivatives of the losses of samples by their outputs.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_outputs)
            Outputs.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
        """
        error = z - self.y
        if self.kind != "squared_error":
            shares = self._shares(error) if self.kind == "quantile" else 1.0
            error = shares * np.sign(error)
        return (error * self.factors).astype(z.dtype)

    def _shares(self, error: Array) -> Any:
        return np.where(error > 0, 1 - self.quantile, self.quantile)
