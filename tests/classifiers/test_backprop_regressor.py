"""What BackpropMLPRegressor has beyond MLPRegressor, and what is refused.

That both find the same weights is in `test_drop_in.py`.
"""

from datetime import date
from decimal import Decimal

import mlflow
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn import metrics
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbPerceptron,
)
from skperceptron.network import initialize
from skperceptron.plotting import LossCurveDisplay
from skperceptron.tuning import PruningCallback, param_distributions

untracked = pytest.mark.usefixtures("untracked")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
Y = np.column_stack([np.abs(X[:, 0]) + X[:, 1], X[:, 2] * X[:, 3]])
y = Y[:, 0]
LOSSES = ["squared_error", "poisson", "absolute_error", "huber", "quantile"]


def make(**params):
    params = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 20} | params
    if params.get("loss") == "quantile":
        params.setdefault("quantile", 0.3)
    return BackpropMLPRegressor(**params)


@untracked
class TestLosses:
    """What each loss makes of targets that no feature explains."""

    skewed = np.random.default_rng(1).gamma(1.0, size=201)

    def learn(self, loss, y, **params):
        """Learn a constant: that which minimises the loss."""
        network = make(
            loss=loss,
            hidden_layer_sizes=(),
            alpha=0,
            learning_rate_init=0.02,
            batch_size=len(y),
            max_iter=600,
            tol=0,
            n_iter_no_change=1000,
            **params,
        )
        return network.fit(np.zeros((len(y), 1)), y).predict([[0.0]])[0]

    def test_squared_error_and_poisson_learn_the_mean(self):
        for loss in ("squared_error", "poisson"):
            learned = self.learn(loss, self.skewed)
            assert learned == pytest.approx(self.skewed.mean(), abs=0.01)

    def test_absolute_error_learns_the_median(self):
        learned = self.learn("absolute_error", self.skewed)
        assert learned == pytest.approx(np.median(self.skewed), abs=0.03)

    @pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
    def test_quantile_learns_that_quantile(self, quantile):
        learned = self.learn("quantile", self.skewed, quantile=quantile)
        assert np.mean(self.skewed < learned) == pytest.approx(quantile, abs=0.03)

    def test_huber_is_between_the_mean_and_the_median(self):
        learned = self.learn("huber", self.skewed, huber_epsilon=0.5)
        # Huber's equation: errors that are cut at epsilon add up to 0.
        assert np.clip(self.skewed - learned, -0.5, 0.5).mean() < 0.01
        assert np.median(self.skewed) < learned < self.skewed.mean()

    def test_robust_losses_take_little_notice_of_an_outlier(self):
        spoilt = np.append(self.skewed, 1e4)
        for loss, params in (("absolute_error", {}), ("huber", {"huber_epsilon": 1})):
            before = self.learn(loss, self.skewed, **params)
            assert abs(self.learn(loss, spoilt, **params) - before) < 0.05

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("solver", ["adam", "lbfgs"])
    def test_each_loss_falls_in_training(self, loss, solver):
        network = make(loss=loss, solver=solver, learning_rate_init=0.02)
        network.fit(X, np.abs(Y), sample_weight=np.arange(80) % 3)
        assert network.loss_curve_[-1] < 0.8 * network.loss_curve_[0]
        assert network.predict(X).shape == (80, 2)
        assert network.out_activation_ == ("exp" if loss == "poisson" else "identity")

    def test_poisson_predicts_what_is_above_0(self):
        assert make(loss="poisson").fit(X, np.round(np.abs(y))).predict(X).min() > 0


@untracked
class TestValidation:
    """Early stopping watches R2, and the loss on the same samples."""

    def held_out(self, network):
        """The split is the second draw, after the start weights."""
        rng = np.random.RandomState(0)
        initialize(network._layers, "auto", rng, np.float64)
        return train_test_split(np.arange(80), random_state=rng, test_size=0.3)[1]

    @pytest.mark.parametrize("loss", LOSSES)
    def test_curves_are_those_of_the_held_out_samples(self, loss):
        weight = np.linspace(0.5, 2, 80)
        network = make(loss=loss, early_stopping=True, validation_fraction=0.3)
        network.set_params(alpha=1.0, dropout=0.2).fit(X, np.abs(y), weight)
        rows = self.held_out(network)
        best = int(np.argmax(network.validation_scores_))
        args = np.abs(y)[rows], network.predict(X[rows])
        r2 = metrics.r2_score(*args, sample_weight=weight[rows])
        assert network.best_validation_score_ == pytest.approx(r2)
        metric, factor, options = {
            "squared_error": (metrics.mean_squared_error, 0.5, {}),
            "poisson": (metrics.mean_poisson_deviance, 0.5, {}),
            "absolute_error": (metrics.mean_absolute_error, 1, {}),
            "quantile": (metrics.mean_pinball_loss, 1, {"alpha": 0.3}),
        }.get(loss, (None, 1, {}))
        if metric is not None:
            expected = factor * metric(*args, sample_weight=weight[rows], **options)
            assert network.validation_loss_curve_[best] == pytest.approx(expected)

    def test_an_overflow_ends_training_with_the_best_weights(self):
        network = make(activation="identity", solver="sgd", early_stopping=True)
        network.set_params(learning_rate_init=20.0)
        with pytest.warns(ConvergenceWarning, match="weights that validated best"):
            network.fit(X, y)
        assert np.isnan(network.validation_scores_[-1])
        assert network.n_iter_ == len(network.loss_curve_) < 20
        score = metrics.r2_score(
            *[v[self.held_out_tenth(network)] for v in (y, network.predict(X))]
        )
        assert score == pytest.approx(network.best_validation_score_)

    def held_out_tenth(self, network):
        rng = np.random.RandomState(0)
        initialize(network._layers, "auto", rng, np.float64)
        return train_test_split(np.arange(80), random_state=rng, test_size=0.1)[1]

    def test_an_overflow_before_anything_was_validated_is_an_error(self):
        network = make(activation="identity", solver="sgd", early_stopping=True)
        with pytest.raises(ValueError, match="learning_rate_init=1e"):
            network.set_params(learning_rate_init=1e200).fit(X, y)


