"""The textbook example shows where known single runs lie in a distribution."""

import numpy as np
import pandas as pd
import pytest

from examples import hill_climbing_textbook as example

pytestmark = pytest.mark.usefixtures("untracked")


def assert_known_run_is_within(network, climbs):
    for part, accuracy in example.KNOWN_RUNS[network].items():
        assert climbs[part].min() < accuracy < climbs[part].max()


def test_known_run_of_the_perceptron_is_one_of_many():
    # It was a lucky one on its training data: few in a thousand do better.
    assert_known_run_is_within("perceptron", example.repeat(600, ["perceptron"]))


def test_known_run_of_the_mlp_is_an_ordinary_one():
    climbs = example.repeat(60, ["MLP 5-10-1"])
    assert_known_run_is_within("MLP 5-10-1", climbs)
    for part, accuracy in example.KNOWN_RUNS["MLP 5-10-1"].items():
        assert climbs[part].quantile(0.1) < accuracy < climbs[part].quantile(0.9)


def test_start_weights_know_nothing():
    starts = example.repeat(60, max_iter=0).groupby("network")["test"]
    assert starts.mean().between(0.45, 0.55).all()
    # A known perceptron had 0.55 at its start, a known MLP 0.50.
    assert starts.min()["perceptron"] < 0.55 < starts.max()["perceptron"]
    assert starts.min()["MLP 5-10-1"] < 0.50 < starts.max()["MLP 5-10-1"]


def test_splits_and_climbs_are_those_of_their_seeds():
    climbs = example.repeat(3, ["perceptron"])
    assert climbs["seed"].tolist() == [0, 1, 2]
    _, again = example.fit("perceptron", 2)
    assert climbs.loc[2, ["train", "test"]].to_dict() == again
    assert climbs["train"].nunique() > 1


def test_steps_that_move_few_weights_leave_the_plateau_later():
    by_share = example.vary_shares(20, [0.05, 1.0]).groupby(["network", "share"])
    means = by_share["test"].mean()
    assert means["MLP 5-10-1", 1.0] > means["MLP 5-10-1", 0.05] + 0.1
    assert means["perceptron", 1.0] > 0.8


def test_description_has_quantiles_and_the_rank_of_the_known_run():
    accuracies = np.linspace(0.8, 0.9, 101)
    climbs = pd.concat(
        pd.DataFrame({"network": network, "train": accuracies, "test": accuracies})
        for network in example.NETWORKS
    )
    row = example.describe(climbs).loc[("perceptron", "test")]
    assert row[0.5] == pytest.approx(0.85)
    assert row["known run"] == 0.818
    assert row["% below it"] == pytest.approx(100 * 18 / 101)


def test_figure_shows_curves_distributions_and_shares():
    curves = {"a climb": example.fit("perceptron", 0)[0]}
    climbs = example.repeat(2)
    figure = example.draw(curves, climbs, example.vary_shares(2, [0.5, 1.0]))
    left, _, right = figure.axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["a climb"]
    assert len(right.containers) == len(example.NETWORKS)
