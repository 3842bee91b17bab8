"""Ctrl-C ends a fit that the user called early, and anything else as a whole."""

import signal

import numpy as np
import optuna
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
y = (X[:, 0] > 0).astype(int)


class Interrupting:
    """Counts fits, and interrupts the second one at a step."""

    def __init__(self, nth=2):
        self.nth, self.n_fits = nth, 0

    def begin(self):
        self.n_fits += 1
        self.is_due = self.n_fits == self.nth
        assert self.n_fits <= self.nth, "another fit has begun"

    def strike(self):
        if self.is_due:
            signal.raise_signal(signal.SIGINT)


COUNT = Interrupting()


@pytest.fixture(autouse=True)
def interruptible():
    """What was started in the background by a shell ignores interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    COUNT.__init__()
    yield
    signal.signal(signal.SIGINT, before)


class Strikes:
    """A callback that is only on the classifier itself."""

    def setup(self, estimator, context):
        COUNT.begin()

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name in ("epoch", "iterations"):
            COUNT.strike()


def classifiers():
    return {
        "perceptron": HillClimbPerceptron(max_iter=10),
        "hill-climbed MLP": HillClimbMLP((3,), max_iter=10),
        "restarts": HillClimbPerceptron(max_iter=10, n_restarts=1, n_jobs=2),
        "backprop": BackpropMLP((3,), max_iter=5, solver="sgd"),
    }


@pytest.fixture(params=list(classifiers()))
def clf(request):
    return classifiers()[request.param].set_callbacks(Strikes())


ALPHAS = {"random_state": [0, 1]}


class Wrapper(ClassifierMixin, BaseEstimator):
    """An ensemble of somebody else's."""

    def __init__(self, estimator=None):
        self.estimator = estimator

    def fit(self, X, y):
        self.fitted_ = [clone(self.estimator).fit(X, y) for _ in range(3)]
        return self


def with_study(clf):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    study.optimize(lambda trial: clone(clf).fit(X, y).score(X, y), n_trials=3)


CALLS = {
    "grid": lambda clf: GridSearchCV(clf, ALPHAS, cv=2).fit(X, y),
    "random": lambda clf: RandomizedSearchCV(clf, ALPHAS, n_iter=2, cv=2).fit(X, y),
    "halving": lambda clf: HalvingGridSearchCV(clf, ALPHAS, cv=2).fit(X, y),
    "pipeline": lambda clf: GridSearchCV(
        make_pipeline(StandardScaler(), clf), {}, cv=2
    ).fit(X, y),
    "cross_validate": lambda clf: cross_validate(clf, X, y),
    "cross_val_score": lambda clf: cross_val_score(clf, X, y),
    "learning_curve": lambda clf: learning_curve(clf, X, y, cv=2),
    "RFECV": lambda clf: RFECV(clf, cv=2, importance_getter=ones).fit(X, y),
    "bagging": lambda clf: BaggingClassifier(clf, n_estimators=3).fit(X, y),
    "voting": lambda clf: VotingClassifier([("a", clf), ("b", clone(clf))]).fit(X, y),
    "stacking": lambda clf: StackingClassifier([("a", clf)], cv=2).fit(X, y),
    "calibration": lambda clf: CalibratedClassifierCV(clf, cv=2).fit(X, y),
    "one-vs-rest": lambda clf: OneVsRestClassifier(clf).fit(X, np.arange(len(X)) % 3),
    "foreign": lambda clf: Wrapper(clf).fit(X, y),
    "study": with_study,
}


def ones(estimator):
    return np.arange(estimator.n_features_in_, dtype=float)


@pytest.mark.parametrize("call", CALLS)
def test_interrupt_ends_what_is_around_the_fit(call, clf):
    with pytest.raises(KeyboardInterrupt):
        CALLS[call](clf)
    assert COUNT.n_fits == 2


def partial_fits(clf):
    for _ in range(2):
        clf.partial_fit(X, y, classes=[0, 1])
    return clf


WHOLES = {
    "fit": lambda clf: clf.fit(X, y),
    "warm start": lambda clf: clf.set_params(warm_start=True).fit(X, y),
    "pipeline": lambda clf: make_pipeline(StandardScaler(), clf).fit(X, y),
    "partial_fit": partial_fits,
}


@pytest.mark.parametrize("whole", WHOLES)
def test_fit_that_the_user_called_returns_early(whole, clf):
    COUNT.nth = 2 if whole == "partial_fit" else 1
    with pytest.warns(UserWarning, match="interrupted by user"):
        fitted = WHOLES[whole](clf)
    assert fitted.predict(X).shape == (60,)
