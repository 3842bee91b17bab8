"""BackpropMLP in the place of MLPClassifier, BackpropMLPRegressor in MLPRegressor's.

They find the same weights and have the same curves and warnings.

The options are compared in all their combinations; of those of a fit, the long tests
compare two thirds.
"""

import warnings
from itertools import product
from types import FunctionType

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, csr_matrix
from sklearn.datasets import (
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network.tests import test_mlp as their_tests
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP, BackpropMLPRegressor
from tests.coverings import pairwise

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

# These look at private attributes.
LOOKING_INSIDE = {
    "test_adaptive_learning_rate",
    "test_fit",
    "test_gradient",
    "test_learning_rate_warmstart",
}
OURS = {MLPClassifier: BackpropMLP, MLPRegressor: BackpropMLPRegressor}


def of_ours(mark):
    """The same mark; where it is parametrized with their classes, with ours."""
    if mark.name != "parametrize" or list(mark.args[1]) != list(OURS):
        return mark
    return pytest.mark.parametrize(mark.args[0], [*OURS.values()]).mark


for name, test in vars(their_tests).items():
    if not name.startswith("test_") or name in LOOKING_INSIDE:
        continue
    marks = [of_ours(mark) for mark in getattr(test, "pytestmark", ())]
    names = {cls.__name__ for cls in OURS}
    if names & {*test.__code__.co_names} or marks != getattr(test, "pytestmark", []):
        copy = FunctionType(test.__code__, test.__globals__, name)
        copy.pytestmark = marks
        globals()[f"{name}_as_scikit_learn_does"] = copy


@pytest.fixture(autouse=True)
def _replace(monkeypatch):
    """Let scikit-learn's own tests of its classes test ours."""
    for theirs, ours in OURS.items():
        monkeypatch.setattr(their_tests, theirs.__name__, ours)


@pytest.fixture
def global_random_seed():
    """The seed that scikit-learn's own tests have from its conftest."""
    return 0


ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
CLASSES = ["binary", "multiclass", "multilabel"]
TARGETS = [*CLASSES, "number", "two numbers", "counts"]
SGD = {"solver": "sgd", "learning_rate_init": 0.2}
# Some that stop by themselves: the schedules differ in what they do then.
SOLVERS = {
    "no momentum": {**SGD, "momentum": 0},
    "momentum": {**SGD, "nesterovs_momentum": False, "tol": 0.1},
    "nesterov": {**SGD, "shuffle": False},
    "invscaling": {**SGD, "learning_rate": "invscaling", "power_t": 0.3},
    "adaptive": {**SGD, "learning_rate": "adaptive", "tol": 0.1},
    "adam": {"solver": "adam", "learning_rate_init": 0.02},
}
HIDDEN = [(), (6,), (5, 4)]
ON_OFF = [False, True]
N_SAMPLES = 70


def make_data(kind):
    if kind == "multilabel":
        X, y = make_multilabel_classification(N_SAMPLES, 6, n_classes=3, random_state=0)
    elif kind not in CLASSES:
        n_targets = 2 if kind == "two numbers" else 1
        X, y = make_regression(
            N_SAMPLES, 6, n_targets=n_targets, noise=20, random_state=0
        )
        y = (y - y.mean(axis=0)) / y.std(axis=0)
        y = np.maximum(np.round(2 * y), 0) if kind == "counts" else y
    else:
        n_classes = 2 if kind == "binary" else 3
        X, y = make_classification(
            N_SAMPLES, 6, n_informative=4, n_classes=n_classes, random_state=0
        )
    X = StandardScaler().fit_transform(X)
    return np.where(np.abs(X) < 0.3, 0, X), y


def make_both(kind, **params):
    params = {
        "max_iter": 8,
        "n_iter_no_change": 2,
        "batch_size": 16,
        "alpha": 0.01,
        "random_state": 3,
        **params,
    }
    if kind in CLASSES:
        return BackpropMLP(**params), MLPClassifier(**params)
    if params.get("solver") == "sgd":
        params["learning_rate_init"] /= 10  # these diverge sooner
    params["loss"] = "poisson" if kind == "counts" else "squared_error"
    return BackpropMLPRegressor(**params), MLPRegressor(**params)


def assert_same(ours, theirs, X):
    for mine, yours in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        assert_allclose(mine, yours, rtol=1e-6, atol=1e-10)
    # MLPClassifier does not keep these after "lbfgs".
    missing = {"best_loss_": min(ours.loss_curve_), "best_validation_score_": None}
    for name in ("loss_", *missing):
        mine, yours = getattr(ours, name), getattr(theirs, name, missing.get(name))
        assert (mine is None) == (yours is None), name
        assert mine is None or mine == pytest.approx(yours)
    for name in ("n_iter_", "n_layers_", "n_outputs_", "out_activation_", "t_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert_allclose(ours.loss_curve_, getattr(theirs, "loss_curve_", ours.loss_curve_))
    assert_allclose(
        ours.validation_scores_ or [], getattr(theirs, "validation_scores_", None) or []
    )
    if isinstance(theirs, MLPRegressor):
        assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-10)
        assert ours.predict(X).shape == theirs.predict(X).shape
    else:
        assert_array_equal(ours.predict(X), theirs.predict(X))
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X))


