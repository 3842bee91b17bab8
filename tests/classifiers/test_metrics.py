"""Metrics that are compiled: scikit-learn's values, and the decisions they lead to."""

import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.sparse import csr_array
from sklearn import metrics
from sklearn.datasets import make_classification
from sklearn.metrics import get_scorer, make_scorer

from skperceptron import HillClimbMLP, HillClimbPerceptron
from skperceptron.classifiers._objectives import find_metric
from skperceptron.metrics import cost_matrix_score
from skperceptron.network import OUTPUT_ACTIVATIONS
from skperceptron.optim import MetricOfSums
from skperceptron.optim.climbs._hill_climb import HillClimb

pytestmark = pytest.mark.usefixtures("untracked")

COSTS = [[0, 5, 1, 2], [1, 0, 3, 0.5], [2, 2, -1, 4], [0.1, 7, 3, 0]]


def costs(n_classes):
    return make_scorer(cost_matrix_score, costs=np.array(COSTS)[:n_classes, :n_classes])


AVERAGED = {
    "precision": make_scorer(metrics.precision_score, average="weighted"),
    "recall": make_scorer(metrics.recall_score, average="macro", labels=[1, 0]),
    "f1_macro": "f1_macro",
    "f1_micro": "f1_micro",
    "f1_weighted": "f1_weighted",
    "f2": make_scorer(metrics.fbeta_score, beta=2, average="macro", zero_division=0),
    "f_inf": make_scorer(metrics.fbeta_score, beta=np.inf, average="macro"),
    "jaccard": make_scorer(metrics.jaccard_score, average="weighted"),
    "jaccard_micro": "jaccard_micro",
}
OF_COUNTS = {
    **AVERAGED,
    "balanced_accuracy": "balanced_accuracy",
    "adjusted": make_scorer(metrics.balanced_accuracy_score, adjusted=True),
    "function": metrics.balanced_accuracy_score,
    "matthews": "matthews_corrcoef",
    "partial": partial(metrics.f1_score, average="macro"),
    "kappa": make_scorer(metrics.cohen_kappa_score),
    "linear": make_scorer(metrics.cohen_kappa_score, weights="linear"),
    "quadratic": make_scorer(partial(metrics.cohen_kappa_score, weights="quadratic")),
    "negated": make_scorer(metrics.f1_score, average="macro", greater_is_better=False),
}
BINARY = {
    "precision_1": "precision",
    "recall_0": make_scorer(metrics.recall_score, pos_label=0),
    "f1": "f1",
    "f1_function": metrics.f1_score,
    "f_half": make_scorer(metrics.fbeta_score, beta=0.5),
    "jaccard_1": "jaccard",
}
OF_SUMS = {
    "log_loss": "neg_log_loss",
    "brier": "neg_brier_score",
    "average_precision": "average_precision",
    "average_precision_weighted": make_scorer(
        metrics.average_precision_score,
        average="weighted",
        response_method="predict_proba",
    ),
    "roc_auc_ovr": "roc_auc_ovr",
    "roc_auc_ovr_weighted": "roc_auc_ovr_weighted",
    "roc_auc_ovo": "roc_auc_ovo",
    "roc_auc_ovo_weighted": "roc_auc_ovo_weighted",
}
OF_BINARY_SUMS = {
    "roc_auc": "roc_auc",
    "average_precision_0": make_scorer(
        metrics.average_precision_score,
        pos_label=0,
        response_method=("decision_function", "predict_proba"),
    ),
    "average_precision_proba_0": make_scorer(
        metrics.average_precision_score, pos_label=0, response_method="predict_proba"
    ),
}
OF_MULTICLASS_SUMS = {
    "top_2": "top_k_accuracy",
    "top_3": make_scorer(
        metrics.top_k_accuracy_score, k=3, response_method="decision_function"
    ),
}
SUM_CASES = [(name, k) for k in (2, 4) for name in OF_SUMS]
SUM_CASES += [(name, 2) for name in OF_BINARY_SUMS]
SUM_CASES += [("top_2", 3), ("top_2", 5), ("top_3", 5)]
CASES = [(name, k) for k in (2, 4) for name in (*OF_COUNTS, "costs", "zero_one")]
CASES += [(name, 2) for name in BINARY]


def objective_of(name, n_classes):
    if name == "costs":
        return costs(n_classes)
    if name == "zero_one":
        return make_scorer(metrics.zero_one_loss, greater_is_better=False)
    known = {**OF_COUNTS, **BINARY, **OF_SUMS, **OF_BINARY_SUMS, **OF_MULTICLASS_SUMS}
    return known[name]


