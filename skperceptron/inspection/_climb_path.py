"""The way of a hill climb over the landscape of its objective."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skperceptron.classifiers._hill_climb import BaseHillClimb
from skperceptron.inspection._climb_trace import ClimbTrace
from skperceptron.inspection._option_checks import check_int
from skperceptron.plotting._axes import COLORS, add_legend_above, make_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.floating]

_ACCEPTED, _REJECTED = COLORS[0], COLORS[1]
_MAX_GRID_RESOLUTION = 500
# Of the landscape: light grey is high, so that dots can be seen everywhere.
_DARKEST, _LIGHTEST = 0.55, 1.0
# Candidates beyond these percentiles may be outside the picture: a step size that
# grows on a plateau leads far away.
_PERCENTILES = (2.5, 97.5)
_MARGIN = 0.08


class Plane(NamedTuple):
    """A plane through the space of the weights.

    Attributes
    ----------
    origin : ndarray of shape (n_params,)
        Where both coordinates are 0.

    axes : ndarray of shape (2, n_params)
        Two directions of unit length, at right angles.

    names : tuple of two str
        What they are called.
    """

    origin: Array
    axes: Array
    names: tuple[str, str]

    def project(self, positions: ArrayLike) -> Array:
        """Compute the coordinates of the points of the plane that are nearest."""
        return (np.asarray(positions) - self.origin) @ self.axes.T

    def lift(self, points: Array) -> Array:
        """Compute the weights at points of the plane."""
        return self.origin + points @ self.axes


class ClimbPathDisplay:
    """The path of a hill climb over the landscape of its objective.

    It is recommended to use :meth:`from_estimator` to create a display. All parameters
    are stored as attributes.

    Parameters
    ----------
    path : ndarray of shape (n_accepted + 1, 2)
        The start and the accepted candidates, in the plane that is drawn.

    rejected : ndarray of shape (n_rejected, 2)
        The rejected candidates.

    x, y : ndarray of shape (grid_resolution,)
        Coordinates of the grid.

    values : ndarray of shape (grid_resolution, grid_resolution)
        What the climb maximises, for each `y` (rows) and each `x` (columns).

    axis_names : tuple of two str, default=("direction 1", "direction 2")
        Names of the axes.

    value_name : str, default="objective"
        Name of the values.

    Attributes
    ----------
    surface_ : matplotlib QuadMesh
        The landscape.

    path_ : matplotlib Line2D
        The accepted candidates.

    rejected_ : matplotlib Line2D
        The rejected candidates.

    start_, end_ : matplotlib Line2D
        The marks of both ends of the path.

    colorbar_ : matplotlib Colorbar
        The scale of the values.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    BoundaryHistoryDisplay : Decision boundaries while a network learned.

    Notes
    -----
    A unit with one feature has two weights: the weight of the feature, and the bias.
    Then the picture is exact. With more weights, the plane goes through the end of the
    path, along the first two principal components of the path (Li et al., 2018), and
    what is off the plane is projected on it. The values are those in the plane, so a
    candidate may lie on another shade than its own objective. The labels of the axes
    say how much of the variance of the path the picture shows.

    References
    ----------
    H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, "Visualizing the loss landscape of
    neural nets", NeurIPS 2018, section 7.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_iris
    >>> from skperceptron import HillClimbPerceptron
    >>> from skperceptron.inspection import ClimbPathDisplay
    >>> iris = load_iris()
    >>> X, y = iris.data[:, [2]] - 4, iris.target == 2
    >>> clf = HillClimbPerceptron(max_iter=200, surrogate_iter=0, random_state=0)
    >>> display = ClimbPathDisplay.from_estimator(clf, X, y, ax=Figure().subplots())
    >>> len(display.path) - 1 + len(display.rejected)
    200
    """

    def __init__(
        self,
        path: Array,
        rejected: Array,
        x: Array,
        y: Array,
        values: Array,
        *,
        axis_names: tuple[str, str] = ("direction 1", "direction 2"),
        value_name: str = "objective",
    ) -> None:
        self.path = path
        self.rejected = rejected
        self.x = x
        self.y = y
        self.values = values
        self.axis_names = axis_names
        self.value_name = value_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        directions: ArrayLike | None = None,
        grid_resolution: int = 100,
        ax: Axes | None = None,
    ) -> Self:
        """Climb again and draw all candidates.

        Fits do not keep their candidates. A clone of the estimator climbs once more,
        untracked and not compiled. With an int as `random_state`, its candidates are
        those of `fit` on the same data.

        Parameters
        ----------
        estimator : HillClimbPerceptron or HillClimbMLP
            The classifier, fitted or not. It is not changed. It has to climb once
            (``n_restarts=0``) and on its objective alone (``surrogate_iter=0``).

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples.

        y : array-like of shape (n_samples,)
            Class labels.

        directions : array-like of shape (2, n_weights), default=None
            Two directions in the space of the weights, along which the plane is drawn;
            the second one is turned to be at right angles to the first. The weights are
            all weights, layer by layer, one row per input of a layer, and then all
            biases. None takes the two weights, if there are no more, or else the first
            two principal components of the path.

        grid_resolution : int, default=100
            Number of points along each axis where the objective is evaluated, between 2
            and 500.

        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure with pyplot.

        Returns
        -------
        display : ClimbPathDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            When `estimator` is no hill climber, `grid_resolution` no int or `ax` no
            axes.

        ValueError
            When there is more than one climb, or a climb on the log loss before that on
            the objective; the climb has no iterations, or too few for a plane;
            `directions` are no two directions; `grid_resolution` is out of range; the
            data or the parameters of the estimator cannot be used.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_int("grid_resolution", grid_resolution, 2, _MAX_GRID_RESOLUTION)
        _check_climber(estimator)
        trace = ClimbTrace.of(estimator, X, y)
        is_kept = trace.is_kept
        candidates = np.array(trace.candidates)
        positions = np.vstack([trace.positions[:1], candidates[is_kept]])
        plane = _find_plane(positions, candidates, directions)
        path, rejected = map(plane.project, (positions, candidates[~is_kept]))
        x, y = _find_limits(path, plane.project(candidates), grid_resolution)
        points = np.stack(np.meshgrid(x, y), axis=-1)
        weights = plane.lift(points).astype(candidates.dtype)
        return cls(
            path,
            rejected,
            x,
            y,
            np.apply_along_axis(trace.worth, -1, weights),
            axis_names=plane.names,
            value_name=_name_objective(estimator),
        ).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure with pyplot.

        Returns
        -------
        display : ClimbPathDisplay
            The display itself.

        Raises
        ------
        TypeError
            When `ax` is no axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        from matplotlib import colormaps
        from matplotlib.colors import ListedColormap

        self.ax_ = ax = make_panels(ax, 1)[0]
        self.figure_ = ax.figure
        shades = colormaps["gray"](np.linspace(_DARKEST, _LIGHTEST, 256))
        self.surface_ = ax.pcolormesh(
            self.x,
            self.y,
            np.ma.masked_invalid(self.values),
            cmap=ListedColormap(shades),
            shading="nearest",
            rasterized=True,
        )
        limits = ax.get_xlim(), ax.get_ylim()
        (self.rejected_,) = ax.plot(
            *self.rejected.T,
            marker="o",
            markersize=2.2,
            linestyle="",
            color=_REJECTED,
            label=f"{len(self.rejected)} rejected",
        )
        (self.path_,) = ax.plot(
            *self.path.T,
            marker="o",
            markersize=2.8,
            linewidth=1.2,
            color=_ACCEPTED,
            label=f"{len(self.path) - 1} accepted",
        )
        self.start_, self.end_ = (
            ax.plot(
                *place,
                marker=marker,
                markersize=size,
                linestyle="",
                markerfacecolor="white",
                markeredgecolor="black",
                label=label,
                zorder=3,
            )[0]
            for place, marker, size, label in (
                (self.path[0], "o", 7, "start"),
                (self.path[-1], "*", 11, "end"),
            )
        )
        ax.set(xlim=limits[0], ylim=limits[1])
        ax.set_xlabel(self.axis_names[0])
        ax.set_ylabel(self.axis_names[1])
        self.colorbar_ = ax.figure.colorbar(self.surface_, ax=ax, label=self.value_name)
        handles = (self.start_, self.path_, self.rejected_, self.end_)
        add_legend_above(ax, handles, n_columns=4)
        return self


