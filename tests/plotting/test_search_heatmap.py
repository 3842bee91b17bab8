"""The map of a search, compared with its ``cv_results_``."""

import io
import subprocess
import sys
from itertools import pairwise
from threading import Thread

import numpy as np
import pytest
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - by its import
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.plotting import SearchHeatmapDisplay

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning"),
    pytest.mark.filterwarnings("ignore:One or more of the:UserWarning"),
]
X, y = load_iris(return_X_y=True)
STEP_SIZES = [1.0, 0.01, 0.1]  # in no order


class Scripted(ClassifierMixin, BaseEstimator):
    """Its score is a sum of its parameters; it fails where it is told to."""

    def __init__(self, a=0, b=0, c=0, fails=False):
        self.a = a
        self.b = b
        self.c = c
        self.fails = fails

    def fit(self, X, y):
        if self.fails is True or self.fails == (self.a, self.b):
            raise ValueError("told to fail")
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y=None):
        numbers = [v for v in (self.a, self.b, self.c) if isinstance(v, (int, float))]
        return sum(numbers) + 1e-4 * X[:, 0].mean()


def run_grid(grid, estimator=None, **options):
    options = {"cv": 3, **options}
    search = GridSearchCV(estimator or Scripted(), grid, **options)
    with skperceptron.config_context(tracking=False):
        return search.fit(X, y)


def scores_of(search, key="mean_test_score", **wanted):
    """Look scores up in ``cv_results_``."""
    results = search.cv_results_
    return [
        score
        for params, score in zip(results["params"], results[key], strict=True)
        if all(params[name] == value for name, value in wanted.items())
    ]


def fail_all(search):
    """Make results of which no test score is left."""
    for name in search.cv_results_:
        if name.endswith("test_score"):
            search.cv_results_[name] = np.full(4, np.nan)


