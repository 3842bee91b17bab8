import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.datasets import load_iris, make_classification
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    fbeta_score,
    log_loss,
    make_scorer,
)
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skperceptron import HillClimbMLP, HillClimbPerceptron
from skperceptron.optim.climbs import _unit_climb

pytestmark = pytest.mark.usefixtures("untracked")
both = pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])

TEXTBOOK = {
    "max_iter": 1000,
    "objective": "accuracy",
    "mutation": "all",
    "step_schedule": "constant",
    "init": "uniform",
}


@pytest.fixture(scope="module")
def tutorial_data():
    return make_classification(1000, 5, n_informative=2, n_redundant=1, random_state=1)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def imbalanced():
    X, y = make_classification(
        400, 5, weights=[0.9], class_sep=0.5, random_state=0, n_informative=3
    )
    return X, y


class TestAgainstTheLiteralAlgorithm:
    """The classifiers on the noise that they document: default_rng of one seed."""

    def climb(self, accuracy, n_params, *, seed, step_size, n_iter):
        rng = np.random.default_rng(
            np.random.RandomState(seed).randint(np.iinfo(np.int32).max)
        )
        current = rng.uniform(size=n_params)
        curve = [accuracy(current)]
        for _ in range(n_iter):
            candidate = current + step_size * rng.standard_normal(n_params)
            value = accuracy(candidate)
            if value >= curve[-1]:
                current = candidate
            curve.append(max(value, curve[-1]))
        return current, curve

    @pytest.mark.parametrize("seed", range(3))
    def test_perceptron(self, seed, tutorial_data):
        X, y = tutorial_data
        weights, curve = self.climb(
            lambda w: np.mean((X @ w[:-1] + w[-1] >= 0) == y),
            6,
            seed=seed,
            step_size=0.05,
            n_iter=1000,
        )
        clf = HillClimbPerceptron(step_size=0.05, random_state=seed, **TEXTBOOK)
        clf.fit(X, y)
        assert_array_equal(clf.objective_curve_, curve)
        assert_allclose(clf.coef_[0], weights[:-1])
        assert_allclose(clf.intercept_, weights[-1:])

    def test_mlp(self, tutorial_data):
        X, y = tutorial_data

        def accuracy(w):
            hidden = 1 / (1 + np.exp(-(X @ w[:50].reshape(5, 10) + w[60:70])))
            return np.mean((hidden @ w[50:60] + w[70] > 0) == y)

        # Weights before biases in the flat vector, layer by layer in the start.
        rng = np.random.default_rng(
            np.random.RandomState(0).randint(np.iinfo(np.int32).max)
        )
        start = rng.uniform(size=71)
        current = np.r_[start[:50], start[60:70], start[50:60], start[70:]]
        curve = [accuracy(current)]
        for _ in range(300):
            candidate = current + 0.1 * rng.standard_normal(71)
            value = accuracy(candidate)
            if value >= curve[-1]:
                current = candidate
            curve.append(max(value, curve[-1]))

        settings = {**TEXTBOOK, "max_iter": 300}
        clf = HillClimbMLP((10,), "logistic", step_size=0.1, random_state=0, **settings)
        assert_array_equal(clf.fit(X, y).objective_curve_, curve)


class TestTextbookExperiment:
    """100 climbs, against 100 of the literal algorithm with other random numbers."""

    N_SEEDS = 100

    def literal(self, predict, n_params, step_size, data, seed):
        X, X_test, y, y_test = data
        rng = np.random.RandomState(seed)
        current = rng.uniform(size=n_params)
        value = np.mean(predict(current, X) == y)
        for _ in range(1000):
            candidate = current + step_size * rng.normal(size=n_params)
            candidate_value = np.mean(predict(candidate, X) == y)
            if candidate_value >= value:
                current, value = candidate, candidate_value
        return value, np.mean(predict(current, X_test) == y_test)

    def ours(self, clf, data, seed):
        X, X_test, y, y_test = data
        clf.set_params(random_state=seed).fit(X, y)
        return clf.score(X, y), clf.score(X_test, y_test)

    @pytest.mark.parametrize(
        "kind", ["perceptron", pytest.param("mlp", marks=pytest.mark.slow)]
    )
    def test_mean_accuracies_agree_within_three_standard_errors(
        self, kind, tutorial_data
    ):
        X, y = tutorial_data
        splits = [
            train_test_split(X, y, test_size=0.33, random_state=seed)
            for seed in range(self.N_SEEDS)
        ]

        def threshold(w, X):
            return X @ w[:-1] + w[-1] >= 0

        def network(w, X):
            hidden = expit(X @ w[:50].reshape(5, 10) + w[50:60])
            return hidden @ w[60:70] + w[70] > 0

        predict, n_params, step_size, clf = {
            "perceptron": (
                threshold,
                6,
                0.05,
                HillClimbPerceptron(step_size=0.05, **TEXTBOOK),
            ),
            "mlp": (
                network,
                71,
                0.1,
                HillClimbMLP((10,), "logistic", step_size=0.1, **TEXTBOOK),
            ),
        }[kind]
        literal, ours = (
            np.array([climb(data, seed) for seed, data in enumerate(splits)])
            for climb in (
                lambda data, seed: self.literal(
                    predict, n_params, step_size, data, seed
                ),
                lambda data, seed: self.ours(clf, data, 1000 + seed),
            )
        )
        error = np.sqrt((literal.var(0) + ours.var(0)) / self.N_SEEDS)
        assert np.all(np.abs(ours.mean(0) - literal.mean(0)) < 3 * error)


