"""Mini-batch training of one net by us, scikit-learn, PyTorch and JAX.

Each trainer takes a `Job` and returns a function that does the whole fit, from NumPy
arrays to trained weights, and returns the mean loss of every epoch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import pairwise

import numpy as np
from sklearn.neural_network import MLPClassifier

# One core for JAX, read when it starts. The flags alone do not do it: without NPROC it
# trains a big net on two.
os.environ.setdefault("NPROC", "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

ALPHA, RATE, MOMENTUM = 1e-4, 1e-3, 0.9
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Job:
    """A net, its data and how it is trained.

    Attributes
    ----------
    name : str
        What the table calls the net.

    X, y : ndarray
        Samples and their classes, counted from 0. The precision is that of `X`.

    hidden : tuple of int
        Sizes of the hidden layers, which are relu.

    batch_size, n_epochs : int
        The last batch of an epoch may be smaller.

    solver : {"sgd", "adam"}
        With the defaults of MLPClassifier: Nesterov's momentum for "sgd".
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    hidden: tuple[int, ...]
    batch_size: int
    solver: str
    n_epochs: int = 50

    def __str__(self) -> str:
        return f"{self.name}, batch {self.batch_size}, {self.solver}"

    @property
    def sizes(self) -> list[int]:
        """Sizes of all layers, with one output for two classes."""
        n_classes = int(self.y.max()) + 1
        return [self.X.shape[1], *self.hidden, 1 if n_classes == 2 else n_classes]


Fit = Callable[[], list[float]]


def sklearn_trainer(estimator: type, job: Job) -> Fit:
    """Train with MLPClassifier, or a class that takes the same parameters."""
    classifier = estimator(
        hidden_layer_sizes=job.hidden,
        batch_size=job.batch_size,
        solver=job.solver,
        max_iter=job.n_epochs,
        alpha=ALPHA,
        learning_rate_init=RATE,
        momentum=MOMENTUM,
        tol=0,
        n_iter_no_change=10_000,
        random_state=0,
    )

    def fit():
        classifier.fit(job.X, job.y)
        if classifier.n_iter_ != job.n_epochs:
            raise AssertionError(f"{classifier.n_iter_} epochs, not {job.n_epochs}")
        return classifier.loss_curve_

    return fit


# PyTorch, eager


def torch_trainer(job: Job) -> Fit:
    """Train step by step; the fused optimisers are PyTorch's fastest here."""
    import torch

    torch.set_num_threads(1)
    one_output = job.sizes[-1] == 1
    loss_of = (
        torch.nn.BCEWithLogitsLoss() if one_output else torch.nn.CrossEntropyLoss()
    )

    def fit():
        X = torch.from_numpy(job.X)
        y = torch.from_numpy(job.y[:, np.newaxis].astype(job.X.dtype))
        if not one_output:
            y = torch.from_numpy(job.y)
        net = torch_net(job.sizes, X.dtype)
        optimizer = torch_optimizer(job, net.parameters())
        return [
            torch_epoch(X, y, job.batch_size, net, loss_of, optimizer)
            for _ in range(job.n_epochs)
        ]

    return fit


