"""The map of a search: its score over two hyperparameters."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, takewhile
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils._optional_dependencies import check_matplotlib_support

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap, Normalize

Floats = NDArray[np.floating]
Codes = NDArray[np.intp]
Mask = NDArray[np.bool_]

# A map with more rows or columns becomes a scatter plot, ...
_MOST_VALUES = 30
# ... and one with more has no numbers in its cells.
_MOST_PRINTED = 10
_MOST_TICKS = 12
_MOST_CHARACTERS = 24

_FAILED = {"facecolor": "white", "edgecolor": "0.25", "hatch": "xxx", "linewidth": 0}
_MISSING = {"facecolor": "0.94", "edgecolor": "0.65", "hatch": "//", "linewidth": 0}
# Two colours, of which at least one stands out from whatever cell is framed.
_PARTLY: dict[str, Any] = {
    "color": "white",
    "gapcolor": "black",
    "linestyle": "--",
    "linewidth": 1.5,
}


class _Unset:
    """Stands for the value of a hyperparameter that a candidate does not have."""

    def __repr__(self) -> str:
        return "not set"


_UNSET = _Unset()


# Hyperparameters


@dataclass(frozen=True, eq=False)
class Hyperparameter:
    """A hyperparameter and what a search tried of it.

    Attributes
    ----------
    name : str
        Its name in the search.

    label : str
        The last part of the name where no other hyperparameter shares it, else the
        name.

    values : list
        The distinct values: numbers first, in ascending order, then the others in the
        order in which they appeared.

    codes : ndarray of int of shape (n_candidates,)
        Which of the values each candidate had.
    """

    name: str
    label: str
    values: list[Any]
    codes: Codes

    @property
    def varies(self) -> bool:
        """Whether more than one value was tried."""
        return len(self.values) > 1

    @cached_property
    def is_numeric(self) -> bool:
        """Whether all values are finite numbers."""
        return all(_is_number(value) and math.isfinite(value) for value in self.values)

    @cached_property
    def is_log(self) -> bool:
        """Whether the values are spaced by factors rather than by differences."""
        return self.is_numeric and _is_log_spaced(np.array(self.values, dtype=float))

    @property
    def scale(self) -> Literal["linear", "log"]:
        """Scale of an axis on which the values have their :attr:`coordinates`."""
        return "log" if self.is_log and self.values[0] > 0 else "linear"

    @property
    def is_ordinal(self) -> bool:
        """Whether there is no axis for the values but their order.

        So it is for zero among values that need a logarithmic axis.
        """
        return not self.is_numeric or (self.is_log and self.scale == "linear")

    @property
    def coordinates(self) -> Floats:
        """Place of each value on an axis."""
        if self.is_ordinal:
            return np.arange(len(self.values), dtype=float)
        return np.array(self.values, dtype=float)

    @property
    def axis_label(self) -> str:
        """Label of an axis."""
        return f"{self.label} (log)" if self.is_log else self.label

    @property
    def tick_labels(self) -> list[str]:
        """Label of each value."""
        numbers = [value for value in self.values if _is_number(value)]
        if all(isinstance(value, Integral) for value in numbers):
            texts = [str(value) for value in numbers]
        else:
            texts = _number_texts([float(value) for value in numbers], self.is_log)
        return texts + [value_text(value) for value in self.values[len(numbers) :]]

    def tells_candidates_apart(self, rows: Mask) -> bool:
        """Whether hardly any two candidates share a value, as when it was drawn.

        Parameters
        ----------
        rows : ndarray of bool of shape (n_candidates,)
            The candidates to look at.

        Returns
        -------
        bool
            True with fewer than two of them per value.
        """
        return rows.sum() < 2 * len(np.unique(self.codes[rows]))


def value_text(value: Any) -> str:
    """Write a value of a hyperparameter so that it fits beside an axis.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    str
        At most 24 characters on one line.

    Examples
    --------
    >>> value_text((100, 50)), value_text(0.1 + 0.2), value_text(None)
    ('(100, 50)', '0.3', 'None')
    """
    if _is_number(value) and not isinstance(value, Integral):
        return _number_texts([float(value)], scientific=False)[0]
    text = value.__name__ if hasattr(value, "__name__") else str(value)
    return textwrap.shorten(text, _MOST_CHARACTERS, placeholder="…") or "''"


def _number_texts(numbers: list[float], scientific: bool) -> list[str]:
    """Write numbers with few digits, unless that makes two of them the same."""
    write = _scientific if scientific else _plain
    texts = [write(number, 2) for number in numbers]
    if len(set(texts)) == len(texts):
        return texts
    return [write(number, 6) for number in numbers]


def _scientific(number: float, digits: int) -> str:
    mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}" if number else "0"


def _plain(number: float, digits: int) -> str:
    return f"{number:.{digits + 1}g}" if abs(number) < 100 else f"{number:g}"


def _is_number(value: Any) -> bool:
    # NaN has no place in an order.
    return isinstance(value, Real) and not isinstance(value, bool) and value == value


def _is_log_spaced(values: Floats) -> bool:
    """Whether ascending values, but for a zero, are more even on a logarithmic axis."""
    positive = values[values > 0]
    if values[0] < 0 or len(positive) < 2 or positive[-1] < 10 * positive[0]:
        return False
    return len(positive) == 2 or _unevenness(np.log(positive)) < _unevenness(positive)


def _unevenness(values: Floats) -> float:
    gaps = np.diff(values)
    return gaps.std() / gaps.mean()


def _encode(values: Iterable[Any]) -> tuple[list[Any], Codes]:
    """Find the distinct values in their order, and which of them each value is."""
    values = [
        value.item() if isinstance(value, np.generic) else value for value in values
    ]
    distinct: dict[Any, Any] = {}
    for value in values:
        distinct.setdefault(_identity(value), value)
    numbers = {key: value for key, value in distinct.items() if _is_number(value)}
    ordered = dict(sorted(numbers.items(), key=lambda item: item[1])) | distinct
    place = {key: code for code, key in enumerate(ordered)}
    codes = np.array([place[_identity(value)] for value in values], dtype=np.intp)
    return list(ordered.values()), codes


def _identity(value: Any) -> tuple[str, Any]:
    """Make a key of a value, which may be unhashable; True is no 1."""
    if _is_number(value):
        return "number", value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return type(value).__name__, repr(value)


def _hyperparameters(cv_results: Mapping[str, Any]) -> dict[str, Hyperparameter]:
    """List what a search had in its grid or distributions, by name."""
    params = cv_results["params"]
    names = list(dict.fromkeys(name for candidate in params for name in candidate))
    last_parts = [name.split("__")[-1] for name in names]
    found = {}
    for name, last in zip(names, last_parts, strict=True):
        column = [candidate.get(name, _UNSET) for candidate in params]
        # Halving searches list the resource among the parameters of a candidate.
        if list(cv_results.get("n_resources", ())) != column:
            label = last if last_parts.count(last) == 1 else name
            found[name] = Hyperparameter(name, label, *_encode(column))
    return found


# Which of them to draw


def influence(cv_results: Mapping[str, Any], scorer: str = "score") -> dict[str, float]:
    """Order hyperparameters by how much the score varies with them.

    The influence of a hyperparameter is the standard deviation of its marginal means:
    the mean test score of all candidates that share a value, over the values. Failed
    candidates are left out.

    Parameters
    ----------
    cv_results : dict
        ``cv_results_`` of a search. Of a halving search only the first iteration
        counts, in which all candidates had the same resources.

    scorer : str, default="score"
        Name of the scorer; "score" in a search with one metric.

    Returns
    -------
    dict of float
        Influence by full name, largest first. 0 for what did not vary.

    Raises
    ------
    ValueError
        When there is no such scorer.

    Notes
    -----
    Where there are fewer than two candidates per value, as for values drawn from a
    continuous distribution, each mean would be a single score. Neighbouring values are
    put together then, in about ``n_candidates ** (1 / 3)`` groups of about equal size.

    Examples
    --------
    >>> cv_results = {
    ...     "params": [{"a": a, "b": b} for a in (1, 2) for b in (1, 2)],
    ...     "mean_test_score": [0.5, 0.9, 0.6, 1.0],
    ... }
    >>> list(influence(cv_results))
    ['b', 'a']
    """
    _check_option("scorer", scorer, _scorer_names(cv_results))
    scores = np.asarray(cv_results[f"mean_test_{scorer}"], dtype=float)
    first = _first_iteration(cv_results)
    rows = first & np.isfinite(scores)
    spreads = {
        name: _spread_of_means(_groups(hyperparameter, first)[rows], scores[rows])
        for name, hyperparameter in _hyperparameters(cv_results).items()
    }
    return dict(sorted(spreads.items(), key=lambda item: -item[1]))


def _first_iteration(cv_results: Mapping[str, Any]) -> Mask:
    if "iter" not in cv_results:
        return np.ones(len(cv_results["params"]), dtype=bool)
    return np.asarray(cv_results["iter"]) == np.min(cv_results["iter"])


def _groups(hyperparameter: Hyperparameter, rows: Mask) -> Codes:
    if not hyperparameter.tells_candidates_apart(rows):
        return hyperparameter.codes
    n_groups = max(2, round(rows.sum() ** (1 / 3)))
    return hyperparameter.codes * n_groups // len(hyperparameter.values)


def _spread_of_means(groups: Codes, scores: Floats) -> float:
    means = [scores[groups == group].mean() for group in np.unique(groups)]
    return float(np.std(means)) if means else 0.0


def _choose_axes(
    hyperparameters: dict[str, Hyperparameter],
    by_influence: Iterable[str],
    x: str | None,
    y: str | None,
) -> tuple[Hyperparameter, Hyperparameter | None]:
    """Find what varies along x and along y; nothing along y when it makes a line."""
    named = {
        axis: _find_name(axis, name, list(hyperparameters))
        for axis, name in (("x", x), ("y", y))
        if name is not None
    }
    if len(named) == 2 and named["x"] == named["y"]:
        raise ValueError(
            f"x and y must be two hyperparameters, got {named['x']!r} for both."
        )
    varying = [name for name in by_influence if hyperparameters[name].varies]
    unnamed = [name for name in varying if name not in named.values()]
    for axis in ("x", "y"):
        if axis not in named and unnamed:
            named[axis] = unnamed.pop(0)
    drawn = [named[axis] for axis in ("x", "y") if named.get(axis) in varying]
    if not drawn:
        raise ValueError(
            "Nothing to draw: no hyperparameter was tried with more than one value"
            + (f" among {list(named.values())}." if varying else " in this search.")
        )
    first, *second = (hyperparameters[name] for name in drawn)
    return first, second[0] if second else None


def _find_name(axis: str, name: str, names: list[str]) -> str:
    if name in names:
        return name
    found = [full for full in names if full.endswith(f"__{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{axis}={name!r} is ambiguous: choose one of {found}.")
    raise ValueError(
        f"{axis}={name!r} is not a hyperparameter of this search, which has {names}."
    )


# What the search found


def _fitted_results(search: Any) -> dict[str, Any]:
    if not hasattr(search, "cv_results_"):
        raise NotFittedError(
            f"This {type(search).__name__} has no cv_results_: it is not a search, or "
            "it is not fitted yet. Call 'fit' of a search such as GridSearchCV first."
        )
    results = dict(search.cv_results_)
    # Optuna's OptunaSearchCV keeps the parameters elsewhere.
    if "params" not in results and hasattr(search, "trials_"):
        results["params"] = [trial.params for trial in search.trials_]
    return results


def _scorer_names(cv_results: Mapping[str, Any]) -> list[str]:
    prefix = "mean_test_"
    return [key.removeprefix(prefix) for key in cv_results if key.startswith(prefix)]


def _choose_scorer(search: Any, names: list[str], scoring: str | None) -> str:
    """Find the name that the scores have in ``cv_results_``."""
    if names == ["score"]:
        allowed = ["score", _score_name(search, "score")]
        if scoring is not None:
            _check_option("scoring", scoring, allowed)
        return "score"
    if scoring is None:
        refit = getattr(search, "refit", None)
        if refit in names:
            return refit
        raise ValueError(
            "This search has several scores and refit names none of them: choose "
            f"scoring from {names}."
        )
    _check_option("scoring", scoring, names)
    return scoring


def _score_name(search: Any, scorer: str) -> str:
    """Name a score as a reader knows it."""
    if scorer != "score":
        return scorer
    scoring = getattr(search, "scoring", None)
    if scoring is None:
        return _default_score_name(getattr(search, "estimator", None))
    if isinstance(scoring, str):
        return scoring
    function = getattr(scoring, "_score_func", scoring)
    name = getattr(function, "__name__", "score")
    return f"negative {name}" if getattr(scoring, "_sign", 1) < 0 else name


def _default_score_name(estimator: Any) -> str:
    last_step = getattr(estimator, "_final_estimator", estimator)
    # A search inside the search, and the like, scores as it was told to.
    if last_step is None or getattr(last_step, "scoring", None) is not None:
        return "score"
    if is_classifier(last_step):
        return "accuracy"
    return "R²" if is_regressor(last_step) else "score"


def _choose_splits(cv_results: Mapping[str, Any], split: str, scorer: str) -> list[str]:
    splits = ["train", "test"] if split == "both" else [split]
    if "train" in splits and f"mean_train_{scorer}" not in cv_results:
        raise ValueError(
            f"split={split!r} needs scores on the training data, which this search did "
            "not keep. Fit it again with return_train_score=True, or choose "
            "split='test'."
        )
    return splits


def _best_candidate(search: Any, cv_results: Mapping[str, Any], scorer: str) -> int:
    """Find the candidate that the search chose, or would choose by this score."""
    chooses = scorer == "score" or getattr(search, "refit", None) == scorer
    if chooses and hasattr(search, "best_index_"):
        return int(search.best_index_)
    scores = np.asarray(cv_results[f"mean_test_{scorer}"], dtype=float)
    iterations = np.asarray(cv_results.get("iter", np.zeros(len(scores))))
    eligible = np.isfinite(scores) & (iterations == iterations.max())
    return int(np.where(eligible, scores, -np.inf).argmax())


@dataclass(frozen=True, eq=False)
class Cells:
    """The scores of a search where two hyperparameters have certain values.

    Attributes
    ----------
    columns, rows : ndarray of int of shape (n_cells,)
        Which value of x and of y a cell has; only cells that were evaluated.

    n_candidates : ndarray of int of shape (n_cells,)
        Candidates in each cell, failed ones included.

    n_failed : dict of ndarray of int of shape (n_cells,)
        How many of them have no score, by split ("train" and "test").

    means : dict of ndarray of shape (n_cells,)
        Mean score of the others over candidates and folds, by split; NaN where all have
        failed.

    stds : dict of ndarray of shape (n_cells,)
        Standard deviation over the folds of the mean over the candidates, by split.
    """

    columns: Codes
    rows: Codes
    n_candidates: Codes
    n_failed: dict[str, Codes]
    means: dict[str, Floats]
    stds: dict[str, Floats]

    def has_failed(self, split: str) -> Mask:
        """Tell in which cells all candidates have failed."""
        return self.n_failed[split] == self.n_candidates

    def has_partly_failed(self, split: str) -> Mask:
        """Tell in which cells some candidates have failed, but not all."""
        return (self.n_failed[split] > 0) & ~self.has_failed(split)


def _make_cells(
    cv_results: Mapping[str, Any],
    scorer: str,
    splits: Sequence[str],
    x: Hyperparameter,
    y: Hyperparameter | None,
    rows: Mask,
) -> Cells:
    """Put the candidates of some rows of a search into cells."""
    y_codes = np.zeros_like(x.codes) if y is None else y.codes
    places = y_codes * len(x.values) + x.codes
    rows = rows & _is_last_iteration(cv_results, places, rows)
    cells, cell_of = np.unique(places[rows], return_inverse=True)
    n_candidates = np.bincount(cell_of)
    n_failed, means, stds = {}, {}, {}
    for split in splits:
        key = f"{split}_{scorer}"
        scores = np.asarray(cv_results[f"mean_{key}"], dtype=float)[rows]
        ok = np.isfinite(scores)
        counts = np.bincount(cell_of[ok], minlength=len(cells))
        n_failed[split] = n_candidates - counts
        means[split] = _mean_by_cell(scores[ok], cell_of[ok], counts)
        folds = (fold[rows][ok] for fold in _fold_scores(cv_results, key))
        stds[split] = np.std(
            [_mean_by_cell(fold, cell_of[ok], counts) for fold in folds], axis=0
        )
    return Cells(
        *np.divmod(cells, len(x.values))[::-1], n_candidates, n_failed, means, stds
    )


def _is_last_iteration(
    cv_results: Mapping[str, Any], places: Codes, rows: Mask
) -> Mask:
    """Tell which candidates belong to the last iteration that reached their place."""
    iterations = np.asarray(cv_results.get("iter", np.zeros(len(places), dtype=int)))
    last = np.full(places.max() + 1, -1)
    np.maximum.at(last, places[rows], iterations[rows])
    return iterations == last[places]


def _fold_scores(cv_results: Mapping[str, Any], key: str) -> list[Floats]:
    names = (f"split{fold}_{key}" for fold in count())
    found = takewhile(cv_results.__contains__, names)
    return [np.asarray(cv_results[name], dtype=float) for name in found]


def _mean_by_cell(scores: Floats, cell_of: Codes, counts: Codes) -> Floats:
    sums = np.bincount(cell_of, weights=scores, minlength=len(counts))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _hold_at_best(
    others: list[Hyperparameter], best: int, first: Mask
) -> tuple[Mask, list[Hyperparameter]]:
    """Find the candidates like the best one in what is not drawn.

    Parameters
    ----------
    others : list of Hyperparameter
        What is not drawn.

    best : int
        Row of the best candidate.

    first : ndarray of bool of shape (n_candidates,)
        Candidates of the first iteration.

    Returns
    -------
    rows : ndarray of bool of shape (n_candidates,)
        The candidates that have the same values, or have no such hyperparameter.

    held : list of Hyperparameter
        Those that could be held: had each candidate a value of its own, the best one
        would be left alone.
    """
    held = [other for other in others if not other.tells_candidates_apart(first)]
    rows = np.ones(len(first), dtype=bool)
    for other in held:
        unset = np.array([value is _UNSET for value in other.values])
        rows &= (other.codes == other.codes[best]) | unset[other.codes]
    return rows, held


def _describe_others(
    others: list[Hyperparameter], held: list[Hyperparameter], best: int
) -> str:
    parts = []
    if held:
        values = (
            f"{other.label} = {value_text(other.values[other.codes[best]])}"
            for other in held
        )
        parts.append(", ".join(values))
    averaged = [other.label for other in others if other not in held]
    if averaged:
        parts.append(f"mean over {', '.join(averaged)}")
    return "; ".join(parts)


def _check_option(name: str, value: Any, allowed: Iterable[str]) -> None:
    options = list(dict.fromkeys(allowed))
    if value not in options:
        raise ValueError(f"{name} must be one of {options}, got {value!r}.")


# The figure


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
            part of it, where that is unambiguous. In place of None comes the most
            influential one that is left, see :func:`influence`. With a single one that
            varies, a line is drawn instead of a map.

        reduce : {"best", "mean"}, default="best"
            What becomes of the other hyperparameters: they are held at the values of
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

        Returns
        -------
        display : SearchHeatmapDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            When the search has no ``cv_results_``.

        ValueError
            When an option is none of those above, a name is not in the search or
            ambiguous, `x` and `y` are the same, neither varies, training scores were
            not kept, or `ax` has the wrong number of axes.
        """
        check_matplotlib_support(f"{cls.__name__}.from_search")
        _check_option("reduce", reduce, ["best", "mean"])
        _check_option("split", split, ["test", "train", "both"])
        results = _fitted_results(search)
        scorer = _choose_scorer(search, _scorer_names(results), scoring)
        splits = _choose_splits(results, split, scorer)
        hyperparameters = _hyperparameters(results)
        drawn = _choose_axes(hyperparameters, influence(results, scorer), x, y)
        first = _first_iteration(results)
        others = [
            other
            for other in hyperparameters.values()
            if other.varies and other not in drawn
        ]
        best = _best_candidate(search, results, scorer)
        to_hold = others if reduce == "best" else []
        rows, held = _hold_at_best(to_hold, best, first)
        display = cls(
            *drawn,
            _make_cells(results, scorer, splits, *drawn, rows),
            score_name=_score_name(search, scorer),
            note=_describe_others(others, held, best),
        )
        return display.plot(ax)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        cmap: str | Colormap = "viridis",
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

        include_values : bool or None, default=None
            Whether to print the scores in the cells of a map. None prints up to 10 rows
            of 10.

        Returns
        -------
        display : SearchHeatmapDisplay
            The display itself.

        Raises
        ------
        ValueError
            When `ax` has the wrong number of axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        splits = list(self.cells.means)
        panels = _make_panels(ax, 1 if self.y is None else len(splits))
        self.scores_: dict[str, Floats] = {}
        self.colorbar_: Colorbar | None = None
        if self.y is None:
            self._plot_line(panels[0])
        else:
            self._plot_colours(panels, cmap, include_values)
        self.ax_ = panels[0] if len(panels) == 1 else np.array(panels, dtype=object)
        self.figure_ = panels[0].figure
        return self

    # One hyperparameter

    def _plot_line(self, ax: Axes) -> None:
        places = self.x.coordinates[self.cells.columns]
        for split, means in self.cells.means.items():
            ax.errorbar(
                places,
                means,
                yerr=self.cells.stds[split],
                fmt="o-" if self.x.is_numeric else "o",
                capsize=3,
                label=split,
            )
            self.scores_[split] = self._grid(means)[0]
        has_failed = self._mark_failures_below(ax, places)
        if len(self.cells.means) > 1 or has_failed:
            ax.legend()
        _set_scale(ax, "x", self.x)
        ax.set_ylabel(self._score_label())
        _set_title(ax, [self.note])

    def _mark_failures_below(self, ax: Axes, places: Floats) -> bool:
        """Mark at the bottom what failed on any of the splits."""
        marked = False
        for label, (of, marker) in {
            "failed": (self.cells.has_failed, "x"),
            "partly failed": (self.cells.has_partly_failed, "+"),
        }.items():
            mask = np.any([of(split) for split in self.cells.means], axis=0)
            if mask.any():
                marked = True
                ax.scatter(
                    places[mask],
                    np.full(mask.sum(), 0.03),
                    # Not at a score, but at a share of the height.
                    transform=ax.get_xaxis_transform(),
                    marker=marker,
                    color="0.25",
                    label=label,
                )
        return marked

    def _score_label(self) -> str:
        splits = list(self.cells.means)
        return self.score_name if len(splits) > 1 else f"{splits[0]} {self.score_name}"

    def _grid(self, values: NDArray, fill: Any = np.nan) -> NDArray:
        """Lay values of the cells out in rows and columns."""
        n_rows = 1 if self.y is None else len(self.y.values)
        grid = np.full((n_rows, len(self.x.values)), fill)
        grid[self.cells.rows, self.cells.columns] = values
        return grid

    # Two hyperparameters

    def _plot_colours(
        self, panels: list[Axes], cmap: str | Colormap, include_values: bool | None
    ) -> None:
        assert self.y is not None
        norm = _make_norm(self.cells.means.values())
        n_values = len(self.x.values), len(self.y.values)
        is_map = max(n_values) <= _MOST_VALUES
        draw = self._draw_map if is_map else self._draw_points
        splits = list(self.cells.means)
        artists = [
            draw(ax, split, norm, cmap)
            for ax, split in zip(panels, splits, strict=True)
        ]
        label = self._score_label()
        self.colorbar_ = panels[0].figure.colorbar(artists[0], ax=panels, label=label)
        has_legend = [_add_legend_above(ax) for ax in panels]
        for ax, split in zip(panels, splits, strict=True):
            parts = [split, self.note] if len(panels) > 1 else [self.note]
            _set_title(ax, parts, above_legend=any(has_legend))
        if len(panels) > 1:
            panels[1].set_ylabel("")
            panels[1].tick_params(labelleft=False)
        if include_values is None:
            include_values = max(n_values) <= _MOST_PRINTED
        if is_map and include_values:
            _lay_out(panels[0])
            for ax, artist, split in zip(panels, artists, splits, strict=True):
                _print_values(ax, artist, self.scores_[split])

    def _draw_map(
        self, ax: Axes, split: str, norm: Normalize, cmap: str | Colormap
    ) -> ScalarMappable:
        assert self.y is not None
        cells = self.cells
        scores = self.scores_[split] = self._grid(cells.means[split])
        image = ax.imshow(
            np.ma.masked_invalid(scores),
            cmap=cmap,
            norm=norm,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
        )
        _hatch(ax, self._grid(cells.has_failed(split), fill=False), "failed", _FAILED)
        is_missing = self._grid(cells.n_candidates == 0, fill=True)
        _hatch(ax, is_missing, "not evaluated", _MISSING)
        _frame(ax, self._grid(cells.has_partly_failed(split), fill=False))
        _set_ticks(ax, "x", self.x)
        _set_ticks(ax, "y", self.y)
        return image

    def _draw_points(
        self, ax: Axes, split: str, norm: Normalize, cmap: str | Colormap
    ) -> ScalarMappable:
        assert self.y is not None
        cells = self.cells
        scores = self.scores_[split] = cells.means[split]
        x = self.x.coordinates[cells.columns]
        y = self.y.coordinates[cells.rows]
        failed, partly = cells.has_failed(split), cells.has_partly_failed(split)
        points = ax.scatter(
            x[~failed],
            y[~failed],
            c=scores[~failed],
            cmap=cmap,
            norm=norm,
            s=50,
            edgecolors="0.6",
            linewidths=0.5,
        )
        if failed.any():
            ax.scatter(x[failed], y[failed], marker="x", color="0.25", label="failed")
        if partly.any():
            ax.scatter(
                x[partly],
                y[partly],
                s=50,
                facecolors="none",
                edgecolors="black",
                linewidths=2,
                label="partly failed",
            )
        _set_scale(ax, "x", self.x)
        _set_scale(ax, "y", self.y)
        return points


