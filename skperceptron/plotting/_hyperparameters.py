"""The hyperparameters of a search, and which of their values each candidate had."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.plotting._value_text import is_number, number_texts, value_text

Floats = NDArray[np.floating]
Codes = NDArray[np.intp]
Mask = NDArray[np.bool_]


class _Unset:
    """Stands for the value of a hyperparameter that a candidate does not have."""

    def __repr__(self) -> str:
        return "not set"


_UNSET = _Unset()


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
        return all(is_number(value) and math.isfinite(value) for value in self.values)

    @cached_property
    def is_log(self) -> bool:
        """Whether the values are spaced by factors rather than by differences."""
        return self.is_numeric and _is_log_spaced(np.array(self.values, dtype=float))

    @property
    def is_ordinal(self) -> bool:
        """Whether there is no axis for the values but their order.

        So it is for zero among values that need a logarithmic axis.
        """
        return not self.is_numeric or (self.is_log and self.values[0] == 0)

    @property
    def coordinates(self) -> Floats:
        """Place of each value on an axis."""
        places = range(len(self.values)) if self.is_ordinal else self.values
        return np.array(places, dtype=float)

    @property
    def axis_label(self) -> str:
        """Label of an axis."""
        return f"{self.label} (log)" if self.is_log else self.label

    @property
    def tick_labels(self) -> list[str]:
        """Label of each value."""
        numbers = [value for value in self.values if is_number(value)]
        texts = number_texts(numbers, scientific=self.is_log)
        return texts + [value_text(value) for value in self.values[len(numbers) :]]

    def tells_candidates_apart(self, candidates: Mask) -> bool:
        """Whether hardly any two of some candidates share a value, as when drawn."""
        return candidates.sum() < 2 * len(np.unique(self.codes[candidates]))

    def matches(self, candidate: int) -> Mask:
        """Tell which candidates have the value of one of them, or none."""
        unset = np.array([value is _UNSET for value in self.values])
        return (self.codes == self.codes[candidate]) | unset[self.codes]


def list_hyperparameters(cv_results: Mapping[str, Any]) -> list[Hyperparameter]:
    """List what a search had in its grid or distributions."""
    params = cv_results["params"]
    names = list(dict.fromkeys(name for candidate in params for name in candidate))
    last_parts = [name.split("__")[-1] for name in names]
    resources = list(cv_results.get("n_resources", ()))
    found = []
    for name, last in zip(names, last_parts, strict=True):
        column = [candidate.get(name, _UNSET) for candidate in params]
        # Halving searches list the resource among the parameters of a candidate.
        if all(map(is_number, column)) and column == resources:
            continue
        label = last if last_parts.count(last) == 1 else name
        found.append(Hyperparameter(name, label, *_encode(column)))
    return found


def _encode(column: Sequence[Any]) -> tuple[list[Any], Codes]:
    """Find the distinct values in their order, and which of them each value is."""
    column = [item.item() if isinstance(item, np.generic) else item for item in column]
    keys = [_key(value) for value in column]
    distinct = dict(zip(keys, column, strict=True))
    # Numbers by their value; the others, which all have a 1 in front, as they came.
    ordered = sorted(distinct, key=lambda key: key if key[0] == 0 else key[:1])
    place = {key: code for code, key in enumerate(ordered)}
    return [distinct[key] for key in ordered], np.array([place[key] for key in keys])


def _key(value: Any) -> tuple[Any, ...]:
    """Make a key of a value, which may be unhashable; True is no 1."""
    if is_number(value):
        return 0, value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return 1, type(value).__name__, repr(value)


def _is_log_spaced(values: Floats) -> bool:
    """Whether ascending values, but for a zero, are more even on a logarithmic axis."""
    positive = values[values > 0]
    if values[0] < 0 or len(positive) < 2 or positive[-1] < 10 * positive[0]:
        return False
    return len(positive) == 2 or _unevenness(np.log(positive)) < _unevenness(positive)


def _unevenness(values: Floats) -> float:
    gaps = np.diff(values)
    return gaps.std() / gaps.mean()
