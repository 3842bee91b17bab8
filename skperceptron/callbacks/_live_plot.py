"""A plot that is drawn while fits go on."""

from __future__ import annotations

import time
import uuid
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.callback import CallbackContext

from skperceptron._functions import text_of
from skperceptron.callbacks._board import Board
from skperceptron.callbacks._fit_curve import FitCurve
from skperceptron.classifiers._base import BaseNetwork
from skperceptron.classifiers._find_networks import find_networks
from skperceptron.plotting._loss_curve import curves_of
from skperceptron.tracking.recording._sklearn_internals import (
    can_reuse_listener,
    open_listener,
    send,
    task_of_fit,
)

_MAX_POINTS = 300


class LivePlot:
    """Draw the curve of a fit while it goes on.

    A scikit-learn callback for the estimators of this package, for pipelines with one
    in them, and for searches over either. A notebook shows a figure and a terminal a
    chart of characters, which are drawn again as the fit goes on: the loss or the
    objective of the present fit, and its validation score, where there is one. As soon
    as there are several fits, earlier curves are seen behind it, and how each fit has
    ended beside it. Output that goes to a file has only the last of these charts.

    Each `fit` on which the callback is set has a display of its own. For one display of
    many fits, such as those of an Optuna study, use the object as a context manager.

    Parameters
    ----------
    min_interval : float, default=0.5
        Minimum time between two drawings, in seconds. Drawing takes at most about a
        tenth of the time of the fits, so that there may be more.

    Raises
    ------
    ValueError
        When `min_interval` is negative or no number.

    TypeError
        By a fit: when the estimator contains none of these estimators.

    See Also
    --------
    skperceptron.plotting.LossCurveDisplay : The curve of a fit that has ended.
    sklearn.callback.ProgressBar : Progress bars for any estimator.

    Notes
    -----
    Fits in other processes on this machine, as a search with ``n_jobs=2`` makes them,
    are drawn by the process in which the object was made.

    Fits are compared by the best validation score, if there is one, otherwise by the
    last value of what is drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skperceptron import HillClimbMLP
    >>> from skperceptron.callbacks import LivePlot
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = HillClimbMLP(max_iter=200, random_state=0)
    >>> clf.set_callbacks(LivePlot()).fit(X, y)  # doctest: +SKIP

    A study:

    >>> with LivePlot() as live_plot:  # doctest: +SKIP
    ...     def objective(trial):
    ...         clf = HillClimbMLP(max_iter=trial.suggest_int("max_iter", 100, 1000))
    ...         return clf.set_callbacks(live_plot).fit(X, y).objective_
    ...     study.optimize(objective, n_trials=20)
    """

    # All levels of nested estimators: scikit-learn sets it on what a search fits.
    max_propagation_depth = None

    def __init__(self, *, min_interval: float = 0.5) -> None:
        if not (isinstance(min_interval, (int, float)) and 0 <= min_interval < np.inf):
            raise ValueError(
                f"min_interval must be a number of seconds, at least 0, got "
                f"{min_interval!r}."
            )
        self.min_interval = min_interval
        self._begin()

    def _begin(self) -> None:
        self._listener = open_listener(Board(self.min_interval).receive, owner=self)
        self._remember_no_fits()

    def _remember_no_fits(self) -> None:
        # Of fits in this process: a key, and when its curve was sent.
        self._keys: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._sent: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def __enter__(self) -> Self:
        send(self._listener, ("open",))
        return self

    def __exit__(self, *exc_info: object) -> None:
        send(self._listener, ("close",))

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Check that there is something to draw, and begin a display."""
        find_networks(estimator)
        send(self._listener, ("open",))

    def on_fit_task_begin(self, estimator: Any, context: CallbackContext) -> None:
        """Take note of a fit that begins."""
        if not _is_fit(estimator, context):
            return
        if context.task_name != "partial-fit" or estimator not in self._keys:
            self._keys[estimator] = uuid.uuid4().hex
        self._sent[estimator] = -np.inf

    def on_fit_task_end(self, estimator: Any, context: CallbackContext) -> None:
        """Draw what a fit has come to."""
        if not isinstance(estimator, BaseNetwork):
            return
        now = time.monotonic()
        is_over = _is_fit(estimator, context)
        if not is_over and now < self._sent[estimator] + self.min_interval:
            return
        self._sent[estimator] = now
        send(self._listener, ("curve", self._keys[estimator], _curve_of(estimator)))

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """End the display."""
        send(self._listener, ("close",))

    def __getstate__(self) -> dict[str, Any]:
        return {"min_interval": self.min_interval, "_listener": self._listener}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if can_reuse_listener(self._listener):
            self._remember_no_fits()
        else:
            self._begin()


def _is_fit(estimator: Any, context: CallbackContext) -> bool:
    """Tell whether a task is the whole fit of an estimator of ours."""
    is_ours = isinstance(estimator, BaseNetwork)
    return is_ours and task_of_fit(vars(estimator)) is context


def _curve_of(estimator: Any) -> FitCurve:
    curves = curves_of(estimator)
    shown = np.linspace(0, len(curves["values"]) - 1, _MAX_POINTS).round().astype(int)
    shown = np.unique(shown)
    if curves["kind"] == "loss":
        quantity = "loss"
    else:
        quantity = f"objective ({text_of(estimator.objective)})"
    return FitCurve(
        type(estimator).__name__,
        quantity,
        {
            **curves,
            "steps": curves["steps"][shown],
            "values": curves["values"][shown],
            # A function may not be known to other processes.
            "scoring": curves["scoring"] and text_of(curves["scoring"]),
        },
    )
