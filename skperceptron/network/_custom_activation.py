"""Activations that are functions of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network._activations import ACTIVATIONS

Array = NDArray[np.floating]
ActivationLike = str | Callable[[Array], Array]

_CONTRACT = (
    "A function as activation gets an array of the sums of units, and must return an "
    "array of floats of the same shape."
)


def activate(activation: ActivationLike, z: Array) -> Array:
    """Compute the outputs of units.

    Parameters
    ----------
    activation : str or callable
        Name of an activation, or a function of the user's own.

    z : ndarray of float32 or float64
        Sums of the units. The function may overwrite them.

    Returns
    -------
    ndarray
        Outputs, of the shape and dtype of `z`.

    Raises
    ------
    ValueError
        When a function raises an error, or returns anything but an array of floats of
        the shape of `z`.
    """
    if isinstance(activation, str):
        return ACTIVATIONS[activation].function(z)
    shape, dtype = z.shape, z.dtype
    # What overflows on the way need not matter: 1 / (1 + exp(-z)) is right at -1000.
    with np.errstate(all="ignore"):
        try:
            outputs = activation(z)
        except Exception as error:
            raise ValueError(
                f"activation={activation!r} cannot be evaluated for {dtype} "
                f"sums of shape {shape}: {type(error).__name__}: {error}. {_CONTRACT}"
            ) from error
        if fault := _fault(outputs, shape):
            raise ValueError(
                f"activation={activation!r} returned {fault}, for {dtype} sums "
                f"of shape {shape}. {_CONTRACT}"
            )
        return np.asarray(outputs).astype(dtype, copy=False)


def _fault(outputs: Any, shape: tuple[int, ...]) -> str:
    """Say what is wrong with the outputs, if anything."""
    if not isinstance(outputs, np.ndarray):
        kind = "the scalar " if np.isscalar(outputs) else ""
        return f"{kind}{outputs!r:.50} of type {type(outputs).__name__}, not an array"
    if outputs.shape != shape:
        return f"an array of shape {outputs.shape}"
    if outputs.dtype.kind != "f":
        hint = ""
        if outputs.dtype.kind in "biu":
            hint = " (add .astype(z.dtype), where z is its argument)"
        return f"an array of dtype {outputs.dtype}{hint}"
    return ""
