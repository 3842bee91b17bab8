"""Several climbs, of which the best is kept."""

import threading
import warnings

import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris, make_classification

from skperceptron import HillClimbMLP, HillClimbPerceptron
from skperceptron.classifiers import _climber

pytestmark = pytest.mark.usefixtures("untracked")
both = pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])


@pytest.fixture(scope="module")
def data():
    return make_classification(
        300, 6, n_informative=4, n_classes=3, flip_y=0.1, random_state=0
    )


def assert_same_fit(one, other):
    assert_array_equal(one.objective_curve_, other.objective_curve_)
    for a, b in zip(one._get_weights(), other._get_weights(), strict=True):
        for x, y in zip(a, b, strict=True):
            assert_array_equal(x, y)
    assert one.n_accepted_ == other.n_accepted_
    assert one.n_evaluations_ == other.n_evaluations_


@both
@pytest.mark.parametrize("objective", ["accuracy", "f1_macro"])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}])
def test_number_of_threads_makes_no_difference(cls, objective, options, data):
    one, two, all_cores = (
        cls(
            objective=objective,
            max_iter=60,
            n_restarts=3,
            n_jobs=n_jobs,
            random_state=0,
            **options,
        ).fit(*data)
        for n_jobs in (None, 2, -1)
    )
    assert_same_fit(one, two)
    assert_same_fit(one, all_cores)


@both
def test_more_restarts_are_never_worse_on_the_objective(cls, data):
    values = [
        cls(max_iter=100, n_restarts=n, step_schedule="constant", random_state=0)
        .fit(*data)
        .objective_
        for n in range(8)
    ]
    assert values == sorted(values)
    assert values[-1] > values[0]


@both
def test_first_climb_is_the_one_without_restarts(cls, data):
    X, y = data
    alone = cls(max_iter=200, random_state=0).fit(X, y)
    # The best of 2 is one of them.
    kept = cls(max_iter=200, n_restarts=1, random_state=0).fit(X, y)
    if kept.objective_ == alone.objective_:
        assert_array_equal(kept.objective_curve_, alone.objective_curve_)
    else:
        assert kept.objective_ > alone.objective_


@both
def test_evaluations_of_all_climbs_are_counted(cls, data):
    clf = cls(max_iter=50, n_restarts=4, random_state=0).fit(*data)
    assert clf.n_iter_ == 50
    assert clf.objective_curve_.shape == (51,)
    assert clf.n_evaluations_ == 5 * 51


@both
def test_no_iterations_keep_the_best_of_the_random_starts(cls, data):
    clf = cls(max_iter=0, n_restarts=20, random_state=0).fit(*data)
    assert clf.n_evaluations_ == 21
    assert clf.objective_ > cls(max_iter=0, random_state=0).fit(*data).objective_


@both
def test_early_stopping_keeps_what_validated_best(cls, data):
    scores = [
        cls(max_iter=400, n_restarts=n, early_stopping=True, random_state=0)
        .fit(*data)
        .best_validation_score_
        for n in range(5)
    ]
    assert scores == sorted(scores)


@both
def test_going_on_continues_the_kept_climb_only(cls, data):
    clf = cls(max_iter=60, n_restarts=3, random_state=0, warm_start=True).fit(*data)
    value = clf.objective_
    clf.fit(*data)
    assert clf.n_evaluations_ == 61
    assert clf.objective_curve_[0] == value
    clf.partial_fit(*data)
    assert clf.n_evaluations_ == 61 + 2


@both
def test_partial_fit_does_not_restart(cls):
    X, y = load_iris(return_X_y=True)
    with_restarts, without = (
        cls(max_iter=200, n_restarts=n, random_state=0).partial_fit(
            X, y, classes=[0, 1, 2]
        )
        for n in (5, 0)
    )
    assert_same_fit(with_restarts, without)


def test_threads_have_the_configuration_of_the_fit_and_share_the_filters_of_warnings(
    data,
):
    filters, seen = warnings.filters, []

    def objective(y_true, y_pred):
        config = sklearn.get_config()
        seen.append((threading.get_ident(), config["working_memory"], warnings.filters))
        # Not one of scikit-learn's metrics, which replace the filters while they check.
        return (y_true == y_pred).mean()

    with sklearn.config_context(working_memory=123):
        HillClimbPerceptron(
            objective=objective, max_iter=5, n_restarts=3, n_jobs=2
        ).fit(*data)
    assert {thread for thread, _, _ in seen} - {threading.get_ident()}
    assert {memory for _, memory, _ in seen} == {123}
    # Replacing them in one thread replaces them in all.
    assert all(found is filters for _, _, found in seen)


@both
def test_no_threads_at_all_are_refused(cls, data):
    with pytest.raises(ValueError, match="n_jobs == 0"):
        cls(n_jobs=0).fit(*data)


class Counter:
    """Callback that counts the reports."""

    def __init__(self):
        self.iterations = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.iterations.append(estimator.n_iter_)
        assert len(estimator.objective_curve_) == estimator.n_iter_ + 1


@both
@pytest.mark.parametrize("max_iter", [37, 1000, 1234])
@pytest.mark.parametrize("n_restarts", [0, 2])
def test_who_listens_makes_no_difference(cls, max_iter, n_restarts, data):
    options = {"max_iter": max_iter, "n_restarts": n_restarts, "random_state": 0}
    counter = Counter()
    heard = cls(**options).set_callbacks(counter).fit(*data)
    assert_same_fit(heard, cls(**options).fit(*data))
    assert 30 <= len(set(counter.iterations)) <= 101


@both
def test_slow_fits_report_more_often(cls, data, monkeypatch):
    plain = cls(max_iter=1000, random_state=0).fit(*data)
    monkeypatch.setattr(_climber, "_seconds", lambda climb: 0.25)
    counter = Counter()
    slow = cls(max_iter=1000, random_state=0).set_callbacks(counter).fit(*data)
    # A chunk of 10 iterations takes 2.5 s: 3 reports, after 4, 8 and 10 of them.
    assert counter.iterations[:6] == [4, 8, 10, 14, 18, 20]
    assert_same_fit(slow, plain)


@both
def test_early_stopping_is_not_hurried_by_more_reports(cls, data, monkeypatch):
    options = {"max_iter": 2000, "early_stopping": True, "random_state": 0}
    plain = cls(**options).fit(*data)
    monkeypatch.setattr(_climber, "_seconds", lambda climb: 0.25)
    slow = cls(**options).fit(*data)
    assert_same_fit(slow, plain)
    assert slow.validation_scores_ == plain.validation_scores_
