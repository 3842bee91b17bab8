"""The scores of a search for the values of one or two hyperparameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.plotting._hyperparameters import Codes, Floats, Hyperparameter, Mask
from skperceptron.plotting._search_results import SearchResults


@dataclass(frozen=True, eq=False)
class CellScores:
    """The scores of some cells on one of the splits.

    Attributes
    ----------
    means : ndarray of shape (n_cells,)
        Mean score over candidates and folds. Candidates that have failed are left out;
        NaN where all have.

    stds : ndarray of shape (n_cells,)
        Standard deviation over the folds of the mean over the candidates.

    has_partly_failed : ndarray of bool of shape (n_cells,)
        Where some candidates have failed, but not all.
    """

    means: Floats
    stds: Floats
    has_partly_failed: Mask

    @property
    def has_failed(self) -> Mask:
        """Where all candidates have failed."""
        return np.isnan(self.means)


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a table, of a single row where nothing varies along y.

    Attributes
    ----------
    shape : tuple of 2 ints
        Rows and columns of the table: values of y and of x.

    rows, columns : ndarray of int of shape (n_cells,)
        Where in the table a cell is; only cells that were evaluated.

    scores : dict of CellScores
        The scores, by split ("train" and "test").
    """

    shape: tuple[int, int]
    rows: Codes
    columns: Codes
    scores: dict[str, CellScores]

    def table(self, values: Any, fill: Any) -> NDArray:
        """Lay the values of the cells out; `fill` is what the others have."""
        table = np.full(self.shape, fill)
        table[self.rows, self.columns] = values
        return table


def make_cells(
    results: SearchResults,
    drawn: Mask,
    splits: Iterable[str],
    x: Hyperparameter,
    y: Hyperparameter | None,
) -> Cells:
    """Put the candidates that are drawn, of shape (n_candidates,), into cells.

    Of a halving search, the last iteration that reached a cell counts.
    """
    shape = (1 if y is None else len(y.values), len(x.values))
    places = (0 if y is None else y.codes) * len(x.values) + x.codes
    candidates = np.flatnonzero(drawn)
    cells, cell_of = np.unique(places[candidates], return_inverse=True)
    last = np.zeros_like(cells)
    np.maximum.at(last, cell_of, results.iterations[candidates])
    counts = results.iterations[candidates] == last[cell_of]
    candidates, cell_of = candidates[counts], cell_of[counts]
    scores = {
        split: _score_cells(
            results.scores[split][candidates],
            results.fold_scores[split][:, candidates],
            cell_of,
        )
        for split in splits
    }
    rows, columns = np.divmod(cells, len(x.values))
    return Cells(shape, rows, columns, scores)


def _score_cells(scores: Floats, fold_scores: Floats, cell_of: Codes) -> CellScores:
    ok = np.isfinite(scores)
    n_cells = cell_of.max() + 1
    means = _mean_by_cell(scores[ok], cell_of[ok], n_cells)
    fold_means = [_mean_by_cell(fold[ok], cell_of[ok], n_cells) for fold in fold_scores]
    n_failed = np.bincount(cell_of[~ok], minlength=n_cells)
    has_partly_failed = (n_failed > 0) & ~np.isnan(means)
    return CellScores(means, np.std(fold_means, axis=0), has_partly_failed)


def _mean_by_cell(scores: Floats, cell_of: Codes, n_cells: int) -> Floats:
    counts = np.bincount(cell_of, minlength=n_cells)
    sums = np.bincount(cell_of, weights=scores, minlength=n_cells)
    return np.divide(sums, counts, out=np.full(n_cells, np.nan), where=counts > 0)
