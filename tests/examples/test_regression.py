"""The example of regression shows what its losses are good for."""

import pytest

from examples import regression as example

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def quantiles():
    return example.predict_quantiles()


@pytest.fixture(scope="module")
def scores():
    return example.compare(n_splits=2, shares=(0.0, 0.05))


def test_an_interval_has_about_the_share_of_patients_that_it_names(quantiles):
    assert abs(example.share_inside(*quantiles) - 0.8) < 0.05


def test_losses_that_grow_linearly_bear_wrong_targets(scores):
    means = scores.groupby(["wrong", "loss"])["R2"].mean()
    assert min(means[0.0, loss] for loss in example.LOSSES) > 0.2
    assert min(means[0.05, loss] for loss in ("huber", "absolute_error")) > 0.15
    assert means[0.05, "squared_error"] < 0


def test_figure_shows_patients_and_losses(quantiles, scores):
    left, right = example.draw(*quantiles, scores).axes
    assert len(left.lines) == 2
    assert len(right.lines) == len(example.LOSSES) + 1
