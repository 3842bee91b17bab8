"""Activations as curves."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Sequence
from itertools import chain, count
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skperceptron._functions import name_of
from skperceptron._names import did_you_mean
from skperceptron.network import ACTIVATIONS, ActivationLike, activate
from skperceptron.plotting._axes import line_style, make_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.floating]

_N_POINTS = 801
# A legend of more names would cover curves: it goes beside the axes.
_MAX_INSIDE = 5


class ActivationDisplay:
    """Curves of activation functions, or of their derivatives.

    It is recommended to use :meth:`from_names` to create a display. All parameters are
    stored as attributes.

    Parameters
    ----------
    z : ndarray of shape (n_points,)
        Pre-activations: sums of the weighted inputs of a unit and its bias.

    outputs : dict of ndarray of shape (n_points,)
        What is drawn over them, by the names of the activations.

    derivative : bool, default=False
        Whether the outputs are the derivatives.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves, in the order of the names.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skperceptron.plotting import ActivationDisplay
    >>> display = ActivationDisplay.from_names(
    ...     ["logistic", "step"], ax=Figure().subplots()
    ... )
    >>> [line.get_label() for line in display.lines_]
    ['logistic', 'step']
    """

    def __init__(
        self, z: Floats, outputs: dict[str, Floats], *, derivative: bool = False
    ) -> None:
        self.z = z
        self.outputs = outputs
        self.derivative = derivative

    @classmethod
    def from_names(
        cls,
        names: Sequence[ActivationLike],
        *,
        derivative: bool = False,
        limits: tuple[float, float] = (-4.0, 4.0),
        ax: Axes | None = None,
    ) -> Self:
        """Draw activations.

        Parameters
        ----------
        names : sequence of str or callable
            Names of activations, as the classifiers know them, or functions, as
            `HillClimbMLP` takes them, which are drawn with their own names.

        derivative : bool, default=False
            Whether to draw the derivatives in their place. That of "step" and "sign" is
            zero but for the jump, at which they have none. Functions have none here.

        limits : tuple of 2 floats, default=(-4.0, 4.0)
            Pre-activations between which to draw.

        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure with pyplot.

        Returns
        -------
        display : ActivationDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            When the names are no sequence of str or functions, `derivative` is no bool,
            the limits are no two numbers, or `ax` is no axes.

        ValueError
            When there is no such activation, no name at all, no room between the
            limits, or a function that is no activation or whose derivative is wanted.
        """
        check_matplotlib_support(f"{cls.__name__}.from_names")
        _check_names(names)
        if not isinstance(derivative, bool | np.bool_):
            raise TypeError(
                f"derivative must be a bool, got {reprlib.repr(derivative)}."
            )
        if derivative and (functions := [name for name in names if callable(name)]):
            raise ValueError(
                f"derivative=True needs activations with names, got {functions[0]!r}: "
                "the derivative of a function is not known."
            )
        low, high = _check_limits(limits)
        z = np.linspace(low, high, _N_POINTS)
        # Beside 0, where some of them jump or bend.
        z = np.union1d(z, [v for v in (-1e-9, 0.0, 1e-9) if low <= v <= high])
        known = {name for name in names if isinstance(name, str)}
        outputs: dict[str, Floats] = {}
        for activation in names:
            label = _label(activation, {*known, *outputs})
            outputs[label] = _curve(activation, z, derivative)
        return cls(z, outputs, derivative=derivative).plot(ax)

    def plot(self, ax: Axes | None = None, **line_options: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure with pyplot.

        **line_options
            Further options of ``Axes.plot``, for all curves.

        Returns
        -------
        display : ActivationDisplay
            The display itself.

        Raises
        ------
        TypeError
            When `ax` is no axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        self.ax_ = ax = make_panels(ax, 1)[0]
        self.figure_ = ax.figure
        self.lines_ = [
            ax.plot(self.z, out, **{"label": name, **line_style(i), **line_options})[0]
            for i, (name, out) in enumerate(self.outputs.items())
        ]
        ax.set_xlabel("pre-activation")
        ax.set_ylabel("derivative" if self.derivative else "output")
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
        if len(self.outputs) > _MAX_INSIDE:
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        else:
            ax.legend()
        return self


def _check_names(names: Any) -> None:
    is_list = isinstance(names, Collection) and not isinstance(names, str)
    if not is_list or not all(isinstance(n, str) or callable(n) for n in names):
        raise TypeError(
            "names must be a sequence of str or functions, for example ['logistic'], "
            f"got {names!r}."
        )
    unknown = [n for n in names if isinstance(n, str) and n not in ACTIVATIONS]
    if unknown or not len(names):
        raise ValueError(
            f"names must be some of {', '.join(map(repr, ACTIVATIONS))}, got {names!r}."
            f"{did_you_mean(next(iter(unknown), None), ACTIVATIONS)}"
        )


def _check_limits(limits: Any) -> tuple[float, float]:
    is_pair = np.shape(limits) == (2,)
    if not is_pair or not all(isinstance(limit, Real) for limit in limits):
        raise TypeError(f"limits must be two numbers, got {limits!r}.")
    low, high = limits
    if not -np.inf < low < high < np.inf:
        raise ValueError(
            f"limits must be two finite numbers in ascending order, got {limits!r}."
        )
    return low, high


def _label(activation: ActivationLike, others: Collection[str]) -> str:
    """Choose a name for the legend, which leaves out those with an underscore first."""
    if isinstance(activation, str):
        return activation
    name = getattr(activation, "__name__", name_of(activation)).lstrip("_")
    labels = chain([name], (f"{name} ({i})" for i in count(2)))
    return next(label for label in labels if label not in others)


def _curve(name: ActivationLike, z: Floats, derivative: bool) -> Floats:
    if not isinstance(name, str):
        return activate(name, z[:, np.newaxis].copy())[:, 0]
    activation = ACTIVATIONS[name]
    outputs = activation.function(z)
    if not derivative:
        return outputs
    if activation.derivative is None:
        return np.where(z == 0, np.nan, 0.0)
    return activation.derivative(z, outputs)
