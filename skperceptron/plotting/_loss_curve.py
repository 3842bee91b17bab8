"""Curves of training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skperceptron.plotting._axes import COLORS, add_legend_above, make_panels
from skperceptron.plotting._fitted_network import fitted_network
from skperceptron.plotting._option_checks import check_option

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# By these the curves of each kind, and the axes of validation scores, are found again
# when more is drawn.
_CURVES = {kind: f"skperceptron {kind} curve" for kind in ("loss", "objective")}
_VALIDATION = "skperceptron validation score"


class LossCurveDisplay:
    """The loss or the objective of a fit over its steps, and the validation score.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters
    are stored as attributes.

    Parameters
    ----------
    steps, values : array-like of shape (n_points,)
        The curve: epochs and losses, or iterations and objectives.

    kind : {"loss", "objective"}
        What the values are. A loss falls, an objective rises.

    validation_steps, validation_scores : array-like of shape (n_scores,), default=()
        The score on validation data, where there is one.

    validation_losses : array-like of shape (n_scores,), default=()
        The loss on them, where there is one.

    scoring : str, callable or None, default=None
        What the scores are; None for the estimator's own, which is that of a climb on
        its objective.

    name : str or None, default=None
        What the legend calls the estimator.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The curve.

    validation_line_ : matplotlib Line2D or None
        The validation scores, dashed; None where there are none.

    validation_loss_line_ : matplotlib Line2D or None
        The validation losses, dotted; None where there are none.

    ax_ : matplotlib Axes
        The axes of the curve.

    validation_ax_ : matplotlib Axes or None
        Those of the validation scores: those of the objective share its axes, others
        have axes on the right.

    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    Two estimators in the same axes:

    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_iris
    >>> import skperceptron
    >>> from skperceptron import BackpropMLP
    >>> from skperceptron.plotting import LossCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> ax = Figure().subplots()
    >>> for solver in ("sgd", "adam"):
    ...     clf = BackpropMLP(solver=solver, tol=0.01, random_state=0)
    ...     with skperceptron.config_context(tracking=False):
    ...         clf = clf.fit(X, y)
    ...     display = LossCurveDisplay.from_estimator(clf, name=solver, ax=ax)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['sgd', 'adam']
    """

    def __init__(
        self,
        steps: ArrayLike,
        values: ArrayLike,
        *,
        kind: str,
        validation_steps: ArrayLike = (),
        validation_scores: ArrayLike = (),
        validation_losses: ArrayLike = (),
        scoring: Any = None,
        name: str | None = None,
    ) -> None:
        self.steps = steps
        self.values = values
        self.kind = kind
        self.validation_steps = validation_steps
        self.validation_scores = validation_scores
        self.validation_losses = validation_losses
        self.scoring = scoring
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Axes | None = None
    ) -> Self:
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator of ours or scikit-learn's
            :class:`~sklearn.neural_network.MLPClassifier` or
            :class:`~sklearn.neural_network.MLPRegressor`, a pipeline that ends with
            one, or a search that has refitted one.

        name : str or None, default=None
            What the legend calls it. None takes the name of its class.

        ax : matplotlib Axes or None, default=None
            Where to draw, with what may be drawn there already. None makes a new figure
            with pyplot.

        Returns
        -------
        display : LossCurveDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            When the estimator is not fitted, or all fits of a search have failed.

        TypeError
            When it has no curves, or `ax` is no axes.

        ValueError
            When `ax` already shows curves of the other kind: a loss, where this is an
            objective, or the reverse.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        network = fitted_network(estimator)
        named = type(network).__name__ if name is None else name
        return cls(**curves_of(network), name=named).plot(ax)

    def plot(self, ax: Axes | None = None, **line_options: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure with pyplot.

        **line_options
            Further options of ``Axes.plot``.

        Returns
        -------
        display : LossCurveDisplay
            The display itself.

        Raises
        ------
        TypeError
            When `ax` is no axes.

        ValueError
            When the kind is none of those above, or the axes already show curves of
            the other kind.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        check_option("kind", self.kind, list(_CURVES))
        self.ax_ = ax = make_panels(ax, 1)[0]
        self.figure_ = ax.figure
        _refuse_other_kind(ax, self.kind)
        gid = _CURVES[self.kind]
        n_before = sum(line.get_gid() == gid for line in ax.lines)
        options = {"color": COLORS[n_before % len(COLORS)], **line_options}
        (self.line_,) = ax.plot(
            self.steps, self.values, **{"label": self.name, "gid": gid, **options}
        )
        self.validation_line_: Line2D | None = None
        self.validation_ax_: Axes | None = None
        self.validation_loss_line_: Line2D | None = None
        label = self.kind
        if len(np.asarray(self.validation_losses)):
            (self.validation_loss_line_,) = ax.plot(
                self.validation_steps,
                self.validation_losses,
                **{**options, "label": "_validation loss", "linestyle": ":"},
            )
            label = "loss (dotted: validation)"
        if len(np.asarray(self.validation_scores)):
            self._plot_validation(options)
        ax.set_xlabel("epoch" if self.kind == "loss" else "iteration")
        if not ax.get_ylabel().startswith(label):  # others may be in the axes
            ax.set_ylabel(label)
        if self.name is not None:
            self._add_legend()
        return self

    def _plot_validation(self, options: dict[str, Any]) -> None:
        shares_axes = self.kind == "objective" and self.scoring is None
        self.validation_ax_ = self.ax_ if shares_axes else _axes_on_the_right(self.ax_)
        name = None if self.name is None else f"{self.name}, validation"
        (self.validation_line_,) = self.validation_ax_.plot(
            self.validation_steps,
            self.validation_scores,
            **{**options, "label": name, "linestyle": "--"},
        )

    def _add_legend(self) -> None:
        on_the_right = _find_axes_on_the_right(self.ax_)
        if on_the_right is None:
            self.ax_.legend()
            return
        lines = [*self.ax_.lines, *on_the_right.lines]
        named = [line for line in lines if not str(line.get_label()).startswith("_")]
        below = self.ax_.get_legend()
        if below is not None:
            below.remove()
        # Between a falling and a rising curve no corner is free.
        add_legend_above(on_the_right, named, n_columns=2)


def curves_of(network: Any) -> dict[str, Any]:
    """Read the curves of a network, which may still be fitted.

    Returns
    -------
    dict
        What a display takes, but for the name.

    Raises
    ------
    TypeError
        When it has no curves.
    """
    kind = _kind_of(network)
    values = np.asarray(getattr(network, f"{kind}_curve_"), dtype=float)
    first = 0 if kind == "objective" else 1  # the start of a climb counts
    scores = getattr(network, "validation_scores_", None) or []
    losses = getattr(network, "validation_loss_curve_", None) or []
    scoring = getattr(network, "scoring", None)
    return {
        "steps": np.arange(len(values)) + first,
        "values": values,
        "kind": kind,
        "validation_steps": _validation_steps(network, kind, len(scores)),
        # Those of the loss are drawn as losses.
        "validation_scores": np.array([] if scoring == "loss" else scores, float),
        "validation_losses": np.array(losses, float),
        "scoring": scoring,
    }


def _kind_of(network: Any) -> str:
    for kind in ("objective", "loss"):
        if getattr(network, f"{kind}_curve_", None) is not None:
            return kind
    raise TypeError(
        f"This {type(network).__name__} has no curves: it needs a loss_curve_, as "
        "BackpropMLP, BackpropMLPRegressor and scikit-learn's networks have it, or an "
        "objective_curve_, as HillClimbPerceptron and HillClimbMLP do."
    )


def _refuse_other_kind(ax: Axes, kind: str) -> None:
    """Refuse a loss and an objective in the same axes: one falls, the other rises."""
    (other,) = set(_CURVES) - {kind}
    if any(line.get_gid() == _CURVES[other] for line in ax.lines):
        raise ValueError(
            f"ax already shows the {other} of another estimator, which has another "
            f"scale than the {kind} of this one. Draw it in axes of its own: make both "
            "by 'plt.subplots(1, 2)'."
        )


def _validation_steps(network: Any, kind: str, n: int) -> Any:
    steps = np.arange(1, n + 1)
    if kind == "loss":
        return steps
    # A climb validates about a hundred times, and at its end.
    interval = max(1, math.ceil(network.max_iter / 100))
    return np.minimum(steps * interval, network.n_iter_)


def _find_axes_on_the_right(ax: Axes) -> Axes | None:
    place = ax.get_position().bounds
    for other in ax.figure.axes:
        if other.get_gid() == _VALIDATION and other.get_position().bounds == place:
            return other
    return None


def _axes_on_the_right(ax: Axes) -> Axes:
    found = _find_axes_on_the_right(ax)
    if found is not None:
        return found
    twin = ax.twinx()
    twin.set_gid(_VALIDATION)
    twin.set_ylabel("validation score (dashed)")
    return twin