def legend_texts(ax):
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def tick_texts(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


@pytest.fixture(scope="module")
def climbs():
    grid = {
        "hillclimbperceptron__step_size": STEP_SIZES,
        "hillclimbperceptron__mutation": ["unit", "all"],
        "hillclimbperceptron__n_iter_no_change": [2, 4],
    }
    clf = HillClimbPerceptron(max_iter=5, random_state=0)
    return run_grid(grid, make_pipeline(StandardScaler(), clf), return_train_score=True)


class TestScores:
    @pytest.mark.parametrize("split", ["test", "train"])
    def test_others_are_held_at_the_best(self, climbs, split):
        display = SearchHeatmapDisplay.from_search(
            climbs, "step_size", "mutation", split=split
        )
        name = "hillclimbperceptron__n_iter_no_change"
        best = climbs.best_params_[name]
        expected = [
            [
                scores_of(
                    climbs,
                    f"mean_{split}_score",
                    hillclimbperceptron__step_size=step_size,
                    hillclimbperceptron__mutation=mutation,
                    hillclimbperceptron__n_iter_no_change=best,
                )[0]
                for step_size in sorted(STEP_SIZES)
            ]
            for mutation in climbs.cv_results_["param_hillclimbperceptron__mutation"][
                [0, -1]
            ]
        ]
        assert list(display.scores_) == [split]
        np.testing.assert_allclose(display.scores_[split], expected)
        assert display.ax_.get_title() == f"n_iter_no_change = {best}"

    def test_others_are_averaged_over(self, climbs):
        display = SearchHeatmapDisplay.from_search(
            climbs, "step_size", "n_iter_no_change", reduce="mean"
        )
        expected = [
            [
                np.mean(
                    scores_of(
                        climbs,
                        hillclimbperceptron__step_size=step_size,
                        hillclimbperceptron__n_iter_no_change=n,
                    )
                )
                for step_size in sorted(STEP_SIZES)
            ]
            for n in (2, 4)
        ]
        np.testing.assert_allclose(display.scores_["test"], expected)
        assert display.ax_.get_title() == "mean over mutation"

    def test_what_is_drawn_are_the_scores(self, climbs):
        display = SearchHeatmapDisplay.from_search(climbs)
        image = display.ax_.images[0]
        np.testing.assert_array_equal(image.get_array(), display.scores_["test"])
        assert image.origin == "lower"

    def test_both_splits_side_by_side_in_one_scale(self, climbs):
        both = SearchHeatmapDisplay.from_search(climbs, split="both")
        train, test = (
            SearchHeatmapDisplay.from_search(climbs, split=split)
            for split in ("train", "test")
        )
        assert list(both.scores_) == ["train", "test"]
        for split, alone in (("train", train), ("test", test)):
            np.testing.assert_array_equal(both.scores_[split], alone.scores_[split])
        titles = [ax.get_title().split("\n")[0] for ax in both.ax_]
        assert titles == ["train", "test"]
        limits = {ax.images[0].get_clim() for ax in both.ax_}
        assert len(limits) == 1
        assert both.colorbar_.ax.get_ylabel() == "accuracy"

    def test_halving_search_counts_the_last_iteration_of_a_cell(self):
        clf = HillClimbPerceptron(random_state=0)
        search = HalvingGridSearchCV(
            clf,
            {"step_size": STEP_SIZES, "mutation": ["all", "unit"]},
            resource="max_iter",
            min_resources=2,
            max_resources=18,
            factor=3,
            cv=3,
        ).fit(X, y)
        results = search.cv_results_
        expected = np.full((2, 3), np.nan)
        # The iterations come one after the other.
        for params, score in zip(
            results["params"], results["mean_test_score"], strict=True
        ):
            row = ["all", "unit"].index(params["mutation"])
            expected[row, sorted(STEP_SIZES).index(params["step_size"])] = score
        assert results["iter"].max() > 0
        for reduce in ("best", "mean"):
            display = SearchHeatmapDisplay.from_search(
                search, "step_size", "mutation", reduce=reduce
            )
            np.testing.assert_allclose(display.scores_["test"], expected)
            # The resource is none of the hyperparameters.
            assert display.ax_.get_title() == ""

    def test_halving_search_over_layer_sizes(self):
        sizes = [(10, 5), (5, 2)]
        search = HalvingGridSearchCV(
            Scripted(), {"a": [1, 2, 3], "b": sizes}, cv=2, min_resources=50
        ).fit(X, y)
        display = SearchHeatmapDisplay.from_search(search, "a", "b")
        assert display.y.values == sizes

    def test_halving_search_averages_one_iteration_only(self):
        results = {
            "params": [
                {"a": a, "b": b, "c": c} for a in (1, 2) for b in (1, 2) for c in (1, 2)
            ]
            + [{"a": 1, "b": 1, "c": 2}],
            "mean_test_score": [*np.arange(8.0), 100.0],
            "split0_test_score": [*np.arange(8.0), 100.0],
            "iter": [0] * 8 + [1],
            "n_resources": [10] * 8 + [30],
        }
        search = run_grid({"a": [1]})
        search.cv_results_ = results
        display = SearchHeatmapDisplay.from_search(search, "a", "b", reduce="mean")
        np.testing.assert_allclose(display.scores_["test"], [[100, 4.5], [2.5, 6.5]])

    def test_conditional_hyperparameters(self):
        search = run_grid([{"a": [1, 2]}, {"a": [1, 2], "b": [3, 4]}])
        display = SearchHeatmapDisplay.from_search(search, "a", "b")
        assert tick_texts(display.ax_.yaxis) == ["3", "4", "not set"]
        assert display.scores_["test"].round().tolist() == [[4, 5], [5, 6], [1, 2]]


class TestSeveralMetrics:
    @pytest.fixture(scope="class")
    @classmethod
    def search(cls):
        return run_grid(
            {"step_size": STEP_SIZES, "mutation": ["all", "unit"], "max_iter": [1, 5]},
            HillClimbPerceptron(random_state=0),
            scoring=["accuracy", "f1_macro"],
            refit="f1_macro",
        )

    @pytest.mark.parametrize("scoring", ["accuracy", "f1_macro"])
    def test_scoring_chooses(self, search, scoring):
        display = SearchHeatmapDisplay.from_search(
            search, "max_iter", "step_size", scoring=scoring
        )
        ranks = search.cv_results_[f"rank_test_{scoring}"]
        best = search.cv_results_["params"][np.argmin(ranks)]
        key = f"mean_test_{scoring}"
        expected = [
            [
                scores_of(
                    search,
                    key,
                    max_iter=max_iter,
                    step_size=step_size,
                    mutation=best["mutation"],
                )[0]
                for max_iter in (1, 5)
            ]
            for step_size in sorted(STEP_SIZES)
        ]
        np.testing.assert_allclose(display.scores_["test"], expected)
        assert display.colorbar_.ax.get_ylabel() == f"test {scoring}"

    def test_the_refit_metric_is_the_default(self, search):
        display = SearchHeatmapDisplay.from_search(search)
        assert display.score_name == "f1_macro"

    def test_unknown_metric(self, search):
        with pytest.raises(ValueError, match=r"scoring .*'accuracy', 'f1_macro'.*'r2'"):
            SearchHeatmapDisplay.from_search(search, scoring="r2")

    def test_no_default_without_refit(self):
        search = run_grid(
            {"max_iter": [1, 2]},
            HillClimbPerceptron(),
            scoring=["accuracy", "f1_macro"],
            refit=False,
        )
        with pytest.raises(ValueError, match=r"choose scoring from \['accuracy', 'f1"):
            SearchHeatmapDisplay.from_search(search)
        display = SearchHeatmapDisplay.from_search(search, scoring="f1_macro")
        assert display.ax_.get_ylabel() == "test f1_macro"


class TestChoice:
    @pytest.mark.parametrize(
        ("named", "drawn"), [({}, ("c", "b")), ({"y": "c"}, ("b", "c"))]
    )
    def test_the_most_influential_are_drawn(self, named, drawn):
        search = run_grid({"a": [0, 1], "b": [0, 10], "c": [0, 100]})
        display = SearchHeatmapDisplay.from_search(search, **named)
        assert (display.x.name, display.y.name) == drawn


class TestOneHyperparameter:
    def test_line_with_the_deviation_over_folds(self):
        search = run_grid(
            {"step_size": STEP_SIZES, "max_iter": [5]},
            HillClimbPerceptron(random_state=0),
        )
        display = SearchHeatmapDisplay.from_search(search)
        order = np.argsort(STEP_SIZES)
        means = search.cv_results_["mean_test_score"][order]
        stds = search.cv_results_["std_test_score"][order]
        np.testing.assert_allclose(display.scores_["test"], means)
        line, _, (bars,) = display.ax_.containers[0]
        np.testing.assert_allclose(line.get_xdata(), sorted(STEP_SIZES))
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, np.c_[means - stds, means + stds])
        assert display.ax_.get_xscale() == "log"
        assert display.ax_.get_ylabel() == "test accuracy"
        assert tick_texts(display.ax_.xaxis) == ["1e-02", "1e-01", "1e+00"]
        assert display.colorbar_ is None
        assert not legend_texts(display.ax_)

    def test_both_splits_share_the_axes(self):
        search = run_grid({"a": [1, 2, 5]}, return_train_score=True)
        display = SearchHeatmapDisplay.from_search(search, split="both")
        assert legend_texts(display.ax_) == ["train", "test"]
        for split, scores in display.scores_.items():
            expected = search.cv_results_[f"mean_{split}_score"]
            np.testing.assert_allclose(scores, expected)

    def test_one_of_the_named_does_not_vary(self):
        search = run_grid({"a": [7], "b": [1, 2], "c": [0, 9]})
        display = SearchHeatmapDisplay.from_search(search, "a", "b")
        assert display.scores_["test"].round().tolist() == [17, 18]
        assert display.ax_.get_xlabel() == "b"
        assert display.ax_.get_title() == "c = 9"

    def test_failures_are_marked_below(self):
        search = run_grid({"a": [1, 2], "fails": [(1, 0)]})
        display = SearchHeatmapDisplay.from_search(search)
        assert np.isnan(display.scores_["test"]).tolist() == [True, False]
        assert legend_texts(display.ax_) == ["failed", "test"]
        (mark,) = (line for line in display.ax_.lines if line.get_label() == "failed")
        assert mark.get_xdata().tolist() == [1]
        low, high = display.ax_.get_xlim()
        assert low < 1 < 2 < high

    @pytest.mark.parametrize(
        ("values", "style"), [([1, 2], "-"), (["some", None], "None")]
    )
    def test_only_what_has_an_order_is_joined(self, values, style):
        display = SearchHeatmapDisplay.from_search(run_grid({"a": values}))
        assert display.ax_.containers[0][0].get_linestyle() == style


