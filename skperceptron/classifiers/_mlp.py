"""What the two multilayer perceptrons share."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from skperceptron._functions import text_of
from skperceptron._names import did_you_mean
from skperceptron.classifiers._base import BaseNetworkClassifier
from skperceptron.network import OUTPUT_ACTIVATIONS, ActivationLike, Layers

Array = NDArray[np.floating]


class BaseMLP(BaseNetworkClassifier):
    """Layers, weights and probabilities of a multilayer perceptron."""

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseNetworkClassifier._parameter_constraints,
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

    @staticmethod
    def _no_gradient(activation: Any) -> str:
        """Say who takes what has no derivative here."""
        if not callable(activation):
            return ""
        return (
            " Gradients need the derivative of an activation, which a function comes "
            "without: use HillClimbMLP, which needs no gradients, for functions."
        )

    def _meant_instead(self, message: str) -> str:
        if message.startswith("The 'activation' parameter of "):
            return super()._meant_instead(message) + self._no_gradient(self.activation)
        return super()._meant_instead(message)

    def _set_output(self, n_outputs: int, *, multilabel: bool) -> None:
        self.n_outputs_ = n_outputs
        softmax = n_outputs > 1 and not multilabel
        self.out_activation_ = "softmax" if softmax else "logistic"

    @property
    def _is_multilabel(self) -> bool:
        return self.out_activation_ == "logistic" and self.n_outputs_ > 1

    def _decide(self, z: Array) -> NDArray[np.intp]:
        if self.out_activation_ == "softmax":
            return z.argmax(axis=1)
        positive = (z > 0).astype(np.intp)
        if len(self.classes_) == 1:
            positive[:] = 0
        return positive[:, 0] if self.n_outputs_ == 1 else positive

    def _get_weights(self) -> tuple[Sequence[Array], Sequence[Array]]:
        return self.coefs_, self.intercepts_

    def _set_weights(self, layers: Layers, params: Array) -> None:
        self._layers = layers
        self.n_layers_ = len(layers.units)
        self.coefs_, self.intercepts_ = layers.unpack(params)

    def predict_proba(self, X: ArrayLike) -> Array:
        """Estimate class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probability of each class, in the order of ``classes_``.

        Raises
        ------
        NotFittedError
            When the classifier is not fitted.

        ValueError
            For samples that cannot be used, or that make the network overflow.
        """
        check_is_fitted(self)
        proba = self._outputs(X, OUTPUT_ACTIVATIONS[self.out_activation_])
        if len(self.classes_) == 1:
            return np.ones_like(proba)
        return np.hstack([1 - proba, proba]) if proba.shape[1] == 1 else proba

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Estimate the logarithms of the class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            ``log(predict_proba(X))``.

        Raises
        ------
        NotFittedError
            When the classifier is not fitted.

        ValueError
            For samples that cannot be used, or that make the network overflow.
        """
        proba = self.predict_proba(X)
        with np.errstate(divide="ignore"):  # a probability of 0 has the log -inf
            return np.log(proba, out=proba)
