"""How values are written, compared with what Python reads in the texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skperceptron.plotting._value_text import is_number, number_texts, value_text

# Rounded, larger ones would be infinite.
FLOATS = st.floats(min_value=-1e300, max_value=1e300)


@given(st.lists(FLOATS, unique=True, min_size=1, max_size=8), st.booleans())
def test_texts_of_different_numbers_are_ordered_as_they_are(numbers, scientific):
    ascending = sorted(numbers)
    texts = number_texts(ascending, scientific=scientific)
    read = [float(text) for text in texts]
    assert read == sorted(read)
    assert len(set(texts)) == len(numbers)


@pytest.mark.parametrize(
    ("numbers", "scientific", "texts"),
    [
        ([1.36252e-4, 2.24722e-3, 2.2e-3], True, ["1.36e-04", "2.25e-03", "2.2e-03"]),
        ([0.1 + 0.2, 0.5], False, ["0.3", "0.5"]),
        ([1000.0, 128.5], False, ["1000", "128.5"]),
        ([1e20, 1e-7], False, ["1e+20", "1e-07"]),
        ([16, 256], True, ["16", "256"]),
        ([], False, []),
    ],
)
def test_numbers_have_few_digits(numbers, scientific, texts):
    assert number_texts(numbers, scientific=scientific) == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (len, "len"),
        ("", "''"),
        ((100, 50), "(100, 50)"),
        (None, "None"),
        (7, "7"),
        (["relu", len], "['relu', builtins.len]"),
    ],
)
def test_other_values_are_written_as_python_does(value, text):
    assert value_text(value) == text


def test_long_values_are_cut():
    text = value_text("word " * 20)
    assert text.endswith("…")
    assert len(text) <= 24


@pytest.mark.parametrize("value", [True, float("nan"), "1", None, 1j])
def test_what_has_no_place_among_numbers(value):
    assert not is_number(value)