class TestMarks:
    def test_failed_cells(self):
        search = run_grid({"a": [1, 2], "b": [1, 2, 3], "fails": [(2, 3)]})
        display = SearchHeatmapDisplay.from_search(search, "b", "a")
        scores = display.scores_["test"]
        assert np.argwhere(np.isnan(scores)).tolist() == [[1, 2]]
        (patch,) = display.ax_.patches
        assert patch.get_xy() == (1.5, 0.5)
        assert patch.get_hatch()
        assert legend_texts(display.ax_) == ["failed"]
        assert len(display.ax_.texts) == 5

    def test_partly_failed_cells_show_the_others(self):
        search = run_grid({"a": [1, 2], "b": [1, 2], "fails": [False, (2, 2)]})
        display = SearchHeatmapDisplay.from_search(search, "a", "b", reduce="mean")
        assert display.scores_["test"].round().tolist() == [[2, 3], [3, 4]]
        assert legend_texts(display.ax_) == ["partly failed"]
        (frame,) = display.ax_.lines
        assert (frame.get_xdata().mean().round(), frame.get_ydata().min()) == (1, 0.56)

    def test_missing_cells(self):
        search = run_grid([{"a": [1, 2], "b": [1]}, {"a": [2], "b": [3]}])
        display = SearchHeatmapDisplay.from_search(search, "a", "b")
        assert np.argwhere(np.isnan(display.scores_["test"])).tolist() == [[1, 0]]
        assert legend_texts(display.ax_) == ["not evaluated"]

    def test_failures_of_both_splits_are_explained_once(self):
        grid = {"a": [1, 2], "b": [1, 2], "fails": [(2, 2)]}
        search = run_grid(grid, return_train_score=True)
        display = SearchHeatmapDisplay.from_search(search, split="both")
        assert [len(ax.patches) for ax in display.ax_] == [1, 1]
        assert [legend_texts(ax) for ax in display.ax_] == [[], ["failed"]]

    def test_training_scores_without_a_test_score(self):
        search = run_grid({"a": [1, 2], "b": [1, 2]}, return_train_score=True)
        fail_all(search)
        display = SearchHeatmapDisplay.from_search(search, split="both")
        assert np.isfinite(display.scores_["train"]).all()
        assert np.isnan(display.scores_["test"]).all()
        assert [len(ax.patches) for ax in display.ax_] == [0, 4]

    def test_last_iteration_that_has_failed(self):
        search = run_grid({"a": [1, 2], "b": [1, 2]})
        results = search.cv_results_
        for name in ("mean_test_score", "split0_test_score"):
            results[name] = np.append(results[name], [np.nan] * 4)
        search.cv_results_ = {
            "params": 2 * results["params"],
            "iter": np.repeat([0, 1], 4),
            "n_resources": np.repeat([10, 20], 4),
            "mean_test_score": results["mean_test_score"],
            "split0_test_score": results["split0_test_score"],
        }
        display = SearchHeatmapDisplay.from_search(search)
        assert np.isnan(display.scores_["test"]).all()
        assert len(display.ax_.patches) == 4


