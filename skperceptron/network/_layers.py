"""The shape of a network and the place of each weight in a flat vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from skperceptron.network._custom_activation import ActivationLike

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Layers:
    """Description of a fully connected network.

    All parameters live in one flat vector: first the weight matrices, layer by layer
    and row by row, then the biases, layer by layer.

    Attributes
    ----------
    units : tuple of int
        Number of units per layer, inputs and outputs included.

    activations : tuple of str or callable
        Activation of each hidden layer, ``len(units) - 2`` names or functions.
    """

    units: tuple[int, ...]
    activations: tuple[ActivationLike, ...] = ()

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shape (fan_in, fan_out) of every weight matrix."""
        return list(pairwise(self.units))

    @property
    def n_coefs(self) -> int:
        """Number of weights, biases not counted."""
        return sum(fan_in * fan_out for fan_in, fan_out in self.shapes)

    @property
    def n_params(self) -> int:
        """Length of the flat vector."""
        return self.n_coefs + sum(self.units[1:])

    @property
    def n_units(self) -> int:
        """Number of units, inputs not counted."""
        return sum(self.units[1:])

    def unpack(self, params: NDArray) -> tuple[list[NDArray], list[NDArray]]:
        """View a flat vector as weight matrices and bias vectors.

        Parameters
        ----------
        params : ndarray of shape (n_params,)

        Returns
        -------
        coefs : list of ndarray of shape (fan_in, fan_out)
        intercepts : list of ndarray of shape (fan_out,)
            Views: writing to them writes to `params`.
        """
        coefs, intercepts = [], []
        start = 0
        for fan_in, fan_out in self.shapes:
            stop = start + fan_in * fan_out
            coefs.append(params[start:stop].reshape(fan_in, fan_out))
            start = stop
        for fan_out in self.units[1:]:
            intercepts.append(params[start : start + fan_out])
            start += fan_out
        return coefs, intercepts

    def pack(self, coefs: Sequence[NDArray], intercepts: Sequence[NDArray]) -> Array:
        """Copy weight matrices and bias vectors into one flat vector.

        Parameters
        ----------
        coefs : sequence of ndarray of shape (fan_in, fan_out)
        intercepts : sequence of ndarray of shape (fan_out,)

        Returns
        -------
        ndarray of shape (n_params,)
        """
        return np.concatenate([np.ravel(part) for part in (*coefs, *intercepts)])

    def norms(self, params: NDArray) -> Array:
        """Compute the Euclidean norm of each layer's weights and biases together.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            Parameters, or a gradient.

        Returns
        -------
        ndarray of shape (n_layers,)
        """
        pairs = zip(*self.unpack(params), strict=True)
        return np.sqrt([np.sum(w * w) + np.sum(b * b) for w, b in pairs])

    def unit_groups(self) -> list[NDArray[np.intp]]:
        """List, for every unit, the positions of the parameters that touch it.

        A hidden unit owns the weights into it, its bias and the weights out of it; an
        output unit the weights into it and its bias.

        Returns
        -------
        list of ndarray of int
            One array of positions per unit, first the hidden layers, then the output.
        """
        coefs, intercepts = self.unpack(np.arange(self.n_params))
        groups = []
        for layer, n_units in enumerate(self.units[1:]):
            outgoing = coefs[layer + 1] if layer + 1 < len(coefs) else None
            for unit in range(n_units):
                parts = [coefs[layer][:, unit], intercepts[layer][unit : unit + 1]]
                if outgoing is not None:
                    parts.append(outgoing[unit])
                groups.append(np.concatenate(parts))
        return groups
