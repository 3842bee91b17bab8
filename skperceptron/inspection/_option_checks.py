"""Checks of what the displays are given."""

from __future__ import annotations

from numbers import Integral
from typing import Any


def check_int(name: str, value: Any, least: int, most: int) -> None:
    """Refuse what is no int, or out of range."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}.")
    if not least <= int(value) <= most:
        raise ValueError(f"{name} must be from {least} to {most}, got {value}.")
