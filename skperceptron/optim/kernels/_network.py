"""Description of a network as arrays, and its forward pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers
from skperceptron.optim.kernels._compile import COMPILE, njit
from skperceptron.optim.kernels._elementwise import (
    ACTIVATION_CODES,
    activate,
    add_number,
)


class Network(NamedTuple):
    """The layers of a network, as compiled code wants to know them.

    All units behind the inputs are numbered layer by layer; where an array has one row
    per unit, this is its order.

    Attributes
    ----------
    units : ndarray of int of shape (n_layers + 1,)
        Units per layer, inputs included.

    codes : ndarray of int of shape (n_layers - 1,)
        Activations of the hidden layers.

    coef_start, bias_start : ndarray of int of shape (n_layers,)
        Where the weights and the biases of each layer begin among the parameters.

    row_start : ndarray of int of shape (n_layers,)
        The first unit of each layer.
    """

    units: NDArray[np.intp]
    codes: NDArray[np.intp]
    coef_start: NDArray[np.intp]
    bias_start: NDArray[np.intp]
    row_start: NDArray[np.intp]


def describe(layers: Layers) -> Network:
    """Describe layers for compiled code."""
    units = np.array(layers.units, dtype=np.intp)
    sizes = units[:-1] * units[1:]
    starts = np.cumsum([0, *units[1:-1]])
    return Network(
        units=units,
        codes=np.array([ACTIVATION_CODES[a] for a in layers.activations], np.intp),
        coef_start=np.cumsum([0, *sizes[:-1]]),
        bias_start=layers.n_coefs + starts,
        row_start=starts,
    )


class Groups(NamedTuple):
    """Parameters that move together.

    Attributes
    ----------
    start : ndarray of int of shape (n_groups + 1,)
        Where the positions of each group's parameters begin.

    position : ndarray of int of shape (n_positions,)
        Positions among the parameters.
    """

    start: NDArray[np.intp]
    position: NDArray[np.intp]


def describe_groups(groups: list[NDArray[np.intp]]) -> Groups:
    """Describe groups for compiled code."""
    return Groups(np.cumsum([0, *map(len, groups)]), np.concatenate(groups))


@njit(**COMPILE)
def propagate(network, first, params, sums, sums_at, outputs, outputs_at):
    """Compute everything behind the sums of one layer.

    Parameters
    ----------
    network : Network
    first : int
        The layer whose sums are given, 0 for the one behind the inputs.

    params : ndarray of shape (n_params,)
    sums, outputs : ndarray of shape (n_rows, n)
        Updated.

    sums_at, outputs_at : int
        The units of their first rows.
    """
    units, codes, coef_start, bias_start, row_start = network
    n_layers = units.size - 1
    for layer in range(first, n_layers - 1):
        begin, end = row_start[layer], row_start[layer + 1]
        # The rows of a layer lie one behind the other: one long row.
        z = sums[begin - sums_at : end - sums_at].reshape(1, -1)
        a = outputs[begin - outputs_at : end - outputs_at].reshape(1, -1)
        activate(codes[layer], z, 0, a, 0)
        n_in, n_out = end - begin, units[layer + 2]
        start = coef_start[layer + 1]
        weights = params[start : start + n_in * n_out].reshape(n_in, n_out).T.copy()
        np.dot(
            weights,
            outputs[begin - outputs_at : end - outputs_at],
            sums[end - sums_at : end - sums_at + n_out],
        )
        for k in range(n_out):
            bias = params[bias_start[layer + 1] + k]
            add_number(sums, end - sums_at + k, bias)


@njit(**COMPILE)
def forward(network, params, data, sums, outputs):
    """Compute the sums and outputs of all units.

    Parameters
    ----------
    network : Network
    params : ndarray of shape (n_params,)
    data : ndarray of shape (n_features + 1, n)
    sums, outputs : ndarray of shape (n_rows, n)
        Receive the result.
    """
    n_features, n_first = network.units[0], network.units[1]
    weights = np.empty((n_first, n_features + 1), params.dtype)
    for k in range(n_first):
        for f in range(n_features):
            weights[k, f] = params[f * n_first + k]
        weights[k, n_features] = params[network.bias_start[0] + k]
    np.dot(weights, data, sums[:n_first])
    propagate(network, 0, params, sums, 0, outputs, 0)
