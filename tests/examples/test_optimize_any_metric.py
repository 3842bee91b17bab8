"""The example of a metric that no gradient reaches keeps its promise."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import fbeta_score

from examples import optimize_any_metric as example

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.slow
def test_climbing_on_the_metric_beats_every_threshold():
    scores = example.compare(example.f2, n_seeds=2)
    behind = example.summarise(scores)["behind by"]
    assert behind[example.DIRECT] == 0
    assert (behind.drop(example.DIRECT) > 0.01).all()


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


def test_summary_says_how_far_each_is_behind_the_direct_one():
    scores = pd.DataFrame({example.DIRECT: [0.7, 0.9], "rival": [0.6, 0.6]})
    rival = example.summarise(scores).loc["rival"]
    assert rival["mean"] == pytest.approx(0.6)
    assert rival["behind by"] == pytest.approx(0.2)
    # The differences are 0.1 and 0.3.
    assert rival["±"] == pytest.approx(np.std([0.1, 0.3], ddof=1) / np.sqrt(2))


def test_figure_has_a_row_per_classifier_the_direct_one_on_top():
    scores = pd.DataFrame({example.DIRECT: [0.7, 0.9], "rival": [0.6, 0.6]})
    ax, _ = example.draw({"F2": scores, "negative cost": scores}).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(scores)
    assert ax.get_xlabel().startswith("F2")
    bottom, top = ax.get_ylim()
    assert bottom > top
