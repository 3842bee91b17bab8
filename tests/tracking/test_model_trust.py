"""Models are saved only if all the types in them are trusted."""

from __future__ import annotations

from functools import partial
from types import FunctionType

import joblib
import mlflow
import numpy as np
import pytest
import skops.io
from mlflow.models import Model
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skops.io.exceptions import UntrustedTypesFoundException

from skperceptron import HillClimbMLP, HillClimbPerceptron
from skperceptron.tracking.recording._model import UntrustedTypesError, keep_model
from tests.tracking.models import X, bump, perceptron, save_model, y

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

    @staticmethod
    def static(z):
        return z


class Scaled(HillClimbPerceptron):
    """Of ours, but not ours."""


def climber(activation):
    return HillClimbMLP((5,), activation, max_iter=5, random_state=0)


def nested_function():
    def nested(z):
        return z

    return nested


def of_a_script():
    def bump(z):
        return z

    bump.__module__, bump.__qualname__ = "__main__", "bump"
    return bump


# There is another object by its name.
renamed = FunctionType(bump.__code__, bump.__globals__, "bump")


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
            save_model(clf, X, tmp_path / "m")
        assert caught.value.types == [f"{__name__}.Scaled"]
        save_model(clf, X, tmp_path / "m", trusted_types=[f"{__name__}.Scaled"])

    def test_they_are_accepted_when_trusted(self, tmp_path):
        pipeline = make_pipeline(SelectKBest(k=2), perceptron()).fit(X, y)
        save_model(pipeline, X, tmp_path / "m", trusted_types=[SCORE_FUNCTION])
        loaded = mlflow.sklearn.load_model(str(tmp_path / "m"))
        assert_array_equal(loaded.predict(X), pipeline.predict(X))

    def test_trust_does_not_help_a_local_class(self, tmp_path):
        pipeline = make_pipeline(local_class(), perceptron()).fit(X, y)
        with pytest.raises(ValueError, match="at the top level of a module"):
            save_model(pipeline, X, tmp_path / "m", trusted_types=[f"{__name__}.Local"])
        assert not list(tmp_path.iterdir())


class TestActivation:
    def test_is_imported_only_if_that_is_trusted(self, tmp_path):
        save_model(climber(bump).fit(X, y), X, tmp_path / "m")
        file = tmp_path / "m" / "model.skops"
        name = f"{bump.__module__}.bump"
        assert name in skops.io.get_untrusted_types(file=file)
        flavors = Model.load(str(tmp_path / "m")).flavors
        trusted = flavors["sklearn"]["skops_trusted_types"]
        assert name in trusted
        with pytest.raises(UntrustedTypesFoundException, match=name):
            skops.io.load(file, trusted=[t for t in trusted if t != name])

    @pytest.mark.parametrize(
        "function",
        [
            lambda z: z,
            nested_function(),
            Outsider.static,
            partial(np.maximum, 0),
            renamed,
            np.vectorize(bump),
            of_a_script(),
        ],
    )
    @pytest.mark.parametrize("place", ["alone", "in a list", "in a pipeline"])
    def test_that_cannot_be_imported_is_refused(self, function, place, tmp_path):
        clf = climber([function] if place == "in a list" else function)
        if place == "in a pipeline":
            clf = make_pipeline(StandardScaler(), clf)
        clf.fit(X, y)
        with pytest.raises(ValueError, match=r"activation .* cannot be imported by"):
            save_model(clf, X, tmp_path / "m")
        assert not list(tmp_path.iterdir())


class TestFolder:
    def test_other_files_are_safe(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("chapter 1")
        with pytest.raises(FileExistsError):
            keep_model(perceptron().fit(X, y), X, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
        assert (tmp_path / "thesis.txt").read_text() == "chapter 1"
