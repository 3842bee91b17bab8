"""Update rules of the solvers, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from skperceptron.optim.kernels._compile import COMPILE, VECTORIZE_PRIVATE

# Codes under which the kernels know the rules.
SGD, NESTEROV, ADAM, RMSPROP = range(4)


@njit(**COMPILE)
def update(rule, numbers, moments, params, gradient, n_coefs):
    """Move the parameters by one step.

    Parameters
    ----------
    rule : int
        `SGD` (with momentum), `NESTEROV` (the same, looking ahead), `ADAM` or
        `RMSPROP`.

    numbers : ndarray of shape (6,)
        Learning rate; momentum, or decay rate of the first moment; decay rate of the
        second moment; epsilon; weight decay; number of updates so far, which is
        increased.

    moments : tuple of 2 ndarrays of shape (n_params,) or (0,)
        What the rule remembers: the velocity, or the moments; updated.

    params, gradient : ndarray of shape (n_params,)
        Parameters, updated, and the gradient.

    n_coefs : int
        How many of the parameters, the first ones, decay.
    """
    first, second = moments
    cast = params.dtype.type
    rate, beta_1, beta_2, epsilon, decay, _ = numbers
    numbers[5] += 1
    if rule in (SGD, NESTEROV):
        _descend(
            params, gradient, first, cast(rate), cast(beta_1), cast(rule == NESTEROV)
        )
        return
    if decay > 0:
        _shrink(params, n_coefs, cast(1 - rate * decay))
    if rule == ADAM:
        rate *= math.sqrt(1 - beta_2 ** numbers[5]) / (1 - beta_1 ** numbers[5])
        _adapt(
            params,
            gradient,
            first,
            second,
            cast(rate),
            cast(beta_1),
            cast(1 - beta_1),
            cast(beta_2),
            cast(1 - beta_2),
            cast(epsilon),
        )
    else:
        _scale(
            params,
            gradient,
            second,
            cast(rate),
            cast(beta_2),
            cast(1 - beta_2),
            cast(epsilon),
        )


@njit(**VECTORIZE_PRIVATE)
def _descend(params, gradient, velocity, rate, momentum, looks_ahead):
    # Looking ahead adds momentum * velocity - step, not the velocity itself.
    for q in range(np.uint64(params.size)):
        step = rate * gradient[q]
        v = momentum * velocity[q] - step
        velocity[q] = v
        params[q] += v + looks_ahead * (momentum * v - step - v)


@njit(**VECTORIZE_PRIVATE)
def _shrink(params, n_coefs, factor):
    for q in range(np.uint64(n_coefs)):
        params[q] *= factor


@njit(**VECTORIZE_PRIVATE)
def _adapt(
    params, gradient, first, second, rate, beta_1, rest_1, beta_2, rest_2, epsilon
):
    for q in range(np.uint64(params.size)):
        g = gradient[q]
        m = beta_1 * first[q] + rest_1 * g
        v = beta_2 * second[q] + rest_2 * (g * g)
        first[q] = m
        second[q] = v
        params[q] -= rate * m / (np.sqrt(v) + epsilon)


@njit(**VECTORIZE_PRIVATE)
def _scale(params, gradient, second, rate, beta_2, rest_2, epsilon):
    for q in range(np.uint64(params.size)):
        g = gradient[q]
        v = beta_2 * second[q] + rest_2 * (g * g)
        second[q] = v
        params[q] -= rate * g / (np.sqrt(v) + epsilon)
