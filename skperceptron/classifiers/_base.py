"""What all estimators share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.metrics import get_scorer_names
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from skperceptron._names import did_you_mean
from skperceptron._version import DOCUMENTATION_URL
from skperceptron.classifiers._callbacks import open_fit, withdraw_fit
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.classifiers._validation import (
    as_precise_as,
    check_range_of_numbers,
    validate_samples,
)
from skperceptron.network import Layers, forward
from skperceptron.tracking._lookup import find_run_id, run_as_html
from skperceptron.tracking.recording._attributes import RUN_ATTRIBUTE
from skperceptron.tracking.recording._clones import (
    prepare_to_send,
    remember_destination,
)
from skperceptron.tracking.recording._sklearn_internals import ShowsMoreMixin

Array = NDArray[np.floating]

OVERFLOW = (
    "The network overflows on these samples: they contain large values and need to be "
    "preprocessed like the training data, or its weights have become large and need "
    "smaller steps of training."
)


class BaseNetwork(ShowsMoreMixin, CallbackSupportMixin, BaseEstimator):
    """Common part of all estimators: validation, weights, training, prediction.

    A subclass says what its network looks like (`_get_weights`, `_set_weights`) and how
    it is trained (`_train`). What its targets are, and what it predicts, it has from
    `NetworkClassifierMixin` or `NetworkRegressorMixin`.
    """

    # Who learns numbers instead of class labels, or class labels instead of numbers.
    _counterpart: str

    _parameter_constraints: dict[str, list[Any]] = {
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "early_stopping": ["boolean"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def _fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        incremental: bool,
        **validation: Any,
    ) -> Self:
        fresh = not self.__sklearn_is_fitted__() or not (incremental or self.warm_start)
        before = dict(vars(self))
        try:
            data = self._check_training_data(
                X, y, sample_weight, fresh=fresh, incremental=incremental, **validation
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

    @abstractmethod
    def _curves(self, after: int) -> dict[str, list[tuple[int, float]]]:
        """Read steps and values of the curves behind a step from the attributes."""

    @property
    @abstractmethod
    def _last_step(self) -> int:
        """Where the curves end."""

    # Validation

    def _check_incremental(self) -> None:
        """Refuse parameters that `partial_fit` has no use for."""
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")

    def _check_training_data(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        fresh: bool,
        incremental: bool,
        **validation: Any,
    ) -> TrainingData:
        X_checked, y_true = self._validate(X, y, reset=fresh)
        if y_true.ndim == 2 and y_true.shape[1] == 1:
            y_true = column_or_1d(y_true, warn=True)
        encoded = self._encode(y_true, fresh=fresh, incremental=incremental)
        weight = self._check_weight(sample_weight, X_checked)
        factors = self._class_factors(y_true, weight)
        data = TrainingData(
            X=X_checked,
            y_true=y_true,
            y=encoded,
            sample_weight=self._weigh(weight, factors, encoded, X_checked.dtype),
            hook_args={
                "X": X,
                "y": y,
                "metadata": (
                    None if sample_weight is None else {"sample_weight": sample_weight}
                ),
                "reconstruction_attributes": self._snapshot,
            },
        )
        own = self._check_validation_data(data, factors, **validation)
        return replace(data, validation=own)

    @property
    def _validates(self) -> bool:
        """Whether training looks at data that it does not learn from."""
        return bool(self.early_stopping)

    def _check_validation_data(
        self,
        data: TrainingData,
        class_factors: NDArray | None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> TrainingData | None:
        """Check the user's own validation data, if there are any.

        `class_factors` are those of the training data: a class counts for as much.
        """
        given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        names = [name for name, value in given.items() if value is not None]
        if not names:
            return None
        if X_val is None or y_val is None:
            raise ValueError(
                "X_val and y_val must be given together, and sample_weight_val with "
                f"them, got only {' and '.join(names)}."
            )
        if not self._validates:
            raise ValueError(
                "X_val and y_val are for early stopping. Set early_stopping=True, with "
                "another solver than 'lbfgs', or leave them out."
            )
        try:
            X, y_true = self._validate(X_val, y_val, reset=False)
            X = as_precise_as(data.X, X)
            if y_true.ndim == 2 and y_true.shape[1] == 1:
                y_true = column_or_1d(y_true, warn=True)
            y = self._encode(y_true, fresh=True, incremental=True, is_part=True)
            y = as_precise_as(data.y, y)
            if y.shape[1:] != data.y.shape[1:]:
                raise ValueError(
                    f"y has the shape {np.shape(y_val)}, but must have as many columns "
                    f"as in the training data, where its shape is {data.y.shape}."
                )
            weight = self._check_weight(sample_weight_val, X)
            weight = self._weigh(weight, class_factors, y, X.dtype)
        except ValueError as error:
            raise ValueError(
                f"X_val, y_val and sample_weight_val cannot be validated on: {error}"
            ) from error
        return TrainingData(X, y_true, y, weight, {"X": X_val, "y": y_val})

    @abstractmethod
    def _validate(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[Any, Any]:
        """Check the samples, and the labels or numbers; dense arrays of the latter.

        With `reset`, number and names of the features are learned anew.
        """

    @abstractmethod
    def _encode(
        self,
        y_true: NDArray,
        *,
        fresh: bool,
        incremental: bool,
        is_part: bool = False,
    ) -> NDArray[Any]:
        """Turn labels or numbers into what training takes.

        With `is_part`, not all of the classes need occur.
        """

    def _check_weight(self, sample_weight: ArrayLike | None, X: Any) -> Array | None:
        if sample_weight is None:
            return None
        with np.errstate(over="ignore"):  # infinity is refused
            weight: Array = _check_sample_weight(
                sample_weight, X, dtype=X.dtype, ensure_non_negative=True
            )
        return weight

    def _class_factors(
        self, y_true: NDArray, sample_weight: Array | None
    ) -> NDArray | None:
        """Compute by what the weights of the samples of each class are multiplied."""
        return None

    def _weigh(
        self,
        weight: Array | None,
        class_factors: NDArray | None,
        y: NDArray,
        dtype: DTypeLike,
    ) -> Array | None:
        """Multiply the weights of the samples with those of their classes."""
        with np.errstate(over="ignore"):  # infinity is refused
            if class_factors is not None:
                factor = class_factors[y].astype(dtype)
                weight = factor if weight is None else factor * weight
            total = 1.0 if weight is None else weight.sum()
        if not 0 < total < math.inf:
            raise ValueError(
                f"The weights of the samples, {self._weights}, must add up to a "
                f"positive number, got {total} in {dtype}."
            )
        return weight

    # The parameters that weights of samples come from.
    _weights = "sample_weight"

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

    def _outputs(
        self, X: ArrayLike, output: Callable[[Array], NDArray] | None = None
    ) -> NDArray:
        check_is_fitted(self)
        return self._forward(validate_samples(self, X), output)

    def _forward(
        self, X: Any, output: Callable[[Array], NDArray] | None = None
    ) -> NDArray:
        """Compute the sums of the output units, or what `output` makes of them."""

        def finish(z: Array) -> NDArray:
            if not np.isfinite(z).all():
                raise ValueError(OVERFLOW)
            return z if output is None else output(z)

        # Hidden units may overflow where their activation saturates.
        with np.errstate(over="ignore", invalid="ignore"):
            return forward(X, *self._get_weights(), self._layers.activations, finish)

    @abstractmethod
    def _decide(self, z: Array) -> NDArray[Any]:
        """Turn output sums into predictions, in the form of `TrainingData.y`."""

    @abstractmethod
    def _decode(self, z: Array) -> NDArray:
        """Turn output sums into predictions, in the form of `TrainingData.y_true`."""

    @staticmethod
    @abstractmethod
    def _measure(
        y_true: ArrayLike, y_pred: NDArray, sample_weight: ArrayLike | None = None
    ) -> float:
        """Compute the score that the method `score` gives."""

    @property
    def run_id_(self) -> str | None:
        """MLflow run of the last fit.

        None when tracking was off, or when the run is not delivered yet.
        """
        return find_run_id(self)

    # The scikit-learn contract

    def _doc_address(self) -> str:
        is_ours = type(self).__module__.startswith("skperceptron.")
        if DOCUMENTATION_URL is None or not is_ours:
            return ""
        return f"{DOCUMENTATION_URL}/generated/skperceptron.{type(self).__name__}.html"

    def _more_as_html(self) -> str:
        return run_as_html(self)

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params : dict
            Values by the names of the parameters.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            For a parameter that the estimator does not have.
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
            The estimator.

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
