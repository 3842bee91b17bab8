"""Long lists in stored models. Logged models name this module: it must stay here."""

from __future__ import annotations

from typing import Any

import numpy as np

# Lists of fewer numbers may stay as they are.
_SHORT = 10


class PackedList(list):
    """A list of numbers, or of vectors of one length, in the form that skops stores.

    skops stores lists element by element, which takes 40 µs each, and curves are long.
    This list has one element, the array of all. What skops makes of it is a plain list
    again.

    Parameters
    ----------
    content : list of one ndarray
        The elements, as skops gives them back.
    """

    # Called by skops, which does not mind that this is no instance of the class.
    def __new__(cls, content: list[np.ndarray]) -> list[Any]:  # type: ignore[misc]
        """Unpack."""
        (array,) = content
        return array.tolist() if array.ndim == 1 else list(array)

    @classmethod
    def pack(cls, values: list[Any]) -> list[Any]:
        """Pack.

        Parameters
        ----------
        values : list
            Any list.

        Returns
        -------
        list
            The list itself where it cannot be packed, or need not.
        """
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