def _check_climber(estimator: Any) -> None:
    if not isinstance(estimator, BaseHillClimb):
        raise TypeError(
            "estimator must be a HillClimbPerceptron, a HillClimbMLP or a "
            f"HillClimbMLPRegressor, got {estimator!r}. Of a pipeline, take the last "
            "step, and give X as the steps before it transform it."
        )
    estimator._validate_params()
    if estimator.n_restarts:
        raise ValueError(
            "The path of one climb is drawn, and n_restarts="
            f"{estimator.n_restarts} makes several. Set n_restarts=0."
        )
    if not estimator.max_iter:
        raise ValueError("There is no path with max_iter=0.")


def _find_plane(
    positions: Array, candidates: Array, directions: ArrayLike | None
) -> Plane:
    """Choose what to draw: the weights themselves, or two directions among them."""
    n_params = positions.shape[1]
    if directions is None and n_params == 2:
        return Plane(np.zeros(2), np.eye(2), ("weight", "bias"))
    centred = positions - positions.mean(axis=0)
    axes = (
        _find_axes(centred, candidates - positions[-1])
        if directions is None
        else _check_directions(directions, n_params)
    )
    shares = np.sum((centred @ axes.T) ** 2, axis=0) / max(np.sum(centred**2), 1e-300)
    first, second = (
        f"direction {i} ({share:.0%} of the path's variance)"
        for i, share in enumerate(shares, start=1)
    )
    return Plane(positions[-1], axes, (first, second))