def torch_net(sizes, dtype):
    from torch import nn

    layers = []
    for n_inputs, n_units in pairwise(sizes):
        layers += [nn.Linear(n_inputs, n_units, dtype=dtype), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def torch_optimizer(job, params):
    from torch import optim

    options = {"lr": RATE, "weight_decay": ALPHA / job.batch_size, "fused": True}
    if job.solver == "sgd":
        return optim.SGD(params, momentum=MOMENTUM, nesterov=True, **options)
    return optim.Adam(params, betas=(BETA_1, BETA_2), eps=EPSILON, **options)


def torch_epoch(X, y, batch_size, net, loss_of, optimizer):
    import torch

    losses = []
    for batch in torch.randperm(len(X)).split(batch_size):
        optimizer.zero_grad()
        loss = loss_of(net(X[batch]), y[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


# JAX, an epoch at a time


def jax_trainer(job: Job) -> Fit:
    """Train with one compiled scan per epoch; the first fit compiles it."""
    import jax

    jax.config.update("jax_enable_x64", True)
    epoch = jax.jit(partial(jax_epoch, job.solver, job.batch_size), donate_argnums=0)
    one_output = job.sizes[-1] == 1
    targets = job.y[:, np.newaxis] == (1 if one_output else np.arange(job.sizes[-1]))

    def fit():
        rng = np.random.default_rng(0)
        X = jax.numpy.asarray(job.X)
        y = jax.numpy.asarray(targets, dtype=X.dtype)
        state = jax_start(job, rng)
        losses = []
        for _ in range(job.n_epochs):
            state, loss = epoch(state, X, y, rng.permutation(len(X)))
            losses.append(loss)
        jax.block_until_ready(state)
        return [float(loss) for loss in losses]

    return fit


def jax_start(job, rng):
    """Draw weights; let the optimiser's moments start at 0."""
    import jax

    weights = []
    for n_inputs, n_units in pairwise(job.sizes):
        limit = np.sqrt(6 / (n_inputs + n_units))
        W = rng.uniform(-limit, limit, (n_inputs, n_units)).astype(job.X.dtype)
        weights.append((W, np.zeros(n_units, job.X.dtype)))
    n_moments = {"sgd": 1, "adam": 2}[job.solver]
    moments = [jax.tree.map(np.zeros_like, weights) for _ in range(n_moments)]
    return jax.device_put((weights, moments, np.zeros((), job.X.dtype)))


def jax_epoch(solver, batch_size, state, X, y, order):
    from jax import lax, value_and_grad

    def step(state, batch):
        loss, gradient = value_and_grad(jax_loss)(state[0], *batch)
        return update(*state, gradient), loss

    update = {"sgd": jax_sgd, "adam": jax_adam}[solver]
    n_batches, n_left = divmod(len(X), batch_size)
    X, y = X[order], y[order]
    whole = [
        a[: n_batches * batch_size].reshape(n_batches, batch_size, -1) for a in (X, y)
    ]
    state, losses = lax.scan(step, state, whole)
    if n_left:
        state, _ = step(state, (X[-n_left:], y[-n_left:]))
    return state, losses.mean()


def jax_loss(weights, X, y):
    """Cross entropy and L2 penalty per sample."""
    import jax

    *hidden, (W_out, b_out) = weights
    A = X
    for W, b in hidden:
        A = jax.nn.relu(A @ W + b)
    Z = A @ W_out + b_out
    if y.shape[1] == 1:
        entropy = jax.nn.softplus(Z) - y * Z
    else:
        entropy = -y * jax.nn.log_softmax(Z)
    penalty = ALPHA / 2 * sum((W**2).sum() for W, _ in weights)
    return (entropy.sum() + penalty) / len(X)


def jax_sgd(weights, moments, t, gradient):
    import jax

    (velocity,) = moments
    velocity = jax.tree.map(lambda v, g: MOMENTUM * v - RATE * g, velocity, gradient)
    weights = jax.tree.map(
        lambda w, v, g: w + MOMENTUM * v - RATE * g, weights, velocity, gradient
    )
    return weights, [velocity], t + 1


def jax_adam(weights, moments, t, gradient):
    import jax

    t = t + 1
    rate = RATE * jax.numpy.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    first, second = moments
    first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, first, gradient)
    second = jax.tree.map(
        lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, second, gradient
    )
    weights = jax.tree.map(
        lambda w, m, v: w - rate * m / (jax.numpy.sqrt(v) + EPSILON),
        weights,
        first,
        second,
    )
    return weights, [first, second], t


def find_trainers() -> dict[str, Callable[[Job], Fit]]:
    """Return the peers' trainers by name, those which can be imported."""
    trainers = {"MLPClassifier": partial(sklearn_trainer, MLPClassifier)}
    for module, name, trainer in (
        ("torch", "PyTorch", torch_trainer),
        ("jax", "JAX", jax_trainer),
    ):
        try:
            import_module(module)
        except ImportError:
            print(f"{name} cannot be imported: its rows are left out")
        else:
            trainers[name] = trainer
    return trainers
