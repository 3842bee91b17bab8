"""HillClimbMLPRegressor: values of its metrics, and what it does with them."""

import pickle
import warnings
from functools import partial

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime
from scipy.sparse import csr_array
from sklearn import metrics
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import (
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbMLPRegressor,
    HillClimbPerceptron,
)
from skperceptron.classifiers._regression_objectives import (
    find_regression_metric,
    surrogate,
)
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.network import Layers, initialize
from skperceptron.optim import MetricOfSums, Mutation, Problem, Streams
from skperceptron.optim.climbs._descent import Descent
from skperceptron.optim.climbs._hill_climb import HillClimb
from skperceptron.optim.climbs._unit_climb import UnitClimb
from skperceptron.plotting import LossCurveDisplay
from skperceptron.tuning import PruningCallback, param_distributions, suggest_params

untracked = pytest.mark.usefixtures("untracked")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
Y = np.column_stack([np.abs(X[:, 0]) + X[:, 1], 50 + 9 * X[:, 2] * X[:, 3]])
y = Y[:, 1]
COUNTS = RNG.poisson(np.exp(X[:, 0])).astype(float)


def loss(function, **arguments):
    return make_scorer(function, greater_is_better=False, **arguments)


pinball = loss(metrics.mean_pinball_loss, alpha=0.8)
WEIGHTED = [2.0, 0.5]
# Metrics of one output and of several.
ERRORS = {
    "r2": "r2",
    "r2 function": metrics.r2_score,
    "r2 by variance": partial(metrics.r2_score, multioutput="variance_weighted"),
    "explained variance": "explained_variance",
    "squared": "neg_mean_squared_error",
    "root": "neg_root_mean_squared_error",
    "absolute": "neg_mean_absolute_error",
    "percentage": "neg_mean_absolute_percentage_error",
    "pinball": pinball,
    "pinball partial": loss(partial(metrics.mean_pinball_loss, alpha=0.1)),
    "median": "neg_median_absolute_error",
}
OF_OUTPUTS = {
    "weighted squared": loss(metrics.mean_squared_error, multioutput=WEIGHTED),
    "weighted r2": make_scorer(metrics.r2_score, multioutput=WEIGHTED),
}
DEVIANCES = {
    "poisson": "neg_mean_poisson_deviance",
    "gamma": loss(metrics.mean_gamma_deviance),
}
ALL = ERRORS | DEVIANCES | OF_OUTPUTS


def make(**params):
    params = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 200} | params
    return HillClimbMLPRegressor(**params)


def value_of(objective, model, X, y, weight=None):
    """The objective as scikit-learn computes it."""
    scorer = get_scorer(objective) if isinstance(objective, str) else objective
    if not hasattr(scorer, "_score_func"):
        return scorer(y, model.predict(X), sample_weight=weight)
    return scorer(model, X, y, sample_weight=weight)


def targets_for(name, y):
    return np.abs(y) + 0.1 if name in DEVIANCES else y


