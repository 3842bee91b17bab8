"""How the values of hyperparameters are written."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from skperceptron._functions import text_of

_MAX_CHARACTERS = 24


def is_number(value: Any) -> bool:
    """Tell whether a value has a place on an axis: a bool or NaN has none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return not math.isnan(value)
    except OverflowError:  # an integer that no float can be
        return False


def value_text(value: Any) -> str:
    """Write one value on one line, with at most 24 characters.

    Examples
    --------
    >>> value_text((100, 50)), value_text(0.1 + 0.2), value_text(None)
    ('(100, 50)', '0.3', 'None')
    """
    if is_number(value):
        return number_texts([value])[0]
    text = value.__name__ if hasattr(value, "__name__") else text_of(value)
    return textwrap.shorten(text, _MAX_CHARACTERS, placeholder="…") or "''"


def number_texts(numbers: Sequence[float], *, scientific: bool = False) -> list[str]:
    """Write different numbers with few digits, but enough to tell them apart.

    Examples
    --------
    >>> number_texts([0.01, 0.1], scientific=True), number_texts([1.0001, 1.0002])
    (['1e-02', '1e-01'], ['1.0001', '1.0002'])
    """
    if all(isinstance(number, Integral) for number in numbers):
        return [str(number) for number in numbers]
    write = _scientific if scientific else _plain
    for n_digits in range(2, 18):  # with 17 no two floats look the same
        texts = [write(float(number), n_digits) for number in numbers]
        if len(set(texts)) == len(texts):
            break
    return texts


def _scientific(number: float, n_digits: int) -> str:
    mantissa, exponent = f"{number:.{n_digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}" if number else "0"


def _plain(number: float, n_digits: int) -> str:
    # Of 1000 and 128.5 no fewer than %g would write.
    return f"{number:.{n_digits + (1 if abs(number) < 100 else 4)}g}"
