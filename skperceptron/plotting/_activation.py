"""Activations as curves."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skperceptron._names import did_you_mean
from skperceptron.network import ACTIVATIONS
from skperceptron.plotting._axes import line_style, make_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.floating]

_N_POINTS = 801
# A legend of more names would cover curves: it goes beside the axes.
_MOST_INSIDE = 5


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
        Whether that are the derivatives.

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
        names: Sequence[str],
        *,
        derivative: bool = False,
        limits: tuple[float, float] = (-4.0, 4.0),
        ax: Axes | None = None,
    ) -> Self:
        """Draw activations.

        Parameters
        ----------
        names : sequence of str
            Names of activations, as the classifiers know them.

        derivative : bool, default=False
            Whether to draw the derivatives in their place. That of "step" and "sign" is
            zero but for the jump, at which they have none.

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
            When the names are no sequence of str, `derivative` is no bool, the limits
            are no two numbers, or `ax` is no axes.

        ValueError
            When there is no such activation, no name at all, or no room between the
            limits.
        """
        check_matplotlib_support(f"{cls.__name__}.from_names")
        _check_names(names)
        if not isinstance(derivative, bool | np.bool_):
            raise TypeError(
                f"derivative must be a bool, got {reprlib.repr(derivative)}."
            )
        low, high = _check_limits(limits)
        z = np.linspace(low, high, _N_POINTS)
        # Beside 0, where some of them jump or bend.
        z = np.union1d(z, [v for v in (-1e-9, 0.0, 1e-9) if low <= v <= high])
        outputs = {name: _curve(name, z, derivative) for name in names}
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
        if len(self.outputs) > _MOST_INSIDE:
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        else:
            ax.legend()
        return self


def _check_names(names: Any) -> None:
    is_list = isinstance(names, Collection) and not isinstance(names, str)
    if not is_list or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"names must be a sequence of str, for example ['logistic'], got {names!r}."
        )
    unknown = [name for name in names if name not in ACTIVATIONS]
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


def _curve(name: str, z: Floats, derivative: bool) -> Floats:
    activation = ACTIVATIONS[name]
    outputs = activation.function(z)
    if not derivative:
        return outputs
    if activation.derivative is None:
        return np.where(z == 0, np.nan, 0.0)
    return activation.derivative(z, outputs)
