"""What must make no difference makes none."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.network import ACTIVATIONS, DIFFERENTIABLE
from tests.reliability.classifiers import classifiers, layers
from tests.reliability.comparisons import assert_same_weights, weights_of
from tests.reliability.data import (
    DENSE_FORMS,
    KINDS_OF_NAMES,
    NAMES,
    SEEDS,
    SPARSE_FORMS,
    codes,
    name_classes,
    numbers,
)
from tests.reliability.properties import FITS_A_LOT, holds

pytestmark = FITS_A_LOT

N_ROWS, N_FEATURES = st.integers(4, 40), st.integers(1, 10)
# Metrics to which classes are just classes.
OBJECTIVES = st.sampled_from(["accuracy", "balanced_accuracy", "f1_macro"])


@st.composite
def problems(draw):
    """Samples and class indices."""
    n_rows = draw(N_ROWS)
    return draw(numbers(n_rows, draw(N_FEATURES))), draw(codes(n_rows))


@st.composite
def climbers(draw):
    """Short climbs on objectives to which the order of samples means nothing."""
    params = {
        "max_iter": draw(st.sampled_from([30, 1, 150])),
        "step_schedule": draw(st.sampled_from(["constant", "one_fifth"])),
        "mutation": draw(st.sampled_from(["all", "unit", 0.5])),
        "n_restarts": draw(st.sampled_from([0, 2])),
        "combine": draw(st.sampled_from(["best", "average"])),
        "random_state": draw(SEEDS),
        "objective": "accuracy",
    }
    if draw(st.booleans()):
        return HillClimbPerceptron(**params)
    if draw(st.booleans()):
        return HillClimbMLP(**params | draw(layers(tuple(ACTIVATIONS))))
    # Smooth, so that rounding decides nothing.
    params |= draw(layers(("logistic", "tanh", "softplus"))) | {"objective": "log_loss"}
    return HillClimbMLP(**{"activation": "tanh"} | params)


@st.composite
def full_batches(draw):
    """Short trainings that see all samples at once and throw no dice over them."""
    return BackpropMLP(
        **draw(layers(DIFFERENTIABLE)),
        solver=draw(st.sampled_from(["adam", "sgd", "adamw", "rmsprop", "lbfgs"])),
        learning_rate=draw(st.sampled_from(["constant", "adaptive"])),
        loss=draw(st.sampled_from(["log_loss", "squared_error"])),
        alpha=draw(st.sampled_from([1e-4, 0.5])),
        learning_rate_init=draw(st.sampled_from([1e-3, 0.05])),
        batch_size=10_000,
        shuffle=False,
        max_iter=draw(st.integers(1, 5)),
        random_state=draw(SEEDS),
    )


def assert_same_training(one, other):
    """Compare two trainings that may differ by rounding."""
    curve = "loss_curve_" if isinstance(one, BackpropMLP) else "objective_curve_"
    assert_allclose(getattr(one, curve), getattr(other, curve), rtol=1e-6, atol=1e-9)
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@holds(problems(), climbers() | full_batches(), SEEDS, n_quick=25, n_long=2_000)
def test_order_of_the_samples(problem, clf, seed):
    X, y = problem
    order = np.random.default_rng(seed).permutation(len(y))
    assert_same_training(clone(clf).fit(X, y), clone(clf).fit(X[order], y[order]))


@holds(problems(), climbers() | full_batches(), SEEDS, n_quick=25, n_long=2_000)
def test_weights_and_repetitions(problem, clf, seed):
    X, y = problem
    weight = np.random.default_rng(seed).integers(4, size=len(y))
    weight[np.unique(y, return_index=True)[1]] += 1  # all classes remain
    choices = [None, {0: 0.5, 1: 3}]
    if getattr(clf, "objective", None) != "accuracy":
        # Whose sum is not exact, and on a plateau of the accuracy rounding decides.
        choices.append("balanced")
    for class_weight in choices:
        clf.set_params(class_weight=class_weight)
        weighted = clone(clf).fit(X, y, sample_weight=weight)
        repeated = clone(clf).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
        assert_same_training(weighted, repeated)


@holds(
    problems(),
    classifiers((0, 1), objectives=OBJECTIVES),
    KINDS_OF_NAMES,
    n_quick=40,
    n_long=2_000,
)
def test_names_of_the_classes(problem, clf, kind):
    X, y = problem
    y = np.minimum(y, len(NAMES[kind]) - 1)
    names = name_classes(np.arange(y.max() + 1), kind)
    try:
        numbered = clone(clf).fit(X, y)
        expected = names[numbered.predict(X)]
    except ValueError:
        reject()
    if isinstance(clf.class_weight, dict):
        by_name = {names.tolist()[k]: v for k, v in clf.class_weight.items()}
        clf.set_params(class_weight=by_name)
    named = clone(clf).fit(X, names[y])
    assert_same_weights(named, numbered)
    assert_array_equal(named.classes_, names)
    assert_array_equal(named.predict(X), expected)
    assert named.score(X, names[y]) == numbered.score(X, y)


@holds(
    problems(),
    climbers() | full_batches(),
    st.integers(-200, 200),
    n_quick=20,
    n_long=1_000,
)
def test_scale_of_the_features_and_the_first_weights(problem, clf, exponent):
    X, y = problem
    clf.fit(X, y)
    expected = clf.decision_function(X)
    scale = 2.0**exponent  # which multiplies exactly
    first = weights_of(clf)[0]
    first /= scale
    assert_array_equal(clf.decision_function(X * scale), expected)


@holds(problems(), climbers() | full_batches(), SEEDS, n_quick=20, n_long=1_000)
def test_order_of_the_features_and_the_first_weights(problem, clf, seed):
    X, y = problem
    clf.set_params(warm_start=True).fit(X, y)
    order = np.random.default_rng(seed).permutation(X.shape[1])
    other = deepcopy(clf)
    first = weights_of(other)[0]
    first[...] = first[order]
    assert_allclose(
        other.decision_function(X[:, order]), clf.decision_function(X), rtol=1e-9
    )
    if isinstance(clf, BackpropMLP):
        clf.fit(X, y)
        other.fit(X[:, order], y)
        assert_allclose(
            weights_of(other)[0], weights_of(clf)[0][order], rtol=1e-5, atol=1e-7
        )


@holds(
    problems(),
    classifiers((0, 1), objectives=OBJECTIVES),
    st.sampled_from(DENSE_FORMS),
    n_quick=40,
    n_long=2_000,
)
def test_form_of_the_samples(problem, clf, form):
    X, y = problem
    given = form(X)
    as_array = np.asarray(given, dtype=float)
    try:
        expected = clone(clf).fit(as_array, y)
        labels = expected.predict(as_array)
    except ValueError:
        reject()
    learned = clone(clf).fit(given, y)
    assert_same_weights(learned, expected)
    assert_array_equal(learned.predict(given), labels)


@holds(
    problems(),
    climbers() | full_batches(),
    st.sampled_from(SPARSE_FORMS),
    n_quick=40,
    n_long=2_000,
)
def test_zeros_that_are_not_stored(problem, clf, form):
    X, y = problem
    X = np.where(X > 0, X, 0)
    dense, spare = clone(clf).fit(X, y), clone(clf).fit(form(X), y)
    assert_same_training(spare, dense)
    assert_allclose(
        spare.decision_function(form(X)),
        dense.decision_function(X),
        rtol=1e-5,
        atol=1e-7,
    )
