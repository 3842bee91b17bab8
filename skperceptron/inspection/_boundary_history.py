"""How a decision boundary comes about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skperceptron.inspection._option_checks import check_int
from skperceptron.inspection._weight_history import WeightHistory
from skperceptron.plotting._axes import COLORS, as_axes

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_N_PANELS = 4
_MAX_COLUMNS = 3
_MAX_GRID_RESOLUTION = 1000
_MAX_INTERVAL = 60_000  # milliseconds
_OPACITY = 0.3
_MARGIN = 0.1  # of the range of the features


class BoundaryHistoryDisplay:
    """Decision boundaries of a classifier while it learned, side by side or animated.

    It is recommended to use :meth:`from_history` to create a display. All parameters
    are stored as attributes.

    Parameters
    ----------
    history : WeightHistory
        The weights of a classifier that learned from two features.

    X : {array-like, dataframe} of shape (n_samples, 2)
        The samples to draw, as the classifier gets them: in a pipeline, those that the
        steps before it give.

    y : array-like of shape (n_samples,)
        Their labels.

    grid_resolution : int, default=200
        Number of points of the grid along each axis for which classes are predicted,
        between 2 and 1000.

    Attributes
    ----------
    iterations_ : list of int
        The iterations, or epochs, that are drawn.

    displays_ : list of sklearn.inspection.DecisionBoundaryDisplay
        The boundary in each panel.

    axes_ : list of matplotlib Axes
        The panels.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    WeightHistory : The callback that keeps the weights.

    Examples
    --------
    >>> import skperceptron
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import make_moons
    >>> from skperceptron import HillClimbMLP
    >>> from skperceptron.inspection import BoundaryHistoryDisplay, WeightHistory
    >>> X, y = make_moons(noise=0.2, random_state=0)
    >>> history = WeightHistory()
    >>> clf = HillClimbMLP((10,), "step", max_iter=2000, random_state=0)
    >>> with skperceptron.config_context(tracking=False):
    ...     clf = clf.set_callbacks(history).fit(X, y)
    >>> display = BoundaryHistoryDisplay.from_history(
    ...     history, X, y, iterations=[0, 200, 2000], ax=Figure().subplots(1, 3)
    ... )
    >>> display.iterations_
    [0, 200, 2000]
    """

    def __init__(
        self,
        history: WeightHistory,
        X: ArrayLike,
        y: ArrayLike,
        *,
        grid_resolution: int = 200,
    ) -> None:
        self.history = history
        self.X = X
        self.y = y
        self.grid_resolution = grid_resolution

    @classmethod
    def from_history(
        cls,
        history: WeightHistory,
        X: ArrayLike,
        y: ArrayLike,
        *,
        iterations: Sequence[int] | None = None,
        grid_resolution: int = 200,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Self:
        """Draw boundaries of a history side by side.

        Parameters
        ----------
        history : WeightHistory
            The weights of a classifier that learned from two features.

        X : {array-like, dataframe} of shape (n_samples, 2)
            The samples to draw, as the classifier gets them: in a pipeline, those that
            the steps before it give.

        y : array-like of shape (n_samples,)
            Their labels.

        iterations : sequence of int, default=None
            Which of ``history.iterations_`` to draw. None takes the first one, the last
            one and two between, the earlier ones closer together.

        grid_resolution : int, default=200
            Number of points of the grid along each axis for which classes are
            predicted, between 2 and 1000.

        ax : matplotlib Axes, sequence of them or None, default=None
            Where to draw, one for each iteration. None makes a new figure with pyplot,
            with a legend of the classes.

        Returns
        -------
        display : BoundaryHistoryDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            When the history is empty.

        TypeError
            When `history` is no `WeightHistory`, or that of a regressor;
            `grid_resolution` is no int; `ax` is no axes.

        ValueError
            When there are more or fewer than two features, other labels than those of
            the classifier, or more than seven classes; `iterations` are empty or not
            all in the history; `grid_resolution` is out of range; there are more or
            fewer axes than iterations.
        """
        check_matplotlib_support(f"{cls.__name__}.from_history")
        display = cls(history, X, y, grid_resolution=grid_resolution)
        return display.plot(iterations=iterations, ax=ax)

    def plot(
        self,
        *,
        iterations: Sequence[int] | None = None,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Self:
        """Draw boundaries side by side.

        Parameters
        ----------
        iterations : sequence of int, default=None
            Which of ``history.iterations_`` to draw. None takes the first one, the last
            one and two between, the earlier ones closer together.

        ax : matplotlib Axes, sequence of them or None, default=None
            Where to draw, one for each iteration. None makes a new figure with pyplot,
            with a legend of the classes.

        Returns
        -------
        display : BoundaryHistoryDisplay
            The display itself.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `from_history`.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        painter = self._make_painter()
        if iterations is None:
            iterations = _spread(self.history.iterations_)
        self.iterations_ = iterations = self._check_iterations(iterations)
        if ax is None:
            self.axes_ = _make_panels(len(iterations))
            painter.add_legend(self.axes_[0].get_figure(root=True))
        else:
            self.axes_ = _check_axes(ax, len(iterations))
        self.figure_ = self.axes_[0].figure
        self.displays_ = [
            painter.paint(panel, self.history.estimator_at(iteration), iteration)
            for panel, iteration in zip(self.axes_, iterations, strict=True)
        ]
        for panel in self.axes_:
            panel.label_outer()
        return self

    def animate(
        self,
        *,
        iterations: Sequence[int] | None = None,
        interval: int = 100,
        ax: Axes | None = None,
    ) -> FuncAnimation:
        """Show the boundaries of the history one after the other.

        Parameters
        ----------
        iterations : sequence of int, default=None
            Which of ``history.iterations_`` to show, one in each frame. None takes all
            of them. Matplotlib renders about ten frames a second.

        interval : int, default=100
            Milliseconds between two frames, from 1 to 60 000.

        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure that no window shows, so that a notebook
            does not show it beside the animation.

        Returns
        -------
        matplotlib.animation.FuncAnimation
            The animation. Keep it in a variable. In a notebook,
            ``IPython.display.HTML(animation.to_jshtml())`` shows it with buttons;
            ``animation.save("boundary.gif")`` stores it.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `from_history`; also when `interval` is no int or out of range.

        Examples
        --------
        >>> import skperceptron
        >>> from sklearn.datasets import make_moons
        >>> from skperceptron import BackpropMLP
        >>> from skperceptron.inspection import BoundaryHistoryDisplay, WeightHistory
        >>> X, y = make_moons(noise=0.2, random_state=0)
        >>> history = WeightHistory(every=50)
        >>> clf = BackpropMLP((10,), tol=0.001, random_state=0)
        >>> with skperceptron.config_context(tracking=False):
        ...     clf = clf.set_callbacks(history).fit(X, y)
        >>> animation = BoundaryHistoryDisplay(history, X, y).animate()
        >>> html = animation.to_jshtml()  # for IPython.display.HTML
        """
        check_matplotlib_support(f"{type(self).__name__}.animate")
        from matplotlib.animation import FuncAnimation
        from matplotlib.figure import Figure

        check_int("interval", interval, 1, _MAX_INTERVAL)
        painter = self._make_painter()
        iterations = self._check_iterations(
            self.history.iterations_ if iterations is None else iterations
        )
        if ax is None:
            figure: Any = Figure(figsize=(4.8, 4.8), layout="constrained")
            panel = figure.subplots()
            painter.add_legend(figure)
            self._show(panel, painter, iterations[0])
            # All frames have the same layout. To find it takes as long as to draw them.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        else:
            (panel,) = _check_axes(ax, 1)
            figure = panel.get_figure(root=True)
        return FuncAnimation(
            figure,
            lambda iteration: self._show(panel, painter, iteration),
            frames=iterations,
            interval=interval,
            init_func=lambda: [],  # nothing is drawn before the first frame
        )

    def _show(self, ax: Axes, painter: _Painter, iteration: int) -> list[Artist]:
        ax.clear()
        painter.paint(ax, self.history.estimator_at(iteration), iteration)
        return [*ax.collections, ax.title]

    def _check_iterations(self, iterations: Sequence[int]) -> list[int]:
        if not len(iterations):
            raise ValueError("iterations must not be empty.")
        for iteration in iterations:
            self.history.estimator_at(iteration)
        return list(iterations)

    def _make_painter(self) -> _Painter:
        check_int("grid_resolution", self.grid_resolution, 2, _MAX_GRID_RESOLUTION)
        if not isinstance(self.history, WeightHistory):
            raise TypeError(f"history must be a WeightHistory, got {self.history!r}.")
        # An empty history has not even this one.
        classifier = self.history.estimator_at([0, *self.history.iterations_][-1])
        return _Painter(classifier, self.X, self.y, self.grid_resolution)


