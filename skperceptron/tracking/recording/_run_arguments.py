"""Checks of the arguments that say where and how to log."""

from __future__ import annotations

import reprlib
from typing import Any


def check_texts(**values: Any) -> None:
    """Raise a `TypeError` for a value that is neither a str nor None."""
    for name, value in values.items():
        if not isinstance(value, str | None):
            raise TypeError(f"{name} must be a str or None, got {reprlib.repr(value)}.")


def check_tags(tags: Any) -> None:
    """Raise a `TypeError` for tags that are neither a dict nor None."""
    if not isinstance(tags, dict | None):
        raise TypeError(
            f"tags must be a dict of str or None, got {reprlib.repr(tags)}."
        )