def _make_panels(ax: Any, n_panels: int) -> list[Axes]:
    if ax is None:
        import matplotlib.pyplot as plt

        # Small, so that the letters are large where the figure is shown small.
        size = (5.0, 4.0) if n_panels == 1 else (8.0, 4.0)
        _, axes = plt.subplots(
            1, n_panels, figsize=size, layout="constrained", squeeze=False
        )
        return list(axes[0])
    panels = list(np.ravel(np.array(ax, dtype=object)))
    if len(panels) == 1 and n_panels == 2:
        return _divide(panels[0])
    if len(panels) != n_panels:
        allowed = "one axes" if n_panels == 1 else "two axes, or one to be divided"
        raise ValueError(f"ax must be {allowed}; got {len(panels)} axes.")
    return panels


def _divide(ax: Axes) -> list[Axes]:
    """Put two axes in the place of one."""
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            "A map of both splits needs two axes, and this one cannot be divided, for "
            "it is in no grid: give two axes, or one made by 'subplots'."
        )
    ax.set_axis_off()
    halves = spec.subgridspec(1, 2)
    return [ax.figure.add_subplot(halves[0, column]) for column in range(2)]


def _make_norm(scores: Iterable[Floats]) -> Normalize:
    from matplotlib.colors import Normalize

    values = np.concatenate(list(scores))
    values = values[np.isfinite(values)]
    return Normalize(values.min(), values.max()) if len(values) else Normalize(0, 1)


