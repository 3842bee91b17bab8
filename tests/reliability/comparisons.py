"""Comparisons of classifiers."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal


def weights_of(clf):
    """Weight matrices and biases, to read and to write."""
    coefs, intercepts = clf._get_weights()
    return [*coefs, *intercepts]


def assert_same_weights(one, other):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        assert_array_equal(a, b)


def assert_same_params(one, other):
    ours, theirs = one.get_params(), other.get_params()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert type(theirs[name]) is type(value)
        if isinstance(value, np.random.RandomState):
            np.testing.assert_equal(theirs[name].get_state(), value.get_state())
        elif hasattr(value, "_score_func"):  # a scorer equals itself only
            assert repr(theirs[name]) == repr(value)
        elif name == "class_weight" and isinstance(value, dict):
            # A model without pickle has floats in the place of fractions.
            floats = {label: float(weight) for label, weight in value.items()}
            assert {c: float(w) for c, w in theirs[name].items()} == floats
        else:
            np.testing.assert_equal(theirs[name], value)
