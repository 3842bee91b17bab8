"""A tracker logs a whole search, or any other fit, and leaves the fit as it is."""

import _thread
import copy
import gc
import pickle
import signal
import threading
import time
from collections import Counter

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - by its import
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    ParameterGrid,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import skperceptron
from skperceptron import BackpropMLP, HillClimbPerceptron
from skperceptron.tracking import (
    MLflowTracker,
    TrackingWarning,
    _deliverer,
    _fold,
    _tracker,
    flush,
    pending,
    track_study,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_iris(return_X_y=True)
CLF = HillClimbPerceptron(max_iter=10, random_state=0)
STEPS = {"step_size": [0.1, 0.2, 0.4]}
PREFIXED = {"hillclimbperceptron__step_size": [0.1, 0.2, 0.4]}
BACKENDS = ["loky", "threading"]


def make_search(
    estimator=CLF, grid=STEPS, /, kind=GridSearchCV, tracker=None, **kwargs
):
    search = kind(clone(estimator), grid, **{"cv": 2, **kwargs})
    return search.set_callbacks(MLflowTracker() if tracker is None else tracker)


def make_pca_search(n_components=(1, 20, 2), **kwargs):
    """Of its candidates, that with 20 components of 4 features fails."""
    pipeline = make_pipeline(PCA(), CLF)
    return make_search(pipeline, {"pca__n_components": n_components}, **kwargs)


class Tree:
    """The runs of one search, by their places."""

    def __init__(self, found):
        by_id = {run.run_id: run for run in found}
        (self.search,) = [run for run in found if run.parent not in by_id]
        below = [run for run in found if run.parent == self.search.run_id]
        self.refits = [run for run in below if run.name == "refit"]
        self.candidates = {
            int(run.name.removeprefix("candidate ")): run
            for run in below
            if run.name != "refit"
        }
        row_of = {run.run_id: row for row, run in self.candidates.items()}
        self.folds = {
            (row_of[run.parent], int(run.name.removeprefix("fold "))): run
            for run in found
            if run is not self.search and run.parent != self.search.run_id
        }
        n_placed = 1 + len(self.refits) + len(self.candidates) + len(self.folds)
        assert n_placed == len(found)

    @property
    def statuses(self):
        """Of the search, of its candidates and of their folds, in order."""
        return (
            self.search.status,
            [self.candidates[row].status for row in sorted(self.candidates)],
            [self.folds[place].status for place in sorted(self.folds)],
        )


def assert_logged(tree, search):
    """Compare the runs with what the search found."""
    results = search.cv_results_
    n_rows = len(results["params"])
    assert {run.status for run in tree.folds.values()} == {"FINISHED"}
    assert {run.status for run in tree.candidates.values()} == {"FINISHED"}
    assert [run.status for run in tree.refits] == ["FINISHED"] * bool(search.refit)
    assert tree.search.status == "FINISHED"
    assert sorted(tree.candidates) == list(range(n_rows))
    folds = [(row, k) for row in range(n_rows) for k in range(search.n_splits_)]
    assert sorted(tree.folds) == folds
    for row, run in tree.candidates.items():
        params = results["params"][row]
        assert run.params == {name: str(value) for name, value in params.items()}
        for name, column in results.items():
            if name.startswith(("mean", "std", "rank", "iter", "n_resources")):
                assert run.latest(name) == column[row]
    for (row, k), run in tree.folds.items():
        for name, column in results.items():
            if name.startswith(f"split{k}_"):
                score = run.latest(name.removeprefix(f"split{k}_"))
                assert score == column[row]
    if hasattr(search, "best_params_"):
        logged = {k: v for k, v in tree.search.params.items() if k.startswith("best_")}
        best = {f"best_{k}": str(v) for k, v in search.best_params_.items()}
        assert logged == best
        assert tree.search.latest("best_index") == search.best_index_
    if hasattr(search, "best_score_"):
        assert tree.search.latest("best_score") == search.best_score_


def artifacts_of(run):
    return {item.path for item in mlflow.MlflowClient().list_artifacts(run.run_id)}


def model_of(run):
    return mlflow.sklearn.load_model(f"runs:/{run.run_id}/model")


def has_model(run):
    return bool(mlflow.get_run(run.run_id).outputs.model_outputs)


class TestSearch:
    def test_has_a_run_for_each_candidate_and_below_it_for_each_fold(self, runs):
        grid = {"step_size": [0.1, 0.2, 0.3], "init": ["uniform", "normal"]}
        search = make_search(CLF, grid, cv=4).fit(X, y)
        found = runs.at_once()
        assert len(found) == 1 + 6 + 6 * 4 + 1
        tree = Tree(found)
        assert_logged(tree, search)
        assert tree.search.name == "GridSearchCV"
        assert tree.search.parent is None
        for run in [*tree.folds.values(), *tree.refits]:
            assert len(run.metrics["objective"]) > 1
            assert run.tags["estimator_name"] == "HillClimbPerceptron"
        # Those of the folds are those of their candidate.
        assert tree.refits[0].params["max_iter"] == "10"
        for row, params in enumerate(ParameterGrid(grid)):
            logged = tree.candidates[row].params["step_size"]
            assert logged == str(params["step_size"])
        assert search.best_estimator_.run_id_ == tree.refits[0].run_id

    def test_runs_last_as_long_as_what_they_stand_for(self, runs):
        make_search().fit(X, y)
        tree = Tree(runs())
        above = {None: tree.search, **tree.candidates}
        for (row, _), run in [
            *tree.folds.items(),
            *(((None, 0), r) for r in tree.refits),
        ]:
            outer = above[row]
            assert outer.start_time <= run.start_time <= run.end_time <= outer.end_time

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_in_other_processes_and_threads(self, backend, runs):
        frame = pd.DataFrame(X, columns=list("abcd"))
        frame["kind"] = np.where(X[:, 0] > 5, "long", "short")
        columns = make_column_transformer(
            (StandardScaler(), ["a", "b", "c", "d"]), (OneHotEncoder(), ["kind"])
        )
        pipeline = make_pipeline(columns, CLF)
        with parallel_config(backend=backend), mlflow.start_run() as parent:
            search = make_search(pipeline, PREFIXED, n_jobs=2).fit(frame, y)
        tree = Tree([run for run in runs.at_once() if run.run_id != parent.info.run_id])
        assert_logged(tree, search)
        assert tree.search.parent == parent.info.run_id
        assert all("objective" in run.metrics for run in tree.folds.values())
        assert_array_equal(model_of(tree.search).predict(frame), search.predict(frame))

    def test_randomized(self, runs):
        kind = RandomizedSearchCV
        search = make_search(kind=kind, n_iter=2, random_state=0).fit(X, y)
        assert_logged(Tree(runs()), search)

    @pytest.mark.parametrize("kind", [HalvingGridSearchCV, HalvingRandomSearchCV])
    @pytest.mark.parametrize("resource", ["n_samples", "max_iter"])
    def test_halving(self, kind, resource, runs):
        resources = {"n_samples": (40, 80), "max_iter": (5, 10)}[resource]
        options = {"n_candidates": 3} if kind is HalvingRandomSearchCV else {}
        search = make_search(
            kind=kind,
            resource=resource,
            min_resources=resources[0],
            max_resources=resources[1],
            factor=2,
            random_state=0,
            **options,
        ).fit(X, y)
        assert search.n_candidates_ == [3, 2]
        tree = Tree(runs())
        assert_logged(tree, search)
        assert_array_equal(
            [tree.candidates[row].latest("n_resources") for row in range(5)],
            search.cv_results_["n_resources"],
        )

    def test_keeps_results_figure_and_model_of_the_best(self, runs, tmp_path):
        grid = [
            {"hillclimbperceptron__step_size": [0.1, 0.3]},
            {"hillclimbperceptron__init": ["normal"]},
        ]
        search = make_search(make_pipeline(PCA(2), CLF), grid).fit(X, y)
        tree = Tree(runs())
        assert artifacts_of(tree.search) == {"cv_results.csv", "cv_results.png"}
        folder = mlflow.artifacts.download_artifacts(
            run_id=tree.search.run_id, dst_path=str(tmp_path)
        )
        table = pd.read_csv(f"{folder}/cv_results.csv")
        # Before version 3, pandas reads numbers fast, not to the last digit.
        numbers = pd.read_csv(f"{folder}/cv_results.csv", dtype=str)
        assert list(table) == list(search.cv_results_)
        for name, column in search.cv_results_.items():
            if name == "params":
                assert list(table[name]) == [str(params) for params in column]
            elif name.startswith("param_"):
                shown = table[name].astype(object).where(table[name].notna(), None)
                assert shown.tolist() == column.tolist()
            else:
                assert_allclose(numbers[name].astype(float), column, rtol=1e-15)
        with open(f"{folder}/cv_results.png", "rb") as file:
            assert file.read(8) == b"\x89PNG\r\n\x1a\n"
        model = model_of(tree.search)
        assert [name for name, _ in model.steps] == ["pca", "hillclimbperceptron"]
        assert_array_equal(model.predict(X), search.predict(X))
        assert [has_model(run) for run in tree.refits] == [False]

    def test_without_refit_has_scores_and_no_model(self, runs):
        search = make_search(refit=False, return_train_score=True).fit(X, y)
        tree = Tree(runs())
        assert_logged(tree, search)
        assert "mean_train_score" in tree.candidates[0].metrics
        assert "train_score" in tree.folds[0, 0].metrics
        assert not has_model(tree.search)

    def test_of_one_candidate_has_no_figure(self, runs):
        make_search(CLF, {"step_size": [0.1]}).fit(X, y)
        assert artifacts_of(Tree(runs()).search) == {"cv_results.csv"}

    def test_score_of_the_best_on_other_data_belongs_to_the_refit(self, runs):
        search = make_search(make_pipeline(StandardScaler(), CLF), PREFIXED)
        score = search.fit(X[::2], y[::2]).score(X[1::2], y[1::2])
        (refit,) = Tree(runs()).refits
        assert refit.latest("test_score") == score

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_of_a_class_that_knows_no_callbacks(self, n_jobs, runs):
        search = make_search(kind=CustomSearch, n_jobs=n_jobs).fit(X, y)
        assert_logged(Tree(runs()), search)

    def test_is_not_changed(self, runs):
        generator = np.random.RandomState(0)
        distributions = {"step_size": [0.1, 0.2, 0.4], "max_iter": [1, 5, 10]}
        searches = [
            RandomizedSearchCV(
                HillClimbPerceptron(random_state=np.random.RandomState(1)),
                distributions,
                cv=2,
                n_iter=4,
                random_state=copy.deepcopy(generator),
            )
            for _ in range(2)
        ]
        before = global_generator_state()
        plain = searches[0].fit(X, y)
        tracked = searches[1].set_callbacks(MLflowTracker()).fit(X, y)
        assert_array_equal(global_generator_state(), before)
        assert tracked.cv_results_.keys() == plain.cv_results_.keys()
        assert tracked.cv_results_["params"] == plain.cv_results_["params"]
        for name in plain.cv_results_:
            if "test" in name:
                assert_array_equal(tracked.cv_results_[name], plain.cv_results_[name])
        assert_array_equal(tracked.best_estimator_.coef_, plain.best_estimator_.coef_)
        assert_array_equal(
            tracked.random_state.get_state()[1], plain.random_state.get_state()[1]
        )
        assert vars(tracked).keys() - vars(plain).keys() == {"_skl_callbacks"}


def global_generator_state():
    return np.random.get_state()[1].copy()  # noqa: NPY002 - what it is about


class CustomSearch(GridSearchCV):
    """A search as people wrote them before there were callbacks."""

    def _run_search(self, evaluate_candidates):
        evaluate_candidates(ParameterGrid({"step_size": [0.1, 0.2]}))
        evaluate_candidates(ParameterGrid({"step_size": [0.4]}))


def two_scores(estimator, X, y):
    return {"a": estimator.score(X, y), "b": 0.5}


def first(results):
    return 0


class TestSeveralMetrics:
    @pytest.mark.parametrize(
        ("scoring", "refit"),
        [
            (["accuracy", "f1_macro"], "f1_macro"),
            ({"a": "accuracy", "f": "f1_macro"}, first),
            ({"a": "accuracy", "f": "f1_macro"}, False),
            (two_scores, "b"),
            (two_scores, first),
            (two_scores, False),
        ],
    )
    def test_have_their_own_names(self, scoring, refit, runs):
        search = make_search(scoring=scoring, refit=refit, return_train_score=True)
        search.fit(X, y)
        tree = Tree(runs())
        assert_logged(tree, search)
        assert "cv_results.png" in artifacts_of(tree.search)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:Scoring failed")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
class TestFailure:
    @pytest.mark.parametrize(("error_score", "n_jobs"), [(np.nan, 1), (0, 1), (0, 2)])
    @pytest.mark.parametrize("culprit", ["classifier", "transformer"])
    def test_of_a_fit_is_that_of_its_fold(self, culprit, error_score, n_jobs, runs):
        options = {"error_score": error_score, "n_jobs": n_jobs}
        if culprit == "transformer":
            search = make_pca_search(**options)
        else:
            search = make_search(CLF, {"step_size": [0.1, -2.0, 0.4]}, **options)
        search.fit(X, y)
        tree = Tree(runs())
        assert tree.statuses == (
            "FINISHED",
            ["FINISHED", "FAILED", "FINISHED"],
            ["FINISHED"] * 2 + ["FAILED"] * 2 + ["FINISHED"] * 2,
        )
        error = tree.folds[1, 0].tags["error"]
        expected = {
            "classifier": "InvalidParameterError: The 'step_size' parameter",
            "transformer": "ValueError: n_components=20 must be between",
        }
        assert error.startswith(expected[culprit])
        assert "error" not in tree.folds[0, 0].tags
        if n_jobs == 1:
            assert tree.folds[1, 0].end_time <= tree.folds[2, 0].start_time

    def test_of_some_folds_leaves_their_candidate_as_it_is(self, runs):
        every_other = np.arange(0, 150, 2)
        cv = [(every_other, every_other + 1), (np.arange(2), np.arange(2))]
        make_pca_search([1, 3], cv=cv, refit=False, error_score=0).fit(X, y)
        folds = ["FINISHED", "FAILED"] * 2
        assert Tree(runs()).statuses == ("FINISHED", ["FINISHED"] * 2, folds)

    def test_is_told_with_all_its_lines(self, runs):
        X_missing = np.where(np.arange(150)[:, None] < 75, X, np.nan)
        cv = [(np.arange(0, 75), np.arange(75)), (np.arange(150), np.arange(75))]
        make_pca_search([1], cv=cv, refit=False, error_score=0).fit(X_missing, y)
        error = Tree(runs()).folds[0, 1].tags["error"]
        assert error.startswith("ValueError: Input X contains NaN.\nPCA does not")

    def test_of_all_fits_is_that_of_the_search(self, runs):
        search = make_search(CLF, {"step_size": [-1.0, -2.0]})
        with pytest.raises(ValueError, match="All the 4 fits failed"):
            search.fit(X, y)
        tree = Tree(runs())
        assert tree.statuses == ("FAILED", ["FAILED"] * 2, ["FAILED"] * 4)
        assert "All the 4 fits failed" in tree.search.tags["error"]

    def test_that_is_raised_is_that_of_the_search(self, runs):
        search = make_pca_search(error_score="raise")
        with pytest.raises(ValueError, match="n_components=20"):
            search.fit(X, y)
        tree = Tree(runs())
        folds = ["FINISHED", "FINISHED", "FAILED"]
        assert tree.statuses == ("FAILED", ["FAILED"] * 2, folds)
        assert tree.search.tags["error"].startswith("ValueError: n_components=20")

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_that_is_raised_elsewhere_leaves_nothing_running(self, backend, runs):
        search = make_pca_search([20, 1, 2, 3], error_score="raise", n_jobs=2)
        with parallel_config(backend=backend), pytest.raises(ValueError, match="=20"):
            search.fit(X, y)
        wait_for_threads()
        found = runs()
        assert "RUNNING" not in {run.status for run in found}
        (above,) = [run for run in found if run.name == "GridSearchCV"]
        assert above.status == "FAILED"
        assert pending() == 0

    @pytest.mark.parametrize("error_score", [np.nan, "raise"])
    def test_in_scoring(self, error_score, runs):
        search = make_search(scoring=no_score, error_score=error_score, refit=False)
        if error_score == "raise":
            with pytest.raises(RuntimeError, match="no score today"):
                search.fit(X, y)
            tree = Tree(runs())
            assert tree.statuses == ("FAILED", ["FAILED"], ["FAILED"])
            assert tree.folds[0, 0].tags["error"] == "RuntimeError: no score today"
        else:
            search.fit(X, y)
            tree = Tree(runs())
            assert tree.search.status == "FINISHED"
            assert len(tree.candidates) == 3
            assert len(tree.folds) == 6

    def test_of_the_refit_is_that_of_the_search(self, runs):
        pipeline = make_pipeline(FailsOnAll(), CLF)
        search = make_search(pipeline, PREFIXED)
        with pytest.raises(ValueError, match="too many"):
            search.fit(X, y)
        tree = Tree(runs())
        assert tree.search.status == "FAILED"
        assert [run.status for run in tree.refits] == ["FAILED"]
        assert "RUNNING" not in tree.statuses[1]
        assert {run.status for run in tree.folds.values()} == {"FINISHED"}

    def test_before_a_fit_is_none_of_it(self, runs):
        try:
            raise KeyError("earlier")
        except KeyError:
            search = make_search().fit(X, y)
        assert_logged(Tree(runs()), search)

    def test_is_not_that_of_the_next_search(self, runs):
        search = make_search(CLF, {"step_size": [-1.0]}, error_score="raise")
        with pytest.raises(ValueError, match="step_size"):
            search.fit(X, y)
        search.set_params(param_grid=STEPS).fit(X, y)
        statuses = Counter(r.status for r in runs() if r.name == "GridSearchCV")
        assert statuses == {"FAILED": 1, "FINISHED": 1}


def no_score(estimator, X, y):
    raise RuntimeError("no score today")


class FailsOnAll(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        if len(X) == 150:
            raise ValueError("too many")
        return self

    def transform(self, X):
        return X


def wait_for_threads():
    """joblib does not wait for its threads when one of them has failed."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(
            "ThreadPool" in t.name or "(worker)" in t.name
            for t in threading.enumerate()
        ):
            return
        time.sleep(0.05)


class Interrupts(TransformerMixin, BaseEstimator):
    """The user loses patience with the fourth fit."""

    n_fits = 0

    def fit(self, X, y=None):
        type(self).n_fits += 1
        if type(self).n_fits == 4:
            raise KeyboardInterrupt
        return self

    def transform(self, X):
        return X


class SlowLogisticRegression(LogisticRegression):
    def fit(self, X, y):
        time.sleep(0.5)
        return super().fit(X, y)


class TestInterrupt:
    def test_kills_the_search(self, runs, monkeypatch):
        monkeypatch.setattr(Interrupts, "n_fits", 0)
        search = make_search(make_pipeline(Interrupts(), CLF), PREFIXED)
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, y)
        folds = ["FINISHED", "FINISHED", "FINISHED", "KILLED"]
        assert Tree(runs()).statuses == ("KILLED", ["KILLED"] * 2, folds)

    @pytest.fixture
    def interruptible(self):
        """What was started in the background by a shell ignores interrupts."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_of_workers_leaves_nothing_running(self, backend, runs, interruptible):
        search = make_search(
            SlowLogisticRegression(), {"C": [0.1, 1, 10, 100, 1000]}, n_jobs=2
        )
        threading.Timer(1.8, _thread.interrupt_main).start()
        with parallel_config(backend=backend), pytest.raises(KeyboardInterrupt):
            search.fit(X, y)
        wait_for_threads()
        found = runs()
        assert "RUNNING" not in {run.status for run in found}
        (above,) = [run for run in found if run.name == "GridSearchCV"]
        assert above.status == "KILLED"
        assert pending() == 0


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
        clf.set_callbacks(MLflowTracker()).partial_fit(X, y, classes=[0, 1, 2])
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
        clf = clone(CLF).set_callbacks(MLflowTracker(run_name="fold"))
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
        search = make_search(pipeline, {name: [0.1, 1.0]}).fit(X, y)
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


def add_one(X):
    return X + 1


class TestOptions:
    def test_names_and_tags(self, runs):
        tracker = MLflowTracker(run_name="my search", tags={"who": "me"})
        make_search(tracker=tracker).fit(X, y)
        tree = Tree(runs())
        assert tree.search.name == "my search"
        assert tree.search.tags["who"] == "me"
        assert tree.search.tags["estimator_name"] == "GridSearchCV"

    def test_experiment_is_created(self, runs):
        name = f"made by {id(self)}"
        search = make_search(tracker=MLflowTracker(experiment_name=name), n_jobs=2)
        search.fit(X, y)
        assert runs() == []
        experiment = mlflow.get_experiment_by_name(name)
        assert len(mlflow.search_runs([experiment.experiment_id])) == 11

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_other_store(self, n_jobs, runs, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        tracker = MLflowTracker(tracking_uri="sqlite:///other.db", experiment_name="e")
        with mlflow.start_run() as active:
            make_search(tracker=tracker, n_jobs=n_jobs).fit(X, y)
        assert [run.run_id for run in runs()] == [active.info.run_id]
        client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'other.db'}")
        experiment = client.get_experiment_by_name("e")
        found = client.search_runs([experiment.experiment_id])
        assert len(found) == 11
        assert {run.info.status for run in found} == {"FINISHED"}
        roots = [r for r in found if "mlflow.parentRunId" not in r.data.tags]
        assert [run.info.run_name for run in roots] == ["GridSearchCV"]

    @pytest.mark.parametrize(
        ("log_models", "expected"), [("none", 0), ("best", 1), ("all", 7)]
    )
    def test_models(self, log_models, expected, runs):
        make_search(tracker=MLflowTracker(log_models=log_models)).fit(X, y)
        assert sum(map(has_model, runs())) == expected

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_without_folds(self, n_jobs, runs):
        tracker = MLflowTracker(log_folds=False)
        search = make_search(tracker=tracker, n_jobs=n_jobs).fit(X, y)
        tree = Tree(runs())
        assert len(tree.candidates) == 3
        assert len(tree.refits) == 1
        assert not tree.folds
        assert (
            tree.candidates[0].latest("mean_test_score")
            == (search.cv_results_["mean_test_score"][0])
        )

    def test_untrusted_type_costs_the_model_and_one_warning(self, runs):
        pipeline = make_pipeline(FunctionTransformer(add_one), CLF)
        search = make_search(pipeline, PREFIXED)
        with pytest.warns(TrackingWarning, match="skops_trusted_types") as caught:
            search.fit(X, y)
        assert len(caught) == 1
        tree = Tree(runs())
        assert_logged(tree, search)
        assert artifacts_of(tree.search) == {"cv_results.csv", "cv_results.png"}
        assert not has_model(tree.search)

    def test_trusted_type_is_part_of_the_model(self, runs):
        pipeline = make_pipeline(FunctionTransformer(add_one), clone(CLF))
        name = f"{add_one.__module__}.add_one"
        tracker = MLflowTracker(skops_trusted_types=[name])
        pipeline.set_callbacks(tracker).fit(X, y)
        (run,) = runs()
        assert has_model(run)

    def test_registered_model(self, runs):
        name = f"registered by {id(self)}"
        make_search(tracker=MLflowTracker(registered_model_name=name)).fit(X, y)
        (version,) = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
        assert version.run_id == Tree(runs()).search.run_id

    @pytest.mark.parametrize(
        "wrong",
        [
            {"experiment_name": 1},
            {"tracking_uri": b"x"},
            {"run_name": 1.0},
            {"registered_model_name": []},
            {"tags": "tags"},
            {"tags": [("a", "b")]},
            {"log_folds": 1},
            {"log_folds": None},
            {"skops_trusted_types": "numpy.dtype"},
            {"skops_trusted_types": [1]},
        ],
        ids=str,
    )
    def test_of_a_wrong_type_is_refused(self, wrong):
        (name,) = wrong
        with pytest.raises(TypeError, match=f"^{name} must be"):
            MLflowTracker(**wrong)

    def test_of_a_wrong_value_is_refused(self):
        with pytest.raises(ValueError, match="log_models must be one of"):
            MLflowTracker(log_models="some")

    def test_cannot_be_given_by_position(self):
        with pytest.raises(TypeError, match="positional"):
            MLflowTracker("experiment")


class TestSurroundings:
    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_tracker_wins_over_the_switch(self, n_jobs, runs):
        with skperceptron.config_context(tracking=False):
            search = make_search(n_jobs=n_jobs).fit(X, y)
            assert skperceptron.get_config()["tracking"] is False
        assert_logged(Tree(runs()), search)

    def test_switch_is_as_before(self, runs):
        make_search().fit(X, y)
        assert skperceptron.get_config()["tracking"] is True
        with pytest.raises(ValueError, match="n_components=20"):
            make_pca_search(error_score="raise").fit(X, y)
        assert skperceptron.get_config()["tracking"] is True

    def test_two_searches_with_one_tracker(self, runs):
        tracker = MLflowTracker()
        for _ in range(2):
            make_search(tracker=tracker).fit(X, y)
        found = runs()
        assert Counter(run.name for run in found if run.parent is None) == {
            "GridSearchCV": 2
        }
        assert len(found) == 22

    def test_two_searches_with_one_tracker_at_once(self, runs):
        tracker = MLflowTracker()
        searches = [make_search(tracker=tracker), make_search(tracker=tracker, cv=3)]
        threads = [threading.Thread(target=s.fit, args=(X, y)) for s in searches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = runs()
        for search in searches:
            (root,) = [
                run
                for run in found
                if run.params.get("cv") == str(search.cv) and run.parent is None
            ]
            below = [run for run in found if run.parent == root.run_id]
            ids = {run.run_id for run in [root, *below]}
            part = [run for run in found if run.run_id in ids or run.parent in ids]
            assert_logged(Tree(part), search)

    @pytest.mark.parametrize("backend", [None, *BACKENDS])
    def test_search_in_each_fold_of_a_cross_validation(self, backend, runs):
        jobs = {} if backend is None else {"backend": backend, "n_jobs": 2}
        with parallel_config(**(jobs or {"n_jobs": 1})), mlflow.start_run() as active:
            cross_val_score(make_search(n_jobs=1), X, y, cv=3)
        found = [run for run in runs() if run.run_id != active.info.run_id]
        parents = [run.parent for run in found if run.name == "GridSearchCV"]
        assert parents == [active.info.run_id] * 3
        assert len(found) == 3 * 11
        assert {run.status for run in found} == {"FINISHED"}

    def test_study_in_one_store_and_its_search_in_another(self, runs, tmp_path):
        uri = f"sqlite:///{tmp_path / 'other.db'}"
        client = mlflow.MlflowClient(uri)
        client.create_experiment("e", artifact_location=str(tmp_path))
        tracker = MLflowTracker(tracking_uri=uri, experiment_name="e")
        search = make_search(tracker=tracker)
        study = optuna.create_study(study_name="study")
        with track_study(study):
            study.optimize(lambda trial: search.fit(X, y).best_score_, n_trials=1)
        found = client.search_runs([client.get_experiment_by_name("e").experiment_id])
        assert len(found) == 11
        roots = [r for r in found if "mlflow.parentRunId" not in r.data.tags]
        assert [run.info.run_name for run in roots] == ["GridSearchCV"]
        assert [run.name.split()[0] for run in runs()] == ["study", "trial"]

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_search_in_the_pipeline_of_a_search_is_part_of_the_fold(self, n_jobs, runs):
        inner = GridSearchCV(CLF, STEPS, cv=2, n_jobs=n_jobs)
        pipeline = make_pipeline(StandardScaler(), inner)
        tracker = MLflowTracker(log_models="none")
        search = make_search(pipeline, {"gridsearchcv__cv": [2, 3]}, tracker=tracker)
        search.fit(X, y)
        assert_logged(Tree(runs()), search)

    @pytest.mark.parametrize(
        "copied",
        [clone, copy.deepcopy, lambda search: pickle.loads(pickle.dumps(search))],
        ids=["clone", "deepcopy", "pickle"],
    )
    @pytest.mark.parametrize("is_fitted", [False, True])
    def test_tracker_goes_with_copies_of_a_search(self, copied, is_fitted, runs):
        original = make_search(tracker=MLflowTracker(run_name="original"))
        if is_fitted:
            with skperceptron.config_context(tracking=False):
                original.fit(X, y)
        known = {run.run_id for run in runs()}
        search = copied(original).fit(X, y)
        tree = Tree([run for run in runs() if run.run_id not in known])
        assert_logged(tree, search)
        assert tree.search.name == "original"

    def test_autolog_does_not_log_our_fits_again(self, runs):
        mlflow.sklearn.autolog(log_models=False, silent=True)
        try:
            search = make_search().fit(X, y)
            clone(CLF).fit(X, y)
        finally:
            mlflow.sklearn.autolog(disable=True)
        found = runs()
        assert {run.status for run in found} == {"FINISHED"}
        keys = [run.tags["skperceptron.key"] for run in found if is_ours(run)]
        assert len(keys) == len(set(keys)) == 11 + 1
        # autolog has one run for the search, and below it one for each candidate.
        assert len(found) == 12 + 1 + 3
        (above,) = [run for run in found if run.name == "GridSearchCV"]
        below = {above.run_id, *(r.run_id for r in found if r.parent == above.run_id)}
        ours = [run for run in found if run.run_id in below or run.parent in below]
        assert_logged(Tree(ours), search)


def is_ours(run):
    return "skperceptron.key" in run.tags


def test_folds_are_delivered_while_the_figure_is_drawn(runs, monkeypatch):
    monkeypatch.setattr(_deliverer, "REST", 1e6)  # while something might be fitted
    monkeypatch.setattr(_deliverer, "SECONDS_UNTIL_NO_REST", 1e6)
    finished = []

    def wait_for_folds(run, search):
        deadline = time.monotonic() + 60
        while len(finished) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
            folds = [r for r in runs.at_once() if r.name.startswith("fold")]
            finished[:] = [r for r in folds if r.status == "FINISHED"]

    monkeypatch.setattr(_tracker, "draw_search", wait_for_folds)
    make_search().fit(X, y)
    assert len(finished) == 6


def test_folds_are_delivered_while_the_best_candidate_is_refitted(runs, monkeypatch):
    monkeypatch.setattr(_deliverer, "REST", 1e6)  # while something might be fitted
    monkeypatch.setattr(_deliverer, "SECONDS_UNTIL_NO_REST", 1e6)
    finished = []

    class Patient(HillClimbPerceptron):
        def fit(self, X, y):
            deadline = time.monotonic() + 60
            while len(X) == 150 and len(finished) < 6 and time.monotonic() < deadline:
                time.sleep(0.05)
                folds = [r for r in runs.at_once() if r.name.startswith("fold")]
                finished[:] = [r for r in folds if r.status == "FINISHED"]
            return super().fit(X, y)

    tracker = MLflowTracker(log_models="none")
    make_search(Patient(max_iter=5), tracker=tracker).fit(X, y)
    assert len(finished) == 6


def test_folds_have_the_scores_of_the_search_and_no_others(runs):
    search = make_search(return_train_score=True).fit(X, y)
    fold = Tree(runs()).folds[2, 1]
    assert fold.latest("train_score") == search.cv_results_["split1_train_score"][2]
    assert "training_score" not in fold.metrics


def test_folds_have_their_scores_before_the_search_has_ended(runs, monkeypatch):
    scores = []

    def look(*arguments):
        flush()
        folds = [run for run in runs.at_once() if run.name.startswith("fold")]
        scores.extend(fold.latest("test_score") for fold in folds)

    monkeypatch.setattr(_tracker, "log_search", look)
    search = make_search().fit(X, y)
    columns = [search.cv_results_[f"split{split}_test_score"] for split in range(2)]
    assert sorted(scores) == sorted(np.concatenate(columns))


def test_scores_come_from_the_results_where_folds_do_not_know_them(runs, monkeypatch):
    monkeypatch.setattr(_fold, "_SCORES", {"scores_of_another_version": "test"})
    search = make_search().fit(X, y)
    assert_logged(Tree(runs()), search)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_candidates_end_with_their_last_fold(n_jobs, runs):
    make_search(n_jobs=n_jobs).fit(X, y)
    tree = Tree(runs())
    for row, candidate in tree.candidates.items():
        folds = [fold for (of, _), fold in tree.folds.items() if of == row]
        assert candidate.end_time == max(fold.end_time for fold in folds)
