"""The example of early stopping shows what it is worth."""

import numpy as np
import pytest

import skperceptron
from examples import early_stopping as example

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def scores():
    with skperceptron.config_context(tracking=False):
        return example.compare(n_splits=5)


def test_early_stopping_is_more_accurate_after_fewer_epochs(scores):
    means = scores.groupby("way").mean()
    gain = means.loc["early stopping"] - means.loc["300 epochs"]
    assert gain["test accuracy"] > 0.02
    assert gain["test log loss"] < -0.5
    assert means.loc["300 epochs", "epochs"] == 300
    assert means.loc["early stopping", "epochs"] < 50


def test_validation_loss_rises_again_while_the_training_loss_falls():
    watched = example.watch()
    best = int(np.argmin(watched.validation_loss_curve_))
    assert 0 < best < 50
    assert watched.validation_loss_curve_[-1] > 2 * watched.validation_loss_curve_[best]
    assert watched.loss_curve_[-1] < 0.1 * watched.loss_curve_[best]


def test_both_ways_are_compared_on_the_same_splits(scores):
    assert scores["split"].value_counts().eq(2).all()
    X_train, X_test, y_train, y_test = example.load_patients(3)
    clf = example.make_network(3, **example.WAYS["early stopping"])
    row = scores.query("way == 'early stopping' and split == 3").iloc[0]
    assert row["test accuracy"] == clf.fit(X_train, y_train).score(X_test, y_test)


def test_figure_shows_both_losses_and_a_line_per_split(scores):
    watched = example.watch()
    left, middle, right = example.draw(watched, scores).axes
    training, validation, best = left.lines
    assert list(training.get_ydata()) == watched.loss_curve_
    assert list(validation.get_ydata()) == watched.validation_loss_curve_
    assert best.get_xdata()[0] == 1 + np.argmax(watched.validation_scores_)
    assert list(middle.lines[0].get_ydata()) == watched.validation_scores_
    assert len(right.lines) == 5 + 1
