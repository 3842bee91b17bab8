"""What makes a classifier of a network: labels, class weights, decisions."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import check_is_fitted

from skperceptron.classifiers._labels import as_listed, check_indicators, check_labels
from skperceptron.classifiers._validation import is_finite, validate
from skperceptron.tracking.recording._recorder import record_test_score

Array = NDArray[np.floating]


class NetworkClassifierMixin(ClassifierMixin):
    """Labels, class weights and decisions, for a subclass of `BaseNetwork`.

    That subclass says which class the sums of the output units stand for (`_decide`).
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    # How many classes there must be.
    _fewest_classes = 2

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
            Class labels: numbers or strings. Two-dimensional indicators, 0 and 1, only
            where the classifier supports multilabel targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, at least 0. With None, all weights are 1.

        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Samples that early stopping validates on, instead of a part of `X`. In a
            pipeline with ``transform_input=["X_val"]`` they are transformed as `X` is.

        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their class labels, which must all occur in `y`.

        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights. The weights of classes are those that follow from `y`.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            For data, labels, weights or parameters that cannot be used.
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
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train the network a little further.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, at least 0. With None, all weights are 1.

        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur. Needed in the first call only.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            For data, labels, weights or parameters that cannot be used.
        """
        self._check_incremental()
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported by partial_fit, which sees "
                "only a part of the data. Compute the weights from all labels with "
                "sklearn.utils.class_weight.compute_class_weight('balanced', "
                "classes=classes, y=y) and pass them as a dict."
            )
        if classes is not None and np.array_equal(
            getattr(self, "classes_", ()), classes
        ):
            classes = None  # as in the first call; the check would take longer
        if classes is not None:
            check_labels("classes", classes)
            _check_kind(np.asarray(classes), self._counterpart)
        check_labels("y", y)
        first_call = _check_partial_fit_first_call(self, classes)
        if first_call and type_of_target(y).startswith("multilabel"):
            self.classes_ = np.arange(np.shape(y)[1])
        return self._fit(X, y, sample_weight, incremental=True)

    # Labels

    def _validate(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[Any, Any]:
        check_labels("y", y)
        multilabel = self.__sklearn_tags__().classifier_tags.multi_label
        X, labels = validate(self, X, y, multi_output=multilabel, reset=reset)
        return X, labels.toarray() if issparse(labels) else labels

    def _encode(
        self,
        labels: NDArray,
        *,
        fresh: bool,
        incremental: bool,
        is_part: bool = False,
    ) -> NDArray[np.intp]:
        if incremental and not (fresh or self.warm_start):
            codes = self._codes_of_integers(labels)
            if codes is not None:
                return codes
        kind = type_of_target(labels)
        is_plain = kind in ("binary", "multiclass")
        if not is_plain:  # the check takes time
            _check_kind(labels, self._counterpart)
        if kind == "multiclass-multioutput":
            raise ValueError(
                "Multioutput target data is not supported: y has several columns of "
                "class labels. Wrap the classifier in "
                "sklearn.multioutput.MultiOutputClassifier."
            )
        classes = np.unique(labels) if is_plain else unique_labels(labels)
        if fresh and not incremental:
            self.classes_ = classes
        else:
            self._check_known_classes(classes, are_all=self.warm_start and not is_part)
        if not fresh and (labels.ndim == 2) != self._is_multilabel:
            raise ValueError(
                "Training can only be continued with targets of the kind it began "
                "with: one label per sample, or one column of indicators per label."
            )
        if len(self.classes_) < self._fewest_classes:
            raise ValueError(
                "There must be at least two classes, but there is only one class: "
                f"{self.classes_[0]!r}."
            )
        if kind == "multilabel-indicator":
            check_indicators(labels)
            return labels.astype(np.intp)
        return np.searchsorted(self.classes_, labels)

    def _codes_of_integers(self, labels: NDArray) -> NDArray[np.intp] | None:
        """Look labels up among the classes, if all of them are known integers.

        Small chunks are encoded faster like this than the kind of target is found out.
        """
        kinds = {labels.dtype.kind, self.classes_.dtype.kind}
        if labels.ndim > 1 or self._is_multilabel or not kinds <= set("biu"):
            return None
        codes = np.searchsorted(self.classes_, labels)
        codes[codes == len(self.classes_)] = 0
        are_known = np.array_equal(self.classes_[codes], labels)
        return codes if are_known else None

    def _check_known_classes(self, classes: NDArray, *, are_all: bool) -> None:
        if are_all and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the "
                f"previous call to fit. Previously got {self.classes_}, `y` has "
                f"{classes}"
            )
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. `self.classes_` has "
                f"{self.classes_}. 'y' has {classes}."
            )

    # Weights

    _weights = "class_weight times sample_weight"

    def _class_factors(
        self, labels: NDArray, sample_weight: Array | None
    ) -> NDArray | None:
        if self.class_weight is None:
            return None
        if labels.ndim == 2:
            raise ValueError(
                "class_weight is not supported for multilabel targets; use "
                "sample_weight."
            )
        if self.class_weight == "balanced":
            with np.errstate(divide="ignore", invalid="ignore"):
                factors = compute_class_weight(
                    "balanced",
                    classes=self.classes_,
                    y=labels,
                    sample_weight=sample_weight,
                )
            factors[np.isinf(factors)] = 0  # all samples of the class have weight 0
            return np.asarray(factors)
        codes = {label: code for code, label in enumerate(self.classes_.tolist())}
        factors = np.ones(len(codes))
        found = False
        for label, weight in self.class_weight.items():
            if not (is_finite(weight) and weight >= 0):
                raise ValueError(
                    f"class_weight[{label!r}] must be a finite number that is at least "
                    f"0, got {weight!r}."
                )
            # A part of the data, such as a fold, need not have all classes.
            code = codes.get(as_listed(label, self.classes_.dtype))
            if code is not None:
                factors[code] = weight
                found = True
        if self.class_weight and not found:
            raise ValueError(
                "class_weight names only classes that do not occur: "
                f"{list(self.class_weight)}. The classes are "
                f"{np.array2string(self.classes_, separator=', ')}, of dtype "
                f"{self.classes_.dtype}."
            )
        return factors

    # Prediction

    def predict(self, X: ArrayLike) -> NDArray:
        """Predict class labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or the indicators of a multilabel problem.

        Raises
        ------
        NotFittedError
            When the classifier is not fitted.

        ValueError
            For samples that cannot be used, or that make the network overflow.
        """
        return self._outputs(X, self._decode)

    def decision_function(self, X: ArrayLike) -> Array:
        """Compute the sums of the output units.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            For two classes one value per sample, positive for ``classes_[1]``;
            otherwise one column per class (or label, in a multilabel problem).

        Raises
        ------
        NotFittedError
            When the classifier is not fitted.

        ValueError
            For samples that cannot be used, or that make the network overflow.
        """
        z = self._outputs(X)
        return z.ravel() if z.shape[1] == 1 else z

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Compute the accuracy.

        The first score on data other than the training data becomes the metric
        ``test_score`` of the fit's MLflow run. Parts of the training data, and permuted
        copies of it, do not count.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True class labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        float
            Accuracy of ``self.predict(X)``, between 0 and 1.

        Raises
        ------
        NotFittedError
            When the classifier is not fitted.

        ValueError
            For samples, labels or weights that cannot be used.
        """
        check_is_fitted(self)
        check_labels("y", y)
        if self._is_multilabel and type_of_target(y) == "multilabel-indicator":
            check_indicators(y if issparse(y) else np.asarray(y))
        with np.errstate(over="ignore", invalid="ignore"):  # of the sum of the weights
            score = super().score(X, y, sample_weight=sample_weight)
        if not math.isfinite(score):
            raise ValueError(
                "The accuracy is not defined for these weights: sample_weight must add "
                "up to a positive and finite number."
            )
        record_test_score(self, X, score)
        return score

    @property
    def _is_multilabel(self) -> bool:
        """Whether the fitted network has independent outputs."""
        return False

    @staticmethod
    def _measure(
        y_true: ArrayLike, y_pred: NDArray, sample_weight: ArrayLike | None = None
    ) -> float:
        return accuracy_score(y_true, y_pred, sample_weight=sample_weight)

    def _decode(self, z: Array) -> NDArray:
        """Turn output sums into labels."""
        decided = self._decide(z)
        return decided if decided.ndim == 2 else self.classes_[decided]

    @abstractmethod
    def _decide(self, z: Array) -> NDArray[np.intp]:
        """Turn output sums into class indices, or into indicators of labels."""


def _check_kind(labels: NDArray, regressor: str) -> None:
    """Refuse what is no class label; say which class learns numbers."""
    try:
        check_classification_targets(labels)
    except ValueError as error:
        if type_of_target(labels).startswith("continuous"):
            raise ValueError(
                f"{error} Use {regressor}, which learns numbers, or make "
                "classes of them (sklearn.preprocessing.KBinsDiscretizer)."
            ) from None
        what, _, _ = str(error).partition(".")  # the rest is about numbers
        raise ValueError(
            f"{what}. Labels are numbers, strings, or dates without a time zone; make "
            "strings of others, as by y.astype(str)."
        ) from None
