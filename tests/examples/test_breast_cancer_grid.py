"""The example of 216 networks keeps its promise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score

from examples import breast_cancer_grid as example

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

SMALL = {
    "activation": ["identity", "relu"],
    "batch_size": [16],
    "hidden_layer_sizes": [(1,), (32,)],
    "input_dropout": [0.0, 0.3],
    "learning_rate_init": [0.1, 1000.0],
}


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(return_X_y=True)


def test_grid_has_216_networks():
    assert np.prod([len(values) for values in example.GRID.values()]) == 216


def test_best_networks_reach_their_accuracy(cancer):
    grid = {**example.GRID, "batch_size": [32], "hidden_layer_sizes": [(32,)]}
    mean, std = example.score_grid(*cancer, 3, grid)
    assert mean.shape == std.shape == (2, 1, 1, 3, 4)
    assert np.nanmax(mean) > 0.97


def test_scores_are_those_of_their_parameters(cancer):
    mean, _ = example.score_grid(*cancer, 3, SMALL)
    for cell in [(0, 0, 1, 1, 0), (1, 0, 0, 0, 0)]:
        network = example.make_network(**example.as_params(cell, SMALL))
        assert mean[cell] == cross_val_score(network, *cancer, cv=3).mean()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_overflown_networks_are_nan_and_not_ranked(cancer):
    mean, _ = example.score_grid(*cancer, 3, SMALL)
    # Without a bend in the activation, nothing stops the weights from growing.
    assert np.isnan(mean[0, 0, :, 0, 1]).any()
    assert not np.isnan(mean[..., 0]).any()
    ranked = example.rank(mean)
    assert len(ranked) == np.count_nonzero(~np.isnan(mean))
    scores = [mean[cell] for cell in ranked]
    assert scores == sorted(scores, reverse=True)


def test_repetitions_share_samples_and_start_weights(cancer):
    X, y = cancer
    repetitions = example.make_repetitions(y, 3)
    first, validation = repetitions[0]
    assert not np.intersect1d(first, validation).size
    assert len(validation) == pytest.approx(len(y) / 5, abs=1)
    for fitted, others in repetitions[1:]:
        assert not np.array_equal(fitted, first)
        assert_array_equal(np.sort(fitted), np.sort(first))
        assert_array_equal(others, validation)
    starts, ends = (
        [
            example.make_network(learning_rate_init=rate)
            .fit(X[fitted], y[fitted])[-1]
            .coefs_[0]
            for fitted, _ in repetitions
        ]
        for rate in (1e-300, 0.1)
    )
    for start, end in zip(starts[1:], ends[1:], strict=True):
        assert_array_equal(start, starts[0])
        assert np.abs(end - ends[0]).max() > 1e-3


def test_two_way_tables_hold_or_average_the_others():
    scores = np.random.default_rng(0).random((2, 3, 3, 3, 4))
    scores[0, 0, 0, 0, 0] = np.nan
    names = ("batch_size", "input_dropout")
    held = example.two_way(scores, names, (1, 0, 2, 1, 3))
    assert_array_equal(held, scores[1, :, 2, :, 3])
    # Rows and columns change places.
    swapped = example.two_way(scores, names[::-1], (1, 0, 2, 1, 3))
    assert_array_equal(swapped, held.T)
    averaged = example.two_way(scores, names)
    assert averaged.shape == (3, 3)
    assert_allclose(averaged[2, 1], scores[:, 2, :, 1, :].mean())
    assert_allclose(averaged[0, 0], np.nanmean(scores[:, 0, :, 0, :]))