@both
def test_no_iterations_give_the_random_start(cls, iris):
    clf = cls(max_iter=0, random_state=0).fit(*iris)
    assert clf.n_iter_ == clf.n_accepted_ == 0
    assert clf.n_evaluations_ == 1
    assert_array_equal(clf.objective_curve_, [clf.objective_])
    assert clf.predict(iris[0]).shape == (150,)


@both
@pytest.mark.parametrize("max_iter", [1, 7, 100, 250, True])
def test_curve_tells_every_iteration(cls, max_iter, iris):
    clf = cls(max_iter=max_iter, alpha=0, random_state=0).fit(*iris)
    assert clf.n_iter_ == max_iter
    assert clf.objective_curve_.shape == (max_iter + 1,)
    assert np.all(np.diff(clf.objective_curve_) >= 0)
    assert clf.objective_ == clf.objective_curve_[-1]
    assert clf.n_evaluations_ == max_iter + 1


@both
def test_accuracy_objective_is_the_score(cls, iris):
    clf = cls(objective="accuracy", max_iter=200, random_state=0).fit(*iris)
    assert clf.objective_ == pytest.approx(clf.score(*iris))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_log_loss_objective_is_the_negated_log_loss(n_classes, iris):
    X, y = iris
    X, y = X[y < n_classes], y[y < n_classes]
    clf = HillClimbMLP(max_iter=200, random_state=0).fit(X, y)
    assert clf.objective_ == pytest.approx(-log_loss(y, clf.predict_proba(X)))


def f2(y_true, y_pred, *, sample_weight=None):
    return fbeta_score(y_true, y_pred, beta=2, sample_weight=sample_weight)


