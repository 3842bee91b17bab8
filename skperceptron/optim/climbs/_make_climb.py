"""The door to the climbs: which of them is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from skperceptron.optim._number_metric import NumberMetric
from skperceptron.optim.climbs._block_climb import BlockClimb
from skperceptron.optim.climbs._climb import Climb
from skperceptron.optim.climbs._descent import Descent
from skperceptron.optim.climbs._forward_climb import ForwardClimb
from skperceptron.optim.climbs._hill_climb import HillClimb
from skperceptron.optim.climbs._hyperplane_climb import MAX_FEATURES, HyperplaneClimb
from skperceptron.optim.climbs._low_memory_unit_climb import (
    MAX_BYTES_KEPT,
    MAX_TIMES_KEPT,
    LowMemoryUnitClimb,
)
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._problem import Problem
from skperceptron.optim.climbs._screened_climb import ScreenedClimb
from skperceptron.optim.climbs._streaming_climb import StreamingClimb
from skperceptron.optim.climbs._threshold_climb import ThresholdClimb
from skperceptron.optim.climbs._unit_climb import UnitClimb

Array = NDArray[np.floating]

# What is smaller is copied from a memory-mapped file, where that makes a climb faster.
MIN_BYTES_LEFT = 2**28


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
    of_numbers = isinstance(metric, NumberMetric)
    if of_numbers and (not mutation.by_group or _stays_on_disk(X)):
        return None
    if problem.has_thresholds and metric.kind != "log_loss":
        n_features, n_units = layers.units
        is_accuracy = metric.kind == "accuracy"
        if n_units == 1 and not issparse(X) and (is_accuracy or metric.is_of_counts):
            if n_features <= MAX_FEATURES and not _stays_on_disk(X):
                return HyperplaneClimb
            if X.dtype == np.float64:
                return ScreenedClimb
        if is_accuracy:
            return ThresholdClimb
    if _stays_on_disk(X):
        # Which does not keep the scores of all samples together.
        return None if metric.is_of_ranks else StreamingClimb
    # A single unit moves as a whole.
    moves_units = mutation.by_group or (layers.n_units == 1 and mutation.share is None)
    if not moves_units:
        return None if issparse(X) else ForwardClimb
    n_samples, n_features = X.shape
    n_rows = UnitClimb.n_rows_kept(layers) + (0 if issparse(X) else n_features + 1)
    kept = n_rows * n_samples * X.dtype.itemsize
    is_much = kept > MAX_BYTES_KEPT and n_rows > MAX_TIMES_KEPT * n_features
    return LowMemoryUnitClimb if layers.activations and is_much else UnitClimb


def _stays_on_disk(X: Any) -> bool:
    """Tell whether samples lie in a large memory-mapped file and are not to be copied.

    They would have to be if they were not stored row by row.
    """
    if issparse(X) or X.nbytes < MIN_BYTES_LEFT or not X.flags.c_contiguous:
        return False
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    return False
