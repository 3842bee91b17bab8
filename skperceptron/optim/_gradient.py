"""The loss of a network and its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import (
    ACTIVATIONS,
    OUTPUT_ACTIVATIONS,
    Layers,
    binary_log_loss,
    forward_trace,
    log_loss,
)

Array = NDArray[np.floating]

# The loss that belongs to each output activation. For both pairs the gradient with
# respect to the output sums is simply ``proba - y``.
LOSSES = {"logistic": binary_log_loss, "softmax": log_loss}


@dataclass(frozen=True)
class RegularizedLoss:
    """Cross-entropy plus an L2 penalty, as a function of the flat parameter vector.

    With batch weight W (the number of samples, or the sum of their weights) the value
    is ``cross_entropy + alpha / (2 W) * sum(coefs ** 2)``; biases are not penalised.

    Attributes
    ----------
    layers : Layers
        The network; all its activations need a derivative.

    out_activation : {"logistic", "softmax"}
        Output activation, which decides the cross-entropy's form.

    alpha : float
        Strength of the penalty, at least 0.
    """

    layers: Layers
    out_activation: str
    alpha: float

    def value_and_gradient(
        self, params: Array, X: Any, y: NDArray, sample_weight: Array | None = None
    ) -> tuple[float, Array]:
        """Backpropagation (Rumelhart, Hinton and Williams, 1986).

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            Where to evaluate.

        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Samples.

        y : ndarray of shape (n_samples, n_outputs)
            Targets, 0 or 1.

        sample_weight : ndarray of shape (n_samples,) or None, default=None
            Weights of the samples.

        Returns
        -------
        value : float
        gradient : ndarray of shape (n_params,)
        """
        coefs, intercepts = self.layers.unpack(params)
        activations = self.layers.activations
        sums, inputs = forward_trace(X, coefs, intercepts, activations)
        proba = OUTPUT_ACTIVATIONS[self.out_activation](sums[-1])
        total = X.shape[0] if sample_weight is None else sample_weight.sum()

        weights_only = params[: self.layers.n_coefs]
        value = LOSSES[self.out_activation](y, proba, sample_weight)
        value += 0.5 * self.alpha * float(weights_only @ weights_only) / total

        gradient = np.empty_like(params)
        coef_grads, intercept_grads = self.layers.unpack(gradient)
        delta = proba - y
        if sample_weight is not None:
            delta *= sample_weight[:, np.newaxis]
        for layer in reversed(range(len(coefs))):
            coef_grads[layer][...] = inputs[layer].T @ delta
            intercept_grads[layer][...] = delta.sum(axis=0)
            if layer > 0:
                slope = ACTIVATIONS[activations[layer - 1]].derivative
                assert slope is not None  # the classifier only accepts such names
                delta = delta @ coefs[layer].T
                delta *= slope(sums[layer - 1], inputs[layer])
        gradient[: self.layers.n_coefs] += self.alpha * weights_only
        gradient /= total
        return value, gradient
