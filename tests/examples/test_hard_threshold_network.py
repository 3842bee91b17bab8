"""The example of a network without any gradient keeps its promise."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from examples import hard_threshold_network as example
from skperceptron import HillClimbMLP

pytestmark = pytest.mark.usefixtures("untracked")


def test_thresholds_do_as_well_as_logistic_units_on_breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    step, logistic = (
        example.held_out_accuracies(X, y, activation, seeds=range(3), max_iter=5000)
        for activation in ("step", "logistic")
    )
    assert np.mean(step) > 0.95
    assert np.mean(step) > np.mean(logistic) - 0.02


def test_prediction_takes_additions_and_comparisons_only():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    clf = HillClimbMLP(activation="step", max_iter=500, random_state=0).fit(X, y)
    assert_array_equal(example.predict_by_hand(clf, X), clf.predict(X))