class TestRandomSearch:
    @staticmethod
    def search(n_iter, **more):
        distributions = {
            "step_size": loguniform(1e-4, 1e1),
            "tol": loguniform(1e-6, 1e-1),
        }
        clf = HillClimbPerceptron(max_iter=5, random_state=0)
        return RandomizedSearchCV(
            clf, distributions | more, n_iter=n_iter, cv=2, random_state=0
        ).fit(X, y)

    def test_up_to_thirty_values_make_a_map(self):
        search = self.search(30)
        display = SearchHeatmapDisplay.from_search(search, "step_size", "tol")
        drawn = display.scores_["test"]
        assert drawn.shape == (30, 30)
        assert np.isfinite(drawn).sum() == 30
        columns = np.argsort(search.cv_results_["param_step_size"].astype(float))
        np.testing.assert_allclose(
            np.nanmax(drawn, axis=0), search.cv_results_["mean_test_score"][columns]
        )
        assert legend_texts(display.ax_) == ["not evaluated"]
        assert not display.ax_.texts
        assert len(display.ax_.get_xticks()) <= 12

    def test_more_make_a_scatter_plot(self):
        search = self.search(31)
        display = SearchHeatmapDisplay.from_search(search, "step_size", "tol")
        (points,) = display.ax_.collections
        found = {
            (x, y): score
            for (x, y), score in zip(
                points.get_offsets(), points.get_array(), strict=True
            )
        }
        expected = {
            (params["step_size"], params["tol"]): score
            for params, score in zip(
                search.cv_results_["params"],
                search.cv_results_["mean_test_score"],
                strict=True,
            )
        }
        assert found == pytest.approx(expected)
        assert sorted(display.scores_["test"]) == sorted(found.values())
        assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("log", "log")
        assert display.ax_.get_xlabel() == "step_size (log)"

    def test_failures_in_a_scatter_plot(self):
        search = self.search(40)
        for key in ("mean_test_score", "split0_test_score"):
            search.cv_results_[key][:5] = np.nan
        display = SearchHeatmapDisplay.from_search(search, "step_size", "tol")
        points, crosses = display.ax_.collections
        assert len(points.get_offsets()) == 35
        assert len(crosses.get_offsets()) == 5
        assert legend_texts(display.ax_) == ["failed"]

    def test_values_that_no_two_candidates_share_cannot_be_held(self):
        search = self.search(40, mutation=["all", "unit"])
        display = SearchHeatmapDisplay.from_search(search, "step_size", "mutation")
        assert display.ax_.get_title() == "mean over tol"
        assert len(display.scores_["test"]) == 40
        display = SearchHeatmapDisplay.from_search(search, "step_size", "tol")
        best = search.best_params_["mutation"]
        assert display.ax_.get_title() == f"mutation = {best}"
        assert len(display.scores_["test"]) == len(scores_of(search, mutation=best))


