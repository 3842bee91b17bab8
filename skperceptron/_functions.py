"""Functions that users pass as parameters, and how they are named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

_CONTAINERS = {list, tuple, dict}
# How deep lists may be nested: they might contain themselves.
_MAX_DEPTH = 4


def name_of(function: Callable[..., Any]) -> str:
    """Name a function for a reader.

    Parameters
    ----------
    function : callable
        A function, or an object that can be called like one.

    Returns
    -------
    str
        Its module and qualified name; those of its class for an object that shows no
        more than its address; anything else as `str` shows it.
    """
    if isinstance(function, partial):
        arguments = [
            name_of(function.func),
            *(_text_inside(value) for value in function.args),
            *(f"{key}={_text_inside(v)}" for key, v in function.keywords.items()),
        ]
        return f"functools.partial({', '.join(arguments)})"
    if isinstance(function, np.ufunc):
        return f"{_module_of(function)}.{function.__name__}"
    function, cls = _source_of(function), type(function)
    if not hasattr(function, "__qualname__"):
        if (cls.__repr__, cls.__str__) != (object.__repr__, object.__str__):
            return str(function)
        function = cls
    return f"{function.__module__}.{function.__qualname__}"


def text_of(value: Any) -> str:
    """Write the value of a parameter for a reader.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    str
        What `str` shows, but functions by their names, also in lists, tuples and dicts.
    """
    is_plain = not callable(value) and type(value) not in _CONTAINERS
    return str(value) if is_plain else _text_inside(value)


def _text_inside(value: Any, depth: int = 0) -> str:
    """Write what is in a list as `repr` does, but functions by their names."""
    if callable(value):
        return name_of(value)
    kind = type(value)
    if kind not in _CONTAINERS or depth == _MAX_DEPTH:
        return repr(value)
    parts = value.values() if kind is dict else value
    # The elements of a long list of numbers are not looked at one by one.
    if not (any(map(callable, parts)) or _CONTAINERS & set(map(type, parts))):
        return repr(value)
    texts = [_text_inside(part, depth + 1) for part in parts]
    if kind is dict:
        texts = [f"{key!r}: {text}" for key, text in zip(value, texts, strict=True)]
        return f"{{{', '.join(texts)}}}"
    if kind is list:
        return f"[{', '.join(texts)}]"
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def import_path(function: Callable[..., Any]) -> tuple[str, str] | None:
    """Find the name by which another process can import a function.

    Parameters
    ----------
    function : callable
        The function.

    Returns
    -------
    module, name : tuple of str, or None
        None if there is none: the function is no attribute of a module, or only of the
        script or notebook that is running, which is another one elsewhere.
    """
    source = _source_of(function)
    name = getattr(source, "__name__", None)
    if not isinstance(name, str):
        return None
    module = _module_of(source)
    if module in ("__main__", "__mp_main__"):
        return None
    found = getattr(sys.modules.get(module), name, None)
    is_copy = source is not function and type(found) is type(function)
    return (module, name) if found is function or is_copy else None


def _module_of(function: Any) -> str:
    if getattr(function, "__module__", None) is not None:
        return function.__module__
    # As for the functions of scipy.special: where it is, others import it from.
    found = [
        name
        for name, module in list(sys.modules.items())
        if getattr(module, "__dict__", {}).get(function.__name__) is function
    ]
    return min(
        found,
        key=lambda name: (not name.startswith(("numpy", "scipy")), "._" in name),
        default="__main__",
    )


def _source_of(function: Any) -> Any:
    """Find the Python function of one that numba has compiled, else the same one.

    A copy of what numba has vectorized, as scikit-learn's clone and pickle make it, has
    no name of its own.
    """
    if type(function).__module__.partition(".")[0] != "numba":
        return function
    dispatcher = getattr(function, "_dispatcher", function)
    return getattr(dispatcher, "py_func", function)
