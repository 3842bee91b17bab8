"""Climbs on the log loss: their penalty, the sign of noise, and what follows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.datasets import (
    load_breast_cancer,
    load_iris,
    make_classification,
    make_moons,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from sklearn.preprocessing import StandardScaler

from skperceptron import HillClimbMLP, HillClimbPerceptron
from skperceptron.classifiers import _hill_climb
from skperceptron.classifiers._hill_climb import BaseHillClimb
from skperceptron.optim.climbs import _make_climb, _problem
from skperceptron.optim.climbs._guided_climb import STRETCH

pytestmark = pytest.mark.usefixtures("untracked")

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
WEIGHT = np.arange(150) % 4
# Candidates that a climb of 2000 iterations on the log loss makes.
GUIDED = 9


def on_log_loss(hidden_layer_sizes=(), **params):
    params = {"alpha": 1.0, "noise_sign": "descent", "random_state": 0, **params}
    return HillClimbMLP(hidden_layer_sizes, "relu", **params)


def with_surrogate(cls=HillClimbPerceptron, **params):
    params = {"surrogate_iter": 300, "alpha": 1.0, "max_iter": 100, **params}
    return cls(step_schedule="one_fifth", random_state=0, **params)


def f1(y_true, y_pred):
    return f1_score(y_true, y_pred, average="macro")


class TestPenalty:
    @pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
    def test_climb_ends_where_logistic_regression_does(self, load):
        X, y = load(return_X_y=True)
        X = StandardScaler().fit_transform(X)
        expected = LogisticRegression(C=0.5).fit(X, y)
        found = on_log_loss(alpha=2.0, max_iter=20_000).fit(X, y)
        assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=0.01)

    def test_objective_is_the_log_loss_alone(self):
        clf = on_log_loss((5,), max_iter=200).fit(X, y)
        assert clf.objective_ == pytest.approx(-log_loss(y, clf.predict_proba(X)))
        assert clf.objective_curve_[-1] == clf.objective_

    def test_weights_count_as_repeated_samples(self):
        options = {"hidden_layer_sizes": (5,), "max_iter": 300}
        weighted = on_log_loss(**options).fit(X, y, sample_weight=WEIGHT)
        repeated = on_log_loss(**options).fit(X.repeat(WEIGHT, 0), y.repeat(WEIGHT))
        assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-6)
        assert_allclose(weighted.coefs_[1], repeated.coefs_[1], rtol=1e-6)

    @pytest.mark.parametrize("mutation", ["unit", "all", 0.3])
    def test_makes_weights_smaller(self, mutation):
        def size(alpha):
            options = {"noise_sign": "random", "max_iter": 2000, "alpha": alpha}
            clf = on_log_loss((5,), mutation=mutation, **options).fit(X, y)
            return sum((coef**2).sum() for coef in clf.coefs_)

        assert size(10.0) < size(0.0) / 2

    def test_other_objectives_have_none(self):
        fits = [
            HillClimbMLP(
                (5,),
                objective="accuracy",
                surrogate_iter=0,
                max_iter=100,
                alpha=alpha,
                random_state=0,
            ).fit(X, y)
            for alpha in (0.0, 100.0)
        ]
        assert_array_equal(fits[0].coefs_[0], fits[1].coefs_[0])


class TestSignOfNoise:
    @pytest.mark.parametrize("activation", ["relu", "step"])
    def test_the_same_iterations_go_further(self, activation):
        X, y = make_moons(300, noise=0.2, random_state=0)
        values = [
            HillClimbMLP(
                (20,),
                activation,
                max_iter=1000,
                alpha=0,
                noise_sign=sign,
                random_state=0,
            )
            .fit(X, y)
            .objective_
            for sign in ("random", "descent")
        ]
        assert values[1] > values[0] + 0.03

    def test_functions_climb_as_names_do(self):
        fits = [
            HillClimbMLP(
                (4, 3),
                activation,
                max_iter=150,
                alpha=1.0,
                noise_sign="descent",
                random_state=0,
            ).fit(X, y)
            for activation in ("tanh", np.tanh)
        ]
        assert_allclose(fits[0].objective_curve_, fits[1].objective_curve_)

    def test_is_that_of_the_weights_of_samples(self):
        options = {"hidden_layer_sizes": (5,), "max_iter": 300, "alpha": 0.0}
        weighted = on_log_loss(**options).fit(X, y, sample_weight=WEIGHT)
        repeated = on_log_loss(**options).fit(X.repeat(WEIGHT, 0), y.repeat(WEIGHT))
        assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-6)

    def test_keeps_float32(self):
        clf = on_log_loss((5,), max_iter=200).fit(X.astype(np.float32), y)
        assert clf.coefs_[0].dtype == np.float32
        assert clf.objective_ > -0.6


class TestSurrogate:
    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    def test_interrupt_between_the_two_climbs(self, cls, monkeypatch):
        made = []

        def make_climb(*args, make=BaseHillClimb._choose_climb, **options):
            made.append(args)
            if len(made) == 2:
                raise KeyboardInterrupt
            return make(*args, **options)

        monkeypatch.setattr(BaseHillClimb, "_choose_climb", staticmethod(make_climb))
        clf = with_surrogate(cls, objective="accuracy")
        with pytest.warns(UserWarning, match="interrupted by user"):
            clf.fit(X, y)
        assert clf.objective_ == clf.score(X, y)
        assert clf.partial_fit(X, y).objective_ == clf.score(X, y)

    @pytest.mark.parametrize("classes", [2, 3])
    def test_first_candidates_are_those_of_a_climb_on_the_log_loss(self, classes):
        few = y < classes
        first = on_log_loss(max_iter=300).fit(X[few], y[few])
        # After 10, 30, 70, 150 and 300 iterations.
        clf = with_surrogate(max_iter=5, step_size=0.1).fit(X[few], y[few])
        assert_allclose(clf.coef_, first.coefs_[0].T, rtol=1e-6)
        assert_allclose(clf.intercept_, first.intercepts_[0], rtol=1e-6)
        assert clf.objective_curve_[-1] == clf.score(X[few], y[few])
        assert clf.n_evaluations_ == 6
        start = with_surrogate(max_iter=0, step_size=0.1).fit(X[few], y[few])
        assert clf.objective_curve_[0] == start.objective_

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    @pytest.mark.parametrize("mutation", ["unit", "all"])
    def test_then_only_what_is_better_is_kept(self, cls, mutation):
        X, y = make_moons(200, noise=0.3, random_state=0)
        params = {"objective": f1, "mutation": mutation, "surrogate_iter": 2}
        clf = with_surrogate(cls, step_size=0.3, **params).fit(X, y)
        gains = np.diff(clf.objective_curve_[1:])
        assert clf.n_accepted_ == 1 + np.count_nonzero(gains) > 1
        assert gains.min() == 0
        assert clf.n_evaluations_ == 101

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    @pytest.mark.parametrize("objective", ["accuracy", "f1_macro"])
    @pytest.mark.parametrize("mutation", ["unit", "all"])
    def test_gains_of_metrics_are_tested_every_fifty_iterations(
        self, cls, objective, mutation
    ):
        X, y = make_classification(300, 8, n_informative=5, random_state=0)
        params = {"objective": objective, "mutation": mutation, "surrogate_iter": 1}
        clf = with_surrogate(cls, **params, max_iter=1000).fit(X, y)
        gains = np.diff(clf.objective_curve_[1:])
        assert gains.min() == 0
        assert gains.max() > 0
        assert set(np.flatnonzero(gains) % STRETCH) == {STRETCH - 1}

    def test_little_luck_is_kept(self):
        def untested(y_true, y_pred):
            return np.mean(y_true == y_pred)

        kept, found = [], []
        for seed in range(10):
            rng = np.random.default_rng(seed)
            X, y = rng.normal(size=(200, 10)), rng.integers(2, size=200)
            for objective, gains in [("accuracy", kept), (untested, found)]:
                params = {"surrogate_iter": 2000, "max_iter": 500}
                clf = with_surrogate(objective=objective, **params).fit(X, y)
                gains.append(clf.objective_ - clf.objective_curve_[GUIDED])
        assert min(found) > 0
        assert kept.count(0) > 5
        assert sum(kept) < sum(found) / 2

    @pytest.mark.parametrize("objective", ["accuracy", "f1", "balanced_accuracy"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_what_the_log_loss_misses_is_found(self, objective, weighted):
        # To the log loss it matters how far samples are on the wrong side.
        rng = np.random.default_rng(0)
        X = rng.normal(size=(1000, 2))
        y = (X[:, 0] > 0).astype(int)
        X[:60, 0], y[:60] = 6, 0
        weight = rng.uniform(0.5, 2, size=1000) if weighted else None
        clf = with_surrogate(objective=objective, max_iter=1000)
        clf.fit(X, y, sample_weight=weight)
        assert clf.objective_ > clf.objective_curve_[GUIDED] + 0.02

    def test_lasts_until_the_weights_stay_where_they_are(self):
        options = {"max_iter": 45, "step_size": 0.1}
        fits = [with_surrogate(surrogate_iter=n, **options) for n in (5000, 20_000)]
        assert_array_equal(*(clf.fit(X, y).coef_ for clf in fits))

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    def test_auto_leaves_the_climb_of_textbooks_as_it_is(self, cls):
        params = {"objective": "accuracy", "max_iter": 100, "random_state": 0}
        fits = [
            cls(surrogate_iter=n, step_schedule="constant", **params).fit(X, y)
            for n in (0, "auto")
        ]
        assert_array_equal(*(clf.objective_curve_ for clf in fits))

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    @pytest.mark.parametrize("objective", ["f1", f1])
    def test_climb_leaves_a_plateau(self, cls, objective):
        # The log loss is lowest where nobody is of the rare class.
        rng = np.random.default_rng(0)
        X = rng.normal(size=(600, 3))
        y = (X[:, 0] + rng.normal(scale=3, size=600) > 5).astype(int)
        params = {"objective": objective, "max_iter": 1000}
        if cls is HillClimbMLP:
            params["hidden_layer_sizes"] = (5,)
        first = with_surrogate(cls, **{**params, "max_iter": 5}).fit(X, y)
        clf = with_surrogate(cls, **params).fit(X, y)
        assert first.predict(X).max() == 0
        assert clf.objective_ > first.objective_ + 0.1

    def test_is_not_needed_on_the_log_loss_itself(self):
        fits = [on_log_loss((5,), max_iter=50, surrogate_iter=n) for n in (0, 100)]
        assert_array_equal(*(clf.fit(X, y).objective_curve_ for clf in fits))

    def test_comes_once(self, monkeypatch):
        clf = with_surrogate(warm_start=True).fit(X, y)
        before = clf.objective_
        monkeypatch.setattr(_hill_climb, "SURROGATE", None)  # who asks for it fails
        assert clf.fit(X, y).objective_curve_[0] == before
        assert clf.partial_fit(X, y).objective_ >= before

    def test_continued_fits_may_end_it_early(self):
        clf = with_surrogate(max_iter=3, warm_start=True).fit(X, y)
        clf.set_params(surrogate_iter=20).fit(X, y)  # 70 iterations are done
        assert clf.n_iter_ == 3
        assert clf.objective_ == clf.score(X, y)

    def test_partial_fit_begins_with_it(self):
        clf = with_surrogate().partial_fit(X, y, classes=[0, 1, 2])
        whole = with_surrogate(max_iter=1).fit(X, y)
        assert_array_equal(clf.coef_, whole.coef_)

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    def test_number_of_threads_makes_no_difference(self, cls):
        params = {"n_restarts": 3, "objective": "accuracy"}
        one, two = (with_surrogate(cls, n_jobs=n, **params).fit(X, y) for n in (1, 2))
        assert_array_equal(one.objective_curve_, two.objective_curve_)
        assert_array_equal(one.decision_function(X), two.decision_function(X))

    def test_early_stopping_holds_its_samples_out_of_it(self):
        clf = with_surrogate(early_stopping=True, validation_fraction=0.3).fit(X, y)
        assert len(clf.validation_scores_) > 0
        full = with_surrogate().fit(X, y)
        assert not np.array_equal(clf.coef_, full.coef_)

    def test_weights_of_classes_count_in_it(self):
        X, y = make_moons(200, noise=0.4, random_state=0)
        plain, shifted = (
            with_surrogate(max_iter=5, class_weight=weight).fit(X, y)
            for weight in (None, {1: 20})
        )
        assert (shifted.predict(X) == 1).sum() > (plain.predict(X) == 1).sum() + 20

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_sparse_samples_are_fine(self, dtype):
        clf = with_surrogate().fit(csr_matrix(X.astype(dtype)), y)
        assert clf.score(X, y) > 0.9


class TestGainsOfCompiledClimbs:
    """They are tested, and climbs go back, as in the literal climb."""

    @pytest.mark.parametrize(
        ("n_features", "n_classes", "dtype", "params"),
        [
            pytest.param(5, 2, np.float64, {}, id="hyperplane"),
            pytest.param(12, 2, np.float64, {}, id="screened"),
            pytest.param(12, 2, np.float64, {"objective": "f1"}, id="screened-f1"),
            pytest.param(12, 2, np.float32, {}, id="threshold-float32"),
            pytest.param(12, 3, np.float64, {}, id="threshold"),
            pytest.param(12, 3, np.float64, {"mutation": "all"}, id="threshold-all"),
            pytest.param(12, 3, np.float64, {"objective": "f1_macro"}, id="unit"),
            pytest.param(
                12,
                3,
                np.float64,
                {"objective": "jaccard_macro", "mutation": 0.5},
                id="forward",
            ),
        ],
    )
    @pytest.mark.parametrize("weighted", [False, True])
    def test_perceptron(
        self, n_features, n_classes, dtype, params, weighted, monkeypatch
    ):
        self.compare(
            with_surrogate(surrogate_iter=30, **{"max_iter": 500, **params}),
            *self.data(n_features, n_classes, dtype, weighted),
            monkeypatch,
        )

    @pytest.mark.parametrize("mutation", ["unit", "all"])
    @pytest.mark.parametrize("on_disk", [False, True])
    def test_network(self, mutation, on_disk, monkeypatch, tmp_path):
        X, y, weight = self.data(6, 2, np.float64, weighted=False)
        if on_disk:
            monkeypatch.setattr(_problem, "MIN_BYTES_LEFT", 0)
            np.save(tmp_path / "X.npy", X)
            X = np.load(tmp_path / "X.npy", mmap_mode="r")
        params = {"objective": "accuracy", "mutation": mutation, "noise_sign": "random"}
        clf = with_surrogate(
            HillClimbMLP,
            hidden_layer_sizes=(4,),
            activation="tanh",
            surrogate_iter=30,
            **params,
        ).set_params(max_iter=500)
        self.compare(clf, X, y, weight, monkeypatch)

    def data(self, n_features, n_classes, dtype, weighted):
        X, y = make_classification(
            200,
            n_features,
            n_informative=4,
            n_redundant=0,
            n_classes=n_classes,
            random_state=0,
        )
        weight = np.random.default_rng(0).uniform(0.5, 2, 200) if weighted else None
        return X.astype(dtype), y, weight

    def compare(self, clf, X, y, weight, monkeypatch):
        clf.fit(X, y, sample_weight=weight)
        curve, n_accepted, found = clf.objective_curve_, clf.n_accepted_, clf.predict(X)
        monkeypatch.setattr(_make_climb, "find_climb", lambda *_: None)
        clf.fit(X, y, sample_weight=weight)
        rtol = 1e-9 if X.dtype == np.float64 else 1e-5
        assert_allclose(curve, clf.objective_curve_, rtol)
        assert n_accepted == clf.n_accepted_
        assert_array_equal(found, clf.predict(X))
        gains = np.diff(curve[GUIDED:])
        assert np.count_nonzero(gains) < len(gains) / STRETCH  # some are given up
