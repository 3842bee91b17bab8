"""Own validation data on their way through pipelines and searches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbMLPRegressor,
    HillClimbPerceptron,
)

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = load_iris(return_X_y=True)
# scikit-learn would divide as many rows as there are in training among the folds.
X, X_VAL, y, Y_VAL = X[::2], X[1:121:2], y[::2], y[1:121:2]
OWN = {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": np.linspace(1, 2, 60)}
OF_STEP = {f"net__{name}": value for name, value in OWN.items()}
FOLDS = StratifiedKFold(2)
SHORT = {"early_stopping": True, "random_state": 0}
SMALL = {"hidden_layer_sizes": (5,), **SHORT}
NETWORKS = [
    BackpropMLP(learning_rate_init=0.01, max_iter=10, **SMALL),
    BackpropMLPRegressor(learning_rate_init=0.01, max_iter=10, **SMALL),
    HillClimbMLP(max_iter=60, surrogate_iter=0, **SMALL),
    HillClimbMLPRegressor(max_iter=60, surrogate_iter=0, **SMALL),
    HillClimbPerceptron(max_iter=60, surrogate_iter=0, **SHORT),
]
every_network = pytest.mark.parametrize(
    "network", NETWORKS, ids=lambda network: type(network).__name__
)


def pipeline_of(network, **options):
    return Pipeline([("scale", StandardScaler()), ("net", clone(network))], **options)


def search_of(estimator, name, **options):
    return GridSearchCV(estimator, {name: [1e-4]}, cv=FOLDS, **options)


def requesting(network):
    return clone(network).set_fit_request(**dict.fromkeys(OWN, True))


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


def check_scores(search, network, scales):
    """Compare the scores of folds, and the refit, with those of fits one by one."""
    for i, (fold, test) in enumerate(FOLDS.split(X, y)):
        scaler = StandardScaler(with_mean=scales, with_std=scales).fit(X[fold])
        own = {**OWN, "X_val": scaler.transform(X_VAL)}
        fitted = clone(network).fit(scaler.transform(X[fold]), y[fold], **own)
        found = search.cv_results_[f"split{i}_test_score"][0]
        assert found == fitted.score(scaler.transform(X[test]), y[test])
    scaler = StandardScaler(with_mean=scales, with_std=scales).fit(X)
    own = {**OWN, "X_val": scaler.transform(X_VAL)}
    fitted = clone(network).fit(scaler.transform(X), y, **own)
    best = search.best_estimator_
    refitted = best["net"] if isinstance(best, Pipeline) else best
    assert refitted.validation_scores_ == fitted.validation_scores_


class TestWithRouting:
    @every_network
    def test_a_pipeline_transforms_them(self, network, routing):
        pipeline = pipeline_of(requesting(network), transform_input=["X_val"])
        pipeline.fit(X, y, **OWN)
        scaler = StandardScaler().fit(X)
        own = {**OWN, "X_val": scaler.transform(X_VAL)}
        plain = clone(network).fit(scaler.transform(X), y, **own)
        assert pipeline["net"].validation_scores_ == plain.validation_scores_

    def test_a_pipeline_transforms_dataframes(self, routing):
        frame, frame_val = (pd.DataFrame(x, columns=[*"abcd"]) for x in (X, X_VAL))
        pipeline = pipeline_of(requesting(NETWORKS[0]), transform_input=["X_val"])
        scores = [
            clone(pipeline).fit(x, y, **{**OWN, "X_val": x_val})["net"]
            for x, x_val in ((frame, frame_val), (X, X_VAL))
        ]
        assert scores[0].validation_scores_ == scores[1].validation_scores_

    @every_network
    def test_a_search_gives_them_to_every_fit(self, network, routing):
        search = search_of(requesting(network), "tol").fit(X, y, **OWN)
        check_scores(search, network, scales=False)

    @every_network
    def test_a_search_of_a_pipeline_transforms_them_in_every_fold(
        self, network, routing
    ):
        pipeline = pipeline_of(requesting(network), transform_input=["X_val"])
        search = search_of(pipeline, "net__tol").fit(X, y, **OWN)
        check_scores(search, network, scales=True)

    @every_network
    def test_who_does_not_request_them_is_told_how(self, network, routing):
        for estimator in (pipeline_of(network), search_of(clone(network), "tol")):
            with pytest.raises(UnsetMetadataPassedError, match="set_fit_request"):
                estimator.fit(X, y, **OWN)


class TestWithoutRouting:
    @every_network
    def test_a_pipeline_takes_those_of_a_step_as_they_are(self, network):
        scaler = StandardScaler().fit(X)
        own = {**OWN, "X_val": scaler.transform(X_VAL)}
        plain = clone(network).fit(scaler.transform(X), y, **own)
        of_step = {f"net__{name}": value for name, value in own.items()}
        pipeline = pipeline_of(network).fit(X, y, **of_step)
        assert pipeline["net"].validation_scores_ == plain.validation_scores_

    @every_network
    def test_a_search_gives_them_to_every_fit(self, network):
        search = search_of(clone(network), "tol").fit(X, y, **OWN)
        check_scores(search, network, scales=False)

    def test_transform_input_needs_routing(self):
        pipeline = pipeline_of(NETWORKS[0], transform_input=["X_val"])
        with pytest.raises(ValueError, match="enable_metadata_routing=True"):
            pipeline.fit(X, y, **OF_STEP)

    def test_as_many_rows_as_in_training_are_divided_among_the_folds(self):
        # As scikit-learn does it with whatever `fit` of a search gets.
        own = {"X_val": X[::-1], "y_val": y[::-1]}
        search = search_of(clone(NETWORKS[0]), "tol").fit(X, y, **own)
        for i, (fold, test) in enumerate(FOLDS.split(X, y)):
            parts = {name: value[fold] for name, value in own.items()}
            fitted = clone(NETWORKS[0]).fit(X[fold], y[fold], **parts)
            found = search.cv_results_[f"split{i}_test_score"][0]
            assert found == fitted.score(X[test], y[test])


REFUSED = {
    "width": ({**OWN, "X_val": X_VAL[:, 1:]}, "3 features, but .* expecting 4"),
    "strings": ({**OWN, "X_val": np.full(X_VAL.shape, "a")}, "convert string to float"),
    "missing": ({**OWN, "X_val": X_VAL * np.nan}, "contains NaN"),
    "length": ({**OWN, "y_val": Y_VAL[1:]}, "inconsistent numbers of samples"),
    "kind of y": ({**OWN, "y_val": np.full(60, "a")}, "cannot be validated on"),
    "only X": ({"X_val": X_VAL}, "got only X_val"),
    "only y": ({"y_val": Y_VAL}, "got only y_val"),
    "only weight": ({"sample_weight_val": np.ones(60)}, "got only sample_weight_val"),
    "weight": ({**OWN, "sample_weight_val": np.ones(61)}, "cannot be validated on"),
}


class TestRefused:
    """The errors are those of `fit`, or of the step that transforms them."""

    @every_network
    @pytest.mark.parametrize("case", REFUSED)
    def test_with_routing(self, network, case, routing):
        given, message = REFUSED[case]
        options = {"transform_input": ["X_val"]}
        if "X_val" not in given:
            options = {}  # there is nothing to transform
        pipeline = pipeline_of(requesting(network), **options)
        search = search_of(clone(pipeline), "net__tol", error_score="raise")
        for estimator in (pipeline, search):
            with pytest.raises(ValueError, match=message):
                estimator.fit(X, y, **given)

    @every_network
    @pytest.mark.parametrize("case", REFUSED)
    def test_without_routing(self, network, case):
        given, message = REFUSED[case]
        search = search_of(clone(network), "tol", error_score="raise")
        with pytest.raises(ValueError, match=message):
            search.fit(X, y, **given)
        of_step = {f"net__{name}": value for name, value in given.items()}
        with pytest.raises(ValueError, match=message):
            pipeline_of(network).fit(X, y, **of_step)

    @every_network
    def test_labels_that_training_has_not(self, network):
        own = {**OWN, "y_val": Y_VAL + 1}
        search = search_of(clone(network), "tol", error_score="raise")
        if not is_classifier(network):
            search.fit(X, y, **own)  # any number will do
            return
        with pytest.raises(ValueError, match="classes not in"):
            search.fit(X, y, **own)

    def test_other_numbers_of_outputs(self):
        for network in NETWORKS:
            if not is_classifier(network):
                search = search_of(clone(network), "tol", error_score="raise")
                with pytest.raises(ValueError, match="as many columns"):
                    search.fit(X, y, **{**OWN, "y_val": np.c_[Y_VAL, Y_VAL]})

    def test_a_search_says_why_all_of_its_fits_have_failed(self):
        search = search_of(clone(NETWORKS[0]), "tol")
        with pytest.raises(ValueError, match=r"(?s)All the 2 fits.*got only X_val"):
            search.fit(X, y, X_val=X_VAL)
