"""Which scores of a search to draw, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.base import is_classifier, is_regressor

from skperceptron.plotting._option_checks import check_option

_PREFIX = "mean_test_"


def scorer_names(cv_results: Mapping[str, Any]) -> list[str]:
    """List the scores of a search: of "mean_test_f1", for example, "f1"."""
    names = [key.removeprefix(_PREFIX) for key in cv_results if key.startswith(_PREFIX)]
    if not names:
        raise ValueError(
            "cv_results has no scores: it needs a 'mean_test_score', or one for each "
            "scorer, as the cv_results_ of scikit-learn's searches do."
        )
    return names


def choose_scorer(
    search: Any, cv_results: Mapping[str, Any], scoring: str | None
) -> str:
    """Find the score to draw; None is the one by which the search refits."""
    names = scorer_names(cv_results)
    if scoring is None:
        scoring = "score" if names == ["score"] else getattr(search, "refit", None)
        if scoring not in names:
            raise ValueError(
                "This search has several scores and refit names none of them: choose "
                f"scoring from {names}."
            )
    keys = {name: name for name in names}
    keys |= {score_name(search, name): name for name in names}
    check_option("scoring", scoring, keys)
    return keys[scoring]


def score_name(search: Any, scorer: str) -> str:
    """Name a score as a reader knows it: a single one is "score" in the results."""
    scoring = getattr(search, "scoring", None)
    if scorer != "score":
        return scorer
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
    return "R2" if is_regressor(last_step) else "score"


def choose_splits(cv_results: Mapping[str, Any], split: str, scorer: str) -> list[str]:
    """Find the splits of which to draw the score, the training data first."""
    check_option("split", split, ["test", "train", "both"])
    splits = ["train", "test"] if split == "both" else [split]
    if "train" in splits and f"mean_train_{scorer}" not in cv_results:
        raise ValueError(
            f"split={split!r} needs scores on the training data, which this search did "
            "not keep. Fit it again with return_train_score=True, or choose "
            "split='test'."
        )
    return splits
