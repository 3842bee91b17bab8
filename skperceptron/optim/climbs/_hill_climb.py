"""Stochastic hill climbing: random steps, kept when they do no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._climb import Climb
from skperceptron.optim.climbs._mutation import Mutation

Array = NDArray[np.floating]


class HillClimb(Climb):
    """A climb on any objective, one candidate after the other.

    Parameters
    ----------
    params, mutation
        As in `Climb`.

    objective : callable
        ``objective(params)`` gives the value to maximise. NaN is never kept.

    penalty : callable or None, default=None
        ``penalty(params)`` is what is subtracted from the values that are compared.

    turn : callable or None, default=None
        ``turn(params, group, step)`` gives the step to make instead, see `Descent`.

    **options
        `step_size` and `adapt`, as in `Climb`.
    """

    def __init__(
        self,
        params: Array,
        mutation: Mutation,
        objective: Callable[[Array], float],
        *,
        penalty: Callable[[Array], float] | None = None,
        turn: Callable[[Array, int, Array], Array] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(params, mutation, **options)
        self.objective = objective
        self.penalty = penalty or (lambda params: 0.0)
        self.turn = turn
        self.value = objective(params)

    def evaluate(self) -> float:
        """Compute the objective of the current parameters anew."""
        return self.objective(self.params)

    def _advance(self, values: NDArray[np.float64]) -> None:
        rule = self.rule
        current = self.value - self.penalty(self.params)
        for i in range(len(values)):
            (noise,), (group,) = self.mutation.draw(1)
            where = self.mutation.groups[group]
            candidate = self.params.copy()
            # A candidate that overflows is one of the worse ones.
            with np.errstate(over="ignore", invalid="ignore"):
                step = self._scaled(noise[: where.size], group)
                if self.turn is not None:
                    step = self.turn(self.params, group, step)
                candidate[where] += step
            value = self.objective(candidate)
            compared = value - self.penalty(candidate)
            not_worse = compared >= current
            if not_worse and (rule.keeps_ties or compared > current):
                self.params, self.value, current = candidate, value, compared
                self.n_accepted += 1
            # A candidate that moved nothing says nothing about the step size.
            if group >= 0:
                factor = rule.growth if not_worse else rule.shrinkage
                adapted = factor * self.step_size[group]
                self.step_size[group] = min(adapted, rule.largest_step)
            values[i] = self.value

    def _scaled(self, noise: Array, group: int) -> Array:
        noise *= self.step_size[group]
        return noise
