"""How the networks of several climbs become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers

Array = NDArray[np.floating]


def widen(layers: Layers, n: int) -> Layers:
    """Describe a network that has the hidden units of several.

    Parameters
    ----------
    layers : Layers
        Each of the networks.

    n : int
        How many there are.

    Returns
    -------
    Layers
        Its hidden layers are `n` times as wide.
    """
    n_inputs, *hidden, n_outputs = layers.units
    return replace(layers, units=(n_inputs, *(n * size for size in hidden), n_outputs))


def side_by_side(layers: Layers, networks: Sequence[Array]) -> Array:
    """Make the network whose output sums are the means of those of several.

    The hidden layers stand side by side; no unit of one network is connected with a
    unit of another one. Without hidden layers this is the mean of the parameters.

    Parameters
    ----------
    layers : Layers
        Each of the networks.

    networks : sequence of ndarray of shape (n_params,)
        Their parameters.

    Returns
    -------
    ndarray of shape (n_combined_params,)
        Parameters of ``widen(layers, len(networks))``.
    """
    n = len(networks)
    wide = widen(layers, n)
    combined = np.zeros(wide.n_params, networks[0].dtype)
    coefs, intercepts = wide.unpack(combined)
    last = len(coefs) - 1
    for i, params in enumerate(networks):
        parts = zip(*layers.unpack(params), strict=True)
        for layer, (coef, intercept) in enumerate(parts):
            rows = slice(None) if layer == 0 else _block(i, coef.shape[0])
            if layer < last:
                columns = _block(i, coef.shape[1])
                coefs[layer][rows, columns] = coef
                intercepts[layer][columns] = intercept
            else:
                # Divided before they are added, lest large ones overflow.
                coefs[layer][rows] += coef / n
                intercepts[layer] += intercept / n
    return combined


def _block(i: int, size: int) -> slice:
    return slice(i * size, (i + 1) * size)


def mean_direction(networks: Sequence[Array]) -> Array:
    """Compute the mean of vectors that are scaled to unit length.

    How long the parameters of a threshold unit are has no influence on what it decides.

    Parameters
    ----------
    networks : sequence of ndarray of shape (n_params,)
        The vectors. One of zeros stays as it is.

    Returns
    -------
    ndarray of shape (n_params,)
        Their mean.
    """
    mean = np.zeros_like(networks[0])
    for params in networks:
        mean += _to_unit_length(params) / len(networks)
    return mean


def _to_unit_length(params: Array) -> Array:
    largest = np.abs(params).max()
    if largest == 0:
        return params
    scaled = params / largest  # whose squares neither overflow nor vanish
    return scaled / np.linalg.norm(scaled)
