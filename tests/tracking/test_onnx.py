"""Models that are logged as ONNX, too, predict there as our own do."""

from __future__ import annotations

import sys

import mlflow
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import HillClimbMLP, HillClimbMLPRegressor, HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, TrackingWarning
from tests.tracking.models import bump

X, y = load_iris(return_X_y=True)
X32 = X.astype(np.float32)
CLF = HillClimbPerceptron(max_iter=50, random_state=0)
SEARCH = GridSearchCV(CLF, {"step_size": [0.1, 0.3]}, cv=2)


class Unknown(TransformerMixin, BaseEstimator):
    """A step that skl2onnx has no converter for."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X


def fit(estimator, X, y, **options):
    """Fit with a tracker that also logs ONNX; give back the model of the run, too."""
    tracker = MLflowTracker(log_onnx=True, **options)
    fitted = clone(estimator).set_callbacks(tracker).fit(X, y)
    return fitted, f"runs:/{tracker.run_id_}/model"


def predictions(uri, **inputs):
    """Let onnxruntime predict with the model that MLflow has."""
    model = mlflow.onnx.load_model(uri)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)[0]


@pytest.mark.parametrize("X", [X, X32], ids=["float64", "float32"])
def test_classifier(X, runs):
    clf = HillClimbMLP((5,), max_iter=50, random_state=0)
    clf, uri = fit(clf, X, np.array(["a", "b", "c"])[y])
    assert_array_equal(predictions(uri, X=X), clf.predict(X))
    # It is one model, which can be loaded in either way.
    assert_array_equal(mlflow.sklearn.load_model(uri).predict(X), clf.predict(X))
    assert_array_equal(mlflow.pyfunc.load_model(uri).predict(X), clf.predict(X))


def test_regressor(runs):
    reg = HillClimbMLPRegressor((5,), max_iter=50, random_state=0)
    reg, uri = fit(reg, X32, X[:, 0])
    found = predictions(uri, X=X32).ravel()
    np.testing.assert_allclose(found, reg.predict(X32), rtol=1e-5)


def test_pipeline_of_a_dataframe_has_an_input_for_each_column(runs):
    frame = pd.DataFrame(X32, columns=["a", "b", "c", "d"])
    pipeline, uri = fit(make_pipeline(StandardScaler(), CLF), frame, y)
    columns = {name: frame[[name]].to_numpy() for name in frame}
    assert_array_equal(predictions(uri, **columns), pipeline.predict(frame))


@pytest.mark.parametrize(
    ("log_models", "expected"), [("none", 0), ("best", 1), ("all", 5)]
)
def test_the_models_of_a_search_that_are_logged(log_models, expected, runs, client):
    search, uri = fit(SEARCH, X, y, log_models=log_models)
    files = [
        {file.path for file in client.list_artifacts(run.run_id, "model")}
        for run in runs()
    ]
    assert sum("model/model.onnx" in found for found in files) == expected
    assert sum("model/model.skops" in found for found in files) == expected
    if expected:
        assert_array_equal(predictions(uri, X=X), search.predict(X))


def test_only_if_asked(runs, client):
    clone(CLF).set_callbacks(MLflowTracker()).fit(X, y)
    (run,) = runs()
    files = {file.path for file in client.list_artifacts(run.run_id, "model")}
    assert "model/MLmodel" in files
    assert "model/model.onnx" not in files


class TestRefused:
    @pytest.mark.parametrize(
        ("estimator", "reason"),
        [
            (HillClimbMLP((3,), activation=bump, max_iter=9), "'bump' is a function"),
            (make_pipeline(Unknown(), CLF), "Unknown"),
        ],
        ids=["activation", "step"],
    )
    def test_what_onnx_does_not_know(self, estimator, reason, runs):
        trusted = [f"{Unknown.__module__}.{Unknown.__name__}"]
        with pytest.warns(TrackingWarning, match="has no ONNX: .*") as warned:
            fitted, uri = fit(estimator, X, y, skops_trusted_types=trusted)
        assert reason in str(warned[0].message)
        assert len(warned) == 1
        model = mlflow.sklearn.load_model(uri)
        assert_array_equal(model.predict(X), fitted.predict(X))
        assert "onnx" not in mlflow.models.get_model_info(uri).flavors

    def test_without_skl2onnx(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "skl2onnx", None)
        with pytest.raises(ImportError, match=r"needs skl2onnx.*\[onnx\]"):
            MLflowTracker(log_onnx=True)
        MLflowTracker()

    def test_anything_but_a_bool(self):
        with pytest.raises(TypeError, match="log_onnx must be a bool, got 'yes'"):
            MLflowTracker(log_onnx="yes")
