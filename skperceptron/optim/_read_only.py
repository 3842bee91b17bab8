"""Arrays as a memory-mapped file is seen."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def read_only(array: NDArray[T]) -> NDArray[Any]:
    """See an array as one that cannot be written.

    Some data cannot be, such as that of memory-mapped files. Compiled code
    distinguishes the two, and would be compiled once more for all else.
    """
    view = array.view()
    view.flags.writeable = False
    return view