class TestLabels:
    @pytest.mark.parametrize(
        ("values", "texts", "is_log"),
        [
            ([1e-1, 1e-5, 1e-3], ["1e-05", "1e-03", "1e-01"], True),
            ([3.2e-4, 1e-3, 1e-2], ["3.2e-04", "1e-03", "1e-02"], True),
            ([0, 1e-3, 1e-2, 1e-1], ["0", "1e-03", "1e-02", "1e-01"], True),
            ([256, 16, 64], ["16", "64", "256"], True),
            ([0.9, 0.5, 0.1 + 0.2], ["0.3", "0.5", "0.9"], False),
            ([10, 50, 100], ["10", "50", "100"], False),
            ([-1.0, 0.0, 10.0], ["-1", "0", "10"], False),
            ([1.0001, 1.0002], ["1.0001", "1.0002"], False),
            (["b", None, 2, "a", 0.5], ["0.5", "2", "b", "None", "a"], False),
            ([True, 1, False], ["1", "True", "False"], False),
            ([(100,), (50, 50), 10], ["10", "(100,)", "(50, 50)"], False),
            ([[3], np.array([1, 2]), np.nan], ["[3]", "[1 2]", "nan"], False),
            ([len, Scripted(a=5)], ["len", "Scripted(a=5)"], False),
        ],
    )
    def test_values(self, values, texts, is_log):
        search = run_grid({"a": values, "b": [1, 2]})
        ax = SearchHeatmapDisplay.from_search(search, "b", "a").ax_
        assert tick_texts(ax.yaxis) == texts
        assert ax.get_ylabel() == ("a (log)" if is_log else "a")
        assert ax.get_xlabel() == "b"

    def test_long_values_are_cut(self):
        search = run_grid({"a": ["word " * 20, "b"]})
        texts = tick_texts(SearchHeatmapDisplay.from_search(search).ax_.xaxis)
        assert max(map(len, texts)) <= 24

    def test_the_last_part_of_a_name_where_it_is_unique(self):
        search = run_grid(
            {
                "standardscaler__with_mean": [True, False],
                "logisticregression__C": [1.0, 2.0],
            },
            make_pipeline(StandardScaler(), LogisticRegression()),
        )
        display = SearchHeatmapDisplay.from_search(
            search, "C", "standardscaler__with_mean"
        )
        assert (display.x.name, display.x.label) == ("logisticregression__C", "C")
        assert display.ax_.get_ylabel() == "with_mean"

    @pytest.mark.parametrize(
        ("scoring", "name"),
        [
            (None, "accuracy"),
            ("f1_macro", "f1_macro"),
            (
                make_scorer(
                    log_loss, greater_is_better=False, response_method="predict_proba"
                ),
                "negative log_loss",
            ),
        ],
    )
    def test_name_of_the_score(self, scoring, name):
        search = run_grid(
            {"C": [1.0, 2.0], "tol": [0.1, 0.2]},
            LogisticRegression(),
            scoring=scoring,
        )
        display = SearchHeatmapDisplay.from_search(search)
        assert display.colorbar_.ax.get_ylabel() == f"test {name}"

    def test_printed_scores(self):
        search = run_grid({"a": [1, 2], "b": [1, 10, 100]})
        display = SearchHeatmapDisplay.from_search(search, "a", "b")
        printed = {text.get_position(): text for text in display.ax_.texts}
        for (row, column), score in np.ndenumerate(display.scores_["test"]):
            text = printed[column, row]
            assert text.get_text() == f"{score:.0f}"
            background = display.ax_.images[0].to_rgba(score)
            assert contrast(text.get_color(), background) > 4.5

    def test_few_cells_only_have_numbers(self):
        search = run_grid({"a": list(range(11)), "b": [1, 2]}, cv=2)
        display = SearchHeatmapDisplay.from_search(search)
        assert not display.ax_.texts
        assert display.plot(include_values=True).ax_.texts
        small = run_grid({"a": list(range(10)), "b": [1, 2]}, cv=2)
        assert len(SearchHeatmapDisplay.from_search(small).ax_.texts) == 20


