"""How kernels are compiled.

Whatever this package uses of numba's cache that is not public is in this module.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import numba.extending
import numpy as np
from numba import config
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.misc.appdirs import AppDirs

# Nobody calls a kernel from C: a wrapper for that would only cost time to compile.
COMPILE: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True}

# For functions that only other kernels call, in loops often: a call passes each array
# as seven numbers and more, and a tuple as all that is in it.
_PRIVATE: dict[str, Any] = {"no_cpython_wrapper": True, "forceinline": True}
COMPILE_PRIVATE: dict[str, Any] = {**COMPILE, **_PRIVATE}

# For functions that are called in one place: they are compiled as a part of it, and not
# by themselves as well, each time with all that they call.
COMPILE_INLINE: dict[str, Any] = {**COMPILE, "inline": "always"}

# What loops may assume about arithmetic. Not that there are no NaN: those must come out
# as they went in.
VECTORIZE: dict[str, Any] = {
    **COMPILE,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
}
VECTORIZE_PRIVATE: dict[str, Any] = {**VECTORIZE, **_PRIVATE}
# The same for sums, whose terms may be added in any order.
VECTORIZE_SUM: dict[str, Any] = {
    **VECTORIZE,
    "fastmath": {"contract", "nsz", "reassoc"},
}
VECTORIZE_SUM_PRIVATE: dict[str, Any] = {**VECTORIZE_SUM, **_PRIVATE}


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function as `numba.njit` does, and keep the result where that works.

    With ``NUMBA_DISABLE_JIT=1`` in the environment, the function stays as it is.

    Parameters
    ----------
    **options
        Options of `numba.njit`, but for ``cache``.

    Returns
    -------
    callable
        The decorator.
    """

    def compile_or_not(function: Callable[..., Any]) -> Any:
        if config.DISABLE_JIT:
            # Compiled code does not warn of infinity either.
            return np.errstate(all="ignore")(function)
        dispatcher = numba.njit(**options)(function)
        # numba has no place for a cache where it may write neither beside the source
        # nor in the user's home. With `cache=True` that would be an error.
        with suppress(RuntimeError):
            if _has_own_place(Path(function.__code__.co_filename).parent):
                dispatcher._cache = _Cache(function)
        return dispatcher

    return compile_or_not


def intrinsic(in_python: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Make an intrinsic of numba.

    Parameters
    ----------
    in_python : callable
        The same in Python, for kernels that are not compiled.

    Returns
    -------
    callable
        The decorator.
    """

    def make_or_not(definition: Callable[..., Any]) -> Any:
        if config.DISABLE_JIT:
            return in_python
        return numba.extending.intrinsic(definition)

    return make_or_not


class _Cache(FunctionCache):
    """numba's cache; where it cannot be read or written, functions are only compiled.

    The disk may be full, or the folder have gone since there was a look at it. And what
    another version of this package has left may be about named tuples that have other
    names now.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _CacheFile(
            self.cache_path,
            self._impl.filename_base,
            self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, *args: Any) -> Any:
        with suppress(OSError):
            try:
                return super().load_overload(*args)
            except (AttributeError, ImportError):
                self.flush()
        return None

    def save_overload(self, *args: Any) -> None:
        with suppress(OSError):
            super().save_overload(*args)


class _CacheFile(IndexDataCacheFile):
    """The files of a function: for each list of types, one with the code.

    numba numbers them. Two processes that compile a function for different types at the
    same time may take the same number: one would run the code of the other. Here the
    types tell the name.
    """

    def save(self, key: Any, data: Any) -> None:
        name = self._data_name(int(sha256(repr(key).encode()).hexdigest()[:16], 16))
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})


@cache
def _has_own_place(folder: Path) -> bool:
    """Tell whether numba would keep its cache in a folder that is meant for it.

    `folder` is that of the source. Where the user has no home, numba would take a
    folder "~" in the working folder. What is loaded from a cache is run: it must not be
    found by chance.
    """
    of_user = AppDirs(appname="numba", appauthor=False).user_cache_dir
    if config.CACHE_DIR or os.path.isabs(of_user):
        return True
    beside = folder / "__pycache__"
    try:
        beside.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=beside).close()
    except OSError:
        return False
    return True
