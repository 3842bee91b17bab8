"""The example of a network without any gradient keeps its promise."""

import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_breast_cancer

from examples import hard_threshold_network as example

pytestmark = pytest.mark.usefixtures("untracked")


@pytest.fixture(scope="module")
def compared():
    return example.compare("breast cancer", max_iter=5000)


def test_thresholds_do_as_well_as_logistic_units_on_breast_cancer(compared):
    scores, _ = compared
    assert len(scores) == 3
    assert scores["step"].mean() > 0.95
    assert scores["step"].mean() > scores["logistic"].mean() - 0.02


def test_prediction_takes_additions_and_comparisons_only(compared):
    clf = compared[1]["step"]
    X, _ = load_breast_cancer(return_X_y=True)
    by_hand = example.predict_by_hand(clf[-1], clf[:-1].transform(X))
    assert_array_equal(by_hand, clf.predict(X))


def test_figure_has_curves_and_accuracies_of_each_data_set(compared):
    figure = example.draw({"breast cancer": compared, "again": compared})
    first, scores, again, _ = figure.axes
    assert first.get_title() == "breast cancer, one split"
    assert again.get_title() == "again, one split"
    assert all((line.get_ydata() > 0).all() for line in first.lines)
    names = [text.get_text() for text in first.get_legend().get_texts()]
    assert names == [tick.get_text() for tick in scores.get_xticklabels()]
    assert names == ["step", "logistic"]
