"""BackpropMLP against scikit-learn's MLPClassifier, and what it adds to it."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP
from skperceptron.network import Layers, initialize

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


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", TARGETS)
def test_same_seed_gives_the_same_weights(solver, activation, kind):
    ours, theirs = fit_both(make_data(kind), solver=solver, activation=activation)
    assert_same_weights(ours, theirs)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.loss_ == pytest.approx(theirs.loss_)
    assert ours.out_activation_ == theirs.out_activation_


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("nesterovs_momentum", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_same_weights_with_every_schedule_of_sgd(
    learning_rate, nesterovs_momentum, shuffle
):
    ours, theirs = fit_both(
        make_data("multiclass"),
        solver="sgd",
        learning_rate=learning_rate,
        learning_rate_init=0.2,
        nesterovs_momentum=nesterovs_momentum,
        shuffle=shuffle,
        batch_size=32,
        alpha=0.1,
        tol=0.05,
        n_iter_no_change=2,
        max_iter=40,
    )
    assert_same_weights(ours, theirs)
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.loss_curve_, theirs.loss_curve_)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_same_weights_with_early_stopping(solver, kind, weighted):
    X, y = make_data(kind)
    ours, theirs = fit_both(
        (X, y),
        sample_weight=np.linspace(0.5, 2, len(X)) if weighted else None,
        solver=solver,
        learning_rate_init=0.05,
        early_stopping=True,
        validation_fraction=0.2,
        max_iter=60,
        n_iter_no_change=3,
    )
    assert_same_weights(ours, theirs)
    assert_allclose(ours.validation_scores_, theirs.validation_scores_)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    assert ours.best_loss_ is None
    assert ours.n_iter_ == theirs.n_iter_ < 60


def test_same_weights_with_sample_weights_and_without_hidden_layers():
    X, y = make_data("multiclass")
    ours, theirs = fit_both(
        (X, y),
        sample_weight=np.arange(len(X)) % 4.0,
        hidden_layer_sizes=(),
        activation="logistic",
    )
    assert_same_weights(ours, theirs)


def test_same_weights_after_partial_fits():
    X, y = make_data("multiclass")
    ours, theirs = (
        cls((8,), random_state=0, batch_size=40) for cls in (BackpropMLP, MLPClassifier)
    )
    for _ in range(10):
        ours.partial_fit(X, y, classes=[0, 1, 2])
        theirs.partial_fit(X, y, classes=[0, 1, 2])
    assert_same_weights(ours, theirs)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_) == (1, 1500)


def test_same_weights_after_warm_starts():
    X, y = make_data("binary")
    ours, theirs = (
        cls((8,), random_state=0, max_iter=5, warm_start=True)
        for cls in (BackpropMLP, MLPClassifier)
    )
    for _ in range(3):
        ours.fit(X, y)
        theirs.fit(X, y)
    assert_same_weights(ours, theirs)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_)


def test_early_stopping_may_be_switched_between_warm_starts():
    X, y = make_data("binary")
    clf = BackpropMLP((8,), random_state=0, max_iter=5, warm_start=True)
    clf.fit(X, y).set_params(early_stopping=True).fit(X, y)
    assert len(clf.validation_scores_) == 5
    clf.set_params(early_stopping=False).fit(X, y)
    assert clf.validation_scores_ is None
    assert clf.best_loss_ == min(clf.loss_curve_)


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
