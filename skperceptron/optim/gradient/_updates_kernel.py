"""Update rules of the solvers, compiled."""

from __future__ import annotations

import math

import numpy as np

from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._elementwise import reciprocal

# Codes under which the kernels know the rules.
SGD, NESTEROV, ADAM, RMSPROP = range(4)


@njit(**COMPILE)
def update(network, solver, penalty, share, params, gradient, squares):
    """Move the parameters by one step.

    Parameters
    ----------
    network : tuple, see `skperceptron.optim.kernels._network.Network`
    solver : tuple of int, ndarray of shape (6,), tuple of 2 ndarrays
        The rule: `SGD` (with momentum), `NESTEROV` (the same, looking ahead), `ADAM` or
        `RMSPROP`.
        Its numbers: learning rate; momentum, or decay rate of the first moment; decay
        rate of the second moment; epsilon; weight decay; number of updates so far,
        which is increased.
        What it remembers, of the size of the parameters or empty: the velocity, or the
        moments; updated.

    penalty : float
        The weights, but not the biases, times this are added to `gradient`.

    share : float
        The gradient is that sum times this.

    params : ndarray of shape (n_params,)
        Updated.

    gradient : ndarray of shape (n_params,)
        The gradient, but for the penalty.

    squares : ndarray of shape (n_layers + 1,)
        Receives the squared norm of each layer's gradient, and last that of all weights
        before the step, without the biases.
    """
    units, _, coef_start, bias_start, _ = network
    numbers, cast = solver[1], params.dtype.type
    numbers[5] += 1
    rate = numbers[0]
    if solver[0] == ADAM:
        n = numbers[5]
        rate *= math.sqrt(1 - numbers[2] ** n) / (1 - numbers[1] ** n)
    squares[-1] = 0
    for layer in range(units.size - 1):
        start, bias = coef_start[layer], bias_start[layer]
        bias_stop = bias + units[layer + 1]
        stop = start + units[layer] * units[layer + 1]
        if numbers[4] > 0:
            _shrink(params, start, stop, cast(1 - numbers[0] * numbers[4]))
        of_params, of_coefs = _move(
            solver, rate, params, gradient, start, stop, cast(penalty), cast(share)
        )
        _, of_biases = _move(
            solver, rate, params, gradient, bias, bias_stop, cast(0), cast(share)
        )
        squares[layer] = of_coefs + of_biases
        squares[-1] += of_params


@njit(**COMPILE_PRIVATE)
def _move(solver, rate, params, gradient, start, stop, penalty, share):
    rule, numbers, moments = solver
    first, second = moments
    cast = params.dtype.type
    _, beta_1, beta_2, epsilon, _, _ = numbers
    if rule == ADAM:
        return _adapt(
            params,
            gradient,
            start,
            stop,
            penalty,
            share,
            first,
            second,
            (cast(rate), cast(epsilon)),
            (cast(beta_1), cast(1 - beta_1), cast(beta_2), cast(1 - beta_2)),
        )
    if rule == RMSPROP:
        return _scale(
            params,
            gradient,
            start,
            stop,
            penalty,
            share,
            second,
            (cast(rate), cast(epsilon), cast(beta_2), cast(1 - beta_2)),
        )
    return _descend(
        params,
        gradient,
        start,
        stop,
        penalty,
        share,
        first,
        (cast(rate), cast(beta_1), cast(rule == NESTEROV)),
    )


@njit(**VECTORIZE_PRIVATE)
def _shrink(params, start, stop, factor):
    for q in range(np.uint64(start), np.uint64(stop)):
        params[q] *= factor


@njit(**VECTORIZE_SUM_PRIVATE)
def _descend(params, gradient, start, stop, penalty, share, velocity, numbers):
    rate, momentum, looks_ahead = numbers
    of_params, of_gradient = params.dtype.type(0), params.dtype.type(0)
    for q in range(np.uint64(start), np.uint64(stop)):
        w = params[q]
        g = (gradient[q] + penalty * w) * share
        step = rate * g
        v = momentum * velocity[q] - step
        velocity[q] = v
        # Looking ahead adds momentum * v - step, not v itself.
        params[q] = w + (v + looks_ahead * (momentum * v - step - v))
        of_params += w * w
        of_gradient += g * g
    return of_params, of_gradient


@njit(**VECTORIZE_SUM_PRIVATE)
def _adapt(params, gradient, start, stop, penalty, share, first, second, sizes, decays):
    rate, epsilon = sizes
    beta_1, rest_1, beta_2, rest_2 = decays
    of_params, of_gradient = params.dtype.type(0), params.dtype.type(0)
    for q in range(np.uint64(start), np.uint64(stop)):
        w = params[q]
        g = (gradient[q] + penalty * w) * share
        m = beta_1 * first[q] + rest_1 * g
        v = beta_2 * second[q] + rest_2 * (g * g)
        first[q] = m
        second[q] = v
        params[q] = w - rate * m * reciprocal(np.sqrt(v) + epsilon)
        of_params += w * w
        of_gradient += g * g
    return of_params, of_gradient


@njit(**VECTORIZE_SUM_PRIVATE)
def _scale(params, gradient, start, stop, penalty, share, second, numbers):
    rate, epsilon, beta_2, rest_2 = numbers
    of_params, of_gradient = params.dtype.type(0), params.dtype.type(0)
    for q in range(np.uint64(start), np.uint64(stop)):
        w = params[q]
        g = (gradient[q] + penalty * w) * share
        v = beta_2 * second[q] + rest_2 * (g * g)
        second[q] = v
        params[q] = w - rate * g * reciprocal(np.sqrt(v) + epsilon)
        of_params += w * w
        of_gradient += g * g
    return of_params, of_gradient


@njit(**COMPILE)
def finish_gradient(network, penalty, share, params, gradient, squares):
    """Complete a gradient without a step.

    Parameters are those of `update`; here `gradient` is updated.
    """
    units, _, coef_start, bias_start, _ = network
    cast = params.dtype.type
    squares[-1] = 0
    for layer in range(units.size - 1):
        start, bias = coef_start[layer], bias_start[layer]
        bias_stop = bias + units[layer + 1]
        stop = start + units[layer] * units[layer + 1]
        of_params, of_coefs = _finish(
            params, gradient, start, stop, cast(penalty), cast(share)
        )
        _, of_biases = _finish(params, gradient, bias, bias_stop, cast(0), cast(share))
        squares[layer] = of_coefs + of_biases
        squares[-1] += of_params


@njit(**VECTORIZE_SUM_PRIVATE)
def _finish(params, gradient, start, stop, penalty, share):
    of_params, of_gradient = params.dtype.type(0), params.dtype.type(0)
    for q in range(np.uint64(start), np.uint64(stop)):
        w = params[q]
        g = (gradient[q] + penalty * w) * share
        gradient[q] = g
        of_params += w * w
        of_gradient += g * g
    return of_params, of_gradient
