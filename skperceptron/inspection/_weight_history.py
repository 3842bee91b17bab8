"""A callback that keeps the weights that a network has while it learns."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.callback import CallbackContext
from sklearn.exceptions import NotFittedError

from skperceptron.classifiers._base import BaseNetwork

Array = NDArray[np.floating]


class WeightHistory:
    """Keep the weights at the start of a fit and after each of its reports.

    A scikit-learn callback for an estimator of this package. A report comes after each
    epoch of `BackpropMLP` and `BackpropMLPRegressor` (each iteration of "lbfgs"), and
    after every ``ceil(max_iter / 100)`` iterations of a hill climb.

    Parameters
    ----------
    every : int, default=1
        Keep the weights of one report in `every`, at least 1. Those of the start and of
        the last report are always kept.

    Attributes
    ----------
    iterations_ : list of int
        Number of iterations, or epochs, after which weights were kept; 0 is the start.

    coefs_ : list of list of ndarray of shape (fan_in, fan_out)
        For each of them, the weights of each layer. Those of `HillClimbPerceptron` are
        ``[coef_.T]``.

    intercepts_ : list of list of ndarray of shape (fan_out,)
        For each of them, the biases of each layer.

    Raises
    ------
    TypeError
        When `every` is not an int. By a fit: when the callback is set on an estimator
        that is no network of this package, such as a pipeline or a search.

    ValueError
        When `every` is less than 1.

    See Also
    --------
    BoundaryHistoryDisplay : Draws the decision boundaries in a history.

    Notes
    -----
    Each fit begins the history anew. A call of `partial_fit`, or of `fit` with
    ``warm_start=True``, continues it if the curves of the estimator continue as well.

    Clones share the callback. In a search or a cross-validation, it holds the fit that
    began last in this process: with ``refit=True``, the refit. Fits in other processes
    are not kept.

    With early stopping, the fitted weights are those that validated best, which need
    not be the last ones of the history. With restarts, each report shows the climb that
    is best by then.

    Examples
    --------
    >>> import skperceptron
    >>> from sklearn.datasets import load_iris
    >>> from skperceptron import HillClimbPerceptron
    >>> from skperceptron.inspection import WeightHistory
    >>> X, y = load_iris(return_X_y=True)
    >>> history = WeightHistory(every=25)
    >>> clf = HillClimbPerceptron(max_iter=1000, random_state=0)
    >>> with skperceptron.config_context(tracking=False):
    ...     clf = clf.set_callbacks(history).fit(X, y)
    >>> history.iterations_
    [0, 250, 500, 750, 1000]
    >>> history.coefs_[-1][0].shape
    (4, 3)
    """

    def __init__(self, every: int = 1) -> None:
        if not isinstance(every, Integral) or isinstance(every, bool):
            raise TypeError(f"every must be an int, got {every!r}.")
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}.")
        self.every: int = int(every)
        self.iterations_: list[int] = []
        self._params: list[Array] = []
        self._estimator: BaseNetwork | None = None
        self._fit: CallbackContext | None = None
        self._n_reports: int = 0
        # The last report, which is kept when the fit ends.
        self._latest: tuple[int, Array] | None = None

    @property
    def coefs_(self) -> list[list[Array]]:
        """Weights of each layer, for each of the iterations."""
        return [self._unpack(params)[0] for params in self._params]

    @property
    def intercepts_(self) -> list[list[Array]]:
        """Biases of each layer, for each of the iterations."""
        return [self._unpack(params)[1] for params in self._params]

    def estimator_at(self, iteration: int) -> Any:
        """Make a copy of the estimator with the weights that it once had.

        Parameters
        ----------
        iteration : int
            One of `iterations_`.

        Returns
        -------
        estimator : estimator instance
            A copy that is ready to predict, without callbacks. Its curves and scores
            are those of the whole fit.

        Raises
        ------
        NotFittedError
            When no fit has been followed yet.

        ValueError
            When no weights were kept after this iteration, or the estimator has another
            number of weights by now.
        """
        estimator = self._followed()
        if iteration not in self.iterations_:
            nearest = min(self.iterations_, key=lambda kept: abs(kept - iteration))
            raise ValueError(
                f"No weights were kept after iteration {iteration}; the nearest one is "
                f"{nearest}. iterations_ lists all of them."
            )
        params = self._params[self.iterations_.index(iteration)]
        if len(params) != estimator._layers.n_params:
            raise ValueError(
                "The estimator was fitted again without this callback, and has "
                f"{estimator._layers.n_params} weights instead of {len(params)}."
            )
        made: BaseNetwork = copy.copy(estimator).set_callbacks()
        made._set_weights(made._layers, params.copy())
        return made

    # The callback protocol

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Check that it is the fit of a network."""
        if not isinstance(estimator, BaseNetwork):
            raise TypeError(
                "WeightHistory follows the estimators of this package, and was set on "
                f"{type(estimator).__name__}. Set it on the network inside: call "
                "set_callbacks of the last step of a pipeline, or of the estimator of "
                "a search."
            )
        self._fit = context

    def on_fit_task_begin(self, estimator: Any, context: CallbackContext) -> None:
        """Keep the weights of the start."""
        if context is not self._fit:
            return
        params, iteration = _weights_of(estimator), estimator._last_step
        continues = (
            self._estimator is estimator
            and self.iterations_[-1:] == [iteration]
            and np.array_equal(self._params[-1], params)
        )
        if not continues:
            self._estimator = estimator
            self._n_reports = 0
            self.iterations_, self._params = [iteration], [params]

    def on_fit_task_end(self, estimator: Any, context: CallbackContext) -> None:
        """Keep the weights of a report."""
        # Of several climbs, the one that is best may have ended before the others.
        if context.parent is not self._fit or not self._is_news(estimator._last_step):
            return
        self._n_reports += 1
        self._latest = estimator._last_step, _weights_of(estimator)
        if self._n_reports % self.every == 0:
            self._keep_latest()

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """Keep the weights of the last report, of an interrupted fit as well."""
        if context is self._fit:
            self._keep_latest()
            self._fit = None

    def __getstate__(self) -> dict[str, Any]:
        # A copy follows no fit that goes on.
        return {**vars(self), "_fit": None}

    def _is_news(self, iteration: int) -> bool:
        latest = self.iterations_[-1] if self._latest is None else self._latest[0]
        return iteration > latest

    def _keep_latest(self) -> None:
        if self._latest is not None:
            iteration, params = self._latest
            self.iterations_.append(iteration)
            self._params.append(params)
            self._latest = None

    def _followed(self) -> BaseNetwork:
        if self._estimator is None:
            raise NotFittedError(
                "This WeightHistory is empty. Set it on an estimator with "
                "'set_callbacks', and fit that estimator in this process."
            )
        return self._estimator

    def _unpack(self, params: Array) -> tuple[list[Array], list[Array]]:
        coefs, intercepts = self._followed()._layers.unpack(params)
        return coefs, intercepts


def _weights_of(estimator: BaseNetwork) -> Array:
    """Copy the weights as one vector."""
    return estimator._layers.pack(*estimator._get_weights())
