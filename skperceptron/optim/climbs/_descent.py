"""Noise that is turned to where a loss falls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from skperceptron.network import forward
from skperceptron.network._custom_activation import activate
from skperceptron.optim._metric_of_sums import MetricOfSums
from skperceptron.optim._regression_metric import RegressionMetric
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]

# Beyond these odds against the true class of a sample, noise is not turned.
_MAX_ODDS = 1e18


class Descent:
    """Chooses the sign of noise by the slope of a log loss, or of a regressor's loss.

    The slope is that of the loss in the sums of the output units, which is known
    without going back through the network; what noise does to these sums is computed
    as it is. So activations need no derivative. The loss is the mean loss with its
    penalty, see `Problem`, and "falls" means: to first order in the output sums.

    Where a unit of the last hidden layer moves, the noise of what leads into it is
    subtracted if adding it would raise the loss; then the noise of each weight out of
    it, one by one. Where another unit moves, all of its noise is. Noise is added as
    it is as long as the odds against the true class of a sample are 1e18 or more.

    Parameters
    ----------
    problem : Problem
        The network, the samples, and the strength of the penalty.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.layers = problem.layers
        self._groups = problem.layers.unit_groups()
        self._known: tuple[Array, Array, Array] | None = None
        self._regression = None
        if isinstance(problem.metric, RegressionMetric):
            self._regression = MetricOfSums(
                problem.metric,
                problem.y,
                problem.sample_weight,
                problem.layers.units[-1],
                problem.X.dtype,
            )

    def __call__(self, params: Array, group: int, step: Array) -> Array:
        """Turn a step.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            Where it begins.

        group : int
            The unit that moves.

        step : ndarray of shape (n_group,)
            What is to be added to its parameters.

        Returns
        -------
        ndarray of shape (n_group,)
            The step, with the signs changed that have to be.
        """
        if self._known is None or self._known[0] is not params:
            z = self._sums(params)
            self._known = params, z, self._slope(z)
        _, z, slope = self._known
        if not np.isfinite(slope).all():
            return step
        where, units = self._groups[group], self.layers.units
        alpha = self.problem.alpha
        layer = int(np.searchsorted(np.cumsum(units[1:]), group, "right"))
        n_into = units[layer] + 1
        is_last_hidden = layer == len(units) - 3
        first = step.copy()
        if is_last_hidden:
            first[n_into:] = 0
        change = np.vdot(slope, self._sums(_moved(params, where, first)) - z)
        change += alpha * self._products(params, where, first, n_into - 1)
        if change > 0:
            first = -first
        if not is_last_hidden:
            return first
        outputs = self._outputs_of(_moved(params, where, first), layer, group)
        out = step[n_into:]
        rises = outputs @ slope + alpha * params[where[n_into:]]
        first[n_into:] = np.where(out * rises > 0, -out, out)
        return first

    def _sums(self, params: Array) -> Array:
        coefs, intercepts = self.layers.unpack(params)
        return forward(self.problem.X, coefs, intercepts, self.layers.activations)

    def _outputs_of(self, params: Array, layer: int, group: int) -> Array:
        """Compute the outputs of a unit of the last hidden layer."""
        coefs, intercepts = self.layers.unpack(params)
        unit = group - sum(self.layers.units[1 : layer + 1])
        coefs[layer] = coefs[layer][:, [unit]]
        intercepts[layer] = intercepts[layer][[unit]]
        activations = self.layers.activations
        z = forward(self.problem.X, coefs[:-1], intercepts[:-1], activations[:-1])
        return activate(activations[-1], z)[:, 0]

    def _slope(self, z: Array) -> Array:
        """Compute the slope of the total loss; NaN where odds are too large."""
        if self._regression is not None:
            return self._regression.slope(z)
        everyone, y = np.arange(len(z)), self.problem.y
        if z.shape[1] == 1:
            slope = expit(z) - (y == 1)[:, np.newaxis]
            odds = np.where(y == 1, -z[:, 0], z[:, 0])
        else:
            slope = softmax(z, axis=1)
            slope[everyone, y] -= 1
            others = z - z[everyone, y][:, np.newaxis]
            others[everyone, y] = -np.inf
            odds = np.logaddexp.reduce(others, axis=1)
        slope[odds >= np.log(_MAX_ODDS)] = np.nan
        if self.problem.sample_weight is not None:
            slope *= self.problem.sample_weight[:, np.newaxis]
        return slope

    def _products(
        self, params: Array, where: NDArray[np.intp], step: Array, bias: int
    ) -> float:
        weights = np.delete(params[where], bias)
        return float(weights @ np.delete(step, bias))


def _moved(params: Array, where: NDArray[np.intp], step: Array) -> Array:
    moved = params.copy()
    moved[where] += step
    return moved