@both
@pytest.mark.parametrize(
    ("objective", "metric"),
    [
        ("f1", f1_score),
        ("balanced_accuracy", balanced_accuracy_score),
        (make_scorer(f2), f2),
        (f2, f2),
    ],
    ids=["f1", "balanced_accuracy", "scorer", "function"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_any_metric_can_be_the_objective(cls, objective, metric, weighted):
    X, y = imbalanced()
    weight = np.linspace(0.5, 2, len(y)) if weighted else None
    options = {"surrogate_iter": 500, "max_iter": 150, "random_state": 0}
    clf = cls(objective=objective, **options)
    clf.fit(X, y, sample_weight=weight)
    expected = metric(y, clf.predict(X), sample_weight=weight)
    assert clf.objective_ == pytest.approx(expected)
    assert clf.objective_ > clf.objective_curve_[0]


def test_metric_sees_the_users_labels():
    X, y = imbalanced()
    names = np.array(["healthy", "ill"])[y]

    def recall_of_the_ill(y_true, y_pred, *, sample_weight=None):
        assert set(y_true) == {"healthy", "ill"}
        return np.mean(y_pred[y_true == "ill"] == "ill")

    clf = HillClimbPerceptron(objective=recall_of_the_ill, random_state=0)
    assert clf.fit(X, names).objective_ == 1


@pytest.mark.slow
def test_optimising_a_metric_beats_optimising_accuracy_on_it():
    X, y = imbalanced()
    by_f2 = HillClimbPerceptron(objective=f2, random_state=0).fit(X, y)
    by_accuracy = HillClimbPerceptron(random_state=0).fit(X, y)
    assert f2(y, by_f2.predict(X)) > f2(y, by_accuracy.predict(X)) + 0.05


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("objective", ["accuracy", "log_loss"])
def test_weights_count_in_the_objective(objective, weighted, iris):
    X, y = iris
    weight = np.where(y == 0, 0.1, 2.0)
    clf = HillClimbMLP(objective=objective, max_iter=100, random_state=0)
    clf.fit(X, y, sample_weight=weight)
    if objective == "accuracy":
        expected = accuracy_score(y, clf.predict(X), sample_weight=weight)
    else:
        expected = -log_loss(y, clf.predict_proba(X), sample_weight=weight)
    assert clf.objective_ == pytest.approx(expected)


@pytest.mark.parametrize("activation", ["step", "sign"])
def test_hard_thresholds_can_be_trained(activation, iris):
    clf = HillClimbMLP((10,), activation, random_state=0).fit(*iris)
    assert clf.score(*iris) > 0.9


def test_layers_may_have_activations_of_their_own(iris):
    clf = HillClimbMLP((8, 6), ["step", "tanh"], max_iter=2000, random_state=0)
    assert clf.fit(*iris).score(*iris) > 0.85
    assert [c.shape for c in clf.coefs_] == [(4, 8), (8, 6), (6, 3)]
    assert clf.n_layers_ == 4


@both
@pytest.mark.parametrize("mutation", ["all", "unit", 0.3])
@pytest.mark.parametrize("step_schedule", ["constant", "one_fifth"])
@pytest.mark.parametrize("init", ["uniform", "glorot", "normal"])
def test_every_way_of_stepping_improves(cls, mutation, step_schedule, init, iris):
    clf = cls(
        mutation=mutation,
        step_schedule=step_schedule,
        init=init,
        max_iter=400,
        random_state=0,
    ).fit(*iris)
    assert clf.objective_ > clf.objective_curve_[0]
    assert 0 < clf.n_accepted_ <= 400


@both
@pytest.mark.parametrize("mutation", ["all", "unit", 0.3])
@pytest.mark.parametrize("step_schedule", ["constant", "one_fifth"])
def test_warm_start_continues_the_climb(cls, mutation, step_schedule, iris):
    params = {"mutation": mutation, "step_schedule": step_schedule, "random_state": 0}
    once = cls(max_iter=400, **params).fit(*iris)
    twice = cls(max_iter=200, warm_start=True, **params).fit(*iris)
    first = twice.objective_curve_
    twice.fit(*iris)
    # Up to the rounding of sums that are kept between candidates.
    both = np.append(first, twice.objective_curve_[1:])
    assert_allclose(both, once.objective_curve_, rtol=1e-12)
    assert_allclose(twice.decision_function(iris[0]), once.decision_function(iris[0]))


@both
def test_partial_fits_are_chunks_of_one_climb(cls, iris):
    X, y = iris
    whole = cls(max_iter=400, random_state=0).fit(X, y)
    parts = cls(max_iter=400, random_state=0)
    for call in range(100):
        parts.partial_fit(X, y, classes=[0, 1, 2] if call == 0 else None)
        assert parts.n_iter_ == 4 * (call + 1)
    assert_allclose(parts.objective_curve_, whole.objective_curve_, rtol=1e-12)
    assert_allclose(parts.decision_function(X), whole.decision_function(X))
    assert parts.n_accepted_ == whole.n_accepted_


class TestEarlyStopping:
    def test_stops_and_keeps_the_best_weights(self, iris):
        clf = HillClimbMLP(
            max_iter=20_000,
            early_stopping=True,
            validation_fraction=0.3,
            n_iter_no_change=5,
            random_state=0,
        ).fit(*iris)
        assert clf.n_iter_ < 20_000
        assert len(clf.validation_scores_) == clf.n_iter_ / 200
        assert clf.best_validation_score_ == max(clf.validation_scores_)
        best = np.argmax(clf.validation_scores_)
        assert clf.objective_ == clf.objective_curve_[200 * (best + 1)]

    def test_without_it_the_climb_runs_to_the_end(self, iris):
        clf = HillClimbPerceptron(max_iter=300, tol=10.0, n_iter_no_change=1)
        clf.fit(*iris)
        assert clf.n_iter_ == 300
        assert clf.validation_scores_ is None


@both
@pytest.mark.parametrize("step_schedule", ["constant", "one_fifth"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_other_data_are_learned_after_convergence(cls, early_stopping, step_schedule):
    X = np.random.default_rng(0).normal(size=(200, 4))
    first, second = (X[:, 0] > 0).astype(int), (X[:, 1] > 0).astype(int)
    options = {"step_schedule": step_schedule, "max_iter": 1000, "random_state": 0}
    clf = cls(**options, early_stopping=early_stopping, warm_start=True)
    assert clf.fit(X, first).score(X, first) > 0.9
    assert clf.fit(X, second).score(X, second) > 0.9
    clf.set_params(early_stopping=False)
    for _ in range(100):
        clf.partial_fit(X, first)
    assert clf.score(X, first) > 0.9


@both
def test_already_optimal_start_is_kept_finite(cls):
    X, y = np.array([[-1.0], [1.0]] * 10), np.array([0, 1] * 10)
    clf = cls(objective="accuracy", step_schedule="one_fifth", max_iter=5000)
    clf.fit(X, y)
    assert clf.objective_ == 1
    assert np.isfinite(clf.decision_function(X)).all()


@both
def test_constant_features_and_one_sample_per_class(cls):
    X = np.column_stack([np.ones(3), np.array([-2.0, 0.0, 2.0])])
    clf = cls(random_state=0).fit(X, [0, 1, 2])
    assert np.isfinite(clf.decision_function(X)).all()


@both
@pytest.mark.parametrize("objective", ["accuracy", "balanced_accuracy"])
@pytest.mark.parametrize("mutation", ["all", "unit", 0.5])
@pytest.mark.parametrize("step_size", [0.1, 1e308])
def test_overflow_never_reaches_the_weights(cls, objective, mutation, step_size, iris):
    X, y = iris
    clf = cls(
        objective=objective,
        mutation=mutation,
        step_size=step_size,
        step_schedule="constant",
        max_iter=100,
        random_state=0,
    ).fit(X * 1e5, y)
    coefs, intercepts = clf._get_weights()
    assert all(np.isfinite(w).all() for w in [*coefs, *intercepts])
    assert np.isfinite(clf.decision_function(X)).all()


# scikit-learn's own check for infinity adds up the values.
@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce")
@both
def test_start_that_overflows_is_an_error(cls, iris):
    X, y = iris
    options = {"activation": "relu"} if cls is HillClimbMLP else {}
    with pytest.raises(ValueError, match="overflows already with its start weights"):
        cls(random_state=0, init="normal", **options).fit(X * 5e307, y)


@both
@pytest.mark.parametrize(("verbose", "n_lines"), [(True, 10), (1, 10), (2, 100)])
def test_verbose_prints_some_reports_or_all(cls, verbose, n_lines, iris, capsys):
    clf = cls(max_iter=1000, objective="f1_macro", verbose=verbose, random_state=0)
    clf.fit(*iris)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == n_lines
    value = f"{clf.objective_:.8f}"
    assert lines[-1] == f"Iteration 1000, objective (f1_macro) = {value}"


@both
def test_verbose_prints_the_end_of_a_climb_that_stops_early(cls, iris, capsys):
    clf = cls(
        max_iter=1000,
        early_stopping=True,
        n_iter_no_change=1,
        tol=10,
        verbose=True,
        random_state=0,
    ).fit(*iris)
    *_, line, score = capsys.readouterr().out.splitlines()
    assert line.startswith(f"Iteration {clf.n_iter_}, objective (")
    assert score == f"Validation score: {clf.validation_scores_[-1]:f}"


@both
@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda y_true, y_pred: float("nan"), "must return one finite number, got nan"),
        (lambda y_true, y_pred: y_pred == y_true, "must return one finite number"),
        (lambda y_true, y_pred: "good", "must return one finite number, got 'good'"),
    ],
)
def test_useless_objective_is_refused_at_once(cls, objective, message, iris):
    with pytest.raises(ValueError, match=message):
        cls(objective=objective).fit(*iris)


@both
def test_objective_that_raises_is_named(cls, iris):
    def broken(y_true, y_pred):
        raise KeyError("no such thing")

    with pytest.raises(ValueError, match=r"objective=.*broken.* KeyError"):
        cls(objective=broken).fit(*iris)


@pytest.fixture
def scarce_memory(monkeypatch):
    monkeypatch.setattr(_unit_climb, "MAX_BYTES_KEPT", 0)


@pytest.mark.parametrize("params", [{}, {"n_restarts": 2}, {"early_stopping": True}])
def test_fits_in_little_memory_are_the_same(params, iris, request):
    clf = HillClimbMLP(max_iter=500, random_state=0, **params).fit(*iris)
    request.getfixturevalue("scarce_memory")
    lean = HillClimbMLP(max_iter=500, random_state=0, **params).fit(*iris)
    assert_allclose(lean.objective_curve_, clf.objective_curve_)
    assert_allclose(lean.coefs_[0], clf.coefs_[0])


@pytest.mark.parametrize(
    "objective", ["accuracy", pytest.param("log_loss", marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("scarce_memory")
def test_large_fits_take_less_than_three_times_the_data(objective):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100_000, 50)), rng.integers(10, size=100_000)
    clf = HillClimbMLP(
        max_iter=10, surrogate_iter=10, objective=objective, random_state=0
    )
    clf.fit(X[:100], y[:100])  # compiling takes memory too
    tracemalloc.start()
    clf.fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert X.nbytes + peak < 3 * X.nbytes
