"""Threads of BLAS within threads and processes: never more of them than was promised.

What limits them: loky in its worker processes; nobody in threads, but for the fits
themselves.
"""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info, threadpool_limits

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.classifiers._climber import Attempt
from skperceptron.classifiers._epochs import EpochTrainer
from skperceptron.optim import RegularizedLoss
from skperceptron.optim.climbs._climb import Climb

pytestmark = pytest.mark.usefixtures("untracked_everywhere")
X, y = load_iris(return_X_y=True)


def blas_threads():
    """The most threads that any BLAS of this process may use."""
    return max(
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas"
    )


@pytest.fixture(autouse=True)
def _many_blas_threads():
    """Let BLAS have threads to spare, however few processors there are."""
    with threadpool_limits(3, user_api="blas"):
        yield
        # Whatever was done, it is as before.
        assert blas_threads() == 3


@pytest.fixture
def seen(monkeypatch):
    """How many threads BLAS might use at each step of a training."""
    n_threads = []

    def watch(cls, name):
        step = getattr(cls, name)

        def watched(*args, **options):
            n_threads.append(blas_threads())
            return step(*args, **options)

        monkeypatch.setattr(cls, name, watched)

    watch(EpochTrainer, "epoch")
    watch(RegularizedLoss, "value_and_gradient")
    watch(Climb, "evaluate")
    watch(Attempt, "advance")
    return n_threads


SMALL = {
    "adam": BackpropMLP((20,), max_iter=3, n_iter_no_change=100, tol=0),
    "lbfgs": BackpropMLP((20,), solver="lbfgs", max_iter=3),
    "perceptron": HillClimbPerceptron(max_iter=50),
    "climb": HillClimbMLP((20,), max_iter=50),
    "restarts": HillClimbMLP((20,), max_iter=50, n_restarts=2, n_jobs=2),
}
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@quiet
@pytest.mark.parametrize("name", SMALL)
def test_small_fits_use_one_thread_of_blas(name, seen):
    clone(SMALL[name]).fit(X, y)
    assert set(seen) == {1}
    assert blas_threads() == 3


@quiet
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_large_networks_keep_the_threads_of_blas(solver, seen):
    X = np.random.default_rng(0).normal(size=(200, 784))
    BackpropMLP((512,), solver=solver, max_iter=1).fit(X, X[:, 0] > 0)
    assert set(seen) == {3}


@quiet
@pytest.mark.parametrize("name", SMALL)
def test_number_of_blas_threads_makes_no_difference_to_small_fits(name):
    X, y = np.random.default_rng(0).normal(size=(400, 60)), np.arange(400) % 3
    fitted = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            fitted.append(
                SMALL[name].set_params(random_state=0).fit(X, y)._get_weights()
            )
    for one, other in zip(*fitted, strict=True):
        for a, b in zip(one, other, strict=True):
            assert_array_equal(a, b)


@pytest.mark.parametrize("n_restarts", [0, 1])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_fit_that_is_ended_by_an_error_gives_the_threads_back(error, n_restarts):
    n_threads = []

    def fail(y_true, y_pred):
        n_threads.append(blas_threads())
        if len(n_threads) > 5:
            raise error
        return 0.5

    clf = HillClimbPerceptron(objective=fail, n_restarts=n_restarts)
    with ExitStack() as stack:
        if error is KeyboardInterrupt:
            stack.enter_context(pytest.warns(UserWarning, match="interrupted"))
        else:
            stack.enter_context(pytest.raises(ValueError, match=error.__name__))
        clf.fit(X, y)
    assert set(n_threads) == {1}
    assert blas_threads() == 3


class Gate:
    """A metric that tells when the training goes on, and waits until it may."""

    def __init__(self):
        self.is_inside, self.may_go = threading.Event(), threading.Event()
        self.n_threads = []

    def __call__(self, y_true, y_pred):
        self.is_inside.set()
        assert self.may_go.wait(60)
        self.n_threads.append(blas_threads())
        return np.mean(y_true == y_pred)


@pytest.mark.parametrize("n_restarts", [0, 1])
def test_fits_that_overlap_in_threads_share_their_limit(n_restarts):
    # The first one to begin is the first one to end: it must neither lift the limit of
    # the other, nor must that one bring back what it has found.
    first, second = gates = Gate(), Gate()
    with ThreadPoolExecutor(2) as pool:
        fits = []
        for gate in gates:
            clf = HillClimbPerceptron(objective=gate, max_iter=3, n_restarts=n_restarts)
            fits.append(pool.submit(clf.fit, X, y))
            assert gate.is_inside.wait(60)
        for gate, fit in zip(gates, fits, strict=True):
            gate.may_go.set()
            fit.result(60)
            assert blas_threads() == (1 if gate is first else 3)
    assert set(first.n_threads + second.n_threads) == {1}


@quiet
@pytest.mark.parametrize("name", ["adam", "restarts"])
def test_search_in_threads_uses_one_thread_of_blas_for_each(name, seen):
    search = GridSearchCV(clone(SMALL[name]), {"tol": [0, 1e-5]}, cv=2, n_jobs=2)
    with joblib.parallel_config("threading"):
        search.fit(X, y)
    assert set(seen) == {1}
    assert len(seen) >= 2 * 2 * 3


def test_threads_of_restarts_end_with_the_fit():
    before = threading.active_count()
    for _ in range(5):
        HillClimbMLP((5,), max_iter=20, n_restarts=4, n_jobs=3).fit(X, y)
    deadline = time.monotonic() + 30
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)  # they have been told
    assert threading.active_count() <= before


# Worker processes

CODE = """
    import warnings
    from observed import Backprop, Climb

    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    skperceptron.set_config(tracking=False)
    for clf in Backprop((20,), max_iter=3), Climb((5,), n_restarts=3, n_jobs=2):
        search = GridSearchCV(clf, {"tol": [0, 1e-5]}, cv=2, n_jobs=2, refit=False)
        for _ in range(2):
            search.fit(X, y)
    """
OBSERVED = """
from head import *
import psutil
from threadpoolctl import threadpool_info


def look(when):
    libraries = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    note("seen", json.dumps({
        "when": when,
        "process": os.getpid(),
        "blas": max(lib["num_threads"] for lib in libraries),
        "threads": psutil.Process().num_threads(),
    }))


def metric(y_true, y_pred):
    look("within")
    return np.mean(y_true == y_pred)


class Watched:
    def fit(self, X, y):
        look("before")
        super().fit(X, y)
        look("after")
        return self


class Backprop(Watched, BackpropMLP):
    pass


class Climb(Watched, HillClimbMLP):
    def _train(self, *args, **options):
        self.objective, self.max_iter = metric, 5
        super()._train(*args, **options)
"""


@pytest.mark.slow
def test_worker_processes_use_no_more_threads_than_joblib_promises(program):
    (program.folder / "observed.py").write_text(OBSERVED)
    program.run(CODE)
    lines = (program.folder / "seen").read_text().splitlines()
    seen = [json.loads(line) for line in lines]
    promised = max(joblib.cpu_count() // 2, 1)
    assert {s["blas"] for s in seen if s["when"] != "within"} == {promised}
    assert {s["blas"] for s in seen if s["when"] == "within"} == {1}
    workers = {s["process"] for s in seen}
    assert len(workers) == 2
    for worker in workers:
        # The 2 threads of restarts and the 3 of joblib's pool come and go (those of a
        # fit may still be ending when the next one begins); no others come.
        n_threads = [s["threads"] for s in seen if s["process"] == worker]
        assert max(n_threads) <= n_threads[0] + 2 * (2 + 3)
