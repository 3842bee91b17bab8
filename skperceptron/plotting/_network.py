"""A network as it is drawn on a blackboard."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skperceptron._functions import name_of
from skperceptron.plotting._axes import COLORS, add_legend_above, make_panels
from skperceptron.plotting._fitted_network import fitted_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection

_NEGATIVE, _POSITIVE = COLORS[0], COLORS[1]
_WIDEST = 4.0  # points


class NetworkDisplay:
    """A network: units in layers, and weights by colour and width.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters
    are stored as attributes.

    Parameters
    ----------
    weights : sequence of ndarray of shape (fan_in, fan_out)
        Weights of each layer.

    layer_names : sequence of str of length len(weights) + 1
        What is written below each layer, the input included.

    input_names, output_names : sequence of str
        What is written beside the units of the first and of the last layer.

    max_units : int, default=12
        Most units of a layer to draw. Of larger layers, those in the middle are left
        out.

    Attributes
    ----------
    lines_ : list of matplotlib LineCollection
        The weights that lead into each layer: the rows of the matrix, one after the
        other, without those of units that are left out. The widest line of the figure
        is the largest weight.

    units_ : list of ndarray of int
        The units of each layer that are drawn.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_iris
    >>> import skperceptron
    >>> from skperceptron import BackpropMLP
    >>> from skperceptron.plotting import NetworkDisplay
    >>> iris = load_iris(as_frame=True)
    >>> with skperceptron.config_context(tracking=False):
    ...     clf = BackpropMLP((5,), tol=0.01, random_state=0)
    ...     clf = clf.fit(iris.data, iris.target_names[iris.target])
    >>> display = NetworkDisplay.from_estimator(clf, ax=Figure().subplots())
    >>> display.layer_names, display.output_names
    (['input', 'relu', 'softmax'], ['setosa', 'versicolor', 'virginica'])
    """

    def __init__(
        self,
        weights: Sequence[NDArray[np.floating]],
        layer_names: Sequence[str],
        *,
        input_names: Sequence[str] = (),
        output_names: Sequence[str] = (),
        max_units: int = 12,
    ) -> None:
        self.weights = weights
        self.layer_names = layer_names
        self.input_names = input_names
        self.output_names = output_names
        self.max_units = max_units

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: ArrayLike | None = None,
        max_units: int = 12,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the network of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator of ours or scikit-learn's
            :class:`~sklearn.neural_network.MLPClassifier` or
            :class:`~sklearn.neural_network.MLPRegressor`, a pipeline that ends with
            one, or a search that has refitted one.

        feature_names : array-like of str of shape (n_features,), default=None
            Names of the inputs. None takes ``feature_names_in_`` if there are any, or
            else x0, x1, and so on.

        max_units : int, default=12
            Most units of a layer to draw, at least 2. Of larger layers, those in the
            middle are left out.

        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure with pyplot.

        Returns
        -------
        display : NetworkDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            When the estimator is not fitted, or all fits of a search have failed.

        TypeError
            When it is no network, `max_units` is no int, or `ax` is no axes.

        ValueError
            When there are more or fewer names than features, or `max_units` is less
            than 2.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        network = fitted_network(estimator)
        weights = _weights_of(network)
        n_inputs = len(weights[0])
        if feature_names is None:
            default = [f"x{i}" for i in range(n_inputs)]
            feature_names = getattr(network, "feature_names_in_", default)
        inputs = [str(name) for name in np.asarray(feature_names).tolist()]
        if len(inputs) != n_inputs:
            raise ValueError(
                f"feature_names must have a name for each of the {n_inputs} features, "
                f"got {len(inputs)}."
            )
        return cls(
            weights,
            ["input", *_activations_of(network, len(weights))],
            input_names=inputs,
            output_names=_outputs_of(network, weights[-1].shape[1]),
            max_units=max_units,
        ).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure with pyplot.

        Returns
        -------
        display : NetworkDisplay
            The display itself.

        Raises
        ------
        TypeError
            When `max_units` is no int, or `ax` is no axes.

        ValueError
            When `max_units` is less than 2.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        _check_max_units(self.max_units)
        self.ax_ = ax = make_panels(ax, 1)[0]
        self.figure_ = ax.figure
        sizes = [len(self.weights[0]), *(w.shape[1] for w in self.weights)]
        self.units_ = [_units_to_draw(size, self.max_units) for size in sizes]
        places = [_places(units) for units in self.units_]
        widest = max(float(abs(w).max()) for w in self.weights) or 1.0
        self.lines_ = [
            self._add_lines(layer, places, widest)
            for layer, _ in enumerate(self.weights)
        ]
        top = max(heights[0] for heights in places)
        for layer, (size, heights) in enumerate(zip(sizes, places, strict=True)):
            self._add_units(layer, heights, is_whole=size == len(heights))
            plural = "s" if size > 1 else ""
            below = f"{self.layer_names[layer]}\n{size} unit{plural}"
            ax.text(layer, -top - 0.7, below, ha="center", va="top")
        self._add_names(places)
        ax.set_xlim(-0.35, len(self.weights) + 0.35)
        ax.set_ylim(-top - 0.2 * top - 2, top + 0.7)
        ax.set_axis_off()
        self._add_legend(widest)
        return self

    def _add_lines(
        self, layer: int, places: list[NDArray[np.floating]], widest: float
    ) -> LineCollection:
        from matplotlib.collections import LineCollection

        rows, columns = self.units_[layer], self.units_[layer + 1]
        drawn = self.weights[layer][np.ix_(rows, columns)].ravel()
        lines = [
            [(layer, low), (layer + 1, high)]
            for low in places[layer]
            for high in places[layer + 1]
        ]
        collection = LineCollection(
            lines,
            linewidths=_WIDEST * abs(drawn) / widest,
            colors=[_POSITIVE if weight > 0 else _NEGATIVE for weight in drawn],
            zorder=1,
        )
        self.ax_.add_collection(collection)
        return collection

    def _add_units(
        self, layer: int, heights: NDArray[np.floating], *, is_whole: bool
    ) -> None:
        self.ax_.scatter(
            np.full(len(heights), layer),
            heights,
            s=90,
            facecolor="white",
            edgecolor="black",
            zorder=2,
        )
        if not is_whole:
            gap = (heights[:-1] + heights[1:])[np.argmin(np.diff(heights))] / 2
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            self.ax_.text(layer, gap, "⋮", ha="center", va="center", bbox=box)

    def _add_names(self, places: list[NDArray[np.floating]]) -> None:
        last = len(places) - 1
        for layer, names, side, shift in (
            (0, self.input_names, "right", -0.09),
            (last, self.output_names, "left", 0.09),
        ):
            for unit, height in zip(self.units_[layer], places[layer], strict=True):
                if len(names):
                    x, name = layer + shift * last, names[unit]
                    self.ax_.text(x, height, name, ha=side, va="center")

    def _add_legend(self, widest: float) -> None:
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=color, linewidth=_WIDEST, label=label)
            for color, label in (
                (_NEGATIVE, f"weight {-widest:.3g}"),
                (_POSITIVE, f"weight {widest:.3g}"),
            )
        ]
        add_legend_above(self.ax_, handles, n_columns=2)


def _check_max_units(max_units: Any) -> None:
    if not isinstance(max_units, Integral) or isinstance(max_units, bool):
        raise TypeError(f"max_units must be an int, got {max_units!r}.")
    if max_units < 2:
        raise ValueError(f"max_units must be at least 2, got {max_units}.")


def _weights_of(network: Any) -> list[NDArray[np.floating]]:
    if hasattr(network, "coefs_"):
        return [np.asarray(coef) for coef in network.coefs_]
    if hasattr(network, "coef_"):  # of a single layer
        return [np.atleast_2d(network.coef_).T]
    raise TypeError(
        f"This {type(network).__name__} is no network: it needs coefs_, as "
        "BackpropMLP, HillClimbMLP and scikit-learn's networks have them, or a coef_, "
        "as HillClimbPerceptron does."
    )


def _activations_of(network: Any, n_layers: int) -> list[str]:
    """Name the activation of each layer but the input."""
    hidden = getattr(network, "activation", "identity")
    if isinstance(hidden, str) or callable(hidden):
        hidden = [hidden] * (n_layers - 1)
    names = [a if isinstance(a, str) else name_of(a) for a in hidden]
    return [*names, getattr(network, "out_activation_", "output")]


def _outputs_of(network: Any, n_outputs: int) -> list[str]:
    """Name the output units: of two classes, there is one for the second."""
    classes = getattr(network, "classes_", None)
    if classes is None:
        return [f"y{i}" for i in range(n_outputs)] if n_outputs > 1 else ["y"]
    names = [str(name) for name in np.asarray(classes).tolist()]
    return names[-n_outputs:]


def _units_to_draw(size: int, most: int) -> NDArray[np.intp]:
    """Choose the first and the last units of a large layer."""
    if size <= most:
        return np.arange(size)
    upper = most - most // 2
    return np.concatenate([np.arange(upper), np.arange(size - most // 2, size)])


def _places(units: NDArray[np.intp]) -> NDArray[np.floating]:
    """Put units below each other, around 0, with room for some that are left out."""
    steps = np.minimum(np.diff(units, prepend=units[0]), 2)
    depths = np.cumsum(steps)
    return depths[-1] / 2 - depths
