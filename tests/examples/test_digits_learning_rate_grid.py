"""The example of a grid of learning rates and penalties keeps its promise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from examples import digits_learning_rate_grid as example

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def digits():
    return example.load_centred_digits()


def descend_by_hand(clf, X, y, eta, strength):
    """One epoch against summed gradients, from the start weights of a classifier."""
    clf.set_params(learning_rate_init=1e-300, shuffle=False, max_iter=1).fit(X, y)
    (W1, W2), (b1, b2) = clf.coefs_, clf.intercepts_
    for start in range(0, len(X), example.BATCH_SIZE):
        rows = slice(start, start + example.BATCH_SIZE)
        hidden = 1 / (1 + np.exp(-(X[rows] @ W1 + b1)))
        z = np.exp(hidden @ W2 + b2)
        delta2 = z / z.sum(axis=1, keepdims=True) - np.eye(10)[y[rows]]
        delta1 = delta2 @ W2.T * hidden * (1 - hidden)
        W2 = W2 - eta * (hidden.T @ delta2 + strength * W2)
        W1 = W1 - eta * (X[rows].T @ delta1 + strength * W1)
        b2, b1 = b2 - eta * delta2.sum(axis=0), b1 - eta * delta1.sum(axis=0)
    return [W1, W2], [b1, b2]


def test_translated_units_are_those_of_summed_gradients(digits):
    X, y = (a[:300] for a in digits)
    eta, strength = 0.01, 0.5
    clf = example.make_classifier(eta, strength)
    coefs, intercepts = descend_by_hand(
        example.make_classifier(eta, strength), X, y, eta, strength
    )
    clf.set_params(shuffle=False, max_iter=1).fit(X, y)
    for got, expected in zip(
        clf.coefs_ + clf.intercepts_, coefs + intercepts, strict=True
    ):
        assert_allclose(got, expected, rtol=1e-8, atol=1e-10)


def test_best_cells_reach_their_accuracy(digits):
    X, y = digits
    best = []
    for seed in range(3):
        training, test, *_ = example.split_rows(y, seed)
        on_training, on_test = example.map_accuracies(
            X, y, (training, test), etas=[0.01, 0.1], strengths=[1e-3, 1e-2]
        )
        assert on_training.max() > 0.99
        best.append(on_test.max())
    assert np.mean(best) > 0.97


def test_rows_are_learning_rates_and_columns_are_penalties(digits):
    X, y = digits
    training, test, *_ = example.split_rows(y, seed=0)
    training = training[:300]
    etas, strengths = [1e-3, 1e-2], [1e-5, 1e-1, 1.0]
    on_training, on_test = example.map_accuracies(
        X, y, (training, test), etas=etas, strengths=strengths
    )
    assert on_training.shape == on_test.shape == (2, 3)
    clf = example.make_classifier(etas[1], strengths[2]).fit(X[training], y[training])
    assert on_training[1, 2] == clf.score(X[training], y[training])
    assert on_test[1, 2] == clf.score(X[test], y[test])


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_overflown_cells_are_nan_and_never_best(digits):
    X, y = digits
    training, test, *_ = example.split_rows(y, seed=0)
    _, on_test = example.map_accuracies(
        X, y, (training[:300], test), etas=[1e-2, 1e1], strengths=[1e-5, 1e1]
    )
    assert_array_equal(np.isnan(on_test), [[False, False], [False, True]])
    assert example.best_cell(on_test) == (0, 0)


def test_parts_are_kept_apart(digits):
    y = digits[1]
    training, test, fitted, validation = example.split_rows(y, seed=0)
    everything = np.arange(len(y))
    assert_array_equal(np.sort(np.concatenate([training, test])), everything)
    assert_array_equal(np.sort(np.concatenate([fitted, validation])), np.sort(training))


def test_table_has_a_row_per_learning_rate():
    accuracies = np.arange(49).reshape(7, 7) / 49
    accuracies[6, 6] = np.nan
    heading, *rows = example.as_table(accuracies).splitlines()
    decades = pytest.approx(example.DECADES)
    assert [float(value) for value in heading.split()[3:]] == decades
    assert [float(row.split()[0]) for row in rows] == decades
    assert [row.split()[-1] for row in rows] == [
        *(f"{value:.3f}" for value in accuracies[:6, 6]),
        "nan",
    ]


def test_one_small_step_per_epoch_teaches_nothing(digits):
    assert example.full_batch_accuracy(*digits, seed=0) < 0.3


def test_gradient_vanishes_in_logistic_layers_only(digits):
    logistic, _ = example.gradient_ratio(*digits, "logistic", "glorot_normal")
    relu, _ = example.gradient_ratio(*digits, "relu", "he_normal")
    assert logistic < 0.01
    assert 0.1 < relu < 10
