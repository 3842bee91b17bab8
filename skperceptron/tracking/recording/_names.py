"""Names of the runs of candidates, made of what varies between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from sklearn.base import BaseEstimator

from skperceptron._functions import name_of, text_of

# Longer names do not fit into the tables of MLflow's UI.
_MAX_LENGTH = 60


def name_candidate(
    search: Any, params: Mapping[str, Any] | None, row: int, iteration: int | None
) -> str:
    """Name a candidate of a search by its values of the searched hyperparameters.

    Parameters
    ----------
    search : estimator
        The search.

    params : mapping or None
        Its parameters. None if they are not known.

    row : int
        Its row in the results, which names it if nothing varies.

    iteration : int or None
        The iteration of a halving search.
    """
    varying = [name for name in params or () if not _is_fixed(search, name)]
    short = Counter(name.rpartition("__")[2] for name in varying)
    texts = []
    for name in varying:
        last = name.rpartition("__")[2]
        texts.append(_said(last if short[last] == 1 else name, (params or {})[name]))
    text = ", ".join(texts) or f"candidate {row}"
    end = "" if iteration is None else f", iteration {iteration}"
    most = _MAX_LENGTH - len(end)
    return (text if len(text) <= most else text[: most - 3] + "...") + end


def told_apart(names: list[str]) -> list[str]:
    """Add the number of its row to each name that several candidates have."""
    n_of = Counter(names)
    return [f"{n} ({row})" if n_of[n] > 1 else n for row, n in enumerate(names)]


def _is_fixed(search: Any, name: str) -> bool:
    """Return whether a search tries only one value of a hyperparameter."""
    space = getattr(search, "param_grid", getattr(search, "param_distributions", ()))
    parts = [space] if isinstance(space, Mapping) else list(space)
    values: list[Any] = [part.get(name) for part in parts]
    are_lists = all(hasattr(value, "__len__") and len(value) == 1 for value in values)
    return are_lists and len({text_of(value[0]) for value in values}) == 1


def _said(name: str, value: Any) -> str:
    """Return a value as text, with its name unless the value is clear without it."""
    if isinstance(value, BaseEstimator):
        return type(value).__name__
    if callable(value):
        return name_of(value).rpartition(".")[2]
    if isinstance(value, str | tuple) and value:
        return text_of(value)
    is_float = isinstance(value, Real) and not isinstance(value, Integral)
    text = f"{value:.4g}" if is_float else " ".join(text_of(value).split())
    return f"{name}={text}"
