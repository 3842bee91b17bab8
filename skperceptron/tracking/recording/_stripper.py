"""Copies of estimators without parts that must not or cannot be stored."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from skperceptron._functions import import_path, name_of
from skperceptron.tracking._packed_list import PackedList
from skperceptron.tracking.journal._kept_model import OURS
from skperceptron.tracking.recording._attributes import (
    DESTINATION_ATTRIBUTE,
    RUN_ATTRIBUTE,
    TICKET_ATTRIBUTE,
)
from skperceptron.tracking.recording._descriptions import param_value
from skperceptron.tracking.recording._sklearn_internals import ATTRIBUTES_NOT_LEARNED

# Prefixes of attributes that are left out: callbacks, metadata routing, runs.
_LEFT_OUT = (
    *ATTRIBUTES_NOT_LEARNED,
    RUN_ATTRIBUTE,
    TICKET_ATTRIBUTE,
    DESTINATION_ATTRIBUTE,
)


class Stripper:
    """Copies the parts of an estimator that must not be stored as they are.

    Attributes
    ----------
    own_types : set of str
        Qualified names of the classes of this package that were found.

    activations : set of str
        Qualified names of the user's functions that are activations.

    has_ours : bool
        Whether an estimator of this package, or of a derived class, was found.
    """

    def __init__(self) -> None:
        self.own_types: set[str] = set()
        self.activations: set[str] = set()
        self.has_ours = False
        self._stripped: dict[int, Any] = {}

    def strip(self, value: Any) -> Any:
        """Strip an estimator or a part of one, with everything in it.

        Returns the value itself if there is nothing to strip, or else a copy that
        shares the parts that are not stripped.
        """
        if isinstance(value, list | tuple | dict):
            strip = self._strip_container
        elif _is_open(value):
            strip = self._strip_object
        else:
            return value
        # A part that occurs twice is copied once. It is entered before it is stripped,
        # because it may contain itself.
        if id(value) not in self._stripped:
            self._stripped[id(value)] = value
            self._stripped[id(value)] = strip(value)
        return self._stripped[id(value)]

    def _strip_container(self, value: Any) -> Any:
        before = list(value.values() if isinstance(value, dict) else value)
        after = [self.strip(part) for part in before]
        if all(new is old for new, old in zip(after, before, strict=True)):
            return value
        if isinstance(value, dict):
            stripped = copy.copy(value)
            stripped.update(zip(value, after, strict=True))
            return stripped
        is_named = hasattr(value, "_fields")
        return type(value)(*after) if is_named else type(value)(after)

    def _strip_object(self, value: Any) -> Any:
        cls = type(value)
        self._note(cls)
        before = vars(value)
        after = {k: v for k, v in before.items() if not k.startswith(_LEFT_OUT)}
        if any(map(_is_ours, cls.__mro__)):
            self.has_ours = True
            after = {key: self._simplify(key, part) for key, part in after.items()}
        after = {key: self.strip(part) for key, part in after.items()}
        if len(after) == len(before) and all(after[k] is before[k] for k in after):
            return value
        stripped = copy.copy(value)
        vars(stripped).clear()
        vars(stripped).update(after)
        return stripped

    def _simplify(self, key: str, value: Any) -> Any:
        """Convert an attribute of our classes to a form that skops stores, and fast."""
        if key in ("objective", "scoring") and callable(value):
            return param_value(value)
        if key == "activation" and callable(value):
            return self._import_of(value)
        if key in ("activation", "activations") and isinstance(value, list | tuple):
            parts = [self._import_of(v) if callable(v) else v for v in value]
            return type(value)(parts)
        if key == "class_weight" and isinstance(value, dict):
            # skops loads False as True, but 0 and 1 are equal keys. It cannot store
            # fractions, for which training takes the nearest float as well.
            return {
                int(k) if isinstance(k, bool | np.bool_) else k: (
                    float(v) if isinstance(v, Fraction) else v
                )
                for k, v in value.items()
            }
        if type(value) is list:
            value = PackedList.pack(value)
            self._note(type(value))
        return value

    def _import_of(self, activation: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a plain function with the module and name of an activation.

        skops stores it by its name, which it cannot do with functions that numba
        compiles.
        """
        path = import_path(activation)
        if path is None:
            raise ValueError(
                f"the activation {name_of(activation)} cannot be imported by name when "
                "the model is loaded. Define it at the top level of a module, not in a "
                "script, a notebook, a class or another function"
            )
        self.activations.add(".".join(path))

        def stand_in(z: Any) -> Any:
            return activation(z)

        stand_in.__module__, stand_in.__name__ = path
        return stand_in

    def _note(self, cls: type) -> None:
        if _is_ours(cls):
            self.own_types.add(f"{cls.__module__}.{cls.__qualname__}")


def _is_open(value: Any) -> bool:
    """Return whether a value may have estimators in its attributes."""
    if not hasattr(value, "__dict__"):
        return False
    cls = type(value)
    # scikit-learn's meta-estimators keep some estimators in helper objects.
    return hasattr(cls, "get_params") or _package(cls) in ("sklearn", OURS)


def _is_ours(cls: type) -> bool:
    return _package(cls) == OURS


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]
