"""What skl2onnx makes of our estimators predicts as they do."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from skl2onnx import to_onnx
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skperceptron.onnx  # noqa: F401 registers the converters
from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbMLPRegressor,
    HillClimbPerceptron,
)
from skperceptron.network import ACTIVATIONS, DIFFERENTIABLE

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = load_iris(return_X_y=True)
LABELS = {
    "three": y,
    "two": y > 0,
    "strings": np.array(["a", "bé", "c"])[y],
    "objects": np.array(["a", "b", "c"], dtype=object)[y],
    "numbers": np.array([-7, 3, 2**40])[y],
    "floats": y.astype(float),
}
DTYPES = [np.float32, np.float64]


def run(estimator, X, **options):
    """Convert, and let onnxruntime predict."""
    options = {"zipmap": False, **options} if hasattr(estimator, "classes_") else None
    model = to_onnx(estimator, X[:1], options=options)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return session.run(None, {given.name: X})


def check_same(classifier, X):
    labels, proba = run(classifier, X)
    assert_array_equal(labels, classifier.predict(X))
    assert proba.dtype == X.dtype
    assert_allclose(proba, classifier.predict_proba(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("labels", ["two", "three"])
def test_every_activation(activation, labels, dtype):
    clf = HillClimbMLP((5, 4), activation=activation, max_iter=40, random_state=0)
    # Far away, too, where some activations overflow if they are computed naively.
    check_same(clf.fit(X, LABELS[labels]), (100 * X - 300).astype(dtype))
    if activation in DIFFERENTIABLE:
        clf = BackpropMLP((5,), activation, max_iter=10, random_state=0)
        check_same(clf.fit(X.astype(dtype), LABELS[labels]), X.astype(dtype))


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_kind_of_labels(labels, dtype):
    clf = BackpropMLP((5,), max_iter=10, random_state=0).fit(X, LABELS[labels])
    check_same(clf, X.astype(dtype))


@pytest.mark.parametrize("labels", ["two", "three"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_perceptron_gives_its_sums(labels, dtype):
    clf = HillClimbPerceptron(max_iter=40, random_state=0).fit(X, LABELS[labels])
    found, sums = run(clf, X.astype(dtype))
    assert_array_equal(found, clf.predict(X))
    expected = clf.decision_function(X.astype(dtype))
    if labels == "two":
        expected = np.column_stack([-expected, expected])
    assert_allclose(sums, expected, rtol=1e-6, atol=1e-6)


def test_averaged_climbs_are_one_network():
    clf = HillClimbMLP((5,), n_restarts=2, combine="average", max_iter=40)
    check_same(clf.fit(X, y), X)


@pytest.mark.parametrize("dtype", DTYPES)
def test_several_labels(dtype):
    clf = BackpropMLP((5,), max_iter=10, random_state=0)
    check_same(clf.fit(X, (X.mean(axis=0) < X).astype(int)), X.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressor(n_outputs, loss, dtype):
    reg = BackpropMLPRegressor(loss=loss, max_iter=10, random_state=0)
    reg.fit(X, X[:, 0] if n_outputs == 1 else X[:, :2])
    (found,) = run(reg, X.astype(dtype))
    assert found.shape == (150, n_outputs)
    expected = reg.predict(X.astype(dtype)).reshape(150, n_outputs)
    assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("objective", ["r2", "neg_mean_poisson_deviance"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressor_that_scales_its_targets(n_outputs, objective, dtype):
    if n_outputs == 2 and objective != "r2":
        return  # a deviance is that of one output
    reg = HillClimbMLPRegressor((5,), objective=objective, max_iter=50, random_state=0)
    reg.fit(X, 100 + 7 * X[:, :n_outputs].squeeze())
    (found,) = run(reg, X.astype(dtype))
    expected = reg.predict(X.astype(dtype)).reshape(150, n_outputs)
    assert_allclose(found, expected, rtol=1e-6)


def test_pipeline_with_columns_of_several_kinds():
    frame = pd.DataFrame(
        {"size": X[:, 2].astype(np.float32), "kind": LABELS["strings"]}
    )
    encode = make_column_transformer(
        (StandardScaler(), ["size"]), (OneHotEncoder(), ["kind"])
    )
    pipeline = make_pipeline(encode, BackpropMLP((5,), max_iter=10, random_state=0))
    pipeline.fit(frame, y)
    model = to_onnx(pipeline, frame[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    columns = {name: frame[[name]].to_numpy() for name in frame}
    labels, proba = session.run(None, columns)
    assert_array_equal(labels, pipeline.predict(frame))
    assert_allclose(proba, pipeline.predict_proba(frame), atol=1e-5)


def test_probabilities_by_class_as_skl2onnx_gives_them_by_default():
    clf = BackpropMLP((5,), max_iter=10, random_state=0).fit(X, LABELS["strings"])
    first = run(clf, X.astype(np.float32), zipmap=True)[1][0]
    assert list(first) == ["a", "bé", "c"]
    assert_allclose(list(first.values()), clf.predict_proba(X[:1])[0], atol=1e-6)
    columns = run(clf, X, zipmap="columns")
    assert_allclose(np.column_stack(columns[1:]), clf.predict_proba(X), atol=1e-6)


class TestRefused:
    def test_functions_as_activations(self):
        clf = HillClimbMLP((5,), activation=np.tanh, max_iter=5).fit(X, y)
        with pytest.raises(ValueError, match=r"'tanh' is a function.* sign\."):
            run(clf, X)

    def test_dates_as_labels(self):
        clf = BackpropMLP((5,), max_iter=5).fit(X, np.datetime64("2020-01-01") + y)
        with pytest.raises(ValueError, match="integers and strings as labels"):
            run(clf, X)

    def test_a_single_class(self):
        clf = BackpropMLP((5,), max_iter=5).fit(X, np.zeros(150))
        with pytest.raises(ValueError, match="a single class"):
            run(clf, X)