def _find_axes(path: Array, candidates: Array) -> Array:
    """Choose directions of the path, or of the candidates if it is a point or line."""
    for vectors in (path, candidates):
        axes = _principal_axes(vectors)
        if axes is not None:
            return axes
    raise ValueError(
        "The candidates of so short a climb are all on one line. Increase max_iter, or "
        "give two directions."
    )


def _principal_axes(vectors: Array) -> Array | None:
    """Compute the first two principal components; None if there is only one."""
    _, lengths, axes = np.linalg.svd(vectors, full_matrices=False)
    if len(lengths) < 2 or lengths[1] <= 1e-6 * lengths[0]:
        return None
    axes = axes[:2]
    # Their signs mean nothing: let the largest part of each be positive.
    largest = np.abs(axes).argmax(axis=1)
    signs: Array = np.sign(axes[[0, 1], largest])
    return axes * signs[:, np.newaxis]


def _check_directions(directions: ArrayLike, n_params: int) -> Array:
    given = check_array(directions, input_name="directions", dtype=np.float64)
    if given.shape != (2, n_params):
        raise ValueError(
            f"directions must have the shape (2, {n_params}), as there are {n_params} "
            f"weights and biases; got {given.shape}."
        )
    axes, lengths = np.linalg.qr(given.T)
    if abs(lengths[1, 1]) <= 1e-6 * np.linalg.norm(given[1]) or not lengths[0, 0]:
        raise ValueError("directions must differ, and neither may be zero.")
    return axes.T * np.sign(np.diag(lengths))[:, np.newaxis]


def _find_limits(
    path: Array, candidates: Array, grid_resolution: int
) -> tuple[Array, Array]:
    """Choose the grid so that the path is in it, and nearly all candidates."""
    most = np.percentile(candidates, _PERCENTILES, axis=0)
    points = np.vstack([path, most])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * (high - low)
    grid = np.linspace(low - margin, high + margin, grid_resolution)
    return grid[:, 0], grid[:, 1]


def _name_objective(estimator: Any) -> str:
    objective = estimator.objective
    if objective == "log_loss":
        return "minus the log loss" + (", less its penalty" if estimator.alpha else "")
    if isinstance(objective, str):
        return objective
    return getattr(objective, "__name__", "objective")
