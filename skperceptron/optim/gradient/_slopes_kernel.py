"""Derivatives of the activations, compiled."""

from __future__ import annotations

import math

import numpy as np

from skperceptron.optim.kernels._compile import VECTORIZE, njit
from skperceptron.optim.kernels._elementwise import LEAKY_RELU_SLOPE, SQRT_HALF, exp

_DENSITY_AT_ZERO = 1 / math.sqrt(2 * math.pi)


@njit(**VECTORIZE)
def multiply_by_slope(code, z, a, delta):
    """Multiply by the derivative of an activation.

    Parameters
    ----------
    code : int
        A value of `ACTIVATION_CODES`, of a differentiable activation.

    z, a : ndarray of shape (1, n)
        Sums, which are not read for relu, and the outputs that belong to them.

    delta : ndarray of shape (1, n)
        What is multiplied.
    """
    n = np.uint64(z.size)
    cast = z.dtype.type
    zero, one = cast(0), cast(1)
    if code == 1:  # logistic
        for j in range(n):
            delta[0, j] *= a[0, j] * (one - a[0, j])
    elif code == 2:  # tanh
        for j in range(n):
            delta[0, j] *= one - a[0, j] * a[0, j]
    elif code == 3:  # relu
        for j in range(n):
            delta[0, j] = delta[0, j] if a[0, j] > zero else zero
    elif code == 4:  # leaky_relu
        slope = cast(LEAKY_RELU_SLOPE)
        for j in range(n):
            delta[0, j] *= one if z[0, j] > zero else slope
    elif code == 5:  # elu
        for j in range(n):
            delta[0, j] *= one if z[0, j] > zero else a[0, j] + one
    elif code == 6:  # softplus
        for j in range(n):
            delta[0, j] /= one + exp(-z[0, j])
    elif code == 7:  # silu
        for j in range(n):
            share = one / (one + exp(-z[0, j]))
            delta[0, j] *= share + a[0, j] * (one - share)
    elif code == 8:  # gelu
        for j in range(n):
            below = 0.5 * (1 + math.erf(z[0, j] * SQRT_HALF))
            density = _DENSITY_AT_ZERO * math.exp(-0.5 * z[0, j] * z[0, j])
            delta[0, j] *= cast(below + z[0, j] * density)