def heard(function):
    """Call it, and list the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [(w.category, str(w.message)) for w in caught]


OPTIONS = [[*SOLVERS], ACTIVATIONS, TARGETS, HIDDEN, ON_OFF, ON_OFF, ON_OFF]
# In each of these thirds, any four of the options are combined in all ways.
THIRDS = [0, pytest.param(1, marks=pytest.mark.slow)]
THIRDS += [pytest.param(2, marks=pytest.mark.slow)]


def third_of(combination):
    places = (o.index(option) for o, option in zip(OPTIONS, combination, strict=True))
    return sum(places) % 3


@pytest.mark.parametrize("third", THIRDS)
@pytest.mark.parametrize(
    ("solver", "activation", "kind"), pairwise([*SOLVERS], ACTIVATIONS, TARGETS)
)
def test_fit(solver, activation, kind, third):
    X, y = make_data(kind)
    for hidden, sparse, weighted, early_stopping in product(*OPTIONS[3:]):
        options = (solver, activation, kind, hidden, sparse, weighted, early_stopping)
        if third_of(options) != third:
            continue
        ours, theirs = make_both(
            kind,
            hidden_layer_sizes=hidden,
            activation=activation,
            early_stopping=early_stopping,
            validation_fraction=0.2,
            **SOLVERS[solver],
        )
        data = csr_matrix(X) if sparse else X
        weight = np.arange(len(X)) % 4.0 if weighted else None
        warned = [
            heard(lambda m=model, d=data, w=weight: m.fit(d, y, sample_weight=w))
            for model in (ours, theirs)
        ]
        assert warned[0] == warned[1]
        assert_same(ours, theirs, data)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_lbfgs(activation, kind):
    X, y = make_data(kind)
    for hidden, sparse, weighted in product(HIDDEN, ON_OFF, ON_OFF):
        ours, theirs = make_both(
            kind, hidden_layer_sizes=hidden, activation=activation, solver="lbfgs"
        )
        data = csr_matrix(X) if sparse else X
        weight = np.arange(len(X)) % 4.0 if weighted else None
        for model in (ours, theirs):
            model.fit(data, y, sample_weight=weight)
        assert_same(ours, theirs, data)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_partial_fit(solver, kind):
    X, y = make_data(kind)
    options = {}
    if kind in CLASSES:
        options["classes"] = np.arange(3) if kind == "multilabel" else np.unique(y)
    for sparse, weighted in product(ON_OFF, ON_OFF):
        ours, theirs = make_both(kind, hidden_layer_sizes=(6,), **SOLVERS[solver])
        data = csr_matrix(X) if sparse else X
        weight = np.arange(len(X)) % 4.0 if weighted else None
        for half in (slice(0, 40), slice(40, None), slice(0, 40)):
            for model in (ours, theirs):
                model.partial_fit(
                    data[half],
                    y[half],
                    sample_weight=None if weight is None else weight[half],
                    **options,
                )
        assert_same(ours, theirs, data)


def begin_anew(theirs):
    """Let MLPClassifier forget what the next epoch would be compared with, as we do.

    It goes on counting epochs without an improvement in a warm start, and so ends the
    next fit after one epoch once it has converged.
    """
    theirs._no_improvement_count = 0
    if theirs.early_stopping:
        theirs.best_validation_score_ = -np.inf
    else:
        theirs.best_loss_ = np.inf


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("solver", [*SOLVERS, "lbfgs"])
def test_warm_start(solver, kind):
    X, y = make_data(kind)
    options = SOLVERS.get(solver, {"solver": solver, "max_iter": 4})
    ours, theirs = make_both(kind, hidden_layer_sizes=(6,), warm_start=True, **options)
    for _ in range(3):
        ours.fit(X, y)
        theirs.fit(X, y)
        assert_same(ours, theirs, X)
        if solver != "lbfgs":  # which compares with nothing
            begin_anew(theirs)


@pytest.mark.parametrize("kind", ["multiclass", "counts"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_partial_fit_after_fit(solver, kind):
    X, y = make_data(kind)
    ours, theirs = make_both(kind, hidden_layer_sizes=(6,), **SOLVERS[solver])
    for model in (ours, theirs):
        model.fit(X, y)
        for half in (slice(0, 40), slice(40, None), slice(0, 40)):
            model.partial_fit(X[half], y[half])
    assert_same(ours, theirs, X)


def test_warm_start_with_early_stopping_keeps_the_best_weights_of_the_present_fit():
    X, y = make_data("binary")
    ours, theirs = make_both(
        "binary",
        hidden_layer_sizes=(6,),
        warm_start=True,
        early_stopping=True,
        validation_fraction=0.3,
        n_iter_no_change=30,
        max_iter=100,
    )
    ours.fit(X, y)
    theirs.fit(X, y)
    assert_same(ours, theirs, X)
    n_first, best_of_first = ours.n_iter_, ours.best_validation_score_
    begin_anew(theirs)
    # The labels that it has not learned are harder, so that its scores are below.
    for model in (ours, theirs):
        model.set_params(max_iter=5).fit(X, 1 - y)
    assert_same(ours, theirs, X)
    scores = ours.validation_scores_[n_first:]
    assert ours.best_validation_score_ == max(scores) < best_of_first


REFUSED_CLASSES = [
    ({"hidden_layer_sizes": (5, 0)}, (6, 2), [0, 1] * 3),
    ({"hidden_layer_sizes": -1}, (6, 2), [0, 1] * 3),
    ({"solver": "newton"}, (6, 2), [0, 1] * 3),
    ({"beta_1": 1.0}, (6, 2), [0, 1] * 3),
    ({"early_stopping": True}, (6, 2), [0, 1] * 3),
    ({}, (6, 2), [0, 1]),
    ({}, (6,), [0, 1] * 3),
    ({}, (6, 2), [0.5, 1.5, 2.5] * 2),
    ({}, (6, 2), [[0, 2], [1, 3], [1, 1]] * 2),
]
REFUSED_NUMBERS = [
    ({"hidden_layer_sizes": (5, 0)}, (6, 2), [0.5, 1.5] * 3),
    ({"solver": "newton"}, (6, 2), [0.5, 1.5] * 3),
    ({"loss": "log_loss"}, (6, 2), [0.5, 1.5] * 3),
    ({"early_stopping": True}, (6, 2), [0.5, 1.5] * 3),
    ({}, (6, 2), [0.5, 1.5]),
    ({}, (6,), [0.5, 1.5] * 3),
    ({}, (6, 2), [0.5, np.nan] * 3),
    ({}, (6, 2), [0.5, np.inf] * 3),
    ({}, (6, 2), None),
    ({}, (6, 2), np.zeros((6, 2, 2))),
]


@pytest.mark.parametrize(
    ("ours", "theirs", "params", "X_shape", "y"),
    [
        *((BackpropMLP, MLPClassifier, *case) for case in REFUSED_CLASSES),
        *((BackpropMLPRegressor, MLPRegressor, *case) for case in REFUSED_NUMBERS),
    ],
)
def test_refusals_are_of_the_same_kind(ours, theirs, params, X_shape, y):
    X = np.arange(np.prod(X_shape), dtype=float).reshape(X_shape)
    with pytest.raises(Exception) as expected:  # noqa: PT011 - whatever they raise
        theirs(**params).fit(X, y)
    with pytest.raises(type(expected.value)) as found:
        ours(**params).fit(X, y)
    message = str(expected.value).replace(theirs.__name__, ours.__name__)
    assert str(found.value)[:20] == message[:20]


def test_one_class_is_learned_and_predicted():
    X, y = np.arange(12.0).reshape(6, 2), np.full(6, "only")
    for form in (np.asarray, csr_array):
        ours, theirs = make_both("binary", hidden_layer_sizes=(3,), batch_size=3)
        ours.fit(form(X), y)
        theirs.fit(X, y)
        assert_array_equal(ours.predict(form(-X)), theirs.predict(-X))
        assert_allclose(ours.coefs_[0], theirs.coefs_[0])
        assert_array_equal(ours.predict_proba(X), np.ones((6, 1)))
