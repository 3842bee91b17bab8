"""Training by gradients: epochs of mini-batches, or a quasi-Newton method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from scipy.sparse import issparse

from skperceptron.optim.gradient._gradient import (
    RegularizedLoss,
    as_samples,
    rows_per_chunk,
    target_type,
)
from skperceptron.optim.gradient._solvers import Solver

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Dropout:
    """Dropout in its inverted form (Srivastava et al., 2014, section 10).

    Attributes
    ----------
    rates : ndarray of shape (n_hidden,)
        For each hidden unit, the probability that its output is replaced by 0 in a
        sample. What stays is divided by the rest, so that the mean stays the same.

    input_rate : float
        The same for the inputs.

    rng : numpy.random.Generator
        Source of the choice.
    """

    rates: Array
    input_rate: float
    rng: np.random.Generator

    def thin_out(self, X: Any) -> Any:
        """Drop some inputs; `X` is overwritten."""
        if self.input_rate > 0:
            values = X.data if issparse(X) else X
            values *= self._draw(values.shape, self.input_rate, X.dtype)
        return X

    def masks(self, n_samples: int, dtype: Any) -> Array | None:
        """Draw what the outputs of the hidden units are multiplied with."""
        if not self.rates.any():
            return None
        return self._draw((n_samples, len(self.rates)), self.rates, dtype)

    def _draw(self, shape: tuple[int, ...], rate: Any, dtype: Any) -> Array:
        kept = self.rng.random(shape, dtype) >= rate
        return kept / np.asarray(1 - rate, dtype)


class EpochLoop:
    """Goes through the data in mini-batches, moving the parameters after each.

    Parameters
    ----------
    loss : RegularizedLoss
        What is minimised.

    solver : Solver
        How a gradient moves the parameters.

    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples.

    y : ndarray of bool or float of shape (n_samples, n_outputs)
        Targets.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    batch_size : int
        Samples per mini-batch; the last one of an epoch may be smaller.

    max_grad_norm : float or None
        A longer gradient is shortened to this length (Pascanu, Mikolov and Bengio,
        2013).

    dropout : Dropout or None
        What is left out at random.
    """

    def __init__(
        self,
        loss: RegularizedLoss,
        solver: Solver,
        X: Any,
        y: NDArray,
        sample_weight: Array | None,
        *,
        batch_size: int,
        max_grad_norm: float | None,
        dropout: Dropout | None,
    ) -> None:
        self.loss = loss
        self.solver = solver
        self.batch_size = batch_size
        self.max_grad_norm = np.inf if max_grad_norm is None else float(max_grad_norm)
        self.dropout = dropout
        self._data = X, y, sample_weight
        self._n_masked = 0 if dropout is None else len(dropout.rates)
        self._compiled_loss = loss.compiled
        dtype = solver.moments[-1].dtype
        self._work = loss.workspace(batch_size, dtype, dropout=self._n_masked > 0)
        self._gradient = np.empty(loss.layers.n_params, dtype)
        # Dense samples are brought together batch by batch, others in larger chunks.
        self._samples = None
        if dropout is None and isinstance(X, np.ndarray) and X.dtype == dtype:
            self._samples = as_samples(X, y, sample_weight, dtype)
        is_gathered = self._samples is not None
        memory = (
            np.empty((batch_size if is_gathered else 0, X.shape[1]), dtype),
            np.empty(
                (batch_size if is_gathered else 0, y.shape[1]), target_type(y, dtype)
            ),
            np.empty(0 if sample_weight is None else batch_size, dtype),
        )
        weight = None if sample_weight is None else memory[-1]
        self._batch = as_samples(*memory[:2], weight, dtype), memory

    def run(
        self, params: Array, rows: NDArray[np.intp]
    ) -> tuple[float, NDArray[np.float64]]:
        """Train one epoch.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            Moved in place.

        rows : ndarray of int
            The samples to use, in this order.

        Returns
        -------
        loss : float
            Mean over the samples of the losses that their mini-batches had before the
            update.

        grad_norms : ndarray of shape (n_layers,)
            Mean norm of each layer's gradient, likewise.
        """
        from skperceptron.optim.gradient import _training_kernel

        norms = np.zeros(len(self.loss.layers.shapes))
        total = 0.0
        for samples, order in self._portions(rows):
            total += _training_kernel.train_batches(
                *self._compiled_loss,
                self.solver.compiled,
                params,
                samples,
                order,
                *self._batch,
                self.max_grad_norm,
                self._work,
                self._gradient,
                norms,
            )
        return total / len(rows), norms / len(rows)

    def _portions(
        self, rows: NDArray[np.intp]
    ) -> Iterator[tuple[tuple[Any, ...], NDArray[np.intp]]]:
        """Divide samples into what is trained by one call, and the order in there."""
        if self._samples is not None:
            yield self._samples, rows
            return
        in_order = np.empty(0, np.intp)
        size = rows_per_chunk(self._data[0], self.batch_size, self._n_masked)
        for start in range(0, len(rows), size):
            yield self._copy(rows[start : start + size]), in_order

    def _copy(self, rows: NDArray[np.intp]) -> tuple[Any, ...]:
        X, y, sample_weight = self._data
        # For dense arrays `take` is the faster way.
        chunk = X[rows] if issparse(X) else X.take(rows, axis=0)
        masks, dtype = None, self._gradient.dtype
        if self.dropout is not None:
            chunk = self.dropout.thin_out(chunk)
            masks = self.dropout.masks(len(rows), dtype)
        weight = None if sample_weight is None else sample_weight[rows]
        return as_samples(chunk, y[rows], weight, dtype, masks)


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
    on_iteration: Callable[[Array, float, Array], None],
) -> OptimizeResult:
    """Minimise the loss over all samples with L-BFGS (Liu and Nocedal, 1989).

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Where to start; not changed.

    loss, X, y, sample_weight
        As in `EpochLoop`.

    max_iter : int
        Most iterations.

    max_fun : int
        Maximum number of evaluations of the loss.

    tol : float
        The search ends when no component of the gradient exceeds this.

    on_iteration : callable
        Called as ``on_iteration(params, value, gradient)`` after each iteration; may
        raise StopIteration to end the search.

    Returns
    -------
    scipy.optimize.OptimizeResult
    """
    last_gradient = np.zeros_like(params)

    def evaluate(x: Array) -> tuple[float, Array]:
        nonlocal last_gradient
        value, last_gradient = loss.value_and_gradient(x, X, y, sample_weight)
        return value, last_gradient

    # scipy passes the whole state only to a parameter of exactly this name.
    def callback(intermediate_result: OptimizeResult) -> None:
        # A line search ends with the evaluation of the point that it chooses.
        value = float(intermediate_result.fun)
        on_iteration(intermediate_result.x, value, last_gradient)

    return minimize(
        evaluate,
        params,
        method="L-BFGS-B",
        jac=True,
        callback=callback,
        options={"maxiter": max_iter, "maxfun": max_fun, "gtol": tol},
    )
