"""What every climb offers to those who let it run."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._candidates import Rule
from skperceptron.optim.climbs._mutation import Mutation

Array = NDArray[np.floating]

# One-fifth success rule (Rechenberg, 1973) in the form of Kern et al. (2004): the
# factors balance when one step in five is kept. 1.5 is the factor of Auger (2009).
GROWTH = 1.5
SHRINKAGE = GROWTH ** (-1 / 4)


class Climb(ABC):
    """A climb that can be continued.

    One iteration draws a candidate ``params + step_size * noise`` with standard normal
    noise and keeps it when its objective is **not worse** than the current one.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Where to start. Never written to: an accepted candidate replaces it.

    mutation : Mutation
        Draws the candidates.

    step_size : float or ndarray of shape (n_groups,)
        Standard deviation of the noise, or one for each group of parameters that move
        together.

    adapt : bool, default=False
        Whether to adapt the step size by the one-fifth success rule, for each group by
        itself.

    keeps_ties : bool, default=True
        Whether a candidate is kept whose objective is the same. Either way, the step
        size grows after it.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        Current parameters.

    value : float
        Their objective.

    step_size : ndarray of shape (n_groups,)
        Current step size.

    n_accepted, n_evaluations : int
        Candidates kept, and evaluations of the objective, the start's included.
    """

    value: float
    n_accepted: int = 0
    n_evaluations: int = 1

    def __init__(
        self,
        params: Array,
        mutation: Mutation,
        *,
        step_size: float | Array,
        adapt: bool = False,
        keeps_ties: bool = True,
    ) -> None:
        self.params = params
        self.mutation = mutation
        self.step_size = np.array(
            np.broadcast_to(step_size, len(mutation.groups)), dtype=np.float64
        )
        # On a plateau every step is kept, and an adapted one grows each time: it stops
        # growing before its square overflows.
        largest_step = float(np.sqrt(np.finfo(params.dtype).max))
        rates = (GROWTH, SHRINKAGE, largest_step) if adapt else (1.0, 1.0, np.inf)
        self.rule = Rule(keeps_ties, *rates)

    @property
    def ahead(self) -> tuple[Array, int] | None:
        """What has been found but not kept yet, see `GuidedClimb`."""
        return None

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
    def evaluate(self) -> float:
        """Compute the objective of the current parameters anew."""

    @abstractmethod
    def _advance(self, values: NDArray[np.float64]) -> None:
        """Make one iteration per place of `values`, and store the objective there."""

    # Not abstract: most climbs draw no more noise than they use.
    def rewind(self) -> None:  # noqa: B027
        """Give back the random numbers of candidates that were prepared in vain."""
