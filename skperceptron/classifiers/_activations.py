"""Checks of activations that are functions of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers, activate, forward

Array = NDArray[np.floating]


def check_start(X: Any, layers: Layers, params: Array) -> None:
    """Refuse functions that are of no use with the start weights.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples.

    layers : Layers
        The network.

    params : ndarray of shape (n_params,)
        Its start weights.

    Raises
    ------
    ValueError
        When a function cannot be evaluated, returns something else than outputs, or NaN
        for a finite sum.
    """
    coefs, intercepts = layers.unpack(params)
    for i, activation in enumerate(layers.activations):
        if not isinstance(activation, str):
            before = (coefs[: i + 1], intercepts[: i + 1], layers.activations[:i])
            with np.errstate(over="ignore", invalid="ignore"):
                forward(X, *before, _refuse_nan(activation))


def _refuse_nan(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def check(z: Array) -> Array:
        outputs = activate(function, z.copy())
        where = np.isnan(outputs) & np.isfinite(z)
        if where.any():
            raise ValueError(
                f"activation={function!r} returned NaN for the sum "
                f"{z[where][0]:.6g}, which a unit has with the start weights. It must "
                "be defined for every finite number, the negative ones included."
            )
        return outputs[:, :0]  # which nobody needs

    return check
