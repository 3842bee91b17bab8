"""Whatever comes in is refused with a reason, or learned and predicted soundly."""

from __future__ import annotations

import linecache
import traceback
from copy import deepcopy
from pathlib import Path

import numpy as np
import sklearn
from hypothesis import assume
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted

from tests.reliability.classifiers import ODD_VALUES
from tests.reliability.comparisons import assert_same_weights
from tests.reliability.properties import FITS_A_LOT, holds
from tests.reliability.tasks import courses, tasks

DOCUMENTED_ERRORS = (ValueError, TypeError, InvalidParameterError, NotFittedError)
pytestmark = FITS_A_LOT


def assert_is_deliberate(error):
    """Check that an error was raised to say something, and did not just happen."""
    assert type(error) in DOCUMENTED_ERRORS
    assert len(str(error)) > 15
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(frame.filename, frame.lineno).lstrip()
    # Where scikit-learn lets NumPy convert what came in, NumPy says what is wrong.
    is_conversion = Path(frame.filename).is_relative_to(Path(sklearn.__file__).parent)
    assert line.startswith("raise") or is_conversion


def assert_predicts_soundly(clf, X):
    try:
        y = clf.predict(X)
    except ValueError as error:
        if "The network overflows on these samples" not in str(error):
            raise
        return
    z = clf.decision_function(X)
    assert np.isfinite(z).all()
    assert_decides_by_sums(y, z, clf.classes_)
    assert 0 <= clf.score(X, y) <= 1
    if hasattr(clf, "predict_proba"):
        proba = clf.predict_proba(X)
        assert ((proba >= 0) & (proba <= 1)).all()
        if y.ndim == 1:
            assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
        assert not np.isnan(clf.predict_log_proba(X)).any()


def assert_decides_by_sums(y, z, classes):
    if y.ndim == 2:
        assert_array_equal(y, z > 0)
    elif z.ndim == 2:
        assert_array_equal(y, classes[z.argmax(axis=1)])
    elif len(classes) == 1:
        assert (y == classes[0]).all()
    else:
        # At 0 the perceptron takes the second class, the others the first.
        clear = z != 0
        assert_array_equal(y[clear], classes[(z[clear] > 0).astype(int)])


def fit(task):
    clf = clone(task.classifier)
    return clf.fit(task.X, task.y, task.sample_weight)


def assert_learns_or_refuses(task):
    try:
        clf = fit(task)
    except DOCUMENTED_ERRORS as error:
        assert_is_deliberate(error)
        return
    assert_predicts_soundly(clf, task.X)
    assert_same_weights(clf, fit(task))


@holds(tasks(), n_quick=60, n_long=8_000)
def test_any_data_is_learned_or_refused(task):
    assert_learns_or_refuses(task)


@holds(
    tasks(may_be_bad=False),
    st.data(),
    st.sampled_from(ODD_VALUES),
    n_quick=60,
    n_long=3_000,
)
def test_any_parameter_is_used_or_refused(task, data, value):
    name = data.draw(st.sampled_from(sorted(task.classifier.get_params())))
    task.classifier.set_params(**{name: value})
    assume(not (name == "random_state" and value is None))
    assert_learns_or_refuses(task)


def attend(course):
    """Take all steps of a course, and tell how many were refused."""
    clf = clone(course.classifier)
    n_refused = 0
    for step in course.steps:
        clf.set_params(**deepcopy(step.params))  # random states move on
        weight = course.sample_weight
        options = {} if weight is None else {"sample_weight": weight[step.rows]}
        if step.method == "partial_fit":
            options["classes"] = None if course.y.ndim > 1 else course.classes
        try:
            method = getattr(clf, step.method)
            method(course.X[step.rows], course.y[step.rows], **options)
        except AttributeError as error:
            if "only available for stochastic optimizers" not in str(error.__cause__):
                raise
            n_refused += 1
        except DOCUMENTED_ERRORS as error:
            assert_is_deliberate(error)
            n_refused += 1
    return clf, n_refused


@holds(courses(), n_quick=40, n_long=3_000)
def test_any_order_of_calls_leaves_a_sound_classifier(course):
    clf, n_refused = attend(course)
    try:
        check_is_fitted(clf)
    except NotFittedError:
        assert n_refused > 0
        return
    if clf._layers.units[0] == course.X.shape[1]:
        assert_predicts_soundly(clf, course.X)
    again, n_again = attend(course)
    assert n_again == n_refused
    assert_same_weights(clf, again)