@untracked
class TestOptions:
    @pytest.mark.parametrize(
        "params",
        [
            {"dropout": 0.4},
            {"input_dropout": 0.4},
            {"solver": "adamw", "alpha": 1.0},
            {"solver": "rmsprop"},
            {"init": "he_normal"},
            {"max_grad_norm": 0.1},
            {"activation": "silu"},
        ],
        ids=str,
    )
    def test_options_of_backprop_mlp_have_an_effect(self, params):
        network, without = make(**params).fit(X, y), make().fit(X, y)
        assert np.abs(network.coefs_[1] - without.coefs_[1]).max() > 1e-4
        assert_array_equal(network.predict(X), make(**params).fit(X, y).predict(X))

    def test_gradient_norms_are_kept(self):
        network = make().fit(X, Y)
        assert network.grad_norms_.shape == (20, 2)
        assert (network.grad_norms_ > 0).all()

    @pytest.mark.parametrize("loss", LOSSES)
    def test_float32_stays_float32(self, loss):
        single = make(loss=loss).fit(X.astype(np.float32), np.abs(y))
        assert {w.dtype for w in single.coefs_} == {np.dtype(np.float32)}
        predicted = single.predict(X.astype(np.float32))
        assert predicted.dtype == np.float32
        double = make(loss=loss).fit(X, np.abs(y))
        assert_allclose(predicted, double.predict(X), rtol=1e-3, atol=1e-3)

    def test_targets_may_be_numbers_of_any_kind(self):
        whole = np.round(10 * y).astype(int)
        expected = make().fit(X, whole.astype(float)).predict(X)
        kinds = [whole, whole.tolist(), pd.Series(whole), pd.array(whole, "Int64")]
        for given in [*kinds, [Decimal(int(v)) for v in whole]]:
            assert_array_equal(make().fit(X, given).predict(X), expected)
        with pytest.warns(UserWarning, match="column-vector y"):
            column = make().fit(X, whole[:, np.newaxis])
        assert column.predict(X).shape == (80,)
        sparse = csr_array(np.where(Y > 0, Y, 0))
        assert_array_equal(
            make().fit(X, sparse).predict(X), make().fit(X, sparse.toarray()).predict(X)
        )

    def test_metrics_that_scikit_learn_has_no_scores_for_are_left_alone(self):
        with pytest.warns(metrics._regression.UndefinedMetricWarning):
            assert np.isnan(make().fit(X, y).score(X[:1], y[:1]))

    def test_works_in_pipelines_searches_and_with_transformed_targets(self):
        data = load_diabetes(return_X_y=True)
        network = make(max_iter=100, early_stopping=True)
        model = TransformedTargetRegressor(
            make_pipeline(StandardScaler(), network), transformer=StandardScaler()
        )
        name = "regressor__backpropmlpregressor__learning_rate_init"
        search = GridSearchCV(model, {name: [1e-3, 0.02]}, error_score="raise", cv=3)
        assert search.fit(*data).best_score_ > 0.4
        assert search.best_params_ == {name: 0.02}


