"""Descriptions of searches and studies: what was tuned, and the best result.

They are Markdown, which MLflow shows on the page of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from sklearn.pipeline import Pipeline

from skperceptron._functions import text_of
from skperceptron.tracking.journal._record import DESCRIPTION_END, DESCRIPTION_RUN_ID

# More values of a hyperparameter than this are described by their range or number.
_MAX_VALUES = 6
# Limits that keep a description within the 5000 characters that MLflow takes.
_MAX_ROWS = 15
_MAX_LENGTH = 60


def summarize_search(search: Any, *, has_model: bool) -> str:
    """Describe a fitted search; `has_model` is whether its best model is logged."""
    tried = search.cv_results_["params"]
    tuned = type(parts_of(search.estimator)[-1]).__name__
    n_candidates, n_splits = len(tried), search.n_splits_
    # MLflow shows the first few lines; a click shows the others.
    first = (
        f"`{type(search).__name__}` of `{tuned}`: {n_candidates} candidates, "
        f"{n_splits} splits each."
    )
    if hasattr(search, "best_score_"):
        first += (
            f" The best has a mean score of {search.best_score_:.4g} on the test parts."
        )
    parts = [first, _table(tried, getattr(search, "best_params_", {}))]
    if has_model:
        parts.append(
            "Its model, fitted to all of the data:\n\n```python\nmlflow.sklearn."
            f'load_model("runs:/{DESCRIPTION_RUN_ID}/model")\n```'
        )
    return "\n\n".join([*parts, DESCRIPTION_END])


def summarize_study(
    directions: Sequence[str],
    tried: Sequence[Mapping[str, Any]],
    best: tuple[int, float, Mapping[str, Any]] | None,
) -> str:
    """Describe the finished trials of a study.

    Parameters
    ----------
    directions : sequence of str
        "minimize" or "maximize" for each objective.

    tried : sequence of mapping
        The parameters of each finished trial.

    best : tuple of int, float and mapping, or None
        Number, value and parameters of the best trial. None if there is none, or
        several objectives.
    """
    number, value, params = best or (None, None, {})
    aims = ", ".join(directions)
    first = f"Optuna study ({aims}): {len(tried)} finished trials."
    if best is not None:
        first += f" The best one, trial {number}, reached {value:.4g}."
    return "\n\n".join([first, _table(tried, params), DESCRIPTION_END])


def parts_of(estimator: Any) -> list[Any]:
    """List the steps of a pipeline, or the estimator itself if it is no pipeline."""
    if isinstance(estimator, Pipeline):
        return [
            step for _, step in estimator.steps if step not in (None, "passthrough")
        ]
    return [estimator]


def _table(tried: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> str:
    """Make a table of the tried and the best values of each hyperparameter."""
    names = list(dict.fromkeys(name for params in tried for name in params))
    lines = ["| hyperparameter | tried | best |", "| --- | --- | --- |"]
    for name in names[:_MAX_ROWS]:
        values = [params[name] for params in tried if name in params]
        chosen = _cell(best[name]) if name in best else ""
        lines.append(f"| `{_cell(name)}` | {_range(values)} | {chosen} |")
    if len(names) > _MAX_ROWS:
        lines.append(f"| {len(names) - _MAX_ROWS} more | | |")
    return "\n".join(lines)


def _range(values: Sequence[Any]) -> str:
    texts = {_cell(value): value for value in values}
    if len(texts) == 1 or (len(texts) <= _MAX_VALUES and len(", ".join(texts)) < 120):
        return ", ".join(texts)
    if all(isinstance(v, Real) and not isinstance(v, bool) for v in texts.values()):
        return f"{_cell(min(texts.values()))} to {_cell(max(texts.values()))}"
    return f"{len(texts)} values"


def _cell(value: Any) -> str:
    """Write a value so that it neither ends a cell of the table nor fills the page."""
    is_float = isinstance(value, Real) and not isinstance(value, bool | int)
    text = f"{value:.4g}" if is_float else " ".join(text_of(value).split())
    text = text.replace("|", "\\|").replace("`", "'")
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 3] + "..."
