"""The forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network._custom_activation import ActivationLike, activate

Array = NDArray[np.floating]

# The sums of a layer for a chunk of samples: small enough for the processor's cache.
_CHUNK_BYTES = 2**18


def forward(
    X: Any,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[ActivationLike],
    output: Callable[[Array], NDArray] | None = None,
) -> NDArray:
    """Compute the sums of the output units, or what becomes of them.

    It goes from one chunk of samples to the next: beside the result there are never
    the values of more than one.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples.

    coefs : sequence of ndarray of shape (fan_in, fan_out)
        Weights of every layer.

    intercepts : sequence of ndarray of shape (fan_out,)
        Biases of every layer.

    activations : sequence of str or callable
        Activation of every hidden layer, by its name or as a function.

    output : callable or None, default=None
        Makes something else of the sums of some samples, as an output activation does;
        None leaves them as they are.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs), or (n_samples, ...) as `output` has it
    """
    widest = max(coef.shape[1] for coef in coefs)
    size = max(_CHUNK_BYTES // (widest * coefs[0].itemsize), 1)
    result: NDArray = np.empty((0, coefs[-1].shape[1]))
    for start in range(0, X.shape[0], size):
        rows = slice(start, start + size)
        a = X[rows]
        for coef, intercept, act in zip(coefs, intercepts, activations, strict=False):
            a = activate(act, _sums(a, coef, intercept))
        z = _sums(a, coefs[-1], intercepts[-1])
        part = z if output is None else output(z)
        if start == 0:
            result = np.empty((X.shape[0], *part.shape[1:]), part.dtype)
        result[rows] = part
    return result


def _sums(a: Any, coef: Array, intercept: Array) -> Array:
    z = a @ coef
    z += intercept
    return z
