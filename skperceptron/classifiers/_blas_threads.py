"""How many threads the matrix products of a fit may use."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController

from skperceptron.network import Layers

# Two threads of BLAS wait for each other by spinning. Beside busy processes a product
# of a few microseconds then takes as long as the scheduler lets one of them wait, some
# milliseconds. A product of at least this many multiplications takes milliseconds
# itself, and a second thread gains more than that may lose.
MIN_MULTIPLICATIONS = 2**25


class OneThread:
    """Lets BLAS use one thread for as long as anybody is in the block.

    The number is that of the whole process. Fits in several threads overlap, so the
    last one to leave brings back what the first one found.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._n_inside = 0
        self._found: list[int] = []

    def __enter__(self) -> None:
        with self.lock:
            if self._n_inside == 0:
                self._found = [library.get_num_threads() for library in _libraries()]
                _set_threads([1] * len(self._found))
            self._n_inside += 1

    def __exit__(self, *exception: object) -> None:
        with self.lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                _set_threads(self._found)


ONE_THREAD = OneThread()

if hasattr(os, "register_at_fork"):
    # A child must not inherit the lock while a thread that it does not have holds it.
    # If such a thread is inside, BLAS keeps its one thread in the child.
    os.register_at_fork(
        before=ONE_THREAD.lock.acquire,
        after_in_parent=ONE_THREAD.lock.release,
        after_in_child=ONE_THREAD.lock.release,
    )


@lru_cache
def _libraries() -> list[Any]:
    # Looking for them takes as long as a small fit. NumPy and SciPy have loaded theirs
    # by now, and compiled code uses SciPy's.
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    # One that is built with OpenMP has a number for each thread, and keeps it.
    return [lib for lib in found if getattr(lib, "threading_layer", "") != "openmp"]


def _set_threads(numbers: list[int]) -> None:
    for library, number in zip(_libraries(), numbers, strict=True):
        # threadpoolctl lets one thread change the number of OpenBLAS and ignores the
        # others. The last one to leave may be any of them.
        change = getattr(library, "_real_set_num_threads", library.set_num_threads)
        change(number)


def threads_for(n_samples: int, layers: Layers) -> AbstractContextManager[None]:
    """Choose how many threads products with the weights of a network may use.

    Parameters
    ----------
    n_samples : int
        Samples that go through the network together.

    layers : Layers
        The network.

    Returns
    -------
    context manager
        Lets BLAS use one thread in the block if the products are small; can be entered
        more than once.
    """
    largest = n_samples * max(fan_in * fan_out for fan_in, fan_out in layers.shapes)
    return ONE_THREAD if largest < MIN_MULTIPLICATIONS else nullcontext()