def _lay_out(ax: Axes) -> None:
    """Let the figure give the axes their final size, if it knows how to."""
    figure = ax.figure.canvas.figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()


def _hatch(ax: Axes, mask: Mask, label: str, style: dict[str, Any]) -> None:
    from matplotlib.patches import Rectangle

    # One entry of the legend for all of them.
    for n, (row, column) in enumerate(np.argwhere(mask)):
        corner = column - 0.5, row - 0.5
        name = label if n == 0 else "_nolegend_"
        ax.add_patch(Rectangle(corner, 1, 1, label=name, **style))


def _frame(ax: Axes, mask: Mask) -> None:
    across = 0.44 * np.array([-1, 1, 1, -1, -1])
    upwards = 0.44 * np.array([-1, -1, 1, 1, -1])
    for n, (row, column) in enumerate(np.argwhere(mask)):
        name = "partly failed" if n == 0 else "_nolegend_"
        ax.plot(column + across, row + upwards, label=name, **_PARTLY)


def _print_values(ax: Axes, image: ScalarMappable, scores: Floats) -> None:
    """Print the scores in their cells, dark on light colours and light on dark ones."""
    finite = scores[np.isfinite(scores)]
    n_decimals = _count_decimals(finite)
    longest = max((len(f"{score:.{n_decimals}f}") for score in finite), default=1)
    size = _fitting_size(ax, scores.shape, longest)
    for row, column in np.argwhere(np.isfinite(scores)):
        score = scores[row, column]
        ax.text(
            column,
            row,
            f"{score:.{n_decimals}f}",
            color=_readable_on(image.to_rgba(score)),
            size=size,
            ha="center",
            va="center",
        )


