"""What a search has found, read from its ``cv_results_``."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import numpy as np

from skperceptron.plotting._hyperparameters import (
    Codes,
    Floats,
    Hyperparameter,
    Mask,
    list_hyperparameters,
)
from skperceptron.plotting._option_checks import (
    check_estimator,
    check_has_searched,
    check_option,
)
from skperceptron.plotting._scoring import scorer_names


@dataclass(frozen=True, eq=False)
class SearchResults:
    """The candidates of a search and one of their scores.

    Attributes
    ----------
    hyperparameters : list of Hyperparameter
        What the search had in its grid or distributions.

    iterations : ndarray of int of shape (n_candidates,)
        Iterations of a halving search; 0 in any other search.

    scores : dict of ndarray of shape (n_candidates,)
        Mean scores over the folds, by split ("train" and "test"); NaN where a fit or
        its scoring has failed.

    fold_scores : dict of ndarray of shape (n_folds, n_candidates)
        Scores of each fold, by split.
    """

    hyperparameters: list[Hyperparameter]
    iterations: Codes
    scores: dict[str, Floats]
    fold_scores: dict[str, Floats]

    @property
    def is_first_iteration(self) -> Mask:
        """Which candidates were evaluated before any was thrown out."""
        return self.iterations == self.iterations.min()

    @property
    def best_candidate(self) -> int:
        """Which candidate of the last iteration has the largest test score."""
        scores = self.scores["test"]
        eligible = np.isfinite(scores) & (self.iterations == self.iterations.max())
        return int(np.where(eligible, scores, -np.inf).argmax())


def results_of(search: Any) -> dict[str, Any]:
    """Get the ``cv_results_`` of a fitted search, in the form of scikit-learn."""
    check_estimator("search", search, "a fitted search, for example a GridSearchCV")
    check_has_searched(search)
    results = dict(search.cv_results_)
    # Optuna's OptunaSearchCV keeps the parameters elsewhere.
    if "params" not in results and hasattr(search, "trials_"):
        results["params"] = [trial.params for trial in search.trials_]
    return results


def read_results(
    cv_results: Mapping[str, Any], scorer: str, splits: Iterable[str]
) -> SearchResults:
    """Read the candidates of a search, and their scores on some splits."""
    if not isinstance(cv_results, Mapping):
        raise TypeError(
            "cv_results must be a dict, the cv_results_ of a fitted search; got "
            f"{reprlib.repr(cv_results)}."
        )
    n_candidates = len(cv_results.get("params", ()))
    if n_candidates == 0:
        raise ValueError(
            "cv_results has no candidates: its 'params' must list the parameters of "
            "each, as the cv_results_ of scikit-learn's searches do."
        )
    check_option("scorer", scorer, scorer_names(cv_results))
    keys = {split: f"{split}_{scorer}" for split in splits}
    scores = {
        split: np.asarray(cv_results[f"mean_{key}"], dtype=float)
        for split, key in keys.items()
    }
    if not np.isfinite(list(scores.values())).any():
        raise ValueError(
            f"None of the {n_candidates} candidates of this search has a score: their "
            "fits or their scoring failed. Fit the search again with "
            "error_score='raise' to see why."
        )
    return SearchResults(
        list_hyperparameters(cv_results),
        np.asarray(cv_results.get("iter", np.zeros(n_candidates, dtype=int))),
        scores,
        {split: _read_folds(cv_results, key) for split, key in keys.items()},
    )


def _read_folds(cv_results: Mapping[str, Any], key: str) -> Floats:
    names = (f"split{fold}_{key}" for fold in count())
    found = takewhile(cv_results.__contains__, names)
    folds = np.array([cv_results[name] for name in found], dtype=float)
    return folds.reshape(-1, len(cv_results["params"]))
