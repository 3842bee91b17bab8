"""Hill climbs on memory-mapped files: no copy of the samples, and the same result."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from benchmarks._memory import MemoryWatch
from skperceptron import HillClimbMLP, HillClimbPerceptron, config_context
from skperceptron.network import Layers
from skperceptron.optim import Problem
from skperceptron.optim.climbs import _problem
from skperceptron.tracking import flush

CLASSIFIERS = [HillClimbPerceptron, HillClimbMLP]
MUTATIONS = ["unit", "all", 0.5]


def make_map(folder, n_samples, n_features, n_classes, dtype=np.float32):
    """Write samples to a file, map it, and draw labels that depend on them."""
    X = np.lib.format.open_memmap(
        folder / "X.npy", mode="w+", dtype=dtype, shape=(n_samples, n_features)
    )
    y = np.empty(n_samples, np.int64)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((n_features, n_classes))
    for start in range(0, n_samples, 50_000):
        part = slice(start, start + 50_000)
        X[part] = rng.standard_normal(X[part].shape, dtype=np.float32)
        y[part] = (X[part] @ weights).argmax(axis=1)
    X.flush()
    return np.load(folder / "X.npy", mmap_mode="r"), y


@pytest.fixture
def left_on_disk(monkeypatch):
    monkeypatch.setattr(_problem, "MIN_BYTES_LEFT", 0)


@pytest.mark.usefixtures("untracked", "left_on_disk")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (HillClimbPerceptron, {}),
        (HillClimbMLP, {"hidden_layer_sizes": 5}),
        (HillClimbMLP, {"hidden_layer_sizes": 5, "objective": "accuracy"}),
        (HillClimbMLP, {"hidden_layer_sizes": (5, 4), "class_weight": "balanced"}),
        (HillClimbMLP, {"hidden_layer_sizes": 5, "n_restarts": 1}),
        (HillClimbPerceptron, {"n_restarts": 1, "combine": "average"}),
        (
            HillClimbMLP,
            {"hidden_layer_sizes": 5, "n_restarts": 1, "combine": "average"},
        ),
    ],
)
def test_climb_on_a_map_is_that_on_an_array(
    cls, options, mutation, n_classes, tmp_path
):
    X, y = make_map(tmp_path, 3000, 4, n_classes, np.float64)
    if cls is HillClimbMLP:
        options = {"activation": "logistic", "noise_sign": "random", **options}
    else:
        options = {"surrogate_iter": 0, **options}  # on maps, noise is as it is drawn
    clf = cls(max_iter=200, mutation=mutation, random_state=0, **options)
    on_map = clf.fit(X, y).objective_curve_
    predicted, sums = clf.predict(X), clf.decision_function(X)
    clf.fit(np.array(X), y)
    assert_allclose(on_map, clf.objective_curve_)
    assert_array_equal(predicted, clf.predict(np.array(X)))
    assert_allclose(sums, clf.decision_function(np.array(X)), atol=1e-9)


@pytest.mark.usefixtures("untracked", "left_on_disk")
def test_noise_is_added_as_it_is_drawn(tmp_path):
    X, y = make_map(tmp_path, 3000, 4, 3, np.float64)
    fits = [
        HillClimbMLP(5, max_iter=100, noise_sign=sign, random_state=0).fit(X, y)
        for sign in ("random", "descent")
    ]
    assert_array_equal(*(clf.objective_curve_ for clf in fits))
    clf = HillClimbPerceptron(surrogate_iter=100, max_iter=10, random_state=0)
    assert clf.fit(X, y).objective_ > 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_climb_on_a_map_takes_less_memory_than_a_copy(
    cls, mutation, tmp_path, left_on_disk
):
    X, y = make_map(tmp_path, 200_000, 20, 2)
    clf = cls(max_iter=3, mutation=mutation, random_state=0).fit(X[:1000], y[:1000])
    tracemalloc.start()
    clf.fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_prediction_takes_a_few_blocks_and_its_result(cls, method, tmp_path):
    X, y = make_map(tmp_path, 200_000, 20, 3)
    clf = cls(max_iter=3, random_state=0).fit(X[:1000], y[:1000])
    tracemalloc.start()
    result = getattr(clf, method)(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < result.nbytes + 2**21


def test_small_maps_and_those_not_stored_by_rows_are_climbed_as_arrays(
    tmp_path, monkeypatch
):
    X, y = make_map(tmp_path, 1000, 4, 2)

    def stays_on_disk(X):
        return Problem(Layers((4, 1)), X, y).stays_on_disk

    assert not stays_on_disk(X)
    monkeypatch.setattr(_problem, "MIN_BYTES_LEFT", 0)
    assert not stays_on_disk(X[:, 1:])
    assert not stays_on_disk(np.array(X))
    assert stays_on_disk(X)
    assert stays_on_disk(X[10:])


@pytest.mark.slow
@pytest.mark.parametrize("tracking", [False, True])
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (HillClimbPerceptron, {}),
        (HillClimbPerceptron, {"mutation": "all"}),
        (HillClimbMLP, {}),
        (HillClimbMLP, {"mutation": "all", "hidden_layer_sizes": 10}),
        (HillClimbMLP, {"objective": "accuracy", "class_weight": "balanced"}),
    ],
)
def test_five_million_samples_are_not_copied(
    cls, options, n_classes, tracking, tmp_path
):
    X, y = make_map(tmp_path, 5_000_000, 20, n_classes)
    with config_context(tracking=tracking):
        clf = cls(max_iter=5, random_state=0, **options)
        clf.fit(X[:3000], y[:3000])  # libraries and compiled code take memory too
        flush()
        with MemoryWatch() as fit:
            clf.fit(X, y)
        with MemoryWatch() as predict:
            predicted = clf.predict(X)
    assert fit.growth < X.nbytes
    assert predict.growth < predicted.nbytes + 2**25
