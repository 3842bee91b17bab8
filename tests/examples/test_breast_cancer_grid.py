"""The example of 216 networks keeps its promise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import ParameterGrid, cross_val_score

from examples import breast_cancer_grid as example
from skperceptron.tracking import MLflowTracker

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

SMALL = {
    "backpropmlp__activation": ["identity", "relu"],
    "backpropmlp__batch_size": [16, 32],
    "backpropmlp__input_dropout": [0.0, 0.3],
    "backpropmlp__learning_rate_init": [0.1, 1000.0],
}


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(return_X_y=True)


def search_grid(X, y, cv, grid, refit=False):
    tracker = MLflowTracker(run_name="search", log_folds=False)
    return example.search_grid(X, y, cv, tracker, grid, refit=refit)


@pytest.fixture(scope="module")
def small(cancer):
    return search_grid(*cancer, 3, SMALL)


def test_grid_has_216_networks():
    assert len(ParameterGrid(example.GRID)) == 216


def test_best_networks_reach_their_accuracy(cancer):
    grid = {
        **example.GRID,
        "backpropmlp__batch_size": [32],
        "backpropmlp__hidden_layer_sizes": [(32,)],
        "backpropmlp__input_dropout": [0.0],
    }
    # Known of other networks without dropout: 0.977.
    assert search_grid(*cancer, 3, grid).best_score_ > 0.97


def test_scores_are_those_of_their_parameters(cancer, small):
    params = {
        "backpropmlp__activation": "relu",
        "backpropmlp__batch_size": 32,
        "backpropmlp__input_dropout": 0.3,
        "backpropmlp__learning_rate_init": 0.1,
    }
    row = small.cv_results_["params"].index(params)
    network = example.make_network().set_params(**params)
    expected = cross_val_score(network, *cancer, cv=3).mean()
    assert small.cv_results_["mean_test_score"][row] == expected


def test_overflown_networks_have_no_score_and_are_last(small):
    table = example.as_table(small, small)
    assert table["3 folds"].iloc[0] == small.best_score_
    failed = table[table["3 folds"].isna()]
    assert set(failed["learning_rate_init"]) == {1000.0}
    assert table["3 folds"].iloc[-len(failed) :].isna().all()


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
            example.make_network()
            .set_params(backpropmlp__learning_rate_init=rate)
            .fit(X[fitted], y[fitted])[-1]
            .coefs_[0]
            for fitted, _ in repetitions
        ]
        for rate in (1e-300, 0.1)
    )
    for start, end in zip(starts[1:], ends[1:], strict=True):
        assert_array_equal(start, starts[0])
        assert np.abs(end - ends[0]).max() > 1e-3


def test_table_has_mean_and_deviation_of_the_repetitions(cancer):
    X, y = cancer
    grid = {name: values[:1] for name, values in SMALL.items()}
    repetitions = example.make_repetitions(y, 3)
    repeated = search_grid(X, y, repetitions, grid)
    row = example.as_table(search_grid(X, y, 3, grid), repeated).iloc[0]
    network = example.make_network().set_params(**repeated.best_params_)
    scores = [
        network.fit(X[fitted], y[fitted]).score(X[others], y[others])
        for fitted, others in repetitions
    ]
    assert_allclose([row["repetitions"], row["std"]], [np.mean(scores), np.std(scores)])


def test_maps_hold_or_average_the_other_hyperparameters(small):
    held, averaged = (ax for ax in example.draw(small).axes if ax.get_xlabel())
    best = small.best_params_
    assert f"activation = {best['backpropmlp__activation']}" in held.get_title()
    assert averaged.get_title().startswith("mean over activation, learning_rate_init")
    assert held.get_xlabel() == averaged.get_xlabel() == "batch_size"
    assert held.get_ylabel() == averaged.get_ylabel() == "input_dropout"
