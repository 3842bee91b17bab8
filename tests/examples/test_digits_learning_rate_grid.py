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


def map_part(digits, n_fitted=300, **grid):
    X, y = digits
    training, test, *_ = example.split_rows(y, seed=0)
    return example.map_grid(X, y, training[:n_fitted], test, "map", **grid)


def test_best_cells_reach_their_accuracy(digits):
    X, y = digits
    best = []
    for seed in range(3):
        training, test, *_ = example.split_rows(y, seed)
        test_map = example.map_grid(
            X, y, training, test, "map", etas=[0.01, 0.1], strengths=[1e-3, 1e-2]
        )
        assert max(test_map.cv_results_["mean_train_score"]) > 0.99
        best.append(test_map.best_score_)
    # Known of one split of others: 0.983 and 0.978.
    assert np.mean(best) > 0.97
    assert max(best) > 0.98


def test_scores_are_those_of_their_cells(digits):
    X, y = digits
    training, test, *_ = example.split_rows(y, seed=0)
    training = training[:300]
    search = map_part(digits, etas=[1e-3, 1e-2], strengths=[1e-5, 1.0])
    results = search.cv_results_
    cell = results["params"].index({"alpha": 1.0, "learning_rate_init": 0.1})
    clf = example.make_classifier(1e-3, 1.0).fit(X[training], y[training])
    assert results["mean_train_score"][cell] == clf.score(X[training], y[training])
    assert results["mean_test_score"][cell] == clf.score(X[test], y[test])


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_overflown_cells_have_no_score_and_are_never_best(digits):
    search = map_part(digits, etas=[1e-2, 1e1], strengths=[1e-5, 1e1])
    scores = search.cv_results_["mean_test_score"]
    assert_array_equal(np.isnan(scores), [False, False, False, True])
    assert search.best_params_ == {"alpha": 1e-5, "learning_rate_init": 1.0}


def test_cell_is_chosen_by_validation_data_and_judged_by_test_data(digits):
    X, y = digits
    training, test, *_ = example.split_rows(y, seed=1)
    grid = {"etas": [1e-3, 1e-2], "strengths": [1e-5, 0.1]}
    chosen, honest, test_map = example.choose_and_judge(X, y, 1, **grid)
    clf = example.make_classifier().set_params(**chosen).fit(X[training], y[training])
    assert honest == clf.score(X[test], y[test]) <= test_map.best_score_
    without_test_data = X.copy()
    without_test_data[test] = 0
    assert example.choose_and_judge(without_test_data, y, 1, **grid)[0] == chosen


def test_parts_are_kept_apart(digits):
    y = digits[1]
    training, test, fitted, validation = example.split_rows(y, seed=0)
    everything = np.arange(len(y))
    assert_array_equal(np.sort(np.concatenate([training, test])), everything)
    assert_array_equal(np.sort(np.concatenate([fitted, validation])), np.sort(training))


def test_one_small_step_per_epoch_teaches_nothing(digits):
    assert example.full_batch_accuracy(*digits, seed=0) < 0.3


def test_figure_frames_the_chosen_cell(digits):
    search = map_part(digits, etas=[1e-3, 1e-2, 1e-1], strengths=[1e-5, 1e-1])
    chosen = {"alpha": 1e-1, "learning_rate_init": 1.0}
    figure = example.draw({"a network": (chosen, search)})
    training, test = figure.axes[:2]
    assert test.get_title() == "a network, test data"
    for ax in (training, test):
        # Second column, second row.
        assert ax.patches[-1].get_bbox().bounds == (0.5, 0.5, 1, 1)
