"""Random start weights."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import DTypeLike, NDArray

from skperceptron.network._custom_activation import ActivationLike
from skperceptron.network._layers import Layers

Rng = np.random.RandomState | np.random.Generator
Start = tuple[NDArray, NDArray]

# Bias that the "normal" start gives to every unit.
NORMAL_BIAS = 0.01


def _unit_interval(
    rng: Rng, fan_in: int, fan_out: int, activation: ActivationLike
) -> Start:
    return rng.uniform(size=(fan_in, fan_out)), rng.uniform(size=fan_out)


def _standard_normal(
    rng: Rng, fan_in: int, fan_out: int, activation: ActivationLike
) -> Start:
    return rng.normal(size=(fan_in, fan_out)), np.full(fan_out, NORMAL_BIAS)


def _mlp_classifier(
    rng: Rng, fan_in: int, fan_out: int, activation: ActivationLike
) -> Start:
    # scikit-learn's MLPClassifier draws the biases from the same interval, and in this
    # order; drawing alike is what makes its weights and ours agree.
    bound = sqrt((2.0 if activation == "logistic" else 6.0) / (fan_in + fan_out))
    return rng.uniform(-bound, bound, (fan_in, fan_out)), rng.uniform(
        -bound, bound, fan_out
    )


def _glorot_uniform(
    rng: Rng, fan_in: int, fan_out: int, activation: ActivationLike
) -> Start:
    bound = sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, (fan_in, fan_out)), np.zeros(fan_out)


def _glorot_normal(
    rng: Rng, fan_in: int, fan_out: int, activation: ActivationLike
) -> Start:
    scale = sqrt(2.0 / (fan_in + fan_out))
    return rng.normal(scale=scale, size=(fan_in, fan_out)), np.zeros(fan_out)


def _he_uniform(
    rng: Rng, fan_in: int, fan_out: int, activation: ActivationLike
) -> Start:
    bound = sqrt(6.0 / fan_in)
    return rng.uniform(-bound, bound, (fan_in, fan_out)), np.zeros(fan_out)


def _he_normal(
    rng: Rng, fan_in: int, fan_out: int, activation: ActivationLike
) -> Start:
    scale = sqrt(2.0 / fan_in)
    return rng.normal(scale=scale, size=(fan_in, fan_out)), np.zeros(fan_out)


# Glorot and Bengio (2010), He, Zhang, Ren and Sun (2015); "auto" is MLPClassifier's.
INITIALIZATIONS: dict[str, Callable[[Rng, int, int, ActivationLike], Start]] = {
    "auto": _mlp_classifier,
    "uniform": _unit_interval,
    "normal": _standard_normal,
    "glorot": _glorot_uniform,
    "glorot_uniform": _glorot_uniform,
    "glorot_normal": _glorot_normal,
    "he_uniform": _he_uniform,
    "he_normal": _he_normal,
}


def initialize(
    layers: Layers,
    init: str,
    rng: Rng,
    dtype: DTypeLike,
    output_activation: str = "identity",
) -> NDArray:
    """Draw start weights, layer by layer, each layer's weights before its biases.

    Parameters
    ----------
    layers : Layers
        The network.

    init : str
        A key of `INITIALIZATIONS`.

    rng : numpy.random.RandomState or numpy.random.Generator
        Source of the random numbers.

    dtype : dtype
        Type of the result, float32 or float64.

    output_activation : str, default="identity"
        Activation by which "auto" scales the output layer when no hidden layer
        precedes it.

    Returns
    -------
    params : ndarray of shape (n_params,)
    """
    # MLPClassifier scales every layer by the hidden activation, the output's too.
    last = layers.activations[-1] if layers.activations else output_activation
    activations = (*layers.activations, last)
    starts = [
        INITIALIZATIONS[init](rng, fan_in, fan_out, activation)
        for (fan_in, fan_out), activation in zip(
            layers.shapes, activations, strict=True
        )
    ]
    coefs, intercepts = zip(*starts, strict=True)
    return layers.pack(coefs, intercepts).astype(dtype, copy=False)