def contrast(*colours):
    """Contrast ratio of WCAG."""
    linear = [
        np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        for c in map(np.array, map(to_rgb, colours))
    ]
    dark, light = sorted(rgb @ [0.2126, 0.7152, 0.0722] for rgb in linear)
    return (light + 0.05) / (dark + 0.05)


class TestErrors:
    @pytest.fixture(scope="class")
    @classmethod
    def search(cls):
        return run_grid({"a": [1, 2], "b": [1, 2], "c": [0]})

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"x": "alpha"}, r"x='alpha' is not .*\['a', 'b', 'c'\]"),
            ({"x": "a", "y": "beta"}, r"y='beta' is not .*\['a', 'b', 'c'\]"),
            ({"x": "a", "y": "a"}, "x and y must be two .*'a' for both"),
            ({"reduce": "max"}, r"reduce must be one of \['best', 'mean'\], .*'max'"),
            ({"reduce": None}, r"reduce must be one of \['best', 'mean'\], got None"),
            ({"split": "all"}, r"split must be one of \['test', 'train', 'both'\]"),
            ({"split": "train"}, "return_train_score=True"),
            ({"split": "both"}, "return_train_score=True"),
            ({"scoring": "f1"}, r"scoring must be one of .*'f1'"),
        ],
    )
    def test_arguments(self, search, arguments, message):
        with pytest.raises(ValueError, match=message):
            SearchHeatmapDisplay.from_search(search, **arguments)

    @pytest.mark.parametrize("axis", ["x", "y"])
    @pytest.mark.parametrize("name", [3, np.ones(2), ["a"]])
    def test_name_that_is_no_text(self, search, axis, name):
        with pytest.raises(TypeError, match=f"{axis} must be a str or None, got"):
            SearchHeatmapDisplay.from_search(search, **{axis: name})

    @pytest.mark.parametrize("search", [GridSearchCV(Scripted(), {}), Scripted()])
    def test_not_fitted(self, search):
        with pytest.raises(NotFittedError, match=r"no cv_results_.*'fit'"):
            SearchHeatmapDisplay.from_search(search)

    @pytest.mark.parametrize("search", [None, GridSearchCV, {"params": []}, "search"])
    def test_what_is_no_search(self, search):
        with pytest.raises(TypeError, match=r"search must be a fitted search.*got"):
            SearchHeatmapDisplay.from_search(search)

    def test_every_fit_failed(self):
        search = GridSearchCV(Scripted(fails=True), {"a": [1, 2]})
        with pytest.raises(ValueError, match="All the 10 fits failed"):
            search.fit(X, y)
        with pytest.raises(NotFittedError, match=r"all of its fits failed.*'raise'"):
            SearchHeatmapDisplay.from_search(search)

    @pytest.mark.parametrize("names", [(), ("a", "b")])
    def test_every_scoring_failed(self, names):
        search = run_grid({"a": [1, 2], "b": [1, 2]})
        fail_all(search)
        with pytest.raises(ValueError, match=r"None of the 4 candidates.*'raise'"):
            SearchHeatmapDisplay.from_search(search, *names)

    def test_no_candidates(self):
        search = run_grid({"a": [1, 2]})
        search.cv_results_ = {"params": [], "mean_test_score": []}
        with pytest.raises(ValueError, match="has no candidates: its 'params' must"):
            SearchHeatmapDisplay.from_search(search)

    def test_no_scores(self):
        search = run_grid({"a": [1, 2]})
        search.cv_results_ = {"params": [{"a": 1}, {"a": 2}]}
        with pytest.raises(ValueError, match="no scores: it needs a 'mean_test_score'"):
            SearchHeatmapDisplay.from_search(search)

    def test_empty_grid(self):
        with pytest.raises(ValueError, match="no hyperparameter was tried with more"):
            SearchHeatmapDisplay.from_search(run_grid({}))

    def test_nothing_varies(self):
        search = run_grid({"a": [1], "b": [2]})
        with pytest.raises(ValueError, match="no hyperparameter was tried with more"):
            SearchHeatmapDisplay.from_search(search)

    def test_nothing_named_varies(self):
        search = run_grid({"a": [1], "b": [2], "c": [1, 2]})
        with pytest.raises(ValueError, match=r"more than one value among \['a', 'b'\]"):
            SearchHeatmapDisplay.from_search(search, "a", "b")

    def test_ambiguous_name(self):
        search = run_grid({"a": [1, 2]})
        search.cv_results_["params"] = [{"f__a": n, "g__a": n} for n in (1, 2)]
        with pytest.raises(ValueError, match=r"x='a' is ambiguous: .*'f__a', 'g__a'"):
            SearchHeatmapDisplay.from_search(search, "a")

    @pytest.mark.parametrize("ax", ["left", Figure(), [1, 2]])
    def test_what_is_no_axes(self, search, ax):
        with pytest.raises(TypeError, match=r"ax must be matplotlib axes.*got"):
            SearchHeatmapDisplay.from_search(search, ax=ax)

    def test_wrong_number_of_axes(self, climbs, search):
        with pytest.raises(ValueError, match="ax must be one axes; got 2"):
            SearchHeatmapDisplay.from_search(search, ax=Figure().subplots(1, 2))
        with pytest.raises(ValueError, match=r"ax must be two axes.*got 3"):
            SearchHeatmapDisplay.from_search(
                climbs, split="both", ax=Figure().subplots(1, 3)
            )
        with pytest.raises(ValueError, match="cannot be divided"):
            SearchHeatmapDisplay.from_search(
                climbs, split="both", ax=Figure().add_axes((0, 0, 1, 1))
            )


