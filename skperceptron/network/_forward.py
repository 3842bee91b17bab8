"""The forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network._activations import ACTIVATIONS

Array = NDArray[np.floating]

# The sums of a layer for a chunk of samples: small enough for the processor's cache.
_CHUNK_BYTES = 2**19


def forward(
    X: Any,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[str],
) -> Array:
    """Compute the sums of the output units.

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

    Returns
    -------
    z : ndarray of shape (n_samples, n_outputs)
        Before any output activation.
    """
    widest = max(coef.shape[1] for coef in coefs)
    size = max(_CHUNK_BYTES // (widest * coefs[0].itemsize), 1)
    if X.shape[0] <= size:
        return _forward(X, coefs, intercepts, activations)
    parts = [
        _forward(X[start : start + size], coefs, intercepts, activations)
        for start in range(0, X.shape[0], size)
    ]
    return np.concatenate(parts)


def _forward(
    X: Any,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[str],
) -> Array:
    a = X
    for coef, intercept, name in zip(coefs, intercepts, activations, strict=False):
        a = ACTIVATIONS[name].function(_sums(a, coef, intercept))
    return _sums(a, coefs[-1], intercepts[-1])


def _sums(a: Any, coef: Array, intercept: Array) -> Array:
    z = a @ coef
    z += intercept
    return z
