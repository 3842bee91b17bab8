"""How much the score of a search varies with each of its hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skperceptron.plotting._hyperparameters import Codes, Floats, Hyperparameter, Mask
from skperceptron.plotting._search_results import SearchResults, read_results


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
    TypeError
        When `cv_results` is no dict.

    ValueError
        When there are no candidates, no such scorer, or no candidate that has not
        failed.

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
    return influence_of(read_results(cv_results, scorer, ["test"]))


def influence_of(results: SearchResults) -> dict[str, float]:
    """Compute the :func:`influence` from results that have been read."""
    scores = results.scores["test"]
    first = results.is_first_iteration
    rows = first & np.isfinite(scores)
    spreads = {
        hyperparameter.name: _spread_of_means(
            _groups(hyperparameter, first)[rows], scores[rows]
        )
        for hyperparameter in results.hyperparameters
    }
    return dict(sorted(spreads.items(), key=lambda item: -item[1]))


def _groups(hyperparameter: Hyperparameter, rows: Mask) -> Codes:
    if not hyperparameter.tells_candidates_apart(rows):
        return hyperparameter.codes
    n_groups = max(2, round(rows.sum() ** (1 / 3)))
    return hyperparameter.codes * n_groups // len(hyperparameter.values)


def _spread_of_means(groups: Codes, scores: Floats) -> float:
    means = [scores[groups == group].mean() for group in np.unique(groups)]
    return float(np.std(means)) if means else 0.0
