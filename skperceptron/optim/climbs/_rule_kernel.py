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
    current = candidates.state[VALUE]
    return value > current or (value == current and candidates.rule.keeps_ties)


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
    state, rule = candidates.state, candidates.rule
    factor = rule.growth if value >= state[VALUE] else rule.shrinkage
    kept = is_kept(value, candidates)
    if kept:
        state[VALUE], state[PENALTY] = value, penalty
        state[N_ACCEPTED] += 1
    group = candidates.group_of[i]
    if group >= 0:
        step_size = candidates.step_size
        step_size[group] = min(factor * step_size[group], rule.largest_step)
    candidates.values[i] = state[VALUE] + state[PENALTY]
    return kept
