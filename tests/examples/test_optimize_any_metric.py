"""The example of metrics as objectives says when climbing on them pays."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import fbeta_score
from sklearn.tree import DecisionTreeClassifier

from examples import optimize_any_metric as example

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.slow
def test_a_climb_on_the_accuracy_bears_wrong_labels():
    by_share = example.compare_by_wrong_labels(n_splits=3)
    behind = example.summarise(by_share[0.2])["behind by"]
    assert behind[example.DIRECT] == 0
    assert (behind.drop(example.DIRECT) > 0.01).all()


@pytest.mark.slow
def test_networks_find_rare_digits_that_linear_rules_miss():
    mean = example.summarise(example.compare(example.f2, n_splits=2))["mean"]
    assert mean["BackpropMLP, tuned"] > mean[example.DIRECT] + 0.05


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(2, size=(2, 300))


def test_f2_is_what_scikit_learn_computes(labels):
    assert example.f2(*labels) == pytest.approx(fbeta_score(*labels, beta=2))


def test_cost_counts_both_kinds_of_mistakes():
    y_true, y_pred = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])
    assert example.negative_cost(y_true, y_pred) == -11 / 4


@pytest.mark.parametrize("metric", example.OBJECTIVES)
def test_climbs_maximise_the_metric_by_which_all_are_judged(metric, labels):
    y_true, y_pred = labels
    X = y_pred[:, np.newaxis]
    repeats_the_feature = DecisionTreeClassifier().fit(X, y_pred)
    score = example.OBJECTIVES[metric](repeats_the_feature, X, y_true)
    assert score == pytest.approx(metric(y_true, y_pred))


def test_splits_are_the_same_for_all_metrics():
    X, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    first, second = (list(example.split(X, y, n_splits=2)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0][0], first[1][0])


def test_features_are_standardised_by_the_training_part():
    X = np.random.default_rng(0).normal(5, 3, size=(100, 2))
    X_train, y_train, X_test, y_test = next(example.split(X, np.arange(100) % 2, 1))
    np.testing.assert_allclose(X_train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(X_train.std(axis=0), 1)
    assert len(X_train) == len(y_train) == 60
    assert len(X_test) == len(y_test) == 40


def test_summary_says_how_far_each_is_behind_the_direct_one():
    scores = pd.DataFrame({example.DIRECT: [0.7, 0.9], "rival": [0.6, 0.6]})
    rival = example.summarise(scores).loc["rival"]
    assert rival["mean"] == pytest.approx(0.6)
    assert rival["behind by"] == pytest.approx(0.2)
    # The differences are 0.1 and 0.3.
    assert rival["±"] == pytest.approx(np.std([0.1, 0.3], ddof=1) / np.sqrt(2))


def test_figure_has_a_row_per_classifier_and_a_line_per_classifier():
    scores = pd.DataFrame({example.DIRECT: [0.7, 0.9], "rival": [0.6, 0.6]})
    results, by_share = {"F2": scores, "cost": scores}, {0.0: scores, 0.2: scores / 2}
    first, _, last = example.draw(results, by_share).axes
    assert [tick.get_text() for tick in first.get_yticklabels()] == list(scores)
    assert first.get_xlabel().startswith("F2")
    bottom, top = first.get_ylim()
    assert bottom > top
    direct, rival = (container.lines[0] for container in last.containers)
    np.testing.assert_allclose(direct.get_xdata(orig=False), [0, 20])
    np.testing.assert_allclose(rival.get_ydata(orig=False), [0.6, 0.3])
