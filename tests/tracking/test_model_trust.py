"""Models are saved only if all the types in them are trusted."""

from __future__ import annotations

import joblib
import mlflow
import pytest
from mlflow.exceptions import MlflowException
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skperceptron import HillClimbPerceptron
from skperceptron.tracking._models import UntrustedTypesError, save_model
from tests.tracking.models import X, perceptron, y

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
SCORE_FUNCTION = "sklearn.feature_selection._univariate_selection.f_classif"


class Outsider(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


class Scaled(HillClimbPerceptron):
    """Of ours, but not ours."""


def local_class():
    class Local(Outsider):
        pass

    return Local()


class TestTrust:
    @pytest.mark.parametrize(
        ("step", "name"),
        [
            (FunctionTransformer(lambda X: X), f"{__name__}.<lambda>"),
            (local_class(), f"{__name__}.Local"),
            (Outsider(), f"{__name__}.Outsider"),
            (SelectKBest(k=2), SCORE_FUNCTION),
            (make_pipeline(Outsider(), SelectKBest(k=2)), SCORE_FUNCTION),
        ],
        ids=["lambda", "local class", "class", "function", "deep inside"],
    )
    def test_foreign_types_are_refused_by_name(self, step, name, tmp_path):
        pipeline = make_pipeline(step, perceptron()).fit(X, y)
        with pytest.raises(UntrustedTypesError, match="skops_trusted_types") as caught:
            save_model(pipeline, X, tmp_path / "m")
        assert name in caught.value.types
        assert name in str(caught.value)
        assert not any("skperceptron.classifiers" in t for t in caught.value.types)
        assert not list(tmp_path.iterdir())

    def test_error_comes_back_from_a_worker(self):
        (error,) = joblib.Parallel(2)([joblib.delayed(UntrustedTypesError)(["a.B"])])
        assert (error.types, str(error)) == (["a.B"], str(UntrustedTypesError(["a.B"])))

    def test_subclasses_of_users_are_foreign(self, tmp_path):
        clf = Scaled(max_iter=5).fit(X, y)
        with pytest.raises(UntrustedTypesError) as caught:
            save_model(clf, X, tmp_path)
        assert caught.value.types == [f"{__name__}.Scaled"]
        save_model(clf, X, tmp_path, trusted_types=[f"{__name__}.Scaled"])

    def test_they_are_accepted_when_trusted(self, tmp_path):
        pipeline = make_pipeline(SelectKBest(k=2), perceptron()).fit(X, y)
        save_model(pipeline, X, tmp_path, trusted_types=[SCORE_FUNCTION])
        loaded = mlflow.sklearn.load_model(str(tmp_path))
        assert_array_equal(loaded.predict(X), pipeline.predict(X))

    def test_trust_does_not_help_a_local_class(self, tmp_path):
        pipeline = make_pipeline(local_class(), perceptron()).fit(X, y)
        with pytest.raises(MlflowException, match="not defined at the top level"):
            save_model(pipeline, X, tmp_path / "m", trusted_types=[f"{__name__}.Local"])
        assert not list(tmp_path.iterdir())

    def test_other_files_are_safe(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("chapter 1")
        with pytest.raises(FileExistsError, match="not empty"):
            save_model(perceptron().fit(X, y), X, tmp_path)
        assert (tmp_path / "thesis.txt").read_text() == "chapter 1"
