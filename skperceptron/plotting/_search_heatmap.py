"""The map of a search: its score over two hyperparameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skperceptron.plotting._axes import add_legend_above, make_panels, set_title
from skperceptron.plotting._cells import Cells, make_cells
from skperceptron.plotting._hyperparameters import Hyperparameter
from skperceptron.plotting._option_checks import check_option
from skperceptron.plotting._score_map import draw_map, print_values
from skperceptron.plotting._score_points import draw_line, draw_points
from skperceptron.plotting._scoring import choose_scorer, choose_splits, score_name
from skperceptron.plotting._search_results import read_results, results_of
from skperceptron.plotting._selection import choose_axes, hold_others

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap, Normalize

# A map with more rows or columns becomes a scatter plot, ...
_MAX_VALUES = 30
# ... and one with more has no numbers in its cells.
_MAX_PRINTED = 10


class SearchHeatmapDisplay:
    """Map of the score of a search over two of its hyperparameters.

    It is recommended to use :meth:`from_search` to create a display. All parameters are
    stored as attributes.

    Parameters
    ----------
    x : Hyperparameter
        What varies along x.

    y : Hyperparameter or None
        What varies along y. None makes a line with error bars of it: one standard
        deviation over the folds in each direction.

    cells : Cells
        The scores.

    score_name : str, default="score"
        Name of the score, for the labels.

    note : str, default=""
        What the title says of the other hyperparameters.

    Attributes
    ----------
    scores_ : dict of ndarray
        What is drawn, by split ("train" and "test"): of shape (n_y, n_x) in a map,
        (n_x,) in a line, (n_points,) in a scatter plot. NaN where there is no score.

    ax_ : matplotlib Axes or ndarray of two of them
        The axes; a map of both splits has one for each, the training scores first.

    figure_ : matplotlib Figure
        The figure.

    colorbar_ : matplotlib Colorbar or None
        The colour bar; None in a line.

    See Also
    --------
    influence : Order hyperparameters by how much the score varies with them.

    Notes
    -----
    With more than 30 values along x or y a map becomes a scatter plot, in which only
    the values that occur have points. Values that have no order are not joined by a
    line.

    Examples
    --------
    In a thread, or wherever pyplot is not wanted, give it the axes of a figure.

    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> import skperceptron
    >>> from skperceptron.plotting import SearchHeatmapDisplay
    >>> search = GridSearchCV(
    ...     skperceptron.HillClimbPerceptron(max_iter=20, random_state=0),
    ...     {"step_size": [0.01, 0.1, 1.0], "mutation": ["all", "unit"]},
    ... )
    >>> with skperceptron.config_context(tracking=False):
    ...     search = search.fit(*load_iris(return_X_y=True))
    >>> figure = Figure(layout="constrained")
    >>> display = SearchHeatmapDisplay.from_search(
    ...     search, x="step_size", y="mutation", ax=figure.subplots()
    ... )
    >>> display.scores_["test"].shape
    (2, 3)
    >>> display.ax_.get_xlabel()
    'step_size (log)'
    """

    def __init__(
        self,
        x: Hyperparameter,
        y: Hyperparameter | None,
        cells: Cells,
        *,
        score_name: str = "score",
        note: str = "",
    ) -> None:
        self.x = x
        self.y = y
        self.cells = cells
        self.score_name = score_name
        self.note = note

    @classmethod
    def from_search(
        cls,
        search: Any,
        x: str | None = None,
        y: str | None = None,
        *,
        reduce: Literal["best", "mean"] = "best",
        split: Literal["test", "train", "both"] = "test",
        scoring: str | None = None,
        ax: Axes | Sequence[Axes] | None = None,
        norm: Normalize | None = None,
    ) -> Self:
        """Draw what a search has found.

        Parameters
        ----------
        search : estimator instance
            Fitted search, for example a :class:`~sklearn.model_selection.GridSearchCV`,
            a randomized or a halving search: whatever has ``cv_results_``. Where a
            halving search evaluated a cell more than once, the last iteration counts.

        x, y : str or None, default=None
            Hyperparameters to draw, by their full names in the search or by the last
            part of it, where that is unambiguous. None takes the most influential
            one that is left, see :func:`influence`. If only one varies, a line is drawn
            instead of a map.

        reduce : {"best", "mean"}, default="best"
            How to deal with the other hyperparameters: they are held at the values of
            the best candidate, or averaged over. Values drawn from a continuous
            distribution, which no two candidates share, are averaged over in any case.

        split : {"test", "train", "both"}, default="test"
            Scores to draw: on the data held out of each fold, on those fitted to, or
            both side by side with one colour scale.

        scoring : str or None, default=None
            Score to draw, in a search with several ones. None takes the one by which
            the search refits.

        ax : matplotlib Axes, sequence of two of them or None, default=None
            Where to draw. A map of both splits takes two, or the place of one in the
            grid of its figure. None makes a new figure with pyplot.

        norm : matplotlib Normalize or None, default=None
            The range of scores that the colours span. None takes that of the scores
            drawn. Displays that are compared should share one.

        Returns
        -------
        display : SearchHeatmapDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            When the search has no ``cv_results_``, as when all of its fits have failed.

        TypeError
            When `search` is no estimator, `x` or `y` no str, `ax` no axes, or `norm`
            no Normalize.

        ValueError
            When an option is none of those above, a name is not in the search or
            ambiguous, `x` and `y` are the same, neither varies, training scores were
            not kept, no candidate has a score, or `ax` has the wrong number of axes.
        """
        check_matplotlib_support(f"{cls.__name__}.from_search")
        return cls._of_search(search, x, y, reduce, split, scoring).plot(ax, norm=norm)

    @classmethod
    def _of_search(
        cls,
        search: Any,
        x: str | None = None,
        y: str | None = None,
        reduce: str = "best",
        split: str = "test",
        scoring: str | None = None,
    ) -> Self:
        """Decide what to draw of a search, without matplotlib."""
        check_option("reduce", reduce, ["best", "mean"])
        cv_results = results_of(search)
        scorer = choose_scorer(search, cv_results, scoring)
        splits = choose_splits(cv_results, split, scorer)
        results = read_results(cv_results, scorer, {"test", *splits})
        along_x, along_y = choose_axes(results, x, y)
        candidates, note = hold_others(results, (along_x, along_y), reduce)
        cells = make_cells(results, candidates, splits, along_x, along_y)
        name = score_name(search, scorer)
        return cls(along_x, along_y, cells, score_name=name, note=note)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        cmap: str | Colormap = "viridis",
        norm: Normalize | None = None,
        include_values: bool | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, sequence of two of them or None, default=None
            Where to draw. A map of both splits takes two, or the place of one in the
            grid of its figure. None makes a new figure with pyplot.

        cmap : str or matplotlib Colormap, default="viridis"
            Colours of a map or a scatter plot.

        norm : matplotlib Normalize or None, default=None
            The range of scores that they span. None takes that of the scores drawn.
            Displays that are compared should share one.

        include_values : bool or None, default=None
            Whether to print the scores in the cells of a map. None prints up to 10 rows
            of 10.

        Returns
        -------
        display : SearchHeatmapDisplay
            The display itself.

        Raises
        ------
        TypeError
            When `ax` is no axes, or `norm` no Normalize.

        ValueError
            When it has the wrong number of axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        panels = make_panels(ax, 1 if self.y is None else len(self.cells.scores))
        self.scores_: dict[str, NDArray[np.floating]] = {}
        self.colorbar_: Colorbar | None = None
        if self.y is None:
            self._plot_line(panels[0])
        else:
            self._plot_colours(panels, self.y, cmap, norm, include_values)
        self.ax_ = panels[0] if len(panels) == 1 else np.array(panels, dtype=object)
        self.figure_ = panels[0].figure
        return self

    def _plot_line(self, ax: Axes) -> None:
        for split, scores in self.cells.scores.items():
            self.scores_[split] = self.cells.table(scores.means, np.nan)[0]
        draw_line(ax, self.x, self.cells)
        ax.set_ylabel(self._score_label())
        set_title(ax, [self.note])

    def _plot_colours(
        self,
        panels: list[Axes],
        y: Hyperparameter,
        cmap: str | Colormap,
        norm: Normalize | None,
        include_values: bool | None,
    ) -> None:
        cells, splits = self.cells, list(self.cells.scores)
        is_map = max(cells.shape) <= _MAX_VALUES
        for split, scores in cells.scores.items():
            means = scores.means
            self.scores_[split] = cells.table(means, np.nan) if is_map else means
        draw = draw_map if is_map else draw_points
        colours = {"cmap": cmap, "norm": _make_norm(norm, self.scores_.values())}
        artists: list[ScalarMappable] = [
            draw(panel, self.x, y, cells, split, **colours)
            for panel, split in zip(panels, splits, strict=True)
        ]
        self.colorbar_ = panels[0].figure.colorbar(
            artists[0], ax=panels, label=self._score_label()
        )
        self._label_panels(panels)
        if include_values is None:
            include_values = max(cells.shape) <= _MAX_PRINTED
        if is_map and include_values:
            _lay_out(panels[0])
            for panel, image, split in zip(panels, artists, splits, strict=True):
                print_values(panel, image, self.scores_[split])

    def _label_panels(self, panels: list[Axes]) -> None:
        """Put titles on top, below them what explains the marks, and share labels."""
        has_legend = _explain_marks(panels)
        for panel, split in zip(panels, self.cells.scores, strict=True):
            parts = [split, self.note] if len(panels) > 1 else [self.note]
            set_title(panel, parts, above_legend=has_legend)
        first, last = panels[0], panels[-1]
        if first is not last and first.get_shared_y_axes().joined(first, last):
            last.set_ylabel("")
            last.tick_params(labelleft=False)

    def _score_label(self) -> str:
        splits = list(self.cells.scores)
        return self.score_name if len(splits) > 1 else f"{splits[0]} {self.score_name}"


def _make_norm(
    given: Normalize | None, scores: Iterable[NDArray[np.floating]]
) -> Normalize:
    from matplotlib.colors import Normalize

    if given is None:
        given = Normalize()
    elif not isinstance(given, Normalize):
        raise TypeError(
            f"norm must be a matplotlib.colors.Normalize or None, got {given!r}."
        )
    given.autoscale_None(np.ma.masked_invalid([*scores]))
    return given


def _explain_marks(panels: list[Axes]) -> bool:
    """Explain the marks of all panels once, if there are any."""
    marks: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        marks |= zip(labels, handles, strict=True)
    if marks:
        legend = add_legend_above(panels[-1], marks.values(), n_columns=len(marks))
        # It may begin above the panel before, and the titles keep its place free.
        legend.set_in_layout(len(panels) == 1)
    return bool(marks)


def _lay_out(ax: Axes) -> None:
    """Let the figure give the axes their final size, if it knows how to."""
    figure = ax.figure.canvas.figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