def literally(objective, y, z, weight):
    """What scikit-learn says."""
    options = {} if weight is None else {"sample_weight": weight}
    predicted = (z[:, 0] > 0).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)
    scorer = get_scorer(objective) if isinstance(objective, str) else objective
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if not hasattr(scorer, "_score_func"):
            return scorer(y, predicted, **options)
        return scorer._sign * scorer._score_func(
            y, predicted, **scorer._kwargs, **options
        )


def compiled_metric(objective, y, z, weight):
    estimator = HillClimbMLP(objective=objective)
    n_outputs = z.shape[1]
    estimator.classes_ = np.arange(max(n_outputs, 2))
    estimator._network(1, n_outputs, fresh=True)
    metric = find_metric(estimator, y, is_weighted=weight is not None)
    assert metric is not None
    return MetricOfSums(metric, y, weight, n_outputs, z.dtype)(z)


@st.composite
def predictions(draw, n_classes):
    n = draw(st.integers(n_classes, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = np.append(np.arange(n_classes), rng.integers(n_classes, size=n - n_classes))
    # One class predicted, hardly anything right, or the like.
    share = draw(st.sampled_from([0.0, 0.3, 1.0]))
    some = draw(st.integers(0, n_classes - 1))
    predicted = np.where(rng.random(n) < share, y, some)
    if draw(st.booleans()):
        predicted = rng.integers(n_classes, size=n)
    if n_classes == 2:
        z = np.where(predicted == 1, 1.0, -1.0)[:, np.newaxis]
    else:
        z = np.eye(n_classes)[predicted]
    weight = None
    if draw(st.booleans()):
        weight = rng.uniform(size=n)
        if draw(st.booleans()):
            weight[y == draw(st.integers(0, n_classes - 1))] = 0
    return y, z, weight


@pytest.mark.parametrize(("name", "n_classes"), CASES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_value_is_that_of_scikit_learn(name, n_classes, data):
    y, z, weight = data.draw(predictions(n_classes))
    objective = objective_of(name, n_classes)
    expected = literally(objective, y, z, weight)
    actual = compiled_metric(objective, y, z, weight)
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


class Given(HillClimbMLP):
    """A network whose output sums are the samples themselves."""

    def decision_function(self, X):
        return X[:, 0] if X.shape[1] == 1 else X

    def predict_proba(self, X):
        p = OUTPUT_ACTIVATIONS[self.out_activation_](X)
        return np.hstack([1 - p, p]) if p.shape[1] == 1 else p


@st.composite
def sums(draw, n_classes):
    n = draw(st.integers(n_classes, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = np.append(np.arange(n_classes), rng.integers(n_classes, size=n - n_classes))
    z = rng.normal(size=(n, 1 if n_classes == 2 else n_classes))
    if z.shape[1] > 1:
        z[np.arange(n), y] += 1
    z *= draw(st.sampled_from([1e-3, 1.0, 20.0, 200.0, 1e4]))
    if draw(st.booleans()):
        # Ties. Of several outputs whole rows: the sum of exponentials depends in its
        # last digit on their order.
        several = z[rng.integers(-(-n // 3), size=n)]
        z = z.round(draw(st.integers(0, 1))) if n_classes == 2 else several
    weight = None
    if draw(st.booleans()):
        weight = rng.uniform(size=n)
        if draw(st.booleans()):
            weight[1:][rng.random(n - 1) < 0.3] = 0  # all 0 would be refused
    return y, z, weight


@pytest.mark.parametrize(("name", "n_classes"), SUM_CASES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_value_from_sums_is_that_of_scikit_learn(name, n_classes, data):
    y, z, weight = data.draw(sums(n_classes))
    if "ovo" in name and n_classes > 2:
        weight = None
    objective = objective_of(name, n_classes)
    scorer = get_scorer(objective) if isinstance(objective, str) else objective
    given_sums = Given()
    given_sums.classes_ = np.arange(n_classes)
    given_sums._network(1, z.shape[1], fresh=True)
    options = {} if weight is None else {"sample_weight": weight}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scorer(given_sums, z, y, **options)
    actual = compiled_metric(objective, y, z, weight)
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


NOT_COVERED = [
    make_scorer(metrics.f1_score, average="macro", zero_division=1),
    make_scorer(metrics.f1_score, pos_label="yes"),
    make_scorer(metrics.f1_score, average="macro", pos_label=0),
    make_scorer(metrics.accuracy_score, normalize=False),
    make_scorer(metrics.accuracy_score, greater_is_better=False),
    make_scorer(metrics.cohen_kappa_score, labels=[0]),
    make_scorer(metrics.f1_score, response_method="decision_function"),
    make_scorer(metrics.roc_auc_score, max_fpr=0.5, response_method="predict_proba"),
    make_scorer(metrics.roc_auc_score),  # of predicted labels
    metrics.roc_auc_score,
    make_scorer(metrics.average_precision_score, average="micro"),
    "top_k_accuracy",  # of two classes
    make_scorer(metrics.log_loss, normalize=False, greater_is_better=False),
    make_scorer(metrics.hamming_loss, greater_is_better=False),
    make_scorer(cost_matrix_score, costs=[[0, 1, 2], [3, 0, 1], [1, 1, 0]]),
    partial(metrics.fbeta_score, beta=-1.0),
    lambda y_true, y_pred: 0.5,
]


@pytest.mark.parametrize("objective", NOT_COVERED)
def test_what_is_not_covered_is_left_to_scikit_learn(objective):
    clf = HillClimbMLP(objective=objective)
    clf.classes_ = np.arange(2)
    clf._network(1, 1, fresh=True)
    assert find_metric(clf, np.array([0, 1])) is None


def test_labels_that_do_not_occur_are_left_to_scikit_learn():
    clf = HillClimbMLP(objective="f1_macro")
    clf.classes_ = np.arange(3)
    clf._network(1, 3, fresh=True)
    assert find_metric(clf, np.array([0, 1, 1])) is None


def test_labels_may_be_anything():
    X, y = make_classification(100, random_state=0)
    names = np.array(["no", "yes"])[y]
    scorer = make_scorer(metrics.f1_score, pos_label="no")
    clf = HillClimbPerceptron(objective=scorer, max_iter=50, random_state=0)
    clf.fit(X, names)
    expected = metrics.f1_score(names, clf.predict(X), pos_label="no")
    assert clf.objective_ == pytest.approx(expected, abs=1e-12)


CLIMBERS = {
    "perceptron": HillClimbPerceptron(),
    "all": HillClimbPerceptron(mutation="all"),
    "share": HillClimbPerceptron(mutation=0.5),
    # Sums of rectifiers that are all off are equal up to rounding, which decides then.
    "network": HillClimbMLP((4,), "logistic"),
    "network all": HillClimbMLP((4,), "logistic", mutation="all"),
}


def fit_both(clf, objective, X, y, weight, monkeypatch):
    """Climb in compiled code, and literally."""
    clf.set_params(objective=objective, surrogate_iter=0, max_iter=60, random_state=0)
    clf.fit(X, y, sample_weight=weight)
    compiled = clf.objective_curve_, clf.n_accepted_, clf._get_weights()
    module = "skperceptron.classifiers."
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("_hill_climb", "_objectives"):
            patch.setattr(f"{module}{name}.find_metric", lambda *_, **__: None)
        clf.fit(X, y, sample_weight=weight)
    return compiled, (clf.objective_curve_, clf.n_accepted_, clf._get_weights())


def takes_long_to_compile(name, n_classes, climber):
    """Tell whether ranks are computed in passes through the whole network."""
    of_ranks = "roc_auc" in name or "average_precision" in name
    is_one_unit = climber == "all" and n_classes == 2
    return of_ranks and "network" != climber != "perceptron" and not is_one_unit


NEED_PROBABILITIES = ("log_loss", "brier", "ov", "weighted", "proba")
# Each metric with one of them; the long tests try them all.
PAIRS = [
    pytest.param(*case, climber, marks=[] if (i + k) % 5 == 0 else pytest.mark.slow)
    for i, case in enumerate(CASES)
    for k, climber in enumerate(CLIMBERS)
]
PAIRS += [
    pytest.param(
        *case,
        climber,
        marks=[]
        if (i + k) % 2 == 0 and not takes_long_to_compile(*case, climber)
        else pytest.mark.slow,
    )
    for i, case in enumerate(SUM_CASES)
    for k, climber in enumerate(CLIMBERS)
    if climber.startswith("network")
    or not any(n in case[0] for n in NEED_PROBABILITIES)
]


@pytest.mark.parametrize(("name", "n_classes", "climber"), PAIRS)
def test_climb_decides_as_with_scikit_learn(name, n_classes, climber, monkeypatch):
    n_features = 4 if climber in ("perceptron", "network") else 10
    X, y = make_classification(
        100,
        n_features,
        n_informative=4,
        n_redundant=0,
        n_classes=n_classes,
        flip_y=0.2,
        random_state=1,
    )
    # Whole numbers add up exactly: a tie is one in any order.
    weight = None
    if (len(name) + n_classes) % 2 and "ovo" not in name:
        weight = np.random.default_rng(0).integers(1, 5, size=len(y)).astype(float)
    objective = objective_of(name, n_classes)
    clf = CLIMBERS[climber]
    (curve, n_accepted, weights), literal = fit_both(
        clf, objective, X, y, weight, monkeypatch
    )
    assert_allclose(curve, literal[0], rtol=1e-12, atol=1e-12)
    assert n_accepted == literal[1]
    for ours, theirs in zip(weights, literal[2], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "climber",
    ["perceptron", "network", pytest.param("network all", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("objective", ["roc_auc", "average_precision"])
def test_many_samples_are_ranked_as_by_scikit_learn(objective, climber, monkeypatch):
    X, y = make_classification(2500, 4, n_redundant=0, flip_y=0.2, random_state=1)
    clf = CLIMBERS[climber]
    (curve, n_accepted, _), literal = fit_both(clf, objective, X, y, None, monkeypatch)
    assert_allclose(curve, literal[0], rtol=1e-12)
    assert n_accepted == literal[1]


@pytest.mark.parametrize("climber", CLIMBERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_climb_takes_sparse_and_float32_data(climber, dtype):
    X, y = make_classification(150, 12, flip_y=0.2, random_state=0)
    X = X.astype(dtype)
    for data in (X, csr_array(X)):
        clf = CLIMBERS[climber].set_params(objective="f1", max_iter=100, random_state=0)
        clf.fit(data, y)
        expected = metrics.f1_score(y, clf.predict(data))
        assert clf.objective_ == pytest.approx(expected, abs=1e-6)


def test_an_undefined_start_gives_no_warning():
    X, y = make_classification(100, weights=[0.95], random_state=0)
    X -= 100  # only one class is predicted
    for objective in ("f1", "precision", "matthews_corrcoef", "jaccard", "roc_auc"):
        clf = HillClimbMLP((3,), "relu", objective=objective, max_iter=20)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            clf.set_params(random_state=0).fit(X, y)


def test_compiled_metrics_need_no_literal_climb(monkeypatch):
    X, y = make_classification(80, random_state=0)
    monkeypatch.setattr(HillClimb, "__init__", None)
    for clf in CLIMBERS.values():
        clf.set_params(objective="f1", max_iter=5, random_state=0).fit(X, y)


def test_early_stopping_judges_by_the_metric():
    X, y = make_classification(200, weights=[0.8], flip_y=0.2, random_state=0)
    clf = HillClimbPerceptron(
        objective="f1", early_stopping=True, max_iter=200, random_state=0
    ).fit(X, y)
    assert 0 <= clf.best_validation_score_ <= 1


BAD_COSTS = [
    ([[0, 1]], "square"),
    ([0, 1], "square"),
    ([[0, np.nan], [1, 0]], "finite"),
    ([[0, np.inf], [1, 0]], "finite"),
    ([["a", "b"], ["c", "d"]], "numbers"),
    ([[0, 1], [1]], "numbers"),
    ([[0, 1, 1], [1, 0, 1], [1, 1, 0]], "one row and one column"),
]


@pytest.mark.parametrize(("costs", "message"), BAD_COSTS)
def test_bad_costs_are_refused(costs, message):
    with pytest.raises(ValueError, match=message):
        cost_matrix_score([0, 1], [1, 1], costs=costs)
    X, y = make_classification(50, random_state=0)
    clf = HillClimbPerceptron(objective=make_scorer(cost_matrix_score, costs=costs))
    with pytest.raises(ValueError, match=message):
        clf.fit(X, y)


def test_costs_are_in_the_order_of_the_labels():
    y_true, y_pred = ["b", "b", "a", "c"], ["a", "b", "c", "c"]
    matrix = [[0, 1, 2], [4, 0, 8], [16, 32, 0]]
    score = cost_matrix_score(y_true, y_pred, costs=matrix, labels=["c", "a", "b"])
    assert score == -(32 + 4) / 4
    with pytest.raises(ValueError, match="must be different"):
        cost_matrix_score(y_true, y_pred, costs=matrix, labels=["c", "a", "a"])
    with pytest.raises(ValueError, match="no costs for the labels"):
        cost_matrix_score(y_true, y_pred, costs=matrix, labels=["c", "a", "d"])
