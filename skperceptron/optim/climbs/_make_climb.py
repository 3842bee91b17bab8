"""Chooses among the climbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse

from skperceptron.network import Layers
from skperceptron.optim._metric import Metric
from skperceptron.optim.climbs._climb import Climb
from skperceptron.optim.climbs._forward_climb import ForwardClimb
from skperceptron.optim.climbs._hyperplane_climb import MOST_FEATURES, HyperplaneClimb
from skperceptron.optim.climbs._lean_unit_climb import (
    MOST_BYTES_KEPT,
    MOST_TIMES_KEPT,
    LeanUnitClimb,
)
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._screened_climb import ScreenedClimb
from skperceptron.optim.climbs._streaming_climb import StreamingClimb
from skperceptron.optim.climbs._threshold_climb import ThresholdClimb
from skperceptron.optim.climbs._unit_climb import UnitClimb

# What is smaller is copied from a memory-mapped file, where that makes a climb faster.
FEWEST_BYTES_LEFT = 2**28


def find_climb(
    metric: Metric, mutation: Mutation, layers: Layers, X: Any, *, thresholds: bool
) -> Callable[..., Climb] | None:
    """Choose the fastest way to climb for which there is memory, None for no way.

    Parameters
    ----------
    metric : Metric
        What is maximised.

    mutation : Mutation
        Draws the candidates.

    layers : Layers
        The network; its activations have names.

    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples.

    thresholds : bool
        Whether the output units are threshold units: of two classes, the second is
        predicted where the sum is 0.
    """
    if thresholds and metric.kind != "log_loss":
        n_features, n_units = layers.units
        is_accuracy = metric.kind == "accuracy"
        if n_units == 1 and not issparse(X) and (is_accuracy or metric.is_of_counts):
            if n_features <= MOST_FEATURES and not _stays_on_disk(X):
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
    is_much = kept > MOST_BYTES_KEPT and n_rows > MOST_TIMES_KEPT * n_features
    return LeanUnitClimb if layers.activations and is_much else UnitClimb


def _stays_on_disk(X: Any) -> bool:
    """Tell whether samples lie in a large memory-mapped file and are not to be copied.

    They would have to be if they were not stored row by row.
    """
    if issparse(X) or X.nbytes < FEWEST_BYTES_LEFT or not X.flags.c_contiguous:
        return False
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    return False
