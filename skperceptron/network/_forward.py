"""The forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network._activations import ACTIVATIONS

Array = NDArray[np.floating]


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
    a = X
    for coef, intercept, name in zip(coefs, intercepts, activations, strict=False):
        a = ACTIVATIONS[name].function(_sums(a, coef, intercept))
    return _sums(a, coefs[-1], intercepts[-1])


def forward_trace(
    X: Any,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[str],
) -> tuple[list[Array], list[Any]]:
    """Like `forward`, but keep what backpropagation needs.

    Parameters
    ----------
    X, coefs, intercepts, activations
        As in `forward`.

    Returns
    -------
    sums : list of ndarray of shape (n_samples, fan_out)
        Sums of every layer, the output's last.

    inputs : list of ndarray of shape (n_samples, fan_in)
        What went into every layer: `X`, then the outputs of the hidden layers.
    """
    sums: list[Array] = []
    inputs = [X]
    for coef, intercept, name in zip(coefs, intercepts, activations, strict=False):
        sums.append(_sums(inputs[-1], coef, intercept))
        inputs.append(ACTIVATIONS[name].function(sums[-1]))
    sums.append(_sums(inputs[-1], coefs[-1], intercepts[-1]))
    return sums, inputs


def _sums(a: Any, coef: Array, intercept: Array) -> Array:
    z = a @ coef
    z += intercept
    return z
