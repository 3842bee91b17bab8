"""The activation functions, each with its derivative.

A derivative is written from the sums ``z`` that went into the function and the
outputs ``a`` that came out of it, whichever is cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit

Array = NDArray[np.floating]

LEAKY_RELU_SLOPE = 0.01  # Maas, Hannun and Ng (2013)
ELU_ALPHA = 1.0  # Clevert, Unterthiner and Hochreiter (2016)


@dataclass(frozen=True)
class Activation:
    """An activation function.

    Attributes
    ----------
    function : callable
        ``function(z)`` gives the outputs of units whose sums are `z`.

    derivative : callable or None
        ``derivative(z, a)`` gives the slope of the function at `z`, where ``a`` is
        ``function(z)``. None when the slope is zero almost everywhere, so that no
        gradient passes.
    """

    function: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array] | None


def _relu(z: Array) -> Array:
    return np.maximum(z, 0)


def _leaky_relu(z: Array) -> Array:
    return np.where(z > 0, z, LEAKY_RELU_SLOPE * z)


def _leaky_relu_derivative(z: Array, a: Array) -> Array:
    return np.where(z > 0, z.dtype.type(1), z.dtype.type(LEAKY_RELU_SLOPE))


def _elu(z: Array) -> Array:
    return np.where(z > 0, z, ELU_ALPHA * np.expm1(np.minimum(z, 0)))


def _elu_derivative(z: Array, a: Array) -> Array:
    return np.where(z > 0, z.dtype.type(1), a + ELU_ALPHA)


def _softplus(z: Array) -> Array:
    return np.logaddexp(0, z, dtype=z.dtype)


def _silu(z: Array) -> Array:
    return z * expit(z)


def _silu_derivative(z: Array, a: Array) -> Array:
    s = expit(z)
    return s + a * (1 - s)


def _normal_cdf(z: Array) -> Array:
    return 0.5 * (1 + erf(z * z.dtype.type(np.sqrt(0.5))))


def _gelu(z: Array) -> Array:
    return z * _normal_cdf(z)


def _gelu_derivative(z: Array, a: Array) -> Array:
    density = np.exp(-0.5 * z * z) * z.dtype.type(1 / np.sqrt(2 * np.pi))
    return _normal_cdf(z) + z * density


def _step(z: Array) -> Array:
    return (z >= 0).astype(z.dtype)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda z: z, lambda z, a: np.ones_like(z)),
    "logistic": Activation(expit, lambda z, a: a * (1 - a)),
    "tanh": Activation(np.tanh, lambda z, a: 1 - a * a),
    "relu": Activation(_relu, lambda z, a: (a > 0).astype(z.dtype)),
    "leaky_relu": Activation(_leaky_relu, _leaky_relu_derivative),
    "elu": Activation(_elu, _elu_derivative),
    "softplus": Activation(_softplus, lambda z, a: expit(z)),
    "silu": Activation(_silu, _silu_derivative),  # Elfwing, Uchibe and Doya (2018)
    "gelu": Activation(_gelu, _gelu_derivative),  # Hendrycks and Gimpel (2016)
    "step": Activation(_step, None),
    "sign": Activation(np.sign, None),
}

DIFFERENTIABLE = tuple(
    name for name, act in ACTIVATIONS.items() if act.derivative is not None
)


def softmax(z: Array) -> Array:
    """Turn sums into probabilities that add up to one in every row.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_outputs)
        Sums of the output units.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)
    """
    # Reductions of many short rows are slow, those of few long ones are not.
    p = np.array(z.T, order="C")
    # Shifting by the largest sum changes nothing and keeps exp from overflowing.
    p -= p.max(axis=0)
    np.exp(p, out=p)
    p /= p.sum(axis=0)
    return p.T


OUTPUT_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "logistic": expit,
    "softmax": softmax,
    "identity": lambda z: z,
    "exp": np.exp,
}