def _count_decimals(scores: Floats) -> int:
    """Count the decimals that tell a hundredth of the range apart."""
    span = np.ptp(scores) if len(scores) else 0.0
    return int(np.clip(1 - math.floor(math.log10(span)), 0, 4)) if span > 0 else 2


def _fitting_size(ax: Axes, shape: tuple[int, ...], n_characters: int) -> float:
    """Choose the largest size in points at which a text fits into a cell."""
    width, height = np.array(ax.bbox.size) * 72 / ax.figure.dpi
    # A digit is about 0.64 times as wide as the letters are high, a point half of that.
    by_width = 0.8 * width / shape[1] / (0.64 * n_characters - 0.3)
    return float(np.clip(min(by_width, 0.8 * height / shape[0]), 5, 11))


def _readable_on(rgba: Any) -> str:
    luminance = np.dot(np.power(rgba[:3], 2.2), [0.2126, 0.7152, 0.0722])
    # Where the contrasts with both are equal, as WCAG measures them.
    return "black" if luminance > 0.18 else "white"


def _set_ticks(ax: Axes, which: str, shown: Hyperparameter) -> None:
    """Label the values at the places 0, 1, ... of an axis, or every so many of them."""
    step = math.ceil(len(shown.values) / _MOST_TICKS)
    places = np.arange(len(shown.values))[::step]
    _label_ticks(ax, which, places, shown.tick_labels[::step])
    ax.set(**{f"{which}label": shown.axis_label})


