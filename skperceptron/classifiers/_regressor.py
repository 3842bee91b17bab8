"""What makes a regressor of a network: numbers to be learned, and predicted."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skperceptron.classifiers._base import OVERFLOW
from skperceptron.classifiers._numbers import check_numbers, check_range
from skperceptron.classifiers._validation import validate
from skperceptron.network import OUTPUT_ACTIVATIONS
from skperceptron.tracking.recording._recorder import record_test_score

Array = NDArray[np.floating]

_NO_SCORE = (
    "R2 is not defined for these target values and weights: sample_weight must add up "
    "to a positive and finite number, and so must the squares of what y is off by."
)


class NetworkRegressorMixin(RegressorMixin):
    """Numbers as targets and predictions, for a subclass of `BaseMLP`."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples. float32 stays float32, anything else becomes float64.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values, real numbers.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, at least 0. With None, all weights are 1.

        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Samples that early stopping validates on, instead of a part of `X`. In a
            pipeline with ``transform_input=["X_val"]`` they are transformed as `X` is.

        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their target values.

        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights.

        Returns
        -------
        self : object
            The fitted regressor.

        Raises
        ------
        ValueError
            For data, targets, weights or parameters that cannot be used.
        """
        return self._fit(
            X,
            y,
            sample_weight,
            incremental=False,
            X_val=X_val,
            y_val=y_val,
            sample_weight_val=sample_weight_val,
        )

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train the network a little further.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values, of as many outputs as in the first call.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, at least 0. With None, all weights are 1.

        Returns
        -------
        self : object
            The fitted regressor.

        Raises
        ------
        ValueError
            For data, targets, weights or parameters that cannot be used.
        """
        self._check_incremental()
        return self._fit(X, y, sample_weight, incremental=True)

    # Targets

    def _validate(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[Any, Any]:
        check_numbers(y, self._counterpart)
        checked, values = validate(
            self, X, y, multi_output=True, y_numeric=True, reset=reset
        )
        values = values.toarray() if issparse(values) else values
        return checked, check_range(values, checked.dtype)

    def _encode(
        self,
        y_true: NDArray,
        *,
        fresh: bool,
        incremental: bool,
        is_part: bool = False,
    ) -> Array:
        return y_true

    # Prediction

    def predict(self, X: ArrayLike) -> Array:
        """Predict target values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted values.

        Raises
        ------
        NotFittedError
            When the regressor is not fitted.

        ValueError
            For samples that cannot be used, or that make the network overflow.
        """
        return self._outputs(X, self._decode)

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Compute the coefficient of determination, R2.

        The first score on data other than the training data becomes the metric
        ``test_score`` of the fit's MLflow run. Parts of the training data, and permuted
        copies of it, do not count.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True target values.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        float
            R2 of ``self.predict(X)``, at most 1, as
            :func:`sklearn.metrics.r2_score` computes it; that of several outputs is
            the mean of theirs. NaN for a single sample.

        Raises
        ------
        NotFittedError
            When the regressor is not fitted.

        ValueError
            For samples, target values or weights that cannot be used.
        """
        check_is_fitted(self)
        check_numbers(y, self._counterpart)
        if sample_weight is not None and not np.any(sample_weight):
            raise ValueError(_NO_SCORE)
        with np.errstate(over="ignore", invalid="ignore"):
            score = super().score(X, y, sample_weight=sample_weight)
        if math.isfinite(score):
            record_test_score(self, X, score)
        elif np.size(y) > self.n_outputs_:
            raise ValueError(_NO_SCORE)
        return score

    @staticmethod
    def _measure(
        y_true: ArrayLike, y_pred: NDArray, sample_weight: ArrayLike | None = None
    ) -> float:
        if len(y_pred) < 2:
            return math.nan  # of which r2_score would warn
        return r2_score(y_true, y_pred, sample_weight=sample_weight)

    def _decide(self, z: Array) -> Array:
        """Turn output sums into target values."""
        values = OUTPUT_ACTIVATIONS[self.out_activation_](z)
        with np.errstate(over="ignore"):  # infinity is refused
            values = self._in_unit_of_targets(values)
        if not np.isfinite(values).all():
            raise ValueError(OVERFLOW)
        return values[:, 0] if values.shape[1] == 1 else values

    _decode = _decide

    def _in_unit_of_targets(self, values: Array) -> Array:
        """Scale the outputs of the network as the targets are scaled."""
        return values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
