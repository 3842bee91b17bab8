"""A tracker logs classifiers, pipelines and estimators of scikit-learn."""

import gc
import time

import mlflow
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skperceptron import BackpropMLP
from skperceptron.tracking import MLflowTracker
from tests.tracking.tracked_searches import (
    CLF,
    Tree,
    X,
    assert_logged,
    has_model,
    make_search,
    model_of,
    y,
)

pytestmark = [
    pytest.mark.usefixtures("empty_figures"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


class TestOtherEstimators:
    """What is no search has one run."""

    def test_classifier(self, runs):
        clf = BackpropMLP(max_iter=5, random_state=0).set_callbacks(MLflowTracker())
        clf.fit(X, y)
        (run,) = runs.at_once()
        assert run.run_id == clf.run_id_
        assert run.status == "FINISHED"
        assert len(run.metrics["loss"]) == 5
        assert run.params == {k: str(v) for k, v in clf.get_params().items()}
        assert_array_equal(model_of(run).predict(X), clf.predict(X))
        assert not hasattr(model_of(run), "_skl_callbacks")

    def test_calls_of_partial_fit_are_one_run(self, runs):
        clf = BackpropMLP(random_state=0).set_callbacks(MLflowTracker(run_name="calls"))
        for _ in range(3):
            clf.partial_fit(X, y, classes=[0, 1, 2])
        (run,) = runs()
        assert run.name == "calls"
        assert [step for step, _ in run.metrics["loss"]] == [1, 2, 3]
        assert clf.run_id_ == run.run_id
        clf.set_params(max_iter=2).fit(X, y)
        assert [run.status for run in runs()] == ["FINISHED"] * 2
        assert [step for step, _ in runs()[1].metrics["loss"]] == [1, 2]

    def test_failed_call_of_partial_fit(self, runs):
        clf = BackpropMLP(activation="identity", solver="sgd", random_state=0)
        clf.set_callbacks(MLflowTracker(log_models="none"))
        clf.partial_fit(X, y, classes=[0, 1, 2])
        clf._solver.moments[0][:] = np.inf
        with pytest.raises(ValueError, match="non-finite"):
            clf.partial_fit(X, y)
        (run,) = runs()
        assert run.status == "FAILED"
        assert run.tags["error"].startswith("ValueError: Solver produced non-finite")

    def test_run_of_partial_fits_ends_with_the_classifier(self, runs):
        clf = clone(CLF).set_callbacks(MLflowTracker())
        clf.partial_fit(X, y, classes=[0, 1, 2])
        assert [run.status for run in runs()] == ["RUNNING"]
        del clf
        gc.collect()
        assert [run.status for run in runs()] == ["FINISHED"]

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_in_each_fold_of_a_cross_validation(self, n_jobs, runs):
        tracker = MLflowTracker(run_name="fold", log_models="none")
        clf = clone(CLF).set_callbacks(tracker)
        with mlflow.start_run() as active:
            cross_val_score(clf, X, y, cv=3, n_jobs=n_jobs)
        found = [run for run in runs() if run.run_id != active.info.run_id]
        assert [run.name for run in found] == ["fold"] * 3
        assert {run.parent for run in found} == {active.info.run_id}

    def test_fit_time_is_that_of_all_steps(self, runs):
        pipeline = make_pipeline(FunctionTransformer(slowly), clone(CLF))
        pipeline.set_callbacks(MLflowTracker(log_models="none")).fit(X, y)
        (run,) = runs()
        assert 0.2 <= run.latest("fit_time") < 2

    def test_pipeline(self, runs):
        pipeline = make_pipeline(PCA(2), clone(CLF)).set_callbacks(MLflowTracker())
        pipeline.fit(X[::2], y[::2])
        score = pipeline.score(X[1::2], y[1::2])
        (run,) = runs()
        assert run.name == run.tags["estimator_name"] == "Pipeline"
        assert run.params["pca__n_components"] == "2"
        assert len(run.metrics["objective"]) > 1
        assert run.latest("test_score") == score
        assert_array_equal(model_of(run).predict(X), pipeline.predict(X))
        (inputs,) = signature_of(run).inputs.inputs
        assert inputs.shape == (-1, 4)
        (dataset,) = mlflow.get_run(run.run_id).inputs.dataset_inputs
        assert '"features_shape": [75, 4]' in dataset.dataset.profile

    def test_pipeline_that_reads_texts(self, runs):
        pipeline = make_pipeline(CountVectorizer(), LogisticRegression())
        texts = ["one two", "two three"] * 10
        pipeline.set_callbacks(MLflowTracker()).fit(texts, [0, 1] * 10)
        (run,) = runs()
        assert run.status == "FINISHED"
        assert has_model(run)

    def test_search_over_a_pipeline_that_reads_texts(self, runs):
        pipeline = make_pipeline(CountVectorizer(), clone(CLF))
        texts = pd.Series(["one two", "two three", "three"] * 10)
        search = make_search(pipeline, {"countvectorizer__binary": [False, True]})
        assert_logged(Tree(runs_of(search, texts, [0, 1, 1] * 10, runs)), search)

    def test_search_without_labels(self, runs):
        search = make_search(KMeans(n_init=1), {"n_clusters": [2, 3]})
        assert_logged(Tree(runs_of(search, X, None, runs)), search)

    def test_estimator_of_scikit_learn(self, runs):
        clf = LogisticRegression(C=2.0).set_callbacks(MLflowTracker()).fit(X, y)
        (run,) = runs.at_once()
        assert run.name == "LogisticRegression"
        assert run.params["C"] == "2.0"
        assert run.status == "FINISHED"
        assert_array_equal(model_of(run).predict(X), clf.predict(X))

    @pytest.mark.parametrize(
        "pipeline",
        [LogisticRegression(), make_pipeline(PCA(2), LogisticRegression())],
        ids=["alone", "in a pipeline"],
    )
    def test_search_over_estimators_of_scikit_learn(self, pipeline, runs):
        name = (
            "C" if isinstance(pipeline, LogisticRegression) else "logisticregression__C"
        )
        grid = {name: [0.1, 1.0]}
        search = make_search(pipeline, grid, tracker=MLflowTracker()).fit(X, y)
        tree = Tree(runs())
        assert_logged(tree, search)
        assert_array_equal(model_of(tree.search).predict(X), search.predict(X))

    def test_failure(self, runs):
        pipeline = make_pipeline(PCA(20), clone(CLF)).set_callbacks(MLflowTracker())
        with pytest.raises(ValueError, match="n_components=20"):
            pipeline.fit(X, y)
        (run,) = runs.at_once()
        assert run.status == "FAILED"
        assert run.tags["error"].startswith("ValueError: n_components=20")

    def test_fits_of_an_ensemble_are_part_of_the_whole(self, runs):
        pipeline = make_pipeline(StandardScaler(), BaggingClassifier(CLF, 4))
        pipeline.set_callbacks(MLflowTracker(log_models="none")).fit(X, y)
        assert [run.name for run in runs()] == ["Pipeline"]
        clone(CLF).fit(X, y)
        assert len(runs()) == 2


def runs_of(search, X, y, runs):
    search.fit(X, y)
    return runs()


def signature_of(run):
    return mlflow.models.get_model_info(f"runs:/{run.run_id}/model").signature


def slowly(X):
    time.sleep(0.2)
    return X