class _Painter:
    """Draws the boundary and the samples into one panel."""

    def __init__(
        self, classifier: Any, X: ArrayLike, y: ArrayLike, grid_resolution: int
    ) -> None:
        self.X = X
        self.grid_resolution = grid_resolution
        self.points, self.labels = _check_samples(classifier, X, y)
        self.classes = classifier.classes_
        self.colors = list(COLORS[: len(self.classes)])
        is_counted_in_epochs = getattr(classifier, "solver", "lbfgs") != "lbfgs"
        self.unit = "epoch" if is_counted_in_epochs else "iteration"

    def paint(
        self, ax: Axes, classifier: Any, iteration: int
    ) -> DecisionBoundaryDisplay:
        """Draw one of them."""
        levels = np.arange(len(self.classes) + 1) - 0.5
        options = (
            {"colors": self.colors}
            if len(self.classes) == 2
            else {"multiclass_colors": self.colors}
        )
        display = DecisionBoundaryDisplay.from_estimator(
            classifier,
            self.X,
            response_method="predict",
            grid_resolution=self.grid_resolution,
            eps=_MARGIN * np.ptp(self.points, axis=0).max(),
            levels=levels,
            alpha=_OPACITY,
            ax=ax,
            **options,
        )
        for label, color in zip(self.classes, self.colors, strict=True):
            of_class = self.points[self.labels == label]
            x, y = of_class.T
            ax.scatter(x, y, s=12, color=color, edgecolor="white", linewidth=0.3)
        accuracy = np.mean(classifier.predict(self.X) == self.labels)
        ax.set_title(
            f"{self.unit} {iteration}\naccuracy {accuracy:.2f}", fontsize="medium"
        )
        return display

    def add_legend(self, figure: Any) -> None:
        """Say which colour is which class."""
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], marker="o", linestyle="", color=color, label=str(label))
            for label, color in zip(self.classes, self.colors, strict=True)
        ]
        figure.legend(
            handles=handles,
            title="class",
            loc="outside lower center",
            ncols=len(handles),
            frameon=False,
        )


