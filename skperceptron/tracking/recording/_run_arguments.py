"""Checks of what users tell of where and how to log."""

from __future__ import annotations

import reprlib
from typing import Any


def check_texts(**values: Any) -> None:
    """Refuse what is neither text nor None.

    Raises
    ------
    TypeError
        When it is something else.
    """
    for name, value in values.items():
        if not isinstance(value, str | None):
            raise TypeError(f"{name} must be a str or None, got {reprlib.repr(value)}.")


def check_tags(tags: Any) -> None:
    """Refuse what cannot be the tags of a run.

    Raises
    ------
    TypeError
        When it is something else than a dict or None.
    """
    if not isinstance(tags, dict | None):
        raise TypeError(
            f"tags must be a dict of str or None, got {reprlib.repr(tags)}."
        )
