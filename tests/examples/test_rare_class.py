"""The example of a rare class shows what early stopping sees of it."""

import pytest

import skperceptron
from examples import rare_class as example

pytestmark = pytest.mark.usefixtures("untracked")


@pytest.fixture(scope="module")
def fits():
    with skperceptron.config_context(tracking=False):
        return [example.fit(0, scoring) for scoring in example.SCORES]


@pytest.fixture(scope="module")
def scores():
    with skperceptron.config_context(tracking=False):
        return example.compare(n_seeds=3)


def test_scores_that_notice_the_class_find_more_of_it(scores):
    means = scores.groupby("scoring")[["test recall", "average precision"]].mean()
    for scoring in ("loss", "average_precision"):
        assert (means.loc[scoring] > 1.2 * means.loc["accuracy"]).all()


def test_figure_shows_what_each_fit_was_stopped_by(fits, scores):
    left, middle, right = example.draw(fits, scores).axes
    curve, *marks = left.lines[:1] + left.lines[1::2]
    longest = max(fits, key=lambda clf: clf.n_iter_)
    assert list(curve.get_ydata()) == longest.validation_loss_curve_
    for clf, mark in zip(fits, marks, strict=True):
        epoch = mark.get_xdata()[0]
        assert clf.validation_scores_[epoch - 1] == clf.best_validation_score_
    drawn = [list(line.get_ydata()) for line in middle.lines]
    assert drawn == [fits[0].validation_scores_, fits[2].validation_scores_]
    assert len(right.lines) == 3 + 1
