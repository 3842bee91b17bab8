"""Which hyperparameters of a search are drawn, and what becomes of the others."""

from __future__ import annotations

import reprlib
from collections.abc import Collection

import numpy as np

from skperceptron.plotting._hyperparameters import Hyperparameter, Mask
from skperceptron.plotting._influence import influence_of
from skperceptron.plotting._search_results import SearchResults
from skperceptron.plotting._value_text import value_text


def choose_axes(
    results: SearchResults, x: str | None, y: str | None
) -> tuple[Hyperparameter, Hyperparameter | None]:
    """Find what varies along x and along y; a single one that varies makes a line.

    In place of None comes the most influential hyperparameter that is left.
    """
    named = {
        axis: _find(axis, name, results.hyperparameters)
        for axis, name in (("x", x), ("y", y))
        if name is not None
    }
    if len(named) == 2 and named["x"] is named["y"]:
        name = named["x"].name
        raise ValueError(f"x and y must be two hyperparameters, got {name!r} for both.")
    by_name = {found.name: found for found in results.hyperparameters}
    by_influence = [by_name[name] for name in influence_of(results)]
    varying = [found for found in by_influence if found.varies]
    unnamed = iter([found for found in varying if found not in named.values()])
    chosen = [named.get(axis) or next(unnamed, None) for axis in ("x", "y")]
    drawn = [found for found in chosen if found is not None and found.varies]
    if not drawn:
        names = [found.name for found in named.values()]
        raise ValueError(
            "Nothing to draw: no hyperparameter was tried with more than one value "
            + (f"among {names}." if varying else "in this search.")
        )
    return drawn[0], drawn[1] if len(drawn) > 1 else None


def _find(axis: str, name: str, among: list[Hyperparameter]) -> Hyperparameter:
    if not isinstance(name, str):
        raise TypeError(f"{axis} must be a str or None, got {reprlib.repr(name)}.")
    same = [hyperparameter for hyperparameter in among if hyperparameter.name == name]
    found = same or [other for other in among if other.name.endswith(f"__{name}")]
    if len(found) == 1:
        return found[0]
    names = [hyperparameter.name for hyperparameter in found or among]
    if found:
        raise ValueError(f"{axis}={name!r} is ambiguous: choose one of {names}.")
    raise ValueError(
        f"{axis}={name!r} is not a hyperparameter of this search, which has {names}."
    )


def hold_others(
    results: SearchResults, drawn: Collection[Hyperparameter | None], reduce: str
) -> tuple[Mask, str]:
    """Hold what is not drawn at the values of the best candidate, or average over it.

    Parameters
    ----------
    results : SearchResults
        What the search has found.

    drawn : collection of Hyperparameter and None
        What is drawn.

    reduce : {"best", "mean"}
        Whether to hold the others or to average over them.

    Returns
    -------
    candidates : ndarray of bool of shape (n_candidates,)
        Those to draw: with the values of the best one, or no such hyperparameter.

    note : str
        What became of the others, for the title.
    """
    first = results.is_first_iteration
    best = results.best_candidate
    candidates = np.ones(len(first), dtype=bool)
    held, averaged = [], []
    for other in results.hyperparameters:
        if not other.varies or other in drawn:
            continue
        # Had each candidate a value of its own, the best one would be left alone.
        if reduce == "mean" or other.tells_candidates_apart(first):
            averaged.append(other.label)
        else:
            candidates &= other.matches(best)
            value = value_text(other.values[other.codes[best]])
            held.append(f"{other.label} = {value}")
    means = f"mean over {', '.join(averaged)}" if averaged else ""
    return candidates, "; ".join(filter(None, [", ".join(held), means]))
