"""The door to the climbs: which of them is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from skperceptron.optim._regression_metric import RegressionMetric
from skperceptron.optim.climbs._block_climb import BlockClimb
from skperceptron.optim.climbs._climb import Climb
from skperceptron.optim.climbs._descent import Descent
from skperceptron.optim.climbs._forward_climb import ForwardClimb
from skperceptron.optim.climbs._hill_climb import HillClimb
from skperceptron.optim.climbs._hyperplane_climb import MAX_FEATURES, HyperplaneClimb
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._problem import Problem
from skperceptron.optim.climbs._screened_climb import ScreenedClimb
from skperceptron.optim.climbs._unit_climb import UnitClimb

Array = NDArray[np.floating]


def make_climb(
    params: Array,
    mutation: Mutation,
    problem: Problem,
    make_objective: Callable[[], Callable[[Array], float]],
    *,
    n_iter: int,
    sibling: Any = None,
    **steps: Any,
) -> Climb:
    """Prepare a climb, the fastest one for which there is memory.

    Parameters
    ----------
    params, mutation
        As in `Climb`.

    problem : Problem
        What is maximised, and on which samples.

    make_objective : callable
        Makes ``objective(params) -> float``, the same in Python, for what compiled code
        does not know.

    n_iter : int
        Iterations that are planned.

    sibling : Climb or None, default=None
        Another climb on the same problem, with which it may share what both would copy.

    **steps
        `step_size`, `adapt` and `keeps_ties`, as in `Climb`.

    Returns
    -------
    Climb
    """
    compiled = find_climb(mutation, problem)
    if compiled is not None:
        options = {"n_iter": n_iter, "sibling": sibling}
        return compiled(params, mutation, problem, **options, **steps)
    return make_plain_climb(params, mutation, problem, make_objective, **steps)


def make_plain_climb(
    params: Array,
    mutation: Mutation,
    problem: Problem,
    make_objective: Callable[[], Callable[[Array], float]],
    **steps: Any,
) -> HillClimb:
    """Prepare a climb that is not compiled. It makes the same decisions.

    Parameters are those of `make_climb`.
    """
    return HillClimb(
        params,
        mutation,
        make_objective(),
        penalty=problem.penalty if problem.decay else None,
        turn=Descent(problem) if problem.turns(mutation) else None,
        **steps,
    )


def find_climb(mutation: Mutation, problem: Problem) -> type[BlockClimb] | None:
    """Choose among the compiled climbs; None where there is none.

    Parameters are those of `make_climb`.
    """
    metric, layers, X = problem.metric, problem.layers, problem.X
    if metric is None or any(map(callable, layers.activations)):
        return None
    # Only one climb knows numbers.
    moves_units = mutation.by_group or layers.n_units == 1
    if isinstance(metric, RegressionMetric):
        return UnitClimb if moves_units and not problem.stays_on_disk else None
    is_threshold = layers.n_units == 1 and metric.positive_at_zero
    if is_threshold and not issparse(X) and metric.is_of_predictions:
        is_small = layers.units[0] <= MAX_FEATURES and not problem.stays_on_disk
        return HyperplaneClimb if is_small else ScreenedClimb
    if problem.stays_on_disk:
        # Which does not keep the scores of all samples together.
        return None if metric.is_of_ranks else ForwardClimb
    # A single unit moves as a whole.
    moves_units = mutation.by_group or layers.n_units == 1
    if moves_units:
        return UnitClimb
    return None if issparse(X) else ForwardClimb
