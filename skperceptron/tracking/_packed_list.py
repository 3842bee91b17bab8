"""Long lists in stored models. Logged models name this module: it must stay here."""

from __future__ import annotations

from typing import Any

import numpy as np

# Shorter lists are not packed.
_SHORT = 10


class PackedList(list):
    """A list of numbers, or of vectors of one length, in the form that skops stores.

    skops stores lists element by element, which takes 40 µs each, and curves are long.
    This list has one element, the array of all values. skops loads it as a plain list,
    because the constructor returns one.

    Parameters
    ----------
    content : list of one ndarray
        The values, as skops passes them when it loads the list.
    """

    # Called by skops, which does not mind that this is no instance of the class.
    def __new__(cls, content: list[np.ndarray]) -> list[Any]:  # type: ignore[misc]
        """Unpack."""
        (array,) = content
        return array.tolist() if array.ndim == 1 else list(array)

    @classmethod
    def pack(cls, values: list[Any]) -> list[Any]:
        """Pack a list, or return it as it is if it is short or of other values."""
        if len(values) < _SHORT:
            return values
        are_vectors = all(isinstance(v, np.ndarray) and v.ndim == 1 for v in values)
        if are_vectors and len({(v.shape, v.dtype) for v in values}) > 1:
            return values
        if not are_vectors and not all(isinstance(v, float) for v in values):
            return values
        packed = list.__new__(cls)
        packed.append(np.array(values))
        return packed
