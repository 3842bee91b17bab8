"""What a compiled climb of a regressor maximises, in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The codes of `kernels/_regression.py` are the places in these tuples.
# Sums over the samples.
SUMS = ("squared_error", "absolute_error", "quantile", "poisson", "gamma")
# Functions of all residuals of an output.
OF_RESIDUALS = ("root_squared_error", "variance", "median")
REGRESSION_KINDS = (*SUMS, *OF_RESIDUALS)


@dataclass(frozen=True, eq=False)
class RegressionMetric:
    """A metric of numbers that compiled code can compute.

    It is ``shift - unit * loss``. The loss is the sum over the outputs of `factors`
    times a statistic of their errors ``e = z - y``, where z are the outputs:

    - the mean of ``e ** 2 / 2``, of ``|e|`` or of the pinball loss;
    - the mean of half the Poisson or gamma deviance, where z are the logarithms of the
      predictions;
    - the root of the mean of ``e ** 2``, half the variance of e, or the median of
      ``|e|``.

    All but the median are convex in z.

    Attributes
    ----------
    kind : str
        One of `REGRESSION_KINDS`.

    y : ndarray of shape (n_samples, n_outputs)
        Targets, in the unit of the outputs.

    factors : ndarray of float64 of shape (n_outputs,)
        How much each output counts.

    importance : ndarray of float64 of shape (n_samples, n_outputs) or None
        By what the losses of samples are multiplied, beside their weights. Only for
        sums.

    unit, shift : float, default=1, 0
        What makes the metric of the loss.

    quantile : float, default=0.5
        Which quantile the pinball loss is for.
    """

    kind: str
    y: NDArray[np.float64]
    factors: NDArray[np.float64]
    importance: NDArray[np.float64] | None = None
    unit: float = 1.0
    shift: float = 0.0
    quantile: float = 0.5

    # What compiled code gives is multiplied with the total weight of the samples.
    is_additive = True
    is_of_ranks = uses_odds = False

    @property
    def has_slope(self) -> bool:
        """Whether it is a convex function of the sums, whose slope is known."""
        return self.kind != "median"