def boxes(axis):
    """Measure the labels of the ticks of an axis, in the order of their places."""
    axis.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1.get_window_extent() for tick in ticks]


class TestReadability:
    """Of the figures that are made where no axes are given."""

    def test_labels_of_many_values_do_not_touch(self):
        rng = np.random.default_rng(0)
        a, b = 10 ** rng.uniform(-6, 1, (2, 40))
        search = run_grid({"a": [1, 2]})
        search.cv_results_ = {
            "params": [{"a": x, "b": y} for x, y in zip(a, b, strict=True)],
            "mean_test_score": rng.random(40),
            "split0_test_score": rng.random(40),
            "mean_train_score": rng.random(40),
            "split0_train_score": rng.random(40),
        }
        for split in ("test", "both"):
            display = SearchHeatmapDisplay.from_search(search, "a", "b", split=split)
            for ax in np.ravel(display.ax_):
                found = boxes(ax.xaxis)
                assert len(found) > 2
                for left, right in pairwise(found):
                    assert left.x1 < right.x0

    @pytest.mark.parametrize("split", ["test", "both"])
    def test_numbers_stay_in_their_cells(self, split):
        values = [10.0**n for n in range(-5, 5)]
        search = run_grid({"a": values, "b": values}, cv=2, return_train_score=True)
        for name in ("mean_test_score", "mean_train_score"):
            search.cv_results_[name] = np.linspace(0.01, 0.99, 100)
        display = SearchHeatmapDisplay.from_search(search, "a", "b", split=split)
        display.figure_.draw_without_rendering()
        for ax in np.ravel(display.ax_):
            assert len(ax.texts) == 100
            width, height = ax.bbox.width / 10, ax.bbox.height / 10
            for text in ax.texts:
                box = text.get_window_extent()
                assert (box.width < width) & (box.height < height)

    def test_panels_share_their_label(self):
        grid = {"a": [1, 2], "b": [1, 2]}
        search = run_grid(grid, return_train_score=True)
        display = SearchHeatmapDisplay.from_search(search, "a", "b", split="both")
        assert [ax.get_ylabel() for ax in display.ax_] == ["b", ""]
        above = Figure(layout="constrained").subplots(2, 1)
        display.plot(above)
        assert [ax.get_ylabel() for ax in above] == ["b", "b"]


