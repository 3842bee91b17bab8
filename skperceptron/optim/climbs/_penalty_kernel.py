"""The penalty of large weights, compiled."""

from __future__ import annotations

import numpy as np

from skperceptron.optim.kernels._compile import (
    COMPILE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)


@njit(**COMPILE_PRIVATE)
def penalty_of(params, decay):
    """Compute the penalty of a network.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
    decay : tuple of float and int
        Penalty of a squared weight, and number of weights: they come first.
    """
    factor, n_weights = decay
    return factor * _sum_of_squares(params, n_weights) if factor > 0 else 0.0


@njit(**VECTORIZE_SUM_PRIVATE)
def _sum_of_squares(x, n):
    result = 0.0
    for j in range(np.uint64(n)):
        result += np.float64(x[j]) * np.float64(x[j])
    return result


@njit(**COMPILE_PRIVATE)
def change_of_penalty(decay, bias, old, new):
    """Compute by how much the penalty changes with the parameters of a unit.

    Parameters
    ----------
    decay : float
        Penalty of a squared weight.

    bias : int
        The one of them that is no weight.

    old, new : ndarray of shape (n,)
    """
    result = 0.0
    if decay > 0:
        for q in range(old.size):
            if q != bias:
                result += (np.float64(new[q]) - old[q]) * (np.float64(new[q]) + old[q])
    return decay * result


@njit(**COMPILE_PRIVATE)
def slope_of_penalty(decay, bias, old, new, size):
    """Compute it to first order, for the first `size` parameters.

    The others are those of `change_of_penalty`.
    """
    result = 0.0
    if decay > 0:
        for q in range(size):
            if q != bias:
                result += np.float64(old[q]) * (np.float64(new[q]) - old[q])
    return 2 * decay * result
