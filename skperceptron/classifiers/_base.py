"""What all classifiers share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from skperceptron._names import did_you_mean
from skperceptron.classifiers._callbacks import open_fit, withdraw_fit
from skperceptron.classifiers._labels import as_listed, check_indicators, check_labels
from skperceptron.classifiers._validation import (
    check_range_of_numbers,
    is_finite,
    validate,
)
from skperceptron.network import Layers, forward
from skperceptron.tracking._lookup import find_run_id, run_as_html
from skperceptron.tracking.recording._attributes import RUN_ATTRIBUTE
from skperceptron.tracking.recording._clones import (
    prepare_to_send,
    remember_destination,
)
from skperceptron.tracking.recording._recorder import record_test_score

Array = NDArray[np.floating]


@dataclass(frozen=True)
class TrainingData:
    """The data of one fit: as the user gave it, and checked and encoded.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples, float32 or float64.

    labels : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The user's labels.

    y : ndarray of int of shape (n_samples,) or (n_samples, n_outputs)
        Index of each label in ``classes_``, or the indicators of a multilabel problem.

    sample_weight : ndarray of shape (n_samples,) or None
        Sample weights times class weights.

    hook_args : dict
        What callbacks receive.
    """

    X: Any
    labels: NDArray
    y: NDArray
    sample_weight: Array | None
    hook_args: dict[str, Any]

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Copy some of the samples."""
        weight = self.sample_weight
        return replace(
            self,
            X=self.X[rows],
            labels=self.labels[rows],
            y=self.y[rows],
            sample_weight=None if weight is None else weight[rows],
        )


class BaseNetworkClassifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """Common part of the classifiers: validation, labels, weights, prediction.

    A subclass says what its network looks like (`_get_weights`, `_set_weights`) and how
    it is trained (`_train`).
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    # How many classes there must be.
    _fewest_classes = 2

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
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

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            For data, labels, weights or parameters that cannot be used.
        """
        return self._fit(X, y, sample_weight, incremental=False)

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
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
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
            check_classification_targets(np.asarray(classes))
        check_labels("y", y)
        first_call = _check_partial_fit_first_call(self, classes)
        if first_call and type_of_target(y).startswith("multilabel"):
            self.classes_ = np.arange(np.shape(y)[1])
        return self._fit(X, y, sample_weight, incremental=True)

    def _fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        incremental: bool,
    ) -> Self:
        fresh = not self.__sklearn_is_fitted__() or not (incremental or self.warm_start)
        before = dict(vars(self))
        try:
            data = self._check_training_data(
                X, y, sample_weight, fresh=fresh, incremental=incremental
            )
            self._train(data, fresh=fresh, incremental=incremental)
        except Exception:
            withdraw_fit(self, before)
            raise
        return self

    @abstractmethod
    def _train(self, data: TrainingData, *, fresh: bool, incremental: bool) -> None:
        """Find the weights.

        `fresh` starts from random weights, otherwise from the present ones;
        `incremental` takes a single step.
        """

    @abstractmethod
    def _get_weights(self) -> tuple[Sequence[Array], Sequence[Array]]:
        """Weight matrices and bias vectors, read from the fitted attributes."""

    @abstractmethod
    def _set_weights(self, layers: Layers, params: Array) -> None:
        """Write the fitted attributes that hold the weights, as views of `params`."""

    @property
    def _is_multilabel(self) -> bool:
        """Whether the fitted network has independent outputs."""
        return False

    @abstractmethod
    def _curves(self, after: int) -> dict[str, list[tuple[int, float]]]:
        """Read steps and values of the curves behind a step from the attributes."""

    @property
    @abstractmethod
    def _last_step(self) -> int:
        """Where the curves end."""

    # Validation

    def _check_training_data(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        fresh: bool,
        incremental: bool,
    ) -> TrainingData:
        check_labels("y", y)
        multilabel = self.__sklearn_tags__().classifier_tags.multi_label
        X_checked, labels = validate(self, X, y, multi_output=multilabel, reset=fresh)
        if issparse(labels):
            labels = labels.toarray()
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = column_or_1d(labels, warn=True)
        codes = self._encode(labels, fresh=fresh, incremental=incremental)
        return TrainingData(
            X=X_checked,
            labels=labels,
            y=codes,
            sample_weight=self._weigh(sample_weight, X_checked, labels, codes),
            hook_args={
                "X": X,
                "y": y,
                "metadata": (
                    None if sample_weight is None else {"sample_weight": sample_weight}
                ),
                "reconstruction_attributes": self._snapshot,
            },
        )

    def _encode(
        self, labels: NDArray, *, fresh: bool, incremental: bool
    ) -> NDArray[np.intp]:
        if incremental and not (fresh or self.warm_start):
            codes = self._codes_of_integers(labels)
            if codes is not None:
                return codes
        kind = type_of_target(labels)
        is_plain = kind in ("binary", "multiclass")
        if not is_plain:  # the check takes time
            check_classification_targets(labels)
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
            self._check_known_classes(classes)
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

    def _check_known_classes(self, classes: NDArray) -> None:
        if self.warm_start and set(classes) != set(self.classes_):
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

    def _weigh(
        self, sample_weight: ArrayLike | None, X: Any, labels: NDArray, codes: NDArray
    ) -> Array | None:
        if self.class_weight is not None and codes.ndim == 2:
            raise ValueError(
                "class_weight is not supported for multilabel targets; use "
                "sample_weight."
            )
        weight: Array | None = None
        with np.errstate(over="ignore"):  # infinity is refused
            if sample_weight is not None:
                weight = _check_sample_weight(
                    sample_weight, X, dtype=X.dtype, ensure_non_negative=True
                )
            if self.class_weight is not None:
                factor = self._class_factors(labels, weight)[codes].astype(X.dtype)
                weight = factor if weight is None else factor * weight
            total = 1.0 if weight is None else weight.sum()
        if not 0 < total < math.inf:
            raise ValueError(
                "The weights of the samples, class_weight times sample_weight, must "
                f"add up to a positive number, got {total} in {X.dtype}."
            )
        return weight

    def _class_factors(self, labels: NDArray, sample_weight: Array | None) -> NDArray:
        if self.class_weight == "balanced":
            with np.errstate(divide="ignore", invalid="ignore"):
                factors = compute_class_weight(
                    "balanced",
                    classes=self.classes_,
                    y=labels,
                    sample_weight=sample_weight,
                )
            factors[np.isinf(factors)] = 0  # all samples of the class have weight 0
            return factors
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
                f"{np.array2string(self.classes_, separator=', ')}."
            )
        return factors

    # Training

    def _open_fit(self, max_subtasks: int, incremental: bool) -> Any:
        return open_fit(self, max_subtasks=max_subtasks, incremental=incremental)

    def _snapshot(self) -> dict[str, Any]:
        """Attributes that make a copy of this estimator ready to predict.

        Copies, because training writes to the weights.
        """
        layers = self._layers
        params = layers.pack(*self._get_weights())
        snapshot = type(self).__new__(type(self))
        snapshot._set_weights(layers, params)
        return dict(vars(snapshot))

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

    def _outputs(
        self, X: ArrayLike, output: Callable[[Array], NDArray] | None = None
    ) -> NDArray:
        check_is_fitted(self)
        return self._forward(validate(self, X, reset=False), output)

    def _forward(
        self, X: Any, output: Callable[[Array], NDArray] | None = None
    ) -> NDArray:
        """Compute the sums of the output units, or what `output` makes of them."""

        def finish(z: Array) -> NDArray:
            if not np.isfinite(z).all():
                raise ValueError(
                    "The network overflows on these samples: they contain large values "
                    "and need to be preprocessed like the training data, or its "
                    "weights have become large and need smaller steps of training."
                )
            return z if output is None else output(z)

        # Hidden units may overflow where their activation saturates.
        with np.errstate(over="ignore", invalid="ignore"):
            return forward(X, *self._get_weights(), self._layers.activations, finish)

    def _decode(self, z: Array) -> NDArray:
        """Turn output sums into labels."""
        decided = self._decide(z)
        return decided if decided.ndim == 2 else self.classes_[decided]

    @abstractmethod
    def _decide(self, z: Array) -> NDArray[np.intp]:
        """Turn output sums into class indices, or into indicators of labels."""

    @property
    def run_id_(self) -> str | None:
        """MLflow run of the last fit.

        None when tracking was off, or when the run is not delivered yet.
        """
        return find_run_id(self)

    # The scikit-learn contract

    def _html_repr(self) -> str:
        return super()._html_repr() + run_as_html(self)

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params : dict
            Values by the names of the parameters.

        Returns
        -------
        self : object
            The classifier.

        Raises
        ------
        ValueError
            For a parameter that the classifier does not have.
        """
        try:
            return super().set_params(**params)
        except ValueError as error:
            known = self._get_param_names()
            unknown = next((name for name in params if name not in known), None)
            raise ValueError(f"{error}{did_you_mean(unknown, known)}") from None

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Set the callbacks that follow every fit, instead of those set before.

        Parameters
        ----------
        *callbacks : callback
            Callbacks, one by one.

        Returns
        -------
        self : object
            The classifier.

        Raises
        ------
        TypeError
            For what is no callback, such as a list of them.
        """
        if any(isinstance(c, (list, tuple, set, dict)) for c in callbacks):
            raise TypeError(
                "set_callbacks takes callbacks one by one, not in a list: call "
                "set_callbacks(tracker) or set_callbacks(*callbacks)."
            )
        return super().set_callbacks(*callbacks)

    def _validate_params(self) -> None:
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            raise InvalidParameterError(
                f"{error}{self._meant_instead(str(error))}"
            ) from None
        check_range_of_numbers(self)

    def _meant_instead(self, message: str) -> str:
        """Find what may have been meant by a value that scikit-learn refuses."""
        for name, constraints in self._parameter_constraints.items():
            if message.startswith(f"The {name!r} parameter of "):
                names = [o for c in constraints for o in getattr(c, "options", ())]
                return did_you_mean(getattr(self, name), names)
        return ""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_layers")

    def __sklearn_clone__(self) -> Self:
        clone = super().__sklearn_clone__()
        remember_destination(clone, self)
        return clone

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop(RUN_ATTRIBUTE, None)
        prepare_to_send(state, self)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