class TestWhereItIsDrawn:
    def test_pyplot_makes_a_figure(self, climbs):
        import matplotlib.pyplot as plt

        display = SearchHeatmapDisplay.from_search(climbs)
        assert display.figure_ is plt.gcf()

    def test_given_axes_leave_pyplot_alone(self, climbs):
        import matplotlib.pyplot as plt

        figure = Figure(layout="constrained")
        ax = figure.subplots()
        display = SearchHeatmapDisplay.from_search(climbs, ax=ax)
        assert display.ax_ is ax
        assert display.figure_ is figure
        assert not plt.get_fignums()

    @pytest.mark.parametrize("n_axes", [1, 2])
    def test_axes_for_both_splits(self, climbs, n_axes):
        figure = Figure(layout="constrained")
        axes = figure.subplots(1, n_axes)
        display = SearchHeatmapDisplay.from_search(climbs, split="both", ax=axes)
        assert len(display.ax_) == 2
        assert display.figure_ is figure
        if n_axes == 2:
            assert list(display.ax_) == list(axes)

    def test_part_of_a_figure(self, climbs):
        figure = Figure(layout="constrained")
        part, _ = figure.subfigures(1, 2)
        display = SearchHeatmapDisplay.from_search(climbs, ax=part.subplots())
        assert display.figure_ is part

    def test_thread(self, climbs):
        written = io.BytesIO()

        def draw():
            figure = Figure(layout="constrained")
            SearchHeatmapDisplay.from_search(climbs, ax=figure.subplots())
            figure.savefig(written)

        thread = Thread(target=draw)
        thread.start()
        thread.join()
        assert written.getvalue().startswith(b"\x89PNG")

    def test_plot_draws_again(self, climbs):
        display = SearchHeatmapDisplay.from_search(climbs)
        before, scores = display.ax_, display.scores_["test"]
        assert display.plot(cmap="cividis") is display
        assert display.ax_ is not before
        np.testing.assert_array_equal(display.scores_["test"], scores)

    def test_displays_that_are_compared_share_a_scale(self, climbs):
        norm = Normalize(0.2, 1)
        for reduce in ("best", "mean"):
            display = SearchHeatmapDisplay.from_search(climbs, reduce=reduce, norm=norm)
            assert display.colorbar_.mappable.norm is norm
        assert (norm.vmin, norm.vmax) == (0.2, 1)

    def test_scale_that_is_none_is_refused(self, climbs):
        with pytest.raises(TypeError, match=r"norm must be .*Normalize or None, got"):
            SearchHeatmapDisplay.from_search(climbs, norm=(0, 1))

    def test_matplotlib_is_imported_to_draw_and_pyplot_to_make_a_figure(self):
        script = """
import sys
import skperceptron
from skperceptron.plotting import SearchHeatmapDisplay
assert "matplotlib" not in sys.modules
from matplotlib.figure import Figure
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV
grid = {"strategy": ["prior", "uniform"], "random_state": [0, 1]}
search = GridSearchCV(DummyClassifier(), grid).fit(*load_iris(return_X_y=True))
figure = Figure(layout="constrained")
SearchHeatmapDisplay.from_search(search, ax=figure.subplots())
assert "matplotlib.pyplot" not in sys.modules
"""
        subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.filterwarnings("ignore:.*optuna.terminator:FutureWarning")
def test_optuna_search():
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna_integration import OptunaSearchCV

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = OptunaSearchCV(
        Scripted(),
        {"a": FloatDistribution(0, 1), "b": CategoricalDistribution([0, 10])},
        n_trials=8,
        random_state=0,
        cv=2,
    ).fit(X, y)
    display = SearchHeatmapDisplay.from_search(search, "a", "b")
    found = np.sort(display.scores_["test"][np.isfinite(display.scores_["test"])])
    expected = sorted({t.params["a"]: t.value for t in search.trials_}.values())
    np.testing.assert_allclose(found, expected)
