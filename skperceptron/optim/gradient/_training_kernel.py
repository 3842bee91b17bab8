"""Mini-batch training, compiled."""

from __future__ import annotations

import math

import numpy as np

from skperceptron.optim.gradient._backpropagation_kernel import (
    Samples,
    Workspace,
    backpropagate,
)
from skperceptron.optim.gradient._loss_kernel import Loss
from skperceptron.optim.gradient._updates_kernel import finish_gradient, update
from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    njit,
)
from skperceptron.optim.kernels._without_refcount import without_refcount


@njit(**COMPILE)
def train_batches(
    network,
    loss,
    solver,
    params,
    samples,
    rows,
    batch,
    memory,
    max_grad_norm,
    work,
    gradient,
    norms,
):
    """Go once through samples, moving the parameters after every mini-batch.

    Parameters
    ----------
    network : tuple, see `skperceptron.optim.kernels._network.Network`
    loss : tuple, see `skperceptron.optim.gradient._loss_kernel.Loss`
    solver : tuple
        As in `update`.

    params : ndarray of shape (n_params,)
        Moved in place.

    samples : tuple, see `skperceptron.optim.gradient._backpropagation_kernel.Samples`
    rows : ndarray of int of shape (n,) or (0,)
        Which of the samples to take, in this order; empty: all as they stand. Only for
        dense samples without masks.

    batch : tuple, see `skperceptron.optim.gradient._backpropagation_kernel.Samples`
        Of the size of a mini-batch; the last one may be smaller.

    memory : tuple of 3 ndarrays
        What `batch` reads: inputs, targets and weights. Samples are brought together
        there.

    max_grad_norm : float
        The gradient is shortened to this length.

    work : tuple, see `skperceptron.optim.gradient._backpropagation_kernel.Workspace`
    gradient : ndarray of shape (n_params,)
        Memory for the gradient.

    norms : ndarray of shape (n_layers,)
        The norm of each layer's gradient, before it is shortened, times the number of
        samples is added for each mini-batch.

    Returns
    -------
    float
        Sum over the mini-batches of their losses times their numbers of samples.
    """
    network, work = without_refcount(network), without_refcount(Workspace(*work))
    samples, batch = (
        without_refcount(Samples(*samples)),
        without_refcount(Samples(*batch)),
    )
    params, gradient = without_refcount(params), without_refcount(gradient)
    memory, rows = without_refcount(memory), without_refcount(rows)
    alpha = Loss(*loss).alpha
    solver = without_refcount(solver)
    batch_size = work.batch_size
    n_samples = rows.size if rows.size else len(samples.targets)
    squares = np.empty(norms.size + 1)
    result = 0.0
    for begin in range(0, n_samples, batch_size):
        count = min(batch_size, n_samples - begin)
        at, current = begin, samples
        if rows.size:
            _gather(samples, rows, begin, count, memory)
            at, current = 0, batch
        total = float(count)
        if current.weight.size:
            total = float(current.weight[at : at + count].sum())
            if total == 0:  # there is nothing to learn from
                continue
        value = backpropagate(network, loss, params, current, at, count, work, gradient)
        if max_grad_norm < np.inf:
            finish_gradient(network, alpha, 1 / total, params, gradient, squares)
            _add_norms(squares, count, norms)
            norm = math.sqrt(squares[:-1].sum())
            if not norm < np.inf:  # too long for its length to be known
                return np.inf
            share = max_grad_norm / max(norm, max_grad_norm)
            update(network, solver, 0.0, share, params, gradient, squares)
        else:
            update(network, solver, alpha, 1 / total, params, gradient, squares)
            _add_norms(squares, count, norms)
        result += (value + 0.5 * alpha * squares[-1]) * count / total
    return result


@njit(**COMPILE_PRIVATE)
def _add_norms(squares, count, norms):
    for layer in range(norms.size):
        norms[layer] += math.sqrt(squares[layer]) * count


@njit(**VECTORIZE_PRIVATE)
def _gather(samples, rows, begin, count, memory):
    dense, targets, weight = samples.dense, samples.targets, samples.weight
    inputs, kept_targets, kept_weight = memory
    first = np.uint64(begin)
    for b in range(np.uint64(count)):
        row = np.uint64(rows[first + b])
        for f in range(np.uint64(dense.shape[1])):
            inputs[b, f] = dense[row, f]
        for k in range(np.uint64(targets.shape[1])):
            kept_targets[b, k] = targets[row, k]
        if weight.size:
            kept_weight[b] = weight[row]


@njit(**COMPILE)
def add_losses(network, loss, params, samples, batch_size, work, gradient):
    """Add up the losses of samples, without the penalty, and their gradients.

    Parameters
    ----------
    network, loss, params, samples, work
        As in `train_batches`.

    batch_size : int
        Samples that are looked at together.

    gradient : ndarray of shape (n_params,)
        The sum of the gradients is added to it.

    Returns
    -------
    float
        The sum of the losses.
    """
    network, work = without_refcount(network), without_refcount(Workspace(*work))
    samples = without_refcount(Samples(*samples))
    n_samples = len(samples.targets)
    part = np.empty_like(gradient)
    value = 0.0
    for begin in range(0, n_samples, batch_size):
        count = min(batch_size, n_samples - begin)
        value += backpropagate(network, loss, params, samples, begin, count, work, part)
        gradient += part
    return value
