"""Training by gradients: epochs of mini-batches, or a quasi-Newton method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from skperceptron.optim._gradient import RegularizedLoss
from skperceptron.optim._solvers import Solver

Array = NDArray[np.floating]


def train_epoch(
    params: Array,
    loss: RegularizedLoss,
    solver: Solver,
    X: Any,
    y: NDArray,
    sample_weight: Array | None,
    *,
    rows: NDArray[np.intp],
    batch_size: int,
) -> float:
    """Go once through the data, moving the parameters after every mini-batch.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Moved in place.

    loss : RegularizedLoss
        What is minimised.

    solver : SGD or Adam
        How a gradient moves the parameters.

    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples.

    y : ndarray of shape (n_samples, n_outputs)
        Targets, 0 or 1.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    rows : ndarray of int
        The samples to use, in this order.

    batch_size : int
        Samples per mini-batch; the last one of an epoch may be smaller.

    Returns
    -------
    float
        Mean over the samples of the losses that their mini-batches had before the
        update.
    """
    total = 0.0
    for batch in _batches(rows, batch_size):
        weight = None if sample_weight is None else sample_weight[batch]
        value, gradient = loss.value_and_gradient(params, X[batch], y[batch], weight)
        solver.update(params, gradient)
        total += value * len(batch)
    return total / len(rows)


def _batches(rows: NDArray[np.intp], batch_size: int) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]


def minimize_lbfgs(
    params: Array,
    loss: RegularizedLoss,
    X: Any,
    y: NDArray,
    sample_weight: Array | None,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    on_iteration: Callable[[Array, float], None],
) -> OptimizeResult:
    """Minimise the loss over all samples with L-BFGS (Liu and Nocedal, 1989).

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Where to start; not changed.

    loss, X, y, sample_weight
        As in `train_epoch`.

    max_iter : int
        Most iterations.

    max_fun : int
        Most evaluations of the loss.

    tol : float
        The search ends when no component of the gradient exceeds this.

    on_iteration : callable
        Called as ``on_iteration(params, value)`` after each iteration; may raise
        StopIteration to end the search.

    Returns
    -------
    scipy.optimize.OptimizeResult
    """

    # scipy passes the whole state only to a parameter of exactly this name.
    def callback(intermediate_result: OptimizeResult) -> None:
        on_iteration(intermediate_result.x, float(intermediate_result.fun))

    return minimize(
        loss.value_and_gradient,
        params,
        args=(X, y, sample_weight),
        method="L-BFGS-B",
        jac=True,
        callback=callback,
        options={"maxiter": max_iter, "maxfun": max_fun, "gtol": tol},
    )
