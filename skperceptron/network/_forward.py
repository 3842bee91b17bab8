"""The forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network._activations import ACTIVATIONS

Array = NDArray[np.floating]

# The sums of a layer for a chunk of samples: small enough for the processor's cache.
_CHUNK_BYTES = 2**18


def forward(
    X: Any,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[str],
    output: Callable[[Array], Array] | None = None,
) -> Array:
    """Compute the sums of the output units, or what becomes of them.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples.

    coefs : sequence of ndarray of shape (fan_in, fan_out)
        Weights of every layer.

    intercepts : sequence of ndarray of shape (fan_out,)
        Biases of every layer.

    activations : sequence of str
        Activation of every hidden layer.

    output : callable or None, default=None
        Output activation; None leaves the sums as they are.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)
    """
    widest = max(coef.shape[1] for coef in coefs)
    size = max(_CHUNK_BYTES // (widest * coefs[0].itemsize), 1)
    result = np.empty(
        (X.shape[0], coefs[-1].shape[1]), np.result_type(X.dtype, coefs[0].dtype)
    )
    for start in range(0, X.shape[0], size):
        rows = slice(start, start + size)
        a = X[rows]
        for coef, intercept, name in zip(coefs, intercepts, activations, strict=False):
            a = ACTIVATIONS[name].function(_sums(a, coef, intercept))
        z = _sums(a, coefs[-1], intercepts[-1])
        result[rows] = z if output is None else output(z)
    return result


def _sums(a: Any, coef: Array, intercept: Array) -> Array:
    z = a @ coef
    z += intercept
    return z
