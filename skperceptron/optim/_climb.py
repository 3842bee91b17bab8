"""What every climb offers to those who let it run."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Climb(ABC):
    """A climb that can be continued.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        Current parameters. Never written to what the climb was started with.

    value : float
        Their objective.

    step_size : ndarray of shape (n_groups,) or (1,)
        Current step size.

    rng : numpy.random.Generator
        Source of the noise.

    n_accepted, n_evaluations : int
        Candidates kept, and evaluations of the objective, the start's included.
    """

    params: Array
    value: float
    step_size: NDArray[np.float64]
    rng: np.random.Generator
    n_accepted: int = 0
    n_evaluations: int = 1

    def run(self, n_iter: int) -> NDArray[np.float64]:
        """Climb on.

        Parameters
        ----------
        n_iter : int
            Iterations to make.

        Returns
        -------
        ndarray of shape (n_iter,)
            The current objective after each iteration.
        """
        values = np.empty(n_iter)
        self._advance(values)
        self.n_evaluations += n_iter
        return values

    @abstractmethod
    def _advance(self, values: NDArray[np.float64]) -> None:
        """Make one iteration per place of `values`, and store the objective there."""

    # Not abstract: most climbs draw no more noise than they use.
    def rewind(self) -> None:  # noqa: B027
        """Give back the random numbers of candidates that were prepared in vain."""
