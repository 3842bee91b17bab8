"""The rule by which a candidate is kept, and what follows for the step size."""

from __future__ import annotations

from typing import NamedTuple

from skperceptron.optim.kernels._compile import COMPILE, njit


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


@njit(**COMPILE)
def is_kept(value, current, rule):
    """Tell whether a candidate is kept.

    Parameters
    ----------
    value, current : float
        What is maximised. NaN is never kept.

    rule : tuple, see Rule
        Compiled code takes plain tuples; see `make_targets`.
    """
    return value > current or (value == current and rule[0])


@njit(**COMPILE)
def adapt(step_size, group, is_worse, rule):
    """Adapt the step size of a group to what its candidate was worth.

    Parameters
    ----------
    step_size : ndarray of shape (n_groups,)
        Updated.

    group : int
    is_worse : bool
        Whether the candidate was.

    rule : tuple, see Rule
    """
    _, growth, shrinkage, largest_step = rule
    factor = shrinkage if is_worse else growth
    step_size[group] = min(step_size[group] * factor, largest_step)
