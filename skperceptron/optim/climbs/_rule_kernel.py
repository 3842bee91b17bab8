"""The rule by which a candidate is kept, and what follows for the step size."""

from __future__ import annotations

from skperceptron.optim.climbs._candidates import N_ACCEPTED, PENALTY, VALUE
from skperceptron.optim.kernels._compile import COMPILE_INLINE, njit


@njit(**COMPILE_INLINE)
def is_kept(value, candidates):
    """Tell whether a candidate of this value is kept. NaN never is.

    Parameters
    ----------
    value : float
        What is maximised, less the penalty.

    candidates : Candidates
    """
    keeps_ties, _, _, _ = candidates.rule
    current = candidates.state[VALUE]
    return value > current or (value == current and keeps_ties)


@njit(**COMPILE_INLINE)
def decide(candidates, i, value, penalty):
    """Decide over a candidate, and adapt the step size to what it was worth.

    Parameters
    ----------
    candidates : Candidates
        Updated.

    i : int
        Which of them.

    value, penalty : float
        What is maximised, less the penalty; and the penalty.

    Returns
    -------
    bool
        Whether it is kept.
    """
    state, step_size = candidates.state, candidates.step_size
    _, growth, shrinkage, largest_step = candidates.rule
    factor = growth if value >= state[VALUE] else shrinkage
    kept = is_kept(value, candidates)
    if kept:
        state[VALUE], state[PENALTY] = value, penalty
        state[N_ACCEPTED] += 1
    group = candidates.group_of[i]
    if group >= 0:
        step_size[group] = min(factor * step_size[group], largest_step)
    candidates.values[i] = state[VALUE] + state[PENALTY]
    return kept