def _label_ticks(ax: Axes, which: str, places: NDArray, labels: list[str]) -> None:
    ax.set(**{f"{which}ticks": places, f"{which}ticklabels": labels})
    width = ax.bbox.width * 72 / ax.figure.dpi
    # A letter is some six points wide, and a colour bar will take its share.
    if which == "x" and 6 * (max(map(len, labels)) + 1) * len(labels) > 0.75 * width:
        for text in ax.get_xticklabels():
            text.set(rotation=45, ha="right", rotation_mode="anchor")


def _set_scale(ax: Axes, which: str, shown: Hyperparameter) -> None:
    """Prepare an axis for the coordinates of the values."""
    from matplotlib.ticker import MaxNLocator, NullFormatter

    axis = ax.xaxis if which == "x" else ax.yaxis
    if shown.is_ordinal:
        _set_ticks(ax, which, shown)
        return
    ax.set(**{f"{which}scale": shown.scale, f"{which}label": shown.axis_label})
    if shown.scale == "linear":
        integer = all(isinstance(value, Integral) for value in shown.values)
        axis.set_major_locator(MaxNLocator("auto", integer=integer))
        return
    axis.set_minor_formatter(NullFormatter())
    if len(shown.values) <= _MOST_TICKS:
        _label_ticks(ax, which, shown.coordinates, shown.tick_labels)
    else:
        axis.set_major_formatter(lambda value, _: _scientific(value, 2))


def _add_legend_above(ax: Axes) -> bool:
    """Explain the marks between the axes and their title, if there are any."""
    handles, _ = ax.get_legend_handles_labels()
    if handles:
        ax.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=3,
            frameon=False,
            fontsize="small",
            borderaxespad=0.2,
            borderpad=0,
            handlelength=1.8,
            handleheight=1,
            columnspacing=1.2,
        )
    return bool(handles)


def _set_title(ax: Axes, parts: list[str], *, above_legend: bool = False) -> None:
    # A letter of a title is some six points wide.
    n_characters = max(int(ax.bbox.width * 72 / ax.figure.dpi / 6), 20)
    lines = [textwrap.fill(part, n_characters) for part in parts if part]
    if lines:
        pad = 22 if above_legend else None
        ax.set_title("\n".join(lines), pad=pad, fontsize="medium")
