"""Many threads at once: what they fit, what they predict, what they log."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import skops.io
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.model_selection import GridSearchCV

import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.tracking import MLflowTracker

N_THREADS = 8
X, y = load_iris(return_X_y=True)
CLASSIFIERS = {
    "perceptron": HillClimbPerceptron(max_iter=300),
    "any metric": HillClimbPerceptron(max_iter=50, objective="f1_macro"),
    "every weight": HillClimbMLP((10,), mutation="all", max_iter=300),
    "restarts": HillClimbMLP((10,), max_iter=300, n_restarts=2, n_jobs=2),
    "adam": BackpropMLP((20, 10), max_iter=20, tol=0, n_iter_no_change=100),
    "dropout": BackpropMLP((20,), dropout=0.2, max_iter=20, n_iter_no_change=100),
    "early stopping": BackpropMLP((20,), max_iter=20, early_stopping=True),
    "lbfgs": BackpropMLP((20,), solver="lbfgs", max_iter=20),
}


@pytest.fixture(autouse=True)
def _threads_take_turns_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(calls):
    """Run each call in a thread of its own, all beginning together."""
    together = threading.Barrier(len(calls))

    def run(call):
        together.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def weights(clf):
    coefs, intercepts = clf._get_weights()
    return [*coefs, *intercepts]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.usefixtures("untracked_everywhere")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_fits_at_once_find_what_they_find_one_after_another(name):
    X, y = make_classification(
        300, 8, n_informative=5, n_classes=3, flip_y=0.1, random_state=0
    )
    clones = [clone(CLASSIFIERS[name]).set_params(random_state=i) for i in range(4)]
    alone = [clone(clf).fit(X, y) for clf in clones]
    # Two threads for each.
    together = at_once([partial(clone(clf).fit, X, y) for clf in clones * 2])
    for one, other in zip(alone * 2, together, strict=True):
        for a, b in zip(weights(one), weights(other), strict=True):
            assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.usefixtures("untracked_everywhere")
@pytest.mark.parametrize("name", ["perceptron", "every weight", "adam"])
def test_one_classifier_predicts_in_many_threads_what_it_predicts_alone(name):
    clf = clone(CLASSIFIERS[name]).set_params(random_state=0).fit(X, y)
    rng = np.random.default_rng(0)
    # A buffer that the threads shared would have to hold all these shapes.
    samples = [rng.normal(3, 2, (20 * n, 4)) for n in range(1, N_THREADS + 1)]
    samples[1::2] = map(csr_array, samples[1::2])
    samples[2::4] = [part.astype(np.float32) for part in samples[2::4]]

    def predict(part):
        return clf.predict(part), clf.decision_function(part)

    alone = [predict(part) for part in samples]

    def predict_often(part):
        return [predict(part) for _ in range(100)]

    for expected, found in zip(
        alone, at_once([partial(predict_often, part) for part in samples]), strict=True
    ):
        for labels, sums in found:
            assert_array_equal(labels, expected[0])
            assert_array_equal(sums, expected[1])


@pytest.mark.usefixtures("untracked_everywhere")
def test_classifier_predicts_the_same_while_its_clones_are_fitted():
    clf = HillClimbMLP((10,), max_iter=200, random_state=0).fit(X, y)
    expected = clf.predict_proba(X)

    def fit_clones(seed):
        for i in range(10):
            clone(clf).set_params(random_state=10 * seed + i).fit(X, y)

    def predict():
        return [clf.predict_proba(X) for _ in range(200)]

    calls = [partial(fit_clones, seed) for seed in range(1, 4)]
    *_, first, second = at_once([*calls, predict, predict])
    for found in first + second:
        assert_array_equal(found, expected)


def test_fits_at_once_are_one_run_each(runs):
    def fit_three(seed):
        return [
            HillClimbPerceptron(max_iter=20, random_state=10 * seed + i).fit(X, y)
            for i in range(3)
        ]

    fitted = at_once([partial(fit_three, seed) for seed in range(N_THREADS)])
    clfs = [clf for of_thread in fitted for clf in of_thread]
    logged = runs()
    assert sorted(logged.run_ids) == sorted(clf.run_id_ for clf in clfs)
    assert logged.are_finished_once
    # Each run says what its own estimator says.
    seeds = dict(zip(logged.run_ids, logged.params, strict=True))
    for clf in clfs:
        assert seeds[clf.run_id_]["random_state"] == str(clf.random_state)
    assert len({clf.run_id_ for clf in clfs}) == len(clfs)


def test_models_are_checked_one_after_the_other(runs, monkeypatch):
    """Python 3.11 cannot parse in two threads at once, which reading a model does."""
    loads, now, most = skops.io.loads, set(), []

    def load_slowly(*args, **options):
        now.add(threading.get_ident())
        most.append(len(now))
        time.sleep(0.05)
        loads(*args, **options)
        now.discard(threading.get_ident())

    monkeypatch.setattr(skops.io, "loads", load_slowly)
    clfs = [HillClimbPerceptron(max_iter=2) for _ in range(4)]
    at_once([partial(clf.fit, X, y) for clf in clfs])
    assert most == [1] * 4


def test_partial_fits_of_many_threads_are_one_run_for_each_estimator(runs):
    def fit_in_parts(seed):
        clf = HillClimbPerceptron(max_iter=100, random_state=seed)
        for _ in range(10):
            clf.partial_fit(X, y, classes=[0, 1, 2])

    at_once([partial(fit_in_parts, seed) for seed in range(N_THREADS)])
    logged = runs()
    assert logged.are_finished_once
    seeds = sorted(params["random_state"] for params in logged.params)
    assert seeds == [str(seed) for seed in range(N_THREADS)]


# scikit-learn says so where a thread finds no filters, which another one just replaces.
@pytest.mark.filterwarnings("ignore:`sklearn.utils.parallel.delayed`:UserWarning")
def test_searches_at_once_keep_their_runs_apart(runs):
    def search(tracker):
        grid = GridSearchCV(HillClimbPerceptron(max_iter=5), {"tol": [0, 1]}, cv=2)
        return grid.set_callbacks(*tracker).fit(X, y)

    trackers = [[MLflowTracker(log_models="none")], []] * 2
    at_once([partial(search, tracker) for tracker in trackers])
    logged = runs()
    assert logged.are_finished_once
    # A tracked search has candidates; the others have their fits right below them.
    assert len(logged.keys) == 2 * (1 + 2 + 4 + 1) + 2 * (1 + 4 + 1)
    assert logged.parents.count(None) == 4


def test_config_contexts_of_threads_do_not_mix(runs):
    n_fits, all_inside = 5, threading.Barrier(N_THREADS)

    def fit(tracking):
        fitted = []
        for i in range(n_fits):
            with skperceptron.config_context(tracking=tracking, log_models="none"):
                all_inside.wait()
                config = skperceptron.get_config()
                assert config["tracking"] is tracking
                assert config["log_models"] == "none"
                clf = HillClimbPerceptron(max_iter=5, random_state=i).fit(X, y)
                clf.predict(X)
                all_inside.wait()
            fitted.append(clf)
            assert skperceptron.get_config()["log_models"] == "best"
        return fitted

    fitted = at_once([partial(fit, i % 2 == 0) for i in range(N_THREADS)])
    tracked = [clf for of_thread in fitted[::2] for clf in of_thread]
    untracked = [clf for of_thread in fitted[1::2] for clf in of_thread]
    logged = runs()
    assert logged.are_finished_once
    assert sorted(logged.run_ids) == sorted(clf.run_id_ for clf in tracked)
    assert [clf.run_id_ for clf in untracked] == [None] * len(untracked)


def test_set_config_of_one_thread_holds_for_threads_that_set_nothing(runs):
    is_off, is_seen = threading.Event(), threading.Event()

    def switch():
        skperceptron.set_config(tracking=False)
        is_off.set()
        assert is_seen.wait(60)
        skperceptron.set_config(tracking=True)

    def fit_after():
        assert is_off.wait(60)
        clf = HillClimbPerceptron(max_iter=5).fit(X, y)
        is_seen.set()
        return clf

    def fit_in_context():
        assert is_off.wait(60)
        with skperceptron.config_context(tracking=True):
            return HillClimbPerceptron(max_iter=5).fit(X, y)

    _, without, within = at_once([switch, fit_after, fit_in_context])
    assert without.run_id_ is None
    assert runs().run_ids == [within.run_id_]
