"""The loss of a network and its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from skperceptron.network import LOSSES, Layers
from skperceptron.optim._read_only import read_only

Array = NDArray[np.floating]

# What a chunk of samples, with its dropout masks, takes: it should stay in the
# processor's cache.
_CHUNK_BYTES = 2**18
# Samples looked at together when the gradient is that of all samples.
ROWS_TOGETHER = 256


@dataclass(frozen=True)
class RegularizedLoss:
    """A loss plus an L2 penalty, as a function of the flat parameter vector.

    With batch weight W (the number of samples, or the sum of their weights) the value
    is ``loss + alpha / (2 W) * sum(coefs ** 2)``, where the loss is the weighted mean
    over the samples; biases are not penalised.

    Attributes
    ----------
    layers : Layers
        The network; all its activations need a derivative.

    out_activation : {"logistic", "softmax", "identity", "exp"}
        Output activation.

    alpha : float
        Strength of the penalty, at least 0.

    name : str
        The loss of a sample, which with `out_activation` is a key of `LOSSES`. With
        "exp" it is "poisson". That of several outputs is a sum, with one exception: the
        value of the squared error with "identity" is a mean, and its gradient that of
        the sum, as MLPRegressor has them.

    parameter : float or None, default=None
        Where "huber" becomes linear, or which quantile "quantile" learns; None for the
        other losses.
    """

    layers: Layers
    out_activation: str
    alpha: float
    name: str = "log_loss"
    parameter: float | None = None

    def evaluate(
        self, y: NDArray, outputs: Array, sample_weight: Array | None = None
    ) -> float:
        """Compute the loss of outputs, without the penalty.

        Parameters
        ----------
        y : ndarray of shape (n_samples, n_outputs)
            Targets.

        outputs : ndarray of shape (n_samples, n_outputs)
            Outputs of the network, after the output activation.

        sample_weight : ndarray of shape (n_samples,) or None, default=None
            Weights of the samples.

        Returns
        -------
        float
        """
        loss = LOSSES[self.name, self.out_activation]
        options = () if self.parameter is None else (self.parameter,)
        return loss(y, outputs, sample_weight, *options)

    def value_and_gradient(
        self, params: Array, X: Any, y: NDArray, sample_weight: Array | None = None
    ) -> tuple[float, Array]:
        """Backpropagation (Rumelhart, Hinton and Williams, 1986).

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            Where to evaluate. Computed is in its precision.

        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Samples.

        y : ndarray of bool or float of shape (n_samples, n_outputs)
            Targets: bool for outputs that are probabilities, else float.

        sample_weight : ndarray of shape (n_samples,) or None, default=None
            Weights of the samples.

        Returns
        -------
        value : float
        gradient : ndarray of shape (n_params,)
        """
        from skperceptron.optim.gradient import _training_kernel, _updates_kernel

        network, loss = self.compiled
        work = self.workspace(ROWS_TOGETHER, params.dtype)
        gradient = np.zeros_like(params)
        value, n_samples = 0.0, X.shape[0]
        size = rows_per_chunk(X, ROWS_TOGETHER)
        for start in range(0, n_samples, size):
            rows = slice(start, start + size)
            weight = None if sample_weight is None else sample_weight[rows]
            samples = as_samples(X[rows], y[rows], weight, params.dtype)
            value += _training_kernel.add_losses(
                network, loss, params, samples, ROWS_TOGETHER, work, gradient
            )
        total = n_samples if sample_weight is None else sample_weight.sum(dtype=float)
        squares = np.empty(len(self.layers.shapes) + 1)
        _updates_kernel.finish_gradient(
            network, self.alpha, 1 / float(total), params, gradient, squares
        )
        return (value + 0.5 * self.alpha * squares[-1]) / total, gradient

    @property
    def compiled(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The network and the loss as compiled code wants to know them."""
        from skperceptron.optim.gradient import _loss_kernel
        from skperceptron.optim.kernels._network import describe

        loss = _loss_kernel.Loss(
            output=_loss_kernel.OUTPUT_CODES[self.out_activation],
            kind=_loss_kernel.LOSS_CODES[self.name],
            parameter=float(self.parameter or 0),
            alpha=float(self.alpha),
        )
        return tuple(describe(self.layers)), tuple(loss)

    def workspace(
        self, batch_size: int, dtype: Any, *, dropout: bool = False
    ) -> tuple[Any, ...]:
        """Allocate memory for mini-batches; see the kernels' `Workspace`."""
        from skperceptron.optim.gradient._backpropagation_kernel import Workspace

        *hidden, n_outputs = self.layers.units[1:]
        n_hidden = batch_size * sum(hidden)
        n_units = n_hidden + batch_size * n_outputs
        work = Workspace(
            batch_size=batch_size,
            sums=np.empty(n_units, dtype),
            outputs=np.empty(n_hidden, dtype),
            deltas=np.empty(n_units, dtype),
            dropped=np.empty(n_hidden if dropout else 0, dtype),
        )
        return tuple(work)


def rows_per_chunk(X: Any, batch_size: int, n_masked: int = 0) -> int:
    """Choose how many samples to copy at a time: a multiple of the batch size."""
    n_features = X.shape[1]
    if issparse(X):
        n_features = 2 * X.nnz // max(X.shape[0], 1) + 1
    row_bytes = X.dtype.itemsize * (n_features + n_masked)
    return batch_size * max(1, _CHUNK_BYTES // (batch_size * row_bytes))


def as_samples(
    X: Any,
    y: NDArray,
    sample_weight: Array | None,
    dtype: Any,
    masks: Array | None = None,
) -> tuple[Any, ...]:
    """Bring samples into the form that compiled code wants.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples.

    y : ndarray of bool or float of shape (n_samples, n_outputs)
        Targets.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    dtype : dtype
        Precision of the computation.

    masks : ndarray of shape (n_samples, n_hidden) or None, default=None
        What the outputs of the hidden units are multiplied with.

    Returns
    -------
    tuple, see `skperceptron.optim.gradient._backpropagation_kernel.Samples`
    """
    from skperceptron.optim.gradient._backpropagation_kernel import Samples

    none, dense, indices = _empty(dtype)
    data, masked, indptr = none, dense, indices
    if issparse(X):
        data = np.asarray(X.data, dtype)
        indices, indptr = X.indices.astype(np.intp), X.indptr.astype(np.intp)
    else:
        dense = np.ascontiguousarray(X, dtype)
    weight = none if sample_weight is None else np.asarray(sample_weight, dtype)
    samples = Samples(
        dense=read_only(dense),
        data=read_only(data),
        indices=indices,
        indptr=indptr,
        targets=read_only(np.ascontiguousarray(y, target_type(y, dtype))),
        weight=read_only(weight),
        masks=masked if masks is None else masks,
    )
    return tuple(samples)


def target_type(y: NDArray, dtype: Any) -> Any:
    """Choose the dtype of targets in a computation that is done in `dtype`."""
    return bool if y.dtype == bool else dtype


@cache
def _empty(dtype: Any) -> tuple[Array, Array, NDArray[np.intp]]:
    """Allocate what stands for numbers, rows and places that are not there."""
    return np.empty(0, dtype), np.empty((0, 0), dtype), np.empty(0, np.intp)