@untracked
class TestValues:
    """Compiled metrics, against scikit-learn's."""

    @pytest.mark.parametrize("is_weighted", [False, True])
    @pytest.mark.parametrize("name", ALL)
    @settings(max_examples=10, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 2100))
    def test_equal_those_of_scikit_learn(self, name, is_weighted, seed, n):
        rng = np.random.default_rng(seed)
        n_outputs = 2 if name in OF_OUTPUTS else 1
        n_outputs = int(rng.integers(1, 4)) if name in ERRORS else n_outputs
        scale = 10 ** rng.uniform(-3, 3, size=n_outputs)
        y = targets_for(name, scale * rng.normal(1, 1, size=(n, n_outputs)))
        y = y.round(1) if rng.random() < 0.2 and y.round(1).std(axis=0).all() else y
        if name == "gamma":
            y = np.maximum(y, 0.1)
        y_true = y[:, 0] if n_outputs == 1 else y
        weight = rng.integers(1, 5, n) / 2 if is_weighted else None
        reg = make(hidden_layer_sizes=(), max_iter=0, objective=ALL[name], alpha=0)
        samples = rng.normal(size=(n, 3))
        reg.fit(samples, y_true, weight)
        expected = value_of(ALL[name], reg, samples, y_true, weight)
        assert reg.objective_ == pytest.approx(expected, rel=1e-12, abs=1e-12)
        data = TrainingData(samples, y_true, y_true, weight, {})
        is_left = name == "median" and is_weighted
        assert (find_regression_metric(reg, data) is None) == is_left

    @pytest.mark.parametrize("name", ["poisson", "squared", "median", "pinball"])
    def test_of_float32_are_as_near_as_float32_is(self, name):
        y_32 = targets_for(name, y).astype(np.float32)
        reg = make(objective=ALL[name]).fit(X.astype(np.float32), y_32)
        assert reg.predict(X.astype(np.float32)).dtype == np.float32
        expected = value_of(ALL[name], reg, X.astype(np.float32), y_32)
        assert reg.objective_ == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize(
        "objective",
        [
            "max_error"
            if "max_error" in metrics.get_scorer_names()
            else "neg_max_error",
            "neg_mean_squared_log_error",
            "d2_absolute_error_score",
            loss(metrics.mean_tweedie_deviance, power=1.5),
            loss(metrics.mean_tweedie_deviance, power=-1),
            lambda y_true, y_pred: -float(np.quantile(np.abs(y_true - y_pred), 0.9)),
        ],
    )
    def test_of_other_objectives_are_theirs(self, objective):
        reg = make(objective=objective, surrogate_iter=300).fit(X, np.abs(y))
        if callable(objective) and not hasattr(objective, "_score_func"):
            expected = objective(np.abs(y), reg.predict(X))
        else:
            expected = value_of(objective, reg, X, np.abs(y))
        assert reg.objective_ == pytest.approx(expected)
        assert reg.objective_ > reg.objective_curve_[0]


def make_problem(
    name, weight, *, is_surrogate=False, n_outputs=2, units=(5,), **options
):
    y_true = targets_for(name, Y if n_outputs == 2 else y)
    reg = make(objective=ALL[name], max_iter=0, hidden_layer_sizes=units)
    reg.fit(X, y_true, weight)
    data = TrainingData(X, y_true, y_true, weight, {})
    find = surrogate if is_surrogate else find_regression_metric
    codes = np.zeros(len(X), int)
    layers = Layers((4, *units, n_outputs), ("tanh",) * len(units))
    return Problem(layers, X, codes, weight, find(reg, data), **options)


CONVEX = [name for name in ALL if name != "median"]


