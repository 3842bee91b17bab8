"""What early stopping validates on, and which score it watches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris, make_classification
from sklearn.metrics import (
    accuracy_score,
    get_scorer,
    make_scorer,
    mean_pinball_loss,
)

from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbPerceptron,
)

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = load_iris(return_X_y=True)
X, X_VAL, y, Y_VAL = X[::2], X[1::2], y[::2], y[1::2]
WEIGHT_VAL = np.linspace(0, 2, len(Y_VAL))
OWN = {"X_val": X_VAL, "y_val": Y_VAL}
NUMBERS, NUMBERS_VAL = X[:, 2:] - X[:, :2], X_VAL[:, 2:] - X_VAL[:, :2]
NETWORKS = [
    BackpropMLP((5,), learning_rate_init=0.01, max_iter=30, random_state=0),
    HillClimbMLP((5,), n_restarts=2, max_iter=60, random_state=0),
    HillClimbPerceptron(n_restarts=1, max_iter=60, random_state=0),
]
every_network = pytest.mark.parametrize("network", NETWORKS, ids=lambda n: str(n)[:15])


def stopping_early(network, **params):
    params = {"early_stopping": True, **params}
    return type(network)(**{**network.get_params(), **params})


def pinball_of_both(estimator, X, y, sample_weight=None):
    predicted = estimator.predict(X)
    return -mean_pinball_loss(y, predicted, alpha=0.9, sample_weight=sample_weight)


class TestScore:
    @every_network
    @pytest.mark.parametrize(
        "scoring", ["f1_macro", make_scorer(accuracy_score), "roc_auc_ovr"]
    )
    def test_is_that_of_the_scorer(self, network, scoring):
        if scoring == "roc_auc_ovr" and not hasattr(network, "predict_proba"):
            scoring = "neg_mean_squared_error"
        clf = stopping_early(network, scoring=scoring)
        clf.fit(X, y, **OWN, sample_weight_val=WEIGHT_VAL)
        scorer = get_scorer(scoring)
        found = scorer(clf, X_VAL, Y_VAL, sample_weight=WEIGHT_VAL)
        assert clf.best_validation_score_ == max(clf.validation_scores_) == found

    @every_network
    def test_is_by_default_what_it_has_always_been(self, network):
        clf = stopping_early(network).fit(X, y, **OWN)
        objective = getattr(network, "objective", "accuracy")
        scorer = get_scorer({"log_loss": "neg_log_loss"}.get(objective, objective))
        found = scorer(clf, X_VAL, Y_VAL)
        assert clf.best_validation_score_ == pytest.approx(found, rel=1e-12)

    @pytest.mark.parametrize(
        ("scoring", "scorer"),
        [
            (None, get_scorer("r2")),
            ("neg_mean_absolute_error", get_scorer("neg_mean_absolute_error")),
            (pinball_of_both, pinball_of_both),
        ],
    )
    def test_of_numbers(self, scoring, scorer):
        reg = BackpropMLPRegressor(early_stopping=True, scoring=scoring)
        reg.set_params(hidden_layer_sizes=(5,), max_iter=20, random_state=0)
        reg.fit(X, NUMBERS, X_val=X_VAL, y_val=NUMBERS_VAL)
        found = scorer(reg, X_VAL, NUMBERS_VAL)
        assert reg.best_validation_score_ == pytest.approx(found, rel=1e-12)

    @pytest.mark.parametrize("kind", [BackpropMLP, BackpropMLPRegressor])
    def test_of_the_loss_is_its_negative(self, kind):
        estimator = kind(early_stopping=True, scoring="loss", max_iter=20).fit(X, y)
        losses = np.array(estimator.validation_loss_curve_)
        assert_array_equal(estimator.validation_scores_, -losses)
        assert estimator.best_validation_score_ == -losses.min()

    def test_stops_the_fit(self):
        network = stopping_early(NETWORKS[0], n_iter_no_change=3, max_iter=1000)
        rising, constant = iter(range(9999)), lambda *_: 1.0
        clf = network.set_params(scoring=lambda *_: float(next(rising))).fit(X, y)
        assert clf.n_iter_ == 1000
        assert network.set_params(scoring=constant).fit(X, y).n_iter_ == 5

    def test_starts_a_new_curve_where_it_is_another_one(self):
        clf = stopping_early(NETWORKS[0], max_iter=3, warm_start=True)
        clf.set_params(scoring="loss").fit(X, y).fit(X, y)
        assert len(clf.validation_scores_) == len(clf.loss_curve_) == 6
        clf.set_params(scoring="accuracy").fit(X, y)
        assert len(clf.validation_scores_) == len(clf.loss_curve_) == 3
        assert min(clf.validation_scores_) >= 0

    def test_of_a_rare_class_needs_more_than_the_accuracy(self):
        samples, is_rare = make_classification(
            3000, n_informative=10, weights=[0.98], flip_y=0, random_state=0
        )
        found = {}
        for scoring in (None, "average_precision", "loss"):
            clf = stopping_early(BackpropMLP((30,), random_state=0), scoring=scoring)
            clf.fit(samples[::2], is_rare[::2])
            of_class = get_scorer("average_precision")
            found[scoring] = of_class(clf, samples[1::2], is_rare[1::2])
        assert 2 * found[None] < min(found["average_precision"], found["loss"])


class TestOwnValidationData:
    @every_network
    def test_leave_all_others_to_training(self, network):
        to_the_end = {"n_iter_no_change": 10_000, "n_restarts": 0}
        params = network.get_params() | to_the_end
        known = {name: params[name] for name in network.get_params()}
        plain = type(network)(**known).fit(X, y)
        clf = stopping_early(plain).fit(X, y, **OWN)
        for name in ("loss_curve_", "objective_curve_"):
            if hasattr(plain, name):
                assert_array_equal(getattr(clf, name), getattr(plain, name))

    @every_network
    @pytest.mark.parametrize(
        "form", [csr_matrix, pd.DataFrame, np.float32, list], ids=lambda f: f.__name__
    )
    def test_may_have_any_form_of_samples(self, network, form):
        as_form = (lambda x: x.tolist()) if form is list else form
        other = stopping_early(network).fit(as_form(X), y, X_val=X_VAL, y_val=Y_VAL)
        if form is pd.DataFrame:
            other = stopping_early(network)
            other.fit(form(X), y, X_val=form(X_VAL), y_val=pd.Series(Y_VAL))
        clf = stopping_early(network)
        clf.fit(X.astype(np.float32) if form is np.float32 else X, y, **OWN)
        assert other.validation_scores_ == pytest.approx(clf.validation_scores_)

    @every_network
    def test_count_for_as_much_as_their_classes_in_training(self, network):
        weight = {0: 1, 1: 0.25, 2: 4}
        by_class, by_sample = (stopping_early(network, class_weight=weight), network)
        by_class.fit(X, y, **OWN)
        by_sample = stopping_early(network)
        factors = np.array([1, 0.25, 4])
        by_sample.fit(X, y, factors[y], **OWN, sample_weight_val=factors[Y_VAL])
        assert by_class.validation_scores_ == by_sample.validation_scores_

    @every_network
    def test_need_not_have_every_class(self, network):
        clf = stopping_early(network, class_weight="balanced", warm_start=True)
        two = Y_VAL > 0
        for _ in range(2):
            clf.fit(X, y, X_val=X_VAL[two], y_val=Y_VAL[two])
        assert clf.validation_scores_

    def test_of_several_labels(self):
        labels, labels_val = X.mean(axis=0) < X, X.mean(axis=0) < X_VAL
        clf = stopping_early(NETWORKS[0], max_iter=50)
        clf.fit(X, labels.astype(int), X_val=X_VAL, y_val=labels_val.astype(int))
        assert clf.best_validation_score_ == clf.score(X_VAL, labels_val.astype(int))


class TestRefused:
    @every_network
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"X_val": X_VAL}, "got only X_val"),
            ({"y_val": Y_VAL}, "got only y_val"),
            ({"sample_weight_val": WEIGHT_VAL}, "got only sample_weight_val"),
            ({**OWN, "X_val": X_VAL[:, 1:]}, "3 features, but .* expecting 4"),
            ({**OWN, "X_val": X_VAL[1:]}, "inconsistent numbers of samples"),
            ({**OWN, "X_val": X_VAL * [np.inf, 1, 1, 1]}, "infinity"),
            ({**OWN, "y_val": Y_VAL + 1}, "classes not in"),
            ({**OWN, "y_val": np.array(["a"] * 75)}, "cannot be validated on"),
            ({**OWN, "sample_weight_val": WEIGHT_VAL[1:]}, "sample_weight"),
            ({**OWN, "sample_weight_val": 0 * WEIGHT_VAL}, "non-zero number"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_validation_data_that_cannot_be_used(self, network, given, message):
        with pytest.raises(ValueError, match=message):
            stopping_early(network).fit(X, y, **given)

    @every_network
    def test_validation_data_without_early_stopping(self, network):
        with pytest.raises(ValueError, match="Set early_stopping=True"):
            type(network)(**network.get_params()).fit(X, y, **OWN)

    def test_validation_data_with_lbfgs(self):
        clf = stopping_early(NETWORKS[0], solver="lbfgs")
        with pytest.raises(ValueError, match="another solver than 'lbfgs'"):
            clf.fit(X, y, **OWN)

    def test_numbers_beyond_the_precision_of_training(self):
        clf = stopping_early(NETWORKS[0])
        with pytest.raises(ValueError, match="too large for dtype\\('float32'\\)"):
            clf.fit(X.astype(np.float32), y, X_val=X_VAL * 1e300, y_val=Y_VAL)

    def test_other_numbers_of_outputs(self):
        reg = BackpropMLPRegressor(early_stopping=True)
        with pytest.raises(ValueError, match=r"as many columns .* \(75, 2\)"):
            reg.fit(X, NUMBERS, X_val=X_VAL, y_val=NUMBERS_VAL[:, 0])

    @every_network
    @pytest.mark.parametrize(
        ("scoring", "message"),
        [
            (lambda *_: "high", "one finite number, got 'high'"),
            (lambda *_: np.nan, "one finite number, got nan"),
            (accuracy_score, "metric function rather than a scorer"),
            ("f1", "scoring='f1' cannot be evaluated.*average='macro'"),
        ],
    )
    def test_scores_that_cannot_be_compared(self, network, scoring, message):
        with pytest.raises(ValueError, match=message):
            stopping_early(network, scoring=scoring).fit(X, y, **OWN)
