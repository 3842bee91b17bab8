"""A classifier that was stored, sent or copied is the classifier that it was."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest
import skops.io
from hypothesis import reject
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import get_scorer_names

from skperceptron.tracking.recording._model import HARMLESS_TYPES
from skperceptron.tracking.recording._stripper import Stripper
from tests.reliability.classifiers import OBJECTIVES, classifiers
from tests.reliability.comparisons import assert_same_params, assert_same_weights
from tests.reliability.data import N_FEATURES, N_ROWS, good_labels, good_samples
from tests.reliability.properties import FITS_A_LOT, holds

pytestmark = FITS_A_LOT


@st.composite
def fitted(draw, objectives=OBJECTIVES):
    """Fitted classifiers, and what they were fitted on."""
    n_rows = draw(N_ROWS)
    X = draw(good_samples(n_rows, draw(N_FEATURES)))
    y, names = draw(good_labels(n_rows))
    clf = draw(classifiers(names, objectives=objectives))
    try:
        clf.fit(X, y).predict(X)
    except ValueError:
        reject()
    return clf, X, y


def pickled(clf):
    return pickle.loads(pickle.dumps(clf))


def stored_without_pickle(clf):
    stripper = Stripper()
    stored = skops.io.dumps(stripper.strip(clf))
    trusted = [*stripper.own_types, *HARMLESS_TYPES]
    return skops.io.loads(stored, trusted=trusted)


def train(clf, method, X, y):
    """Train further, and tell whether that was possible."""
    try:
        getattr(clf, method)(X, y)
    except (ValueError, AttributeError) as error:
        return type(error)
    return None


def assert_goes_on_alike(clf, copy, X, y):
    """Compare two classifiers, and what becomes of them when they learn on."""
    assert_same_params(copy, clf)
    assert_same_weights(copy, clf)
    assert_array_equal(copy.predict(X), clf.predict(X))
    for method in ("partial_fit", "fit"):
        assert train(copy, method, X, y) == train(clf, method, X, y)
        assert_same_weights(copy, clf)
        assert copy.n_iter_ == clf.n_iter_


@holds(fitted(), st.sampled_from([pickled, deepcopy]), n_quick=40, n_long=3_000)
def test_copies_learn_on_alike(learned, copy):
    clf, X, y = learned
    assert set(vars(copy(clf))) == set(vars(clf))
    assert_goes_on_alike(clf, copy(clf), X, y)


NAMED = st.sampled_from(["accuracy", *get_scorer_names()])


@holds(fitted(NAMED), n_quick=10, n_long=500)
def test_models_without_pickle_learn_on_alike(learned):
    clf, X, y = learned
    assert_goes_on_alike(clf, stored_without_pickle(clf), X, y)


@holds(fitted(), n_quick=20, n_long=1_000)
def test_clones_learn_alike(learned):
    clf, X, y = learned
    copy, again = clone(clf), clone(clf)
    assert_same_params(copy, clf)
    with pytest.raises(NotFittedError):
        copy.predict(X)
    assert train(copy, "fit", X, y) == train(again, "fit", X, y)
    if hasattr(copy, "classes_"):
        assert_same_weights(copy, again)