@untracked
class TestClimbs:
    """The compiled climb, against `HillClimb` with the same random numbers."""

    @pytest.mark.parametrize("is_weighted", [False, True])
    @pytest.mark.parametrize("name", CONVEX)
    def test_slope_is_that_of_finite_differences(self, name, is_weighted):
        weight = RNG.integers(1, 4, len(X)) / 2 if is_weighted else None
        problem = make_problem(name, weight, n_outputs=1 if name in DEVIANCES else 2)
        n_outputs, metric = problem.layers.units[-1], problem.metric
        of_sums = MetricOfSums(metric, problem.y, weight, n_outputs, X.dtype)
        z = RNG.normal(size=(len(X), n_outputs))

        def total_loss(flat):
            value = of_sums(flat.reshape(z.shape)) - metric.shift
            return -value / metric.unit * problem.total

        expected = approx_fprime(z.ravel(), total_loss, 1e-7)
        assert_allclose(of_sums.slope(z).ravel(), expected, atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("units", [(), (5,), (5, 4)])
    @pytest.mark.parametrize("is_weighted", [False, True])
    @pytest.mark.parametrize("name", [*CONVEX, "median"])
    def test_makes_the_decisions_of_the_literal_climb(self, name, is_weighted, units):
        if name == "median" and is_weighted:
            return
        weight = RNG.integers(1, 4, len(X)) / 2 if is_weighted else None
        n_outputs = 1 if name in DEVIANCES else 2
        options = {"alpha": 2.0, "descends": True}
        problem = make_problem(
            name, weight, n_outputs=n_outputs, units=units, **options
        )
        layers, metric = problem.layers, problem.metric
        of_sums = MetricOfSums(metric, problem.y, weight, n_outputs, X.dtype)
        start = initialize(layers, "glorot", np.random.default_rng(0), X.dtype)
        first, second = (
            Mutation(
                Streams.from_seed(1),
                start.size,
                start.dtype,
                groups=layers.unit_groups(),
                share=None,
            )
            for _ in range(2)
        )

        def evaluate(params):
            coefs, intercepts = layers.unpack(params)
            a = X
            for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
                a = a @ coef + intercept
                a = np.tanh(a) if i < len(units) else a
            return of_sums(a)

        steps = {"step_size": 0.3, "adapt": True, "keeps_ties": True}
        turn = Descent(problem) if problem.turns(first) else None
        literal = HillClimb(
            start, first, evaluate, penalty=problem.penalty, turn=turn, **steps
        )
        compiled = UnitClimb(start, second, problem, n_iter=300, **steps)
        assert_allclose(compiled.run(300), literal.run(300), rtol=1e-9)
        assert compiled.n_accepted == literal.n_accepted > 10
        assert_allclose(compiled.params, literal.params, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("mutation", ["all", 0.3])
    def test_whole_networks_move_as_well(self, mutation):
        reg = make(mutation=mutation, max_iter=500).fit(X, y)
        assert reg.objective_ > 0.2
        assert reg.objective_ == pytest.approx(reg.score(X, y))


@untracked
class TestTargets:
    """Targets are scaled inside."""

    @pytest.mark.parametrize("name", ["r2", "squared", "absolute", "gamma", "poisson"])
    def test_their_unit_does_not_matter(self, name):
        y_true = targets_for(name, y)
        small, large = (
            make(objective=ALL[name]).fit(X, factor * y_true) for factor in (1, 2.0**30)
        )
        assert_allclose(small.coefs_[0], large.coefs_[0])
        assert_allclose(2.0**30 * small.predict(X), large.predict(X))

    def test_attributes_say_how(self):
        weight = RNG.integers(1, 4, len(X)) / 2
        reg = make(hidden_layer_sizes=()).fit(X, Y, weight)
        assert_allclose(reg.target_mean_, np.average(Y, axis=0, weights=weight))
        variance = np.average((Y - reg.target_mean_) ** 2, axis=0, weights=weight)
        assert_allclose(reg.target_scale_, np.sqrt(variance))
        z = X @ reg.coefs_[0] + reg.intercepts_[0]
        assert_allclose(reg.predict(X), reg.target_mean_ + reg.target_scale_ * z)

    @pytest.mark.parametrize(
        "objective",
        [*DEVIANCES.values(), "neg_mean_squared_log_error", pinball],
    )
    def test_predictions_are_positive_where_the_objective_needs_it(self, objective):
        y_true = COUNTS + 0.1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reg = make(objective=objective, surrogate_iter=100).fit(X, y_true)
        is_log = objective is not pinball
        assert reg.out_activation_ == ("exp" if is_log else "identity")
        assert (reg.predict(10 * X).min() > 0) == is_log

    def test_constant_ones_are_learned(self):
        reg = make(max_iter=20, n_restarts=1).fit(X, np.full(len(X), 7.0))
        assert_allclose(reg.predict(X), 7, atol=0.1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            both = make().fit(X, np.column_stack([y, np.ones(len(y))]))
        assert both.objective_ > both.objective_curve_[0]

    def test_going_on_keeps_the_scale(self):
        reg = make(warm_start=True).fit(X, y)
        before, scale = reg.objective_, reg.target_scale_
        reg.fit(X, 3 * y)
        assert_array_equal(reg.target_scale_, scale)
        reg.fit(X, y)
        assert reg.n_iter_ == 200
        assert before < 1
        with pytest.raises(ValueError, match=r"as many outputs .*1, but y has 2"):
            reg.partial_fit(X, Y)
        with pytest.raises(ValueError, match="can be negative predictions"):
            reg.set_params(objective="neg_mean_poisson_deviance").fit(X, y)
        logs = make(objective="neg_mean_poisson_deviance").fit(X, COUNTS)
        with pytest.raises(ValueError, match=r"logarithms .* warm_start=False"):
            logs.set_params(objective="r2").partial_fit(X, COUNTS)


@untracked
class TestOptions:
    """What the climbers can do, with numbers."""

    @pytest.mark.parametrize("name", ["r2", "poisson", "median"])
    @pytest.mark.parametrize("combine", ["best", "average"])
    def test_threads_do_not_change_the_result(self, combine, name):
        y_true = targets_for(name, y)
        one, two = (
            make(
                objective=ALL[name],
                n_restarts=3,
                combine=combine,
                n_jobs=n,
                max_iter=60,
            ).fit(X, y_true)
            for n in (1, 2)
        )
        assert_array_equal(one.predict(X), two.predict(X))
        assert one.objective_ == pytest.approx(value_of(ALL[name], one, X, y_true))

    def test_average_is_the_mean_of_the_climbs(self):
        average = make(n_restarts=2, combine="average").fit(X, Y)
        assert average.coefs_[0].shape == (4, 24)
        assert average.objective_ == pytest.approx(average.score(X, Y))

    def test_partial_fit_is_one_report(self):
        whole, parts = make().fit(X, y), make()
        for _ in range(100):
            parts.partial_fit(X, y)
        assert_array_equal(whole.predict(X), parts.predict(X))

    @pytest.mark.parametrize("scoring", [None, "neg_mean_absolute_error"])
    def test_early_stopping_keeps_the_best_network(self, scoring):
        fit_on, held_out = slice(0, 50), slice(50, 80)
        reg = make(early_stopping=True, scoring=scoring, max_iter=2000)
        reg.fit(X[fit_on], y[fit_on], X_val=X[held_out], y_val=y[held_out])
        expected = value_of(scoring or "r2", reg, X[held_out], y[held_out])
        assert reg.best_validation_score_ == pytest.approx(expected)
        assert max(reg.validation_scores_) == reg.best_validation_score_
        own = make(early_stopping=True, max_iter=2000).fit(X, Y)
        assert len(own.validation_scores_) > 10

    def test_weights_count_as_copies(self):
        weight = RNG.integers(0, 3, len(X))
        rows = np.repeat(np.arange(len(X)), weight)
        weighted = make(max_iter=30).fit(X, y, weight)
        copied = make(max_iter=30).fit(X[rows], y[rows])
        assert weighted.objective_ == pytest.approx(copied.objective_)
        assert_allclose(weighted.predict(X), copied.predict(X))

    def test_penalty_shrinks_the_weights(self):
        norms = [
            np.linalg.norm(make(alpha=alpha, max_iter=2000).fit(X, y).coefs_[1])
            for alpha in (0, 30)
        ]
        assert norms[1] < norms[0] / 2

    def test_functions_sparse_matrices_and_frames(self):
        positive = np.maximum(X, 0)
        dense = make().fit(positive, y)
        sparse = make().fit(csr_array(positive), y)
        assert_allclose(sparse.predict(csr_array(positive)), dense.predict(positive))
        frame = pd.DataFrame(X, columns=list("abcd"))
        assert_array_equal(make().fit(frame, pd.Series(y)).feature_names_in_, [*"abcd"])
        named = make(activation="tanh").fit(X, y)
        function = make(activation=np.tanh).fit(X, y)
        assert_allclose(function.predict(X), named.predict(X))
        pickled = pickle.loads(pickle.dumps(named))
        assert_array_equal(pickled.predict(X), named.predict(X))

    def test_hard_thresholds_learn(self):
        samples, targets = load_diabetes(return_X_y=True)
        samples = StandardScaler().fit_transform(samples)
        reg = make(activation="step", hidden_layer_sizes=(50,), max_iter=5000)
        assert reg.fit(samples, targets).objective_ > 0.45

    def test_is_as_good_as_expected_with_defaults(self):
        model = make_pipeline(StandardScaler(), HillClimbMLPRegressor(random_state=0))
        scores = cross_val_score(model, *load_diabetes(return_X_y=True), cv=3)
        assert scores.mean() > 0.42


@untracked
class TestBadInput:
    @pytest.mark.parametrize(
        ("function", "advice"),
        [
            (metrics.mean_squared_error, "objective='neg_mean_squared_error'"),
            (metrics.mean_pinball_loss, r"make_scorer\(mean_pinball_loss, "),
            (metrics.mean_poisson_deviance, "objective='neg_mean_poisson_deviance'"),
            (make_scorer(metrics.median_absolute_error), "neg_median_absolute_error"),
        ],
    )
    def test_losses_are_refused_with_the_scorer_to_use(self, function, advice):
        with pytest.raises(ValueError, match=f"is a loss.* Use .*{advice}"):
            make(objective=function).fit(X, y)

    @pytest.mark.parametrize(
        ("objective", "y", "error"),
        [
            ("neg_mean_poisson_deviance", COUNTS - 1, "non-negative y"),
            ("neg_mean_gamma_deviance", COUNTS, "strictly positive y"),
            ("neg_mean_poisson_deviance", np.abs(Y), "[Mm]ulti-?output"),
            ("accuracy", y, "continuous"),
            ("roc_auc", y, "decision_function"),
        ],
    )
    def test_objectives_without_a_value_are_named(self, objective, y, error):
        with pytest.raises(
            ValueError, match=f"objective='{objective}' cannot .*{error}"
        ):
            make(objective=objective).fit(X, y)

    @pytest.mark.parametrize(
        "objective",
        [
            loss(metrics.mean_pinball_loss, alpha=1.5),
            make_scorer(metrics.r2_score, multioutput="nonsense"),
            loss(metrics.mean_tweedie_deviance, power=0.5),
        ],
    )
    def test_arguments_that_a_metric_does_not_take(self, objective):
        with pytest.raises(
            ValueError, match=r"objective=make_scorer.* must be a .* Got"
        ):
            make(objective=objective).fit(X, y)
        with pytest.raises(ValueError, match=r"scoring=make_scorer.* must be a .* Got"):
            make(early_stopping=True, scoring=objective).fit(X, y)

    @pytest.mark.parametrize("size", [1e155, 1e300])
    def test_targets_whose_squares_overflow(self, size):
        with pytest.raises(
            ValueError, match=r"standard deviation, .* squares .* Divide y"
        ):
            make().fit(X, size * y)

    def test_r2_of_one_sample_is_not_defined(self):
        with pytest.raises(ValueError, match=r"n_samples=1, .*neg_mean_squared_error"):
            make().fit(X[:1], y[:1])
        with pytest.raises(ValueError, match="R2 is not defined for n_samples=1"):
            make(early_stopping=True).fit(X[:5], y[:5])
        make(objective="neg_mean_squared_error").fit(X[:1], y[:1])

    def test_labels_and_numbers_name_the_class_for_them(self):
        with pytest.raises(
            ValueError, match=r"got strings\. For .* use HillClimbMLP\."
        ):
            make().fit(X, y.astype(int).astype(str))
        for cls in (HillClimbMLP, HillClimbPerceptron):
            with pytest.raises(ValueError, match="Use HillClimbMLPRegressor, which"):
                cls().fit(X, y)
        with pytest.raises(
            ValueError, match="use HillClimbMLPRegressor, which needs no"
        ):
            BackpropMLPRegressor(activation=np.tanh).fit(X, y)


class TestAround:
    """Tracking, tuning, pictures."""

    def test_a_fit_is_a_run_with_its_model(self):
        X_train, X_test, y_train, y_test = train_test_split(X, Y, random_state=0)
        reg = make(max_iter=50).fit(X_train, y_train)
        score = reg.score(X_test, y_test)
        run = mlflow.get_run(reg.run_id_)
        assert run.data.params["objective"] == "r2"
        assert run.data.metrics["test_score"] == pytest.approx(score)
        assert run.data.metrics["objective"] == pytest.approx(reg.objective_)
        loaded = mlflow.sklearn.load_model(f"runs:/{reg.run_id_}/model")
        assert_array_equal(loaded.predict(X_test), reg.predict(X_test))

    @untracked
    def test_search_space_and_pruning(self):
        assert set(param_distributions(make())) == set(
            param_distributions(HillClimbMLP())
        )
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = optuna.pruners.ThresholdPruner(lower=2)
        study = optuna.create_study(direction="maximize", pruner=pruner)

        def objective(trial):
            reg = make(early_stopping=True)
            reg.set_params(**suggest_params(trial, reg))
            return reg.set_callbacks(PruningCallback(trial)).fit(X, y).objective_

        study.optimize(objective, n_trials=1)
        assert study.trials[0].state == optuna.trial.TrialState.PRUNED

    @untracked
    def test_its_curve_is_drawn(self):
        reg = make(early_stopping=True).fit(X, y)
        display = LossCurveDisplay.from_estimator(reg)
        assert len(display.ax_.lines) >= 2

    @untracked
    def test_clones_are_unfitted(self):
        reg = make().fit(X, y)
        assert not hasattr(clone(reg), "target_mean_")
