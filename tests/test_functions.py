"""Functions are named so that a reader knows which one is meant."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from skperceptron._functions import import_path, name_of, text_of
from tests.tracking.models import bump, jitted, vectorized

MODELS = bump.__module__


class Nameless:
    def __call__(self, z):
        return z


class Shown(Nameless):
    def __repr__(self):
        return "shown"


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (bump, f"{MODELS}.bump"),
        (jitted, f"{MODELS}.jitted"),
        (vectorized, f"{MODELS}.vectorized"),
        (np.tanh, "numpy.tanh"),
        (expit, "scipy.special.expit"),
        (Nameless, f"{__name__}.Nameless"),
        (Nameless(), f"{__name__}.Nameless"),
        (Shown(), "shown"),
        (partial(bump, 2, b="x"), f"functools.partial({MODELS}.bump, 2, b='x')"),
        (np.vectorize(bump), "numpy.vectorize"),
    ],
)
def test_name_has_no_address(function, name):
    assert name_of(function) == name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (bump, f"{MODELS}.bump"),
        ([bump], f"[{MODELS}.bump]"),
        ((bump,), f"({MODELS}.bump,)"),
        (("relu", bump), f"('relu', {MODELS}.bump)"),
        ([{"a": [1, bump]}], f"[{{'a': [1, {MODELS}.bump]}}]"),
    ],
)
def test_functions_in_lists_are_named(value, text):
    assert text_of(value) == text


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)


@given(
    st.recursive(
        PLAIN,
        lambda inside: (
            st.lists(inside, max_size=3)
            | st.lists(inside, max_size=3).map(tuple)
            | st.dictionaries(st.text(max_size=2), inside, max_size=3)
        ),
        max_leaves=20,
    )
)
def test_anything_else_is_written_as_python_does(value):
    assert text_of(value) == str(value)


def test_list_that_contains_itself():
    value = [1]
    value.append(value)
    assert "[...]" in text_of(value)


@pytest.mark.parametrize("function", [bump, jitted, vectorized, np.tanh, expit])
def test_path_leads_to_the_function(function):
    module, name = import_path(function)
    assert name_of(function) == f"{module}.{name}"
