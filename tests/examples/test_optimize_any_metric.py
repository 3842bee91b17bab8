"""The example of a metric that no gradient reaches keeps its promise."""

import numpy as np
import pytest
from sklearn.metrics import fbeta_score

from examples import optimize_any_metric as example

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_climbing_on_the_metric_beats_every_threshold():
    direct, *rivals = example.compare(example.f2, range(2)).values()
    for rival in rivals:
        assert np.mean(direct) > np.mean(rival) + 0.01


@pytest.mark.parametrize("weighted", [False, True])
def test_f2_is_what_scikit_learn_computes(weighted):
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(2, size=(2, 300))
    weight = rng.uniform(size=300) if weighted else None
    expected = fbeta_score(y_true, y_pred, beta=2, sample_weight=weight)
    value = example.f2(y_true, y_pred, sample_weight=weight)
    # The denominator is at least 1, which is far from it here.
    assert value == pytest.approx(expected)


def test_cost_counts_both_kinds_of_mistakes():
    y_true, y_pred = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])
    assert example.negative_cost(y_true, y_pred) == -11 / 4
    weight = np.array([1, 0, 1, 0])
    assert example.negative_cost(y_true, y_pred, sample_weight=weight) == -1 / 2
