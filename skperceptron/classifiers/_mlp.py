"""What the multilayer perceptrons share."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.utils._param_validation import Interval

from skperceptron._functions import text_of
from skperceptron._names import did_you_mean
from skperceptron.classifiers._base import BaseNetwork
from skperceptron.network import ActivationLike, Layers

Array = NDArray[np.floating]


class BaseMLP(BaseNetwork):
    """Layers and weights of a multilayer perceptron."""

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseNetwork._parameter_constraints,
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
    }

    # Names that `activation` may have, and whether functions are allowed beside them; a
    # subclass sets them.
    _activation_names: tuple[str, ...]
    _takes_functions = False

    def _check_layers(
        self, n_features: int, n_outputs: int, *, present: Layers | None
    ) -> Layers:
        """Describe the network that the parameters ask for.

        `present` is the one that is to be trained further, if any.
        """
        sizes = self.hidden_layer_sizes
        sizes = [sizes] if np.ndim(sizes) == 0 else list(sizes)
        if any(not isinstance(size, Integral) or size <= 0 for size in sizes):
            raise ValueError(
                "hidden_layer_sizes must be > 0, got "
                f"{sizes}. Give the number of units of each hidden layer as integers."
            )
        layers = Layers(
            units=(n_features, *(int(size) for size in sizes), n_outputs),
            activations=self._check_activations(len(sizes)),
        )
        if present not in (None, layers):
            raise ValueError(
                "Training can only be continued with the network it began with, "
                f"{present}, but the parameters now describe {layers}. Call fit "
                "with warm_start=False to start over."
            )
        return layers

    def _check_activations(self, n_hidden: int) -> tuple[ActivationLike, ...]:
        given = self.activation
        is_one = isinstance(given, str) or callable(given)
        given = (given,) * n_hidden if is_one else tuple(given)
        names = self._activation_names
        takes = callable if self._takes_functions else lambda _: False
        # Not by `in`: what is no name may be an array.
        unknown = [
            a for a in given if not takes(a) and not (isinstance(a, str) and a in names)
        ]
        if unknown:
            raise ValueError(
                f"activation has unknown names {text_of(unknown)}; allowed are "
                f"{sorted(names)}"
                f"{', and functions of an array' if self._takes_functions else ''}."
                f"{did_you_mean(unknown[0], names)}{self._no_gradient(unknown[0])}"
            )
        if len(given) != n_hidden:
            noun = "names or functions" if any(map(callable, given)) else "names"
            raise ValueError(
                "activation must be one name or one per hidden layer, got "
                f"{len(given)} {noun} for {n_hidden} hidden layers."
            )
        return given

    def _no_gradient(self, activation: Any) -> str:
        """Say who takes what has no derivative here."""
        if not callable(activation):
            return ""
        climber = "HillClimbMLPRegressor" if is_regressor(self) else "HillClimbMLP"
        return (
            " Gradients need the derivative of an activation, which a function comes "
            f"without: use {climber}, which needs no gradients, for functions."
        )

    def _meant_instead(self, message: str) -> str:
        if message.startswith("The 'activation' parameter of "):
            return super()._meant_instead(message) + self._no_gradient(self.activation)
        return super()._meant_instead(message)

    def _get_weights(self) -> tuple[Sequence[Array], Sequence[Array]]:
        return self.coefs_, self.intercepts_

    def _set_weights(self, layers: Layers, params: Array) -> None:
        self._layers = layers
        self.n_layers_ = len(layers.units)
        self.coefs_, self.intercepts_ = layers.unpack(params)
