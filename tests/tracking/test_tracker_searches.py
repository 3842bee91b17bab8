"""A tracker logs a whole search and leaves it as it is."""

import copy

import mlflow
import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - by its import
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    ParameterGrid,
    RandomizedSearchCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skperceptron import HillClimbMLP, HillClimbPerceptron
from skperceptron.tracking import MLflowTracker
from skperceptron.tracking.recording import _search, _sklearn_internals
from skperceptron.tracking.recording._figures import as_png
from tests.tracking.faults import within
from tests.tracking.models import bump
from tests.tracking.tracked_searches import (
    BACKENDS,
    CLF,
    PREFIXED,
    Tree,
    X,
    artifacts_of,
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
            search = make_search(pipeline, PREFIXED, tracker=MLflowTracker(), n_jobs=2)
            search.fit(frame, y)
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

    def test_keeps_results_figure_and_model_of_the_best(
        self, runs, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(_search, "as_png", as_png)
        grid = [
            {"hillclimbperceptron__step_size": [0.1, 0.3]},
            {"hillclimbperceptron__init": ["normal"]},
        ]
        pipeline = make_pipeline(PCA(2), CLF)
        search = make_search(pipeline, grid, tracker=MLflowTracker()).fit(X, y)
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

    def test_of_functions_names_them(self, runs, tmp_path):
        clf = HillClimbMLP((5,), max_iter=5, random_state=0)
        grid = [{"activation": ["tanh", bump]}, {"activation": [(bump,)]}]
        search = make_search(clf, grid, tracker=MLflowTracker()).fit(X, y)
        tree = Tree(runs())
        name = f"{bump.__module__}.bump"
        logged = [tree.candidates[row].params["activation"] for row in range(3)]
        assert logged == ["tanh", name, f"({name},)"]
        assert tree.search.params["param_grid"] == (
            f"[{{'activation': ['tanh', {name}]}}, {{'activation': [({name},)]}}]"
        )
        folder = mlflow.artifacts.download_artifacts(
            run_id=tree.search.run_id, dst_path=str(tmp_path)
        )
        table = pd.read_csv(f"{folder}/cv_results.csv")
        assert table["param_activation"].tolist() == logged
        assert table["params"][1] == f"{{'activation': {name}}}"
        assert_array_equal(model_of(tree.search).predict(X), search.predict(X))

    def test_without_refit_has_scores_and_no_model(self, runs):
        search = make_search(
            tracker=MLflowTracker(), refit=False, return_train_score=True
        ).fit(X, y)
        tree = Tree(runs())
        assert_logged(tree, search)
        assert "mean_train_score" in tree.candidates[0].metrics
        assert "split_train_score" in tree.folds[0, 0].metrics
        assert not has_model(tree.search)

    def test_with_a_name_that_no_file_can_hold_keeps_its_results(self, runs, tmp_path):
        def score(clf, X, y):
            return {"\ud800": clf.score(X, y)}

        make_search(CLF, {"step_size": [0.1]}, scoring=score, refit=False).fit(X, y)
        (search,) = [run for run in runs() if run.name == "GridSearchCV"]
        folder = mlflow.artifacts.download_artifacts(
            run_id=search.run_id, dst_path=str(tmp_path)
        )
        assert "mean_test_\\ud800" in pd.read_csv(f"{folder}/cv_results.csv")

    def test_of_one_candidate_has_no_figure(self, runs):
        make_search(CLF, {"step_size": [0.1]}).fit(X, y)
        assert artifacts_of(Tree(runs()).search) == {"cv_results.csv"}

    def test_score_of_the_best_on_other_data_belongs_to_search_and_refit(self, runs):
        search = make_search(make_pipeline(StandardScaler(), CLF), PREFIXED)
        score = search.fit(X[::2], y[::2]).score(X[1::2], y[1::2])
        tree = Tree(runs())
        (refit,) = tree.refits
        assert tree.search.latest("test_score") == score
        assert refit.latest("test_score") == score
        assert tree.search.status == refit.status == "FINISHED"

    def test_scores_of_splits_are_no_test_scores(self, runs):
        make_search(CLF, {"step_size": [0.1, 0.2]}).fit(X, y)
        assert not [run for run in runs() if "test_score" in run.metrics]

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


class TestName:
    """Of the run of a candidate."""

    @staticmethod
    def of_candidates(found):
        candidates = Tree(found).candidates
        return [candidates[row].name for row in range(len(candidates))]

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_is_what_varies(self, n_jobs, runs):
        grid = {
            "hillclimbmlp__hidden_layer_sizes": [(5,), (3, 2)],
            "hillclimbmlp__activation": ["logistic", bump],
            "hillclimbmlp__max_iter": [2],
        }
        pipeline = make_pipeline(StandardScaler(), HillClimbMLP(random_state=0))
        make_search(pipeline, grid, n_jobs=n_jobs).fit(X, y)
        assert self.of_candidates(runs()) == [
            "logistic, (5,)",
            "logistic, (3, 2)",
            "bump, (5,)",
            "bump, (3, 2)",
        ]

    def test_tells_numbers_by_their_parameters(self, runs):
        grid = {"step_size": [0.123456, 100.0], "max_iter": [5, np.int64(6)]}
        make_search(CLF, grid).fit(X, y)
        assert self.of_candidates(runs()) == [
            "max_iter=5, step_size=0.1235",
            "max_iter=5, step_size=100",
            "max_iter=6, step_size=0.1235",
            "max_iter=6, step_size=100",
        ]

    def test_has_the_step_of_a_pipeline_where_two_have_such_a_parameter(self, runs):
        pipeline = make_pipeline(PCA(), PCA(), CLF)
        grid = {"pca-1__n_components": [4, 3], "pca-2__n_components": [2]}
        grids = [grid, {"pca-1__n_components": [4], "pca-2__n_components": [1]}]
        make_search(pipeline, grids, cv=2).fit(X, y)
        assert self.of_candidates(runs()) == [
            "pca-1__n_components=4, pca-2__n_components=2",
            "pca-1__n_components=3, pca-2__n_components=2",
            "pca-1__n_components=4, pca-2__n_components=1",
        ]

    def test_of_several_that_are_the_same_has_their_number(self, runs):
        grids = [{"step_size": [0.1, 0.2]}, {"step_size": [0.1]}]
        make_search(CLF, grids).fit(X, y)
        assert self.of_candidates(runs()) == [
            "step_size=0.1 (0)",
            "step_size=0.2",
            "step_size=0.1 (2)",
        ]

    def test_has_the_iteration_of_a_halving_search(self, runs):
        search = make_search(kind=HalvingGridSearchCV, min_resources=40, factor=3)
        search.fit(X, y)
        names = self.of_candidates(runs())
        steps = [params["step_size"] for params in search.cv_results_["params"]]
        iterations = search.cv_results_["iter"]
        assert names == [
            f"step_size={step}, iteration {i}"
            for step, i in zip(steps, iterations, strict=True)
        ]
        assert iterations.max() == 1

    def test_of_the_only_one_is_its_number(self, runs):
        make_search(CLF, {"step_size": [0.1]}).fit(X, y)
        assert self.of_candidates(runs()) == ["candidate 0"]

    def test_is_not_longer_than_a_column(self, runs):
        search = make_search(CLF, {"hidden_layer_sizes": [(2,) * 40, (1,)]})
        search.set_params(estimator=HillClimbMLP(max_iter=1)).fit(X, y)
        names = self.of_candidates(runs())
        assert [len(name) for name in names] == [60, len("(1,)")]


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


def test_folds_are_delivered_with_their_scores_before_the_search_has_ended(runs):
    found = []

    def are_there():
        folds = [run for run in runs.at_once() if run.name.startswith("fold")]
        found[:] = [run for run in folds if run.status == "FINISHED"]
        return len(found) == 6

    class Watching(HillClimbPerceptron):
        def fit(self, X, y):
            assert len(X) < 150 or within(60, are_there)
            return super().fit(X, y)

    search = make_search(Watching(max_iter=5)).fit(X, y)
    columns = [search.cv_results_[f"split{split}_test_score"] for split in range(2)]
    scores = [fold.latest("split_test_score") for fold in found]
    assert sorted(scores) == sorted(np.concatenate(columns))


def test_folds_have_the_scores_of_the_search_and_no_others(runs):
    search = make_search(return_train_score=True).fit(X, y)
    fold = Tree(runs()).folds[2, 1]
    assert (
        fold.latest("split_train_score") == search.cv_results_["split1_train_score"][2]
    )
    assert "training_score" not in fold.metrics


def test_scores_come_from_the_results_where_folds_do_not_know_them(runs, monkeypatch):
    monkeypatch.setattr(
        _sklearn_internals, "_SCORES", {"scores_of_another_version": "test"}
    )
    search = make_search().fit(X, y)
    assert_logged(Tree(runs()), search)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_candidates_end_with_their_last_fold(n_jobs, runs):
    make_search(n_jobs=n_jobs).fit(X, y)
    tree = Tree(runs())
    for row, candidate in tree.candidates.items():
        folds = [fold for (of, _), fold in tree.folds.items() if of == row]
        assert candidate.end_time == max(fold.end_time for fold in folds)
