"""BackpropMLP against scikit-learn's MLPClassifier, and what it adds to it."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP
from skperceptron.network import Layers, initialize
from skperceptron.optim import RegularizedLoss

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
TARGETS = ["binary", "multiclass", "multilabel"]


def make_data(kind):
    if kind == "multilabel":
        X, y = make_multilabel_classification(150, 6, n_classes=3, random_state=0)
    else:
        X, y = make_classification(
            150,
            6,
            n_informative=4,
            n_classes=2 if kind == "binary" else 3,
            random_state=0,
        )
    return StandardScaler().fit_transform(X), y


def fit_both(data, *, sample_weight=None, **params):
    params = {"max_iter": 12, "random_state": 3, "hidden_layer_sizes": (8, 5), **params}
    ours = BackpropMLP(**params).fit(*data, sample_weight=sample_weight)
    theirs = MLPClassifier(**params).fit(*data, sample_weight=sample_weight)
    return ours, theirs


def assert_same_weights(ours, theirs, rtol=1e-6):
    for mine, yours in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        assert_allclose(mine, yours, rtol=rtol, atol=1e-9)


def test_early_stopping_may_be_switched_between_warm_starts():
    X, y = make_data("binary")
    clf = BackpropMLP((8,), random_state=0, max_iter=5, warm_start=True)
    clf.fit(X, y).set_params(early_stopping=True).fit(X, y)
    assert len(clf.validation_scores_) == 5
    clf.set_params(early_stopping=False).fit(X, y)
    assert clf.validation_scores_ is None
    assert clf.best_loss_ == min(clf.loss_curve_)


class TestWarmStart:
    """A fit that goes on from the weights of an earlier one, and from nothing else."""

    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 10))
    # Inside a sphere of three of the features.
    y = ((X[:, :3] ** 2).sum(axis=1) > 2.5).astype(int)
    by_first, by_second = (X[:, 0] > 0).astype(int), (X[:, 1] > 0).astype(int)

    every_solver = pytest.mark.parametrize(
        "solver", ["sgd", "adam", "adamw", "rmsprop"]
    )
    with_and_without_early_stopping = pytest.mark.parametrize("early_stopping", [0, 1])

    def make(self, solver="adam", **params):
        rate = 0.5 if solver == "sgd" else 0.02
        params = {
            "hidden_layer_sizes": (30,),
            "learning_rate_init": rate,
            "random_state": 0,
            "warm_start": True,
            **params,
        }
        return BackpropMLP(solver=solver, **params)

    @every_solver
    @pytest.mark.parametrize(("max_iter", "n_fits"), [(1, 40), (5, 15), (20, 8)])
    def test_short_fits_add_up_to_a_long_one(self, max_iter, n_fits, solver):
        clf = self.make(solver, max_iter=max_iter, early_stopping=True)
        for _ in range(n_fits):
            clf.fit(self.X, self.y)
        assert clf.score(self.X, self.y) > 0.9

    @every_solver
    @with_and_without_early_stopping
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_other_data_are_learned_after_convergence(
        self, dtype, early_stopping, solver
    ):
        X = self.X.astype(dtype)
        clf = self.make(solver, early_stopping=bool(early_stopping))
        clf.set_params(class_weight={1: 2.0}).fit(X, self.by_first)
        assert clf.score(X, self.by_first) > 0.9
        clf.fit(X, self.by_second)
        assert clf.n_iter_ > clf.n_iter_no_change
        assert clf.score(X, self.by_second) > 0.9

    @with_and_without_early_stopping
    def test_other_indicators_are_learned_after_convergence(self, early_stopping):
        both = np.column_stack([self.by_first, self.by_second])
        clf = self.make(early_stopping=bool(early_stopping)).fit(self.X, both)
        clf.fit(self.X, both[:, ::-1])
        assert clf.score(self.X, both[:, ::-1]) > 0.9

    @with_and_without_early_stopping
    def test_a_converged_fit_can_be_repeated(self, early_stopping):
        clf = self.make(early_stopping=bool(early_stopping))
        n_iter = []
        for _ in range(3):
            before = [w.copy() for w in clf.coefs_] if n_iter else None
            clf.fit(self.X, self.by_first)
            n_iter.append(clf.n_iter_)
            assert not n_iter[1:] or np.abs(clf.coefs_[0] - before[0]).max() > 0
        assert min(n_iter) > clf.n_iter_no_change
        assert len(clf.loss_curve_) == sum(n_iter)

    @with_and_without_early_stopping
    def test_adaptive_learning_rate_begins_anew(self, early_stopping):
        clf = self.make(
            "sgd", learning_rate="adaptive", early_stopping=bool(early_stopping)
        )
        clf.set_params(tol=1e-2, n_iter_no_change=3)
        clf.fit(self.X, self.by_first).fit(self.X, self.by_second)
        assert clf.score(self.X, self.by_second) > 0.9

    def test_marks_are_those_of_the_present_fit(self):
        clf = self.make().fit(self.X, self.by_first)
        best = clf.best_loss_
        clf.set_params(max_iter=2).fit(self.X, self.by_second)
        assert clf.best_loss_ == min(clf.loss_curve_[-2:]) > best
        clf.set_params(early_stopping=True, max_iter=100).fit(self.X, self.by_first)
        best = clf.best_validation_score_
        clf.set_params(max_iter=2).fit(self.X, self.by_second)
        assert clf.best_validation_score_ == max(clf.validation_scores_[-2:]) < best


@pytest.mark.parametrize("warm_start", [False, True])
def test_lbfgs_takes_no_notice_of_early_stopping(warm_start):
    X, y = make_data("multiclass")
    params = {"solver": "lbfgs", "random_state": 0, "max_iter": 4}
    clf = BackpropMLP(early_stopping=True, warm_start=warm_start, **params)
    without = BackpropMLP(warm_start=warm_start, **params)
    for _ in range(2):
        assert_same_weights(clf.fit(X, y), without.fit(X, y), rtol=0)
        assert clf.validation_scores_ is None
        assert clf.validation_loss_curve_ is None
        assert clf.best_validation_score_ is None
        assert clf.loss_curve_ == without.loss_curve_
        assert clf.best_loss_ == without.best_loss_ == min(clf.loss_curve_)


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "rmsprop"])
def test_validation_begins_and_ends_with_the_solver_that_validates(solver):
    X, y = make_data("binary")
    clf = BackpropMLP(early_stopping=True, warm_start=True, random_state=0, max_iter=3)
    for name in (solver, "lbfgs", solver):
        clf.set_params(solver=name).fit(X, y)
        validates = name != "lbfgs"
        assert (clf.validation_scores_ is not None) == validates
        assert (clf.validation_loss_curve_ is not None) == validates
        assert (clf.best_validation_score_ is not None) == validates
        assert (clf.best_loss_ is None) == validates
        assert len(clf.loss_curve_) == clf.n_iter_ == 3


def test_converged_lbfgs_ends_at_the_same_loss():
    ours, theirs = fit_both(make_data("multiclass"), solver="lbfgs", max_iter=2000)
    assert ours.loss_ <= theirs.loss_ * (1 + 1e-6)


def test_predictions_are_those_of_mlp_classifier():
    for kind in TARGETS:
        X, y = make_data(kind)
        ours, theirs = fit_both((X, y))
        assert_array_equal(ours.predict(X), theirs.predict(X))
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X))
        assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X))


def test_decision_function_is_the_log_odds():
    X, y = make_data("binary")
    clf = BackpropMLP(random_state=0, max_iter=5).fit(X, y)
    proba = clf.predict_proba(X)
    assert_allclose(clf.decision_function(X), np.log(proba[:, 1] / proba[:, 0]))


@pytest.mark.parametrize("message_part", ["Training loss did not improve", "Stopping"])
def test_verbose_output_reads_like_mlp_classifiers(message_part, capsys):
    fit_both(make_data("binary"), verbose=True, tol=10.0, max_iter=40)
    lines = capsys.readouterr().out.splitlines()
    half = len(lines) // 2
    assert lines[:half] == lines[half:]
    assert message_part in lines[half - 1]


def test_unfinished_training_warns_as_mlp_classifier_does():
    X, y = make_data("binary")
    messages = []
    for cls in (BackpropMLP, MLPClassifier):
        with pytest.warns(ConvergenceWarning) as caught:
            cls(max_iter=3).fit(X, y)
        messages.append(str(caught[0].message))
    assert messages[0] == messages[1]


def test_layers_may_have_activations_of_their_own():
    X, y = make_data("multiclass")
    mixed = BackpropMLP((6, 6), ["tanh", "gelu"], random_state=0, max_iter=50)
    assert mixed.fit(X, y).loss_curve_[-1] < mixed.loss_curve_[0]
    same = BackpropMLP((6, 6), ["tanh", "tanh"], random_state=0, max_iter=5).fit(X, y)
    name = BackpropMLP((6, 6), "tanh", random_state=0, max_iter=5).fit(X, y)
    assert_same_weights(same, name, rtol=0)


@pytest.mark.parametrize(
    "activation", ["leaky_relu", "elu", "softplus", "silu", "gelu"]
)
def test_further_activations_learn(activation):
    X, y = make_data("multiclass")
    params = {"random_state": 0, "learning_rate_init": 0.01}
    clf = BackpropMLP((20,), activation, **params).fit(X, y)
    relu = BackpropMLP((20,), "relu", **params).fit(X, y)
    linear = BackpropMLP((20,), "identity", **params).fit(X, y)
    assert clf.score(X, y) > (relu.score(X, y) + linear.score(X, y)) / 2


@pytest.mark.parametrize(
    "init", ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "normal"]
)
def test_start_weights_can_be_chosen(init):
    X, y = make_data("multiclass")
    clf = BackpropMLP(
        (20,), init=init, random_state=0, max_iter=1, learning_rate_init=1e-15, alpha=0
    ).fit(X, y)
    layers = Layers(units=(6, 20, 3), activations=("relu",))
    start = initialize(layers, init, np.random.RandomState(0), np.float64)
    assert_allclose(layers.pack(clf.coefs_, clf.intercepts_), start, atol=1e-12)


class TestOverflow:
    def test_huge_learning_rate_ends_in_an_error_and_finite_weights(self):
        X, y = make_data("binary")
        clf = BackpropMLP(
            activation="identity",
            solver="sgd",
            learning_rate_init=1e200,
            random_state=0,
        )
        with pytest.raises(ValueError, match="learning_rate_init=1e"):
            clf.fit(X, y)
        assert all(np.isfinite(w).all() for w in clf.coefs_ + clf.intercepts_)
        assert len(clf.loss_curve_) == clf.n_iter_

    @pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
    def test_huge_inputs_never_give_nan(self, solver):
        X, y = make_data("binary")
        clf = BackpropMLP(solver=solver, random_state=0, max_iter=20)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            with pytest.raises(ValueError, match="large values"):
                clf.fit(X * 1e300, y)
            assert all(np.isfinite(w).all() for w in clf.coefs_ + clf.intercepts_)


def test_interrupted_training_keeps_what_it_learned():
    X, y = make_data("binary")

    class Interrupt:
        def setup(self, estimator, context): ...

        def teardown(self, estimator, context): ...

        def on_fit_task_begin(self, estimator, context):
            if estimator.n_iter_ == 3:
                raise KeyboardInterrupt

        def on_fit_task_end(self, estimator, context): ...

    clf = BackpropMLP(random_state=0).set_callbacks(Interrupt())
    with pytest.warns(UserWarning, match="interrupted by user"):
        clf.fit(X, y)
    assert clf.n_iter_ == len(clf.loss_curve_) == 3
    assert_same_weights(clf, BackpropMLP(random_state=0, max_iter=3).fit(X, y), rtol=0)


def test_early_stopping_counts_only_the_samples_trained_on():
    data = make_data("multiclass")
    ours, theirs = fit_both(
        data,
        solver="sgd",
        learning_rate="invscaling",
        learning_rate_init=1.0,
        early_stopping=True,
        tol=0,
        max_iter=50,
    )
    assert ours.t_ == theirs.t_
    assert_same_weights(ours, theirs)


def test_sparse_indicators_are_targets_too():
    X, y = make_data("multilabel")
    dense = BackpropMLP(random_state=0, max_iter=5).fit(X, y)
    sparse = BackpropMLP(random_state=0, max_iter=5).fit(X, csr_array(y))
    assert_same_weights(sparse, dense, rtol=0)


def test_kind_of_the_targets_cannot_change_between_partial_fits():
    X, y = make_data("multiclass")
    clf = BackpropMLP(random_state=0, max_iter=5).fit(X, y)
    with pytest.raises(ValueError, match="targets of the kind it began with"):
        clf.partial_fit(X, y[:, np.newaxis] == np.arange(3))


def test_class_weights_are_sample_weights():
    X, y = make_data("multiclass")
    factors = {0: 3.0, 1: 0.5, 2: 1.0}
    weight = np.array([factors[label] for label in y])
    ours = BackpropMLP(class_weight=factors, random_state=0, max_iter=20).fit(X, y)
    same = BackpropMLP(random_state=0, max_iter=20).fit(X, y, sample_weight=weight)
    theirs = MLPClassifier(random_state=0, max_iter=20).fit(X, y, sample_weight=weight)
    assert_same_weights(ours, same, rtol=0)
    assert_same_weights(ours, theirs)


def test_a_class_may_weigh_nothing():
    X, y = make_data("binary")
    clf = BackpropMLP(class_weight={0: 0.0}, batch_size=2, random_state=0).fit(X, y)
    assert clf.predict(X).all()


class TestDropout:
    X, y = make_data("multiclass")

    def fit(self, **params):
        params = {"random_state": 0, "max_iter": 20, **params}
        return BackpropMLP((20, 10), **params).fit(self.X, self.y)

    @pytest.mark.parametrize(
        "params", [{"dropout": 0.4}, {"dropout": (0.0, 0.4)}, {"input_dropout": 0.4}]
    )
    def test_is_there_in_training_and_absent_in_prediction(self, params):
        clf, without = self.fit(**params), self.fit()
        assert np.abs(clf.coefs_[1] - without.coefs_[1]).max() > 1e-3
        assert_array_equal(clf.predict_proba(self.X), clf.predict_proba(self.X))
        assert_same_weights(clf, self.fit(**params), rtol=0)

    def test_of_0_leaves_the_weights_of_mlp_classifier(self):
        clf = self.fit(dropout=0.0, input_dropout=0.0)
        theirs = MLPClassifier((20, 10), random_state=0, max_iter=20)
        assert_same_weights(clf, theirs.fit(self.X, self.y))

    def test_draws_anew_at_each_partial_fit(self):
        # A learning rate so small that the weights, and so the losses, stay the same.
        clf = BackpropMLP(dropout=0.5, random_state=0, learning_rate_init=1e-15)
        for _ in range(3):
            clf.partial_fit(self.X, self.y, classes=[0, 1, 2])
        assert len(set(np.round(clf.loss_curve_, 9))) == 3

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"dropout": (0.5,)}, r"one per hidden layer, got 1 numbers for 2"),
            ({"dropout": (0.5, 1.0)}, r"number in \[0, 1\): at least 0, below 1"),
            ({"dropout": (0.5, "a")}, r"number in \[0, 1\)"),
            ({"dropout": 0.5, "solver": "lbfgs"}, r"dropout=0.5 cannot be used with"),
            ({"input_dropout": 0.5, "solver": "lbfgs"}, r"input_dropout=0.5 cannot"),
            ({"max_grad_norm": 1.0, "solver": "lbfgs"}, r"max_grad_norm=1.0 cannot"),
        ],
    )
    def test_wrong_values_are_refused(self, params, message):
        with pytest.raises(ValueError, match=message):
            self.fit(**params)


@pytest.mark.parametrize("solver", ["adamw", "rmsprop"])
def test_further_solvers_learn(solver):
    X, y = make_data("multiclass")
    params = {"random_state": 0, "learning_rate_init": 0.01}
    clf = BackpropMLP((20,), solver=solver, **params).fit(X, y)
    assert clf.score(X, y) > BackpropMLP((20,), "identity", **params).fit(X, y).score(
        X, y
    )


def test_adamw_does_not_add_the_penalty_to_the_loss():
    X, y = make_data("binary")
    params = {"alpha": 5.0, "random_state": 0, "max_iter": 1, "batch_size": len(X)}
    clf = BackpropMLP(solver="adamw", **params).fit(X, y)
    without = BackpropMLP(solver="adam", **params | {"alpha": 0}).fit(X, y)
    assert clf.loss_ == pytest.approx(without.loss_)
    shrunk = BackpropMLP(solver="adamw", **params | {"alpha": 1e-12}).fit(X, y)
    assert np.linalg.norm(clf.coefs_[0]) < np.linalg.norm(shrunk.coefs_[0])
    assert_allclose(clf.intercepts_[0], shrunk.intercepts_[0])


@pytest.mark.parametrize("kind", TARGETS)
def test_squared_error(kind):
    X, y = make_data(kind)
    clf = BackpropMLP(
        (20,), loss="squared_error", alpha=0, solver="lbfgs", random_state=0
    ).fit(X, y)
    proba = clf.predict_proba(X)
    targets = y if kind == "multilabel" else y[:, np.newaxis] == np.arange(3)
    if kind == "binary":
        targets, proba = y, proba[:, 1]
    errors = 0.5 * (proba - targets) ** 2
    assert clf.loss_ == pytest.approx(errors.sum() / len(X))
    assert np.mean(clf.predict(X) == y) > 0.9


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_gradient_norms_are_those_of_each_layer(solver):
    X, y = make_data("binary")
    clf = BackpropMLP(
        (8, 5), solver=solver, batch_size=len(X), random_state=0, max_iter=4
    ).fit(X, y)
    assert clf.grad_norms_.shape == (len(clf.loss_curve_), 3) == (4, 3)
    before = BackpropMLP((8, 5), solver=solver, random_state=0, batch_size=len(X))
    # "lbfgs" tells of the weights it has reached, the others of those they leave.
    before.set_params(max_iter=4 if solver == "lbfgs" else 3).fit(X, y)
    loss = RegularizedLoss(clf._layers, "logistic", clf.alpha)
    params = clf._layers.pack(before.coefs_, before.intercepts_)
    _, gradient = loss.value_and_gradient(params, X, y[:, np.newaxis] == 1)
    assert_allclose(clf.grad_norms_[-1], clf._layers.norms(gradient), rtol=1e-6)


def test_gradients_vanish_in_deep_logistic_networks():
    X, y = make_data("binary")
    params = {"hidden_layer_sizes": (10,) * 6, "random_state": 0, "max_iter": 3}
    logistic = BackpropMLP(activation="logistic", **params).fit(X, y).grad_norms_[0]
    relu = BackpropMLP(init="he_normal", **params).fit(X, y).grad_norms_[0]
    assert logistic[0] < 1e-3 * logistic[-1]
    assert relu[0] > 1e-1 * relu[-1]


def test_validation_loss_is_that_of_the_held_out_samples():
    X, y = make_data("multiclass")
    weight = np.linspace(0.5, 2, len(X))
    clf = BackpropMLP(
        (8,), early_stopping=True, random_state=0, max_iter=15, alpha=1.0, dropout=0.2
    ).fit(X, y, sample_weight=weight)
    assert len(clf.validation_loss_curve_) == len(clf.validation_scores_)
    # The split is the second draw from the random numbers, after the start weights.
    rng = np.random.RandomState(0)
    initialize(clf._layers, "auto", rng, np.float64)
    _, held_out = train_test_split(
        np.arange(len(X)), random_state=rng, test_size=0.1, stratify=None
    )
    best = int(np.argmax(clf.validation_scores_))
    assert clf.validation_loss_curve_[best] == pytest.approx(
        log_loss(
            y[held_out],
            clf.predict_proba(X[held_out]),
            sample_weight=weight[held_out],
            labels=[0, 1, 2],
        )
    )
    clf.set_params(early_stopping=False).fit(X, y)
    assert clf.validation_loss_curve_ is None


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("layout", ["fortran", "strided", "read-only"])
def test_the_layout_of_the_data_makes_no_difference(layout, solver):
    X, y = make_data("binary")
    other = X.copy(order="F")
    if layout == "strided":
        other = np.repeat(X, 2, axis=0)[::2]
    elif layout == "read-only":
        other = X.copy()
        other.flags.writeable = False
    params = {"solver": solver, "random_state": 0, "max_iter": 5}
    assert_same_weights(
        BackpropMLP(**params).fit(other, y), BackpropMLP(**params).fit(X, y)
    )


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_float32_stays_float32_and_close_to_float64(solver):
    X, y = make_data("multiclass")
    params = {"solver": solver, "random_state": 0, "max_iter": 10}
    single = BackpropMLP(**params).fit(X.astype(np.float32), y)
    assert {w.dtype for w in single.coefs_ + single.intercepts_} == {
        np.dtype(np.float32)
    }
    assert_allclose(single.loss_, BackpropMLP(**params).fit(X, y).loss_, rtol=1e-3)


@pytest.mark.parametrize("types", [(np.float64, np.float32), (np.float32, np.float64)])
def test_precision_of_the_weights_is_that_of_the_first_data(types):
    X, y = make_data("binary")
    clf = BackpropMLP((8,), dropout=0.1, random_state=0)
    for dtype in types:
        clf.partial_fit(X.astype(dtype), y, classes=[0, 1])
    clf.set_params(dropout=0.0, solver="lbfgs", max_iter=2, warm_start=True)
    clf.fit(X.astype(types[1]), y)
    assert {w.dtype for w in clf.coefs_} == {np.dtype(types[0])}
