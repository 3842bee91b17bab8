"""What makes a classifier of a multilayer perceptron: probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from skperceptron.classifiers._classifier import NetworkClassifierMixin
from skperceptron.network import OUTPUT_ACTIVATIONS

Array = NDArray[np.floating]


class MLPClassifierMixin(NetworkClassifierMixin):
    """Decisions and probabilities, for a subclass of `BaseMLP`."""

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
