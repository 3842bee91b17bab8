"""The classifiers speak scikit-learn's callback protocol."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = load_iris(return_X_y=True)

# Classifiers, and how many steps their fits report.
STEPS = {
    "perceptron": (HillClimbPerceptron(max_iter=30, random_state=0), 30),
    "climb": (HillClimbMLP(max_iter=500, random_state=0), 100),
    "backprop": (BackpropMLP(max_iter=20, random_state=0), 20),
    "lbfgs": (BackpropMLP(solver="lbfgs", max_iter=20, random_state=0), 20),
}


@pytest.fixture(params=STEPS)
def case(request):
    return request.param


@pytest.fixture
def clf(case):
    return clone(STEPS[case][0])


@pytest.fixture
def n_steps(case):
    return STEPS[case][1]


class Recorder:
    """Remembers what its hooks were given."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.calls = []
        self.curve_lengths = []
        self.seen = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.parent is None))

    def on_fit_task_end(
        self, estimator, context, *, X, y, metadata, fitted_estimator=None
    ):
        self.calls.append(("end", context.parent is None))
        self.seen.append((X, y, metadata, fitted_estimator))
        if context.parent is not None:
            self.curve_lengths.append((estimator.n_iter_, curve_length(estimator)))
            return self.stop_after == len(self.curve_lengths)


def curve_length(estimator):
    if isinstance(estimator, BackpropMLP):
        return len(estimator.loss_curve_)
    return len(estimator.objective_curve_) - 1


def test_every_step_is_a_task_inside_the_fit(clf, n_steps):
    recorder = Recorder()
    clf.set_callbacks(recorder).fit(X, y)
    steps = [("begin", False), ("end", False)] * n_steps
    assert recorder.calls == [
        "setup",
        ("begin", True),
        *steps,
        ("end", True),
        "teardown",
    ]


def test_curves_are_current_at_the_end_of_every_task(clf):
    recorder = Recorder()
    clf.set_callbacks(recorder).fit(X, y)
    assert all(n_iter == length for n_iter, length in recorder.curve_lengths)
    assert recorder.curve_lengths[-1][0] == clf.n_iter_


def test_hooks_get_the_users_data_and_labels(clf):
    names, weight = np.array(["a", "b", "c"])[y], np.ones(len(y))
    recorder = Recorder()
    clf.set_callbacks(recorder).fit(X, names, sample_weight=weight)
    for seen_X, seen_y, metadata, _ in recorder.seen:
        assert seen_X is X
        assert seen_y is names
        assert metadata["sample_weight"] is weight


def test_fitted_estimator_predicts_as_if_training_had_stopped(clf):
    recorder = Recorder()
    clf.set_callbacks(recorder).fit(X, y)
    *steps, whole = [seen[-1] for seen in recorder.seen]
    assert_array_equal(whole.predict(X), clf.predict(X))
    assert_array_equal(
        steps[-1].decision_function(X), clf.decision_function(X), strict=True
    )
    assert not np.array_equal(
        steps[0].decision_function(X), steps[-1].decision_function(X)
    )


def test_callback_can_stop_training(clf):
    recorder = Recorder(stop_after=3)
    clf.set_callbacks(recorder).fit(X, y)
    assert len(recorder.curve_lengths) == 3
    assert curve_length(clf) == clf.n_iter_ == recorder.curve_lengths[-1][0]
    assert clf.predict(X).shape == (150,)


def test_curves_stay_after_an_exception(clf):
    class Failing(Recorder):
        def on_fit_task_begin(self, estimator, context):
            if len(self.curve_lengths) == 2:
                raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        clf.set_callbacks(failing := Failing()).fit(X, y)
    assert failing.calls[-1] == "teardown"
    assert curve_length(clf) == clf.n_iter_ == failing.curve_lengths[-1][0]


def test_scoring_monitor_sees_the_score_rise(clf, n_steps):
    monitor = ScoringMonitor(scoring="accuracy")
    clf.set_callbacks(monitor).fit(X, y)
    scores = [
        row["accuracy"] for row in monitor.get_logs().data if row["task_name"] != "fit"
    ]
    assert len(scores) == n_steps
    assert scores[-1] == pytest.approx(clf.score(X, y))
    assert scores[-1] > scores[0]


def test_progress_bar_shows_a_fit(clf, capsys):
    clf.set_callbacks(ProgressBar()).fit(X, y)
    out = capsys.readouterr().out
    assert f"{type(clf).__name__} - fit" in out
    assert "100%" in out


def test_progress_bar_shows_fits_inside_a_pipeline_and_a_search(capsys):
    pipeline = make_pipeline(StandardScaler(), HillClimbPerceptron(max_iter=50))
    search = GridSearchCV(
        pipeline, {"hillclimbperceptron__step_size": [0.1, 0.2]}, cv=2
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    out = capsys.readouterr().out
    assert "GridSearchCV - fit" in out
    assert "HillClimbPerceptron - fit" in out


def test_early_stopping_ends_the_tasks_too():
    recorder = Recorder()
    clf = BackpropMLP(early_stopping=True, n_iter_no_change=2, random_state=0)
    clf.set_callbacks(recorder).fit(X, y)
    assert len(recorder.curve_lengths) == clf.n_iter_ < 200


@pytest.mark.parametrize("case", [case for case in STEPS if case != "lbfgs"])
def test_partial_fit_is_one_task(clf):
    recorder = Recorder()
    clf.set_callbacks(recorder).partial_fit(X, y, classes=[0, 1, 2])
    assert len(recorder.curve_lengths) == 1
