"""The example draws what it tells: F2 is better where it is climbed on."""

import numpy as np
import pytest

from examples import decision_boundaries as example

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def scores():
    return example.compare(n_data_sets=2)


def test_one_class_is_rare():
    _, y = example.make_points(700, seed=0)
    assert np.bincount(y).tolist() == [600, 100]


def test_climb_on_f2_and_tuned_threshold_are_better_on_it_than_the_log_loss(scores):
    gradients, thresholds, tuned = scores.mean()
    assert thresholds > gradients + 0.03
    assert tuned > gradients + 0.03


def test_network_of_the_figure_has_thresholds_and_f2():
    _, climber, _ = example.make_networks(seed=0).values()
    assert climber.activation == "step"
    assert climber.objective is example.F2


def test_figure_shows_each_boundary_with_its_score():
    X, y = example.make_points(70, seed=0)
    fitted = {
        name: network.set_params(max_iter=5).fit(X, y)
        for name, network in list(example.make_networks(seed=0).items())[:2]
    }
    scores = dict(zip(fitted, (0.25, 0.75), strict=True))
    left, right = example.draw(fitted, X, y, scores).axes
    assert left.get_title().startswith("backpropagation")
    assert right.get_title() == "hill climbing\nhard thresholds, F2"
    assert right.get_xlabel() == "F2 on new points: 0.75"
    n_points = [len(points.get_offsets()) for points in right.collections[-2:]]
    assert n_points == [60, 10]
