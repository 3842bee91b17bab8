"""Stochastic hill climbing: random steps, kept when they do no harm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim._climb import Climb

Array = NDArray[np.floating]

# One-fifth success rule (Rechenberg, 1973) in the form of Kern et al. (2004): the
# factors balance when one step in five is kept. 1.5 is the factor of Auger (2009).
GROWTH = 1.5
SHRINKAGE = GROWTH ** (-1 / 4)


def largest_step(dtype: np.dtype) -> float:
    """Tell how far an adapted step may grow: so that its square is still a number.

    On a plateau every step is kept, and the next one is larger.
    """
    return float(np.sqrt(np.finfo(dtype).max))


class HillClimb(Climb):
    """A climb on any objective.

    One iteration draws a candidate ``params + step_size * noise`` with standard normal
    noise and keeps it when its objective is **not worse** than the current one.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Where to start. Never written to: an accepted candidate replaces it.

    objective : callable
        ``objective(params)`` gives the value to maximise. NaN is never kept.

    step_size : float or ndarray of shape (n_groups,)
        Standard deviation of the noise, or one per group.

    rng : numpy.random.Generator
        Source of the noise. Every iteration takes the next ``n_params`` standard
        normals in the dtype of `params` (as many as its group has, with `groups`), and
        before them what the mutation needs: ``n_params`` uniforms with `share`, one
        integer with `groups`.

    adapt : bool, default=False
        Whether to adapt the step size by the one-fifth success rule.

    share : float in (0, 1] or None, default=None
        Move each parameter only with this probability.

    groups : list of ndarray of int or None, default=None
        Move only the parameters of one random group at a time. Each group has its own
        step size.
    """

    def __init__(
        self,
        params: Array,
        objective: Callable[[Array], float],
        *,
        step_size: float | Array,
        rng: np.random.Generator,
        adapt: bool = False,
        share: float | None = None,
        groups: list[NDArray[np.intp]] | None = None,
    ) -> None:
        self.params = params
        self.objective = objective
        self.rng = rng
        self.adapt = adapt
        self.share = share
        self.groups = groups
        n_steps = 1 if groups is None else len(groups)
        self.step_size = np.array(np.broadcast_to(step_size, n_steps), dtype=float)
        self.value = objective(params)

    def _advance(self, values: NDArray[np.float64]) -> None:
        largest = largest_step(self.params.dtype)
        for i in range(len(values)):
            # A candidate that overflows is one of the worse ones.
            with np.errstate(over="ignore", invalid="ignore"):
                candidate, group = self._mutate()
            value = self.objective(candidate)
            accepted = value >= self.value
            if accepted:
                self.params, self.value = candidate, value
                self.n_accepted += 1
            # A candidate that moved nothing says nothing about the step size.
            if self.adapt and group is not None:
                factor = GROWTH if accepted else SHRINKAGE
                self.step_size[group] = min(factor * self.step_size[group], largest)
            values[i] = self.value

    def _mutate(self) -> tuple[Array, int | None]:
        n_params, dtype = self.params.size, self.params.dtype
        if self.groups is not None:
            group = int(self.rng.integers(len(self.groups)))
            where = self.groups[group]
            candidate = self.params.copy()
            candidate[where] += self._noise(where.size, dtype, group)
            return candidate, group
        if self.share is not None:
            moved = self.rng.random(n_params) < self.share
            candidate = self.params + self._noise(n_params, dtype, 0) * moved
            return candidate, 0 if moved.any() else None
        return self.params + self._noise(n_params, dtype, 0), 0

    def _noise(self, size: int, dtype: np.dtype, group: int) -> Array:
        noise = self.rng.standard_normal(size, dtype=dtype)
        noise *= self.step_size[group]
        return noise