def _check_samples(
    classifier: Any, X: ArrayLike, y: ArrayLike
) -> tuple[NDArray, NDArray]:
    name = type(classifier).__name__
    if not is_classifier(classifier):
        raise TypeError(f"Classifiers have decision boundaries, and {name} has none.")
    if classifier.n_features_in_ != 2:
        raise ValueError(
            "Boundaries are drawn over two features, and this "
            f"{name} has {classifier.n_features_in_}. Fit it on two columns, or on "
            "two components, such as those of sklearn.decomposition.PCA."
        )
    if np.ndim(classifier.classes_[0]) or np.ndim(y) > 1:
        raise ValueError("Boundaries are drawn for one label per sample.")
    points = check_array(X)
    if points.shape[1] != 2:
        raise ValueError(f"X must have two columns, got {points.shape[1]}.")
    labels = column_or_1d(y)
    check_consistent_length(points, labels)
    classes = classifier.classes_
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise ValueError(
            f"y has labels that {name} does not know: {unknown.tolist()}. Its classes "
            f"are {classes.tolist()}."
        )
    if len(classes) > len(COLORS):
        raise ValueError(
            f"There are colours for {len(COLORS)} classes, and {name} has "
            f"{len(classes)}."
        )
    return points, labels


def _check_axes(ax: Axes | Sequence[Axes], n_panels: int) -> list[Axes]:
    panels = as_axes(ax)
    if len(panels) != n_panels:
        raise ValueError(
            f"ax must have one axes for each panel, {n_panels} in all; got "
            f"{len(panels)}."
        )
    return panels


def _spread(iterations: list[int]) -> list[int]:
    """Choose some, more of the earlier ones, because more happens there."""
    places = np.geomspace(1, len(iterations), _N_PANELS).round().astype(int) - 1
    return [iterations[place] for place in np.unique(places)]


def _make_panels(n_panels: int) -> list[Axes]:
    import matplotlib.pyplot as plt

    # Two rows of two show more than four in a row.
    n_columns = 2 if n_panels == 4 else min(n_panels, _MAX_COLUMNS)
    n_rows = math.ceil(n_panels / n_columns)
    size = (max(2.5 * n_columns, 4), 2.8 * n_rows + 0.5)
    figure = plt.figure(figsize=size, layout="constrained")
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.ravel())
    for unused in panels[n_panels:]:
        unused.remove()
    return panels[:n_panels]