@untracked
class TestRefusals:
    @pytest.mark.parametrize(
        ("targets", "message"),
        [
            (["a", "b"] * 40, "real numbers.*got strings.*use BackpropMLP"),
            (np.array(["1", "2"] * 40, object), "got strings"),
            ([b"a"] * 80, "got bytes"),
            ([1j] * 80, "Complex data not supported"),
            (pd.date_range("2020", periods=80), "got points in time"),
            (np.array([date(2020, 1, 1)] * 80, object), "got date"),
            ([None] * 80, "missing values"),
            (pd.array([1, None] * 40, "Int64"), "contains NaN"),
            ([np.nan] * 80, "NaN"),
            ([np.inf] * 80, "infinity"),
            ([10**400] * 80, "range of float64"),
        ],
        ids=lambda value: value if isinstance(value, str) else type(value).__name__,
    )
    def test_targets_must_be_numbers(self, targets, message):
        with pytest.raises(ValueError, match=message):
            make().fit(X, targets)
        fitted = make().fit(X, y)
        with pytest.raises(ValueError):  # noqa: PT011 - in scikit-learn's words, or ours
            fitted.score(X, targets)

    def test_targets_must_be_within_the_range_of_float32(self):
        with pytest.raises(ValueError, match="within the range of float32"):
            make().fit(X.astype(np.float32), 1e300 * y)

    def test_counts_are_not_negative(self):
        with pytest.raises(ValueError, match=r"non-negative y.*has -"):
            make(loss="poisson").fit(X, y)

    def test_a_quantile_must_be_named(self):
        with pytest.raises(ValueError, match="quantile to a number from 0 to 1"):
            BackpropMLPRegressor(loss="quantile").fit(X, y)

    def test_classifiers_say_who_learns_numbers(self):
        for cls, regressor in {
            HillClimbPerceptron: "HillClimbMLPRegressor",
            HillClimbMLP: "HillClimbMLPRegressor",
            BackpropMLP: "BackpropMLPRegressor",
        }.items():
            with pytest.raises(ValueError, match=f"continuous.*Use {regressor}"):
                cls(max_iter=1).fit(X, y)

    def test_a_warm_start_goes_on_with_the_same_outputs_and_link(self):
        network = make(warm_start=True).fit(X, np.abs(y))
        network.set_params(loss="absolute_error").fit(X, np.abs(y))
        assert len(network.loss_curve_) == 40
        with pytest.raises(ValueError, match="output activation it began with, 'ident"):
            network.set_params(loss="poisson").fit(X, np.abs(y))
        with pytest.raises(ValueError, match="network it began with"):
            network.partial_fit(X, np.abs(Y))
        assert len(network.loss_curve_) == 40

    def test_weights_must_add_up_to_something(self):
        with pytest.raises(
            ValueError, match="sample_weight, must add up to a positive"
        ):
            make().fit(X, y, sample_weight=np.full(80, 1e308))
        with pytest.raises(ValueError, match="R2 is not defined"):
            make().fit(X, y).score(X, y, sample_weight=np.zeros(80))

    def test_predictions_that_overflow_are_refused(self):
        network = make(loss="poisson", activation="identity").fit(X, np.abs(y))
        with pytest.raises(ValueError, match="overflows on these samples"):
            network.predict(1e5 * X)


def test_a_fit_is_a_run_with_r2_and_a_model_that_predicts_numbers():
    train, test = slice(0, 60), slice(60, None)
    network = make(early_stopping=True).fit(X[train], Y[train])
    test_score = network.score(X[test], Y[test])
    client = mlflow.MlflowClient()
    found = client.get_run(network.run_id_).data
    assert found.metrics["training_score"] == pytest.approx(
        metrics.r2_score(Y[train], network.predict(X[train]))
    )
    assert found.metrics["test_score"] == pytest.approx(test_score)
    for name, curve in (
        ("loss", network.loss_curve_),
        ("validation_score", network.validation_scores_),
    ):
        history = client.get_metric_history(network.run_id_, name)
        assert [point.value for point in history] == pytest.approx(curve)
    assert found.params["loss"] == "squared_error"
    model = mlflow.pyfunc.load_model(f"runs:/{network.run_id_}/model")
    (output,) = model.metadata.signature.outputs.inputs
    assert (output.type, output.shape) == (np.dtype("float64"), (-1, 2))
    assert_allclose(model.predict(X[test]), network.predict(X[test]))
    with pytest.raises(mlflow.exceptions.MlflowException, match=r"\['predict'\]"):
        model.predict(X[test], params={"predict_method": "predict_proba"})


def test_a_single_sample_has_no_training_score():
    network = make().fit(X[:1], y[:1])
    found = mlflow.get_run(network.run_id_).data.metrics
    assert np.isnan(found["training_score"])


@untracked
class TestAround:
    """What is around the estimators knows regressors, too."""

    def test_search_space(self):
        space = param_distributions(make_pipeline(StandardScaler(), make()))
        assert set(space) == {
            f"backpropmlpregressor__{name}" for name in param_distributions(make())
        }
        assert set(param_distributions(make())) == set(
            param_distributions(BackpropMLP((8,)))
        )

    def test_pruning(self):
        import optuna

        study = optuna.create_study(direction="maximize")
        trial = study.ask()
        network = make(early_stopping=True).set_callbacks(PruningCallback(trial))
        scores = network.fit(X, y).validation_scores_
        assert list(trial.storage.get_trial(trial._trial_id).intermediate_values) == [
            *range(1, len(scores) + 1)
        ]

    def test_loss_curves_of_ours_and_of_scikit_learn(self):
        from matplotlib.figure import Figure

        ax = Figure().subplots()
        ours = make().fit(X, y)
        theirs = MLPRegressor(hidden_layer_sizes=(8,), random_state=0, max_iter=20).fit(
            X, y
        )
        lines = [
            LossCurveDisplay.from_estimator(model, ax=ax).line_.get_ydata()
            for model in (ours, theirs)
        ]
        assert_allclose(*lines)
