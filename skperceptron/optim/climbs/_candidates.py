"""What compiled climbs decide over, as compiled code takes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Places in the state of a climb: the current value, less the penalty of the current
# weights; that penalty; and the number of kept candidates.
VALUE, PENALTY, N_ACCEPTED = 0, 1, 2


class Rule(NamedTuple):
    """When a candidate is kept, and how the step size adapts.

    Attributes
    ----------
    keeps_ties : bool
        Whether a candidate is kept that is neither better nor worse.

    growth, shrinkage : float
        Factor for the step size after a candidate that is not worse, kept or not, and
        after one that is: among equals, steps grow until they make a difference.

    largest_step : float
        Where growth ends.
    """

    keeps_ties: bool
    growth: float
    shrinkage: float
    largest_step: float


class Candidates(NamedTuple):
    """Candidates to decide over, one after the other.

    Attributes
    ----------
    noise : ndarray of shape (n_prepared, largest_group)
        What is added, at step size 1, to the parameters of each candidate's group: of
        those to decide over, and maybe of those that come later.

    group_of : ndarray of int of shape (n_prepared,)
        Their group; -1 where the noise is all zero.

    step_size : ndarray of shape (n_groups,)
        Standard deviation of each group's noise; updated.

    rule : tuple, see Rule
        How to decide.

    state : ndarray of shape (3,)
        Where the climb is, see `VALUE`; updated.

    values : ndarray of shape (n_candidates,)
        Receives the current value, without its penalty, after each candidate.
    """

    noise: NDArray[np.floating]
    group_of: NDArray[np.intp]
    step_size: NDArray[np.float64]
    rule: tuple
    state: NDArray[np.float64]
    values: NDArray[np.float64]
