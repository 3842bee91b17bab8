"""Several climbs that make one network."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

from skperceptron import HillClimbMLP, HillClimbPerceptron
from skperceptron.classifiers import _climber, _validation
from skperceptron.classifiers._combine import mean_direction, side_by_side, widen
from skperceptron.network import Layers, forward, initialize

pytestmark = pytest.mark.usefixtures("untracked")
both = pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])


@pytest.fixture(scope="module")
def data():
    return make_classification(
        200, 6, n_informative=4, n_classes=3, flip_y=0.1, random_state=0
    )


def averaging(cls, **params):
    """Three climbs that are averaged."""
    layers = {"hidden_layer_sizes": (5,)} if cls is HillClimbMLP else {}
    defaults = {"max_iter": 100, "n_restarts": 2, "random_state": 0}
    return cls(**{"combine": "average", **defaults, **layers, **params})


def sums_of_climbs(clf, X):
    """Sums of the output units of each climb."""
    layers = clf._climb_layers
    return [
        forward(X, *layers.unpack(params), layers.activations)
        for params in clf._members
    ]


def weights(clf):
    coefs, intercepts = clf._get_weights()
    return [*coefs, *intercepts]


def assert_same_fit(one, other):
    assert_array_equal(one.objective_curve_, other.objective_curve_)
    for a, b in zip(weights(one), weights(other), strict=True):
        assert_array_equal(a, b)
    assert one.objective_ == other.objective_
    assert one.n_accepted_ == other.n_accepted_
    assert one.n_evaluations_ == other.n_evaluations_


def assert_goes_on_alike(one, other, X, y):
    for clf in (one, other):
        clf.set_params(warm_start=True).fit(X, y)
    assert_same_fit(one, other)


class TestNetworks:
    """Combined without any climb."""

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize(
        "layers",
        [
            Layers((4, 3)),
            Layers((4, 5, 1), ("relu",)),
            Layers((4, 5, 2, 3), ("tanh", np.sin)),
            Layers((4, 2, 3, 2, 1), ("step", "logistic", "elu")),
        ],
    )
    def test_sums_are_means(self, layers, dtype):
        rng = np.random.default_rng(0)
        networks = [initialize(layers, "normal", rng, dtype) for _ in range(3)]
        X = rng.normal(size=(7, 4)).astype(dtype)
        wide = widen(layers, 3)
        combined = side_by_side(layers, networks)
        assert combined.dtype == dtype
        sums = [forward(X, *layers.unpack(p), layers.activations) for p in networks]
        assert_allclose(
            forward(X, *wide.unpack(combined), wide.activations),
            np.mean(sums, axis=0),
            rtol=1e-4 if dtype == np.float32 else 1e-12,
            atol=1e-6 if dtype == np.float32 else 1e-12,
        )

    def test_no_unit_is_connected_with_one_of_another_network(self):
        layers = Layers((3, 2, 4, 1), ("relu", "relu"))
        networks = [np.full(layers.n_params, value) for value in (1.0, 2.0)]
        (first, second, third), biases = widen(layers, 2).unpack(
            side_by_side(layers, networks)
        )
        assert_array_equal(first, [[1, 1, 2, 2]] * 3)
        assert_array_equal(second, np.kron(np.diag([1, 2]), np.ones((2, 4))))
        assert_array_equal(third.ravel(), [0.5] * 4 + [1] * 4)
        assert_array_equal(
            np.concatenate(biases), [1, 1, 2, 2] + [1] * 4 + [2] * 4 + [1.5]
        )

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_mean_direction_has_no_regard_to_lengths(self, dtype):
        vectors = np.array([[3, 4], [0, -2]], dtype)
        largest, smallest = np.finfo(dtype).max / 4, np.finfo(dtype).tiny
        for factors in [(1, 1), (largest, 1), (smallest, 10), (smallest, largest)]:
            scaled = [v * dtype(f) for v, f in zip(vectors, factors, strict=True)]
            mean = mean_direction(scaled)
            assert mean.dtype == dtype
            assert_allclose(mean, [0.3, -0.1], rtol=1e-6)

    def test_zeros_stay_zeros(self):
        assert_array_equal(mean_direction([np.zeros(2), np.array([0.0, 2])]), [0, 0.5])

    def test_large_weights_do_not_overflow(self):
        layers = Layers((1, 1))
        networks = [np.full(2, np.finfo(float).max)] * 2
        assert_array_equal(side_by_side(layers, networks), networks[0])


class TestFit:
    @both
    def test_climbs_are_those_of_which_the_best_would_be_kept(self, cls, data):
        clf = averaging(cls).fit(*data)
        best = averaging(cls, combine="best").fit(*data)
        alone = averaging(cls, n_restarts=0).fit(*data)
        members = [params.tolist() for params in clf._members]
        assert len(members) == 3
        assert members[0] == alone._layers.pack(*alone._get_weights()).tolist()
        assert best._layers.pack(*best._get_weights()).tolist() in members
        assert clf.n_evaluations_ == best.n_evaluations_ == 3 * 101
        assert clf.n_accepted_ > best.n_accepted_

    def test_perceptron_has_the_mean_of_the_directions(self, data):
        clf = averaging(HillClimbPerceptron).fit(*data)
        climbs = np.array(clf._members)
        climbs /= np.linalg.norm(climbs, axis=1, keepdims=True)
        mean = climbs.mean(axis=0)
        assert_allclose(clf.coef_, mean[:18].reshape(6, 3).T)
        assert_allclose(clf.intercept_, mean[18:])

    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize(
        ("sizes", "activation"),
        [((5,), "relu"), ((4, 3), [np.sin, "step"]), ((), "logistic")],
    )
    def test_mlp_has_the_mean_of_the_sums(self, sizes, activation, n_classes, data):
        X, y = data[0], data[1] % n_classes
        clf = averaging(
            HillClimbMLP, hidden_layer_sizes=sizes, activation=activation, max_iter=30
        ).fit(X, y)
        n_outputs = 1 if n_classes == 2 else 3
        assert [c.shape[1] for c in clf.coefs_] == [*(3 * s for s in sizes), n_outputs]
        assert clf.n_layers_ == len(sizes) + 2
        mean = np.mean(sums_of_climbs(clf, X), axis=0)
        decisions = clf.decision_function(X).reshape(mean.shape)
        assert_allclose(decisions, mean, rtol=1e-9, atol=1e-12)
        assert_allclose(clf.objective_, -log_loss(y, clf.predict_proba(X)), rtol=1e-9)
        # The log loss is convex in the sums.
        assert clf.objective_ >= clf.objective_curve_[-1]

    @both
    @pytest.mark.parametrize("objective", ["accuracy", "f1_macro", f1_score])
    def test_objective_is_that_of_the_combination(self, cls, objective, data):
        X, y = data[0], data[1] % 2
        weight = np.arange(len(y)) % 4
        options = {"objective": objective, "class_weight": {0: 1, 1: 3}}
        clf = averaging(cls, **options).fit(X, y, sample_weight=weight)
        metric = {
            "accuracy": accuracy_score,
            "f1_macro": lambda *a, **k: f1_score(*a, **k, average="macro"),
        }.get(objective, objective)
        effective = np.where(y == 1, 3, 1) * weight
        expected = metric(y, clf.predict(X), sample_weight=effective)
        assert clf.objective_ == pytest.approx(expected, rel=1e-12)

    @both
    def test_curve_is_the_mean_of_the_curves(self, cls, data):
        clf = averaging(cls, n_restarts=1).fit(*data)
        first = averaging(cls, n_restarts=0).fit(*data).objective_curve_
        second = 2 * clf.objective_curve_ - first
        assert second.shape == (101,)
        assert (np.diff(second) > -1e-12).all()
        best = averaging(cls, n_restarts=1, combine="best").fit(*data)
        assert_allclose(max(first[-1], second[-1]), best.objective_)

    @both
    def test_one_climb_is_no_combination(self, cls, data):
        assert_same_fit(
            averaging(cls, n_restarts=0).fit(*data),
            averaging(cls, n_restarts=0, combine="best").fit(*data),
        )

    @both
    @pytest.mark.parametrize("options", [{}, {"early_stopping": True}])
    def test_number_of_threads_makes_no_difference(self, cls, options, data):
        one, two, all_cores = (
            averaging(cls, max_iter=40, n_restarts=4, n_jobs=n_jobs, **options).fit(
                *data
            )
            for n_jobs in (1, 2, -1)
        )
        assert_same_fit(one, two)
        assert_same_fit(one, all_cores)

    @both
    def test_single_precision_and_sparse_input(self, cls, data):
        X, y = np.where(data[0] > 0, data[0], 0).astype(np.float32), data[1]
        dense, sparse = averaging(cls).fit(X, y), averaging(cls).fit(csr_matrix(X), y)
        assert {w.dtype for w in weights(dense)} == {np.dtype(np.float32)}
        assert {w.dtype for w in weights(sparse)} == {np.dtype(np.float32)}
        assert sparse.objective_ == pytest.approx(
            accuracy_score(y, sparse.predict(csr_matrix(X)))
            if cls is HillClimbPerceptron
            else -log_loss(y, sparse.predict_proba(csr_matrix(X))),
            rel=1e-5,
        )

    @both
    def test_no_iterations_combine_the_starts(self, cls, data):
        clf = averaging(cls, max_iter=0).fit(*data)
        assert clf.n_iter_ == 0
        assert clf.n_evaluations_ == 3
        assert len(clf._climbs) == 3

    @both
    def test_memory_for_the_combination_is_counted(self, cls, data, monkeypatch):
        monkeypatch.setattr(_validation.os, "sysconf", lambda name: 2**12)  # 16 MiB
        layers = {"hidden_layer_sizes": (100, 100)} if cls is HillClimbMLP else {}
        options = {"max_iter": 1, "n_restarts": 19, **layers}
        averaging(cls, combine="best", **options).fit(*data)
        if cls is HillClimbPerceptron:
            averaging(cls, **options).fit(*data)
            return
        with pytest.raises(ValueError, match="combined to one of 40") as refusal:
            averaging(cls, **options).fit(*data)
        assert "n_restarts" in str(refusal.value)


class Watcher:
    """Callback that looks at the classifier at each report."""

    def __init__(self, look):
        self.look = look
        self.seen = []

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        self.seen.append(self.look(estimator))


class TestReports:
    @both
    def test_show_the_combination(self, cls, data):
        X, y = data
        watcher = Watcher(lambda clf: (clf.objective_, clf.score(X, y), clf.n_iter_))
        clf = averaging(cls, objective="accuracy").set_callbacks(watcher).fit(X, y)
        objectives, scores, iterations = zip(*watcher.seen, strict=True)
        assert_allclose(objectives, scores, rtol=1e-12)
        assert iterations == (*range(1, 101), 100)
        assert_same_fit(clf, averaging(cls, objective="accuracy").fit(X, y))

    @both
    def test_evaluate_the_combination_at_most_a_hundred_times(
        self, cls, data, monkeypatch
    ):
        count = 0
        monkeypatch.setattr(_climber, "_seconds", lambda climb: 0.25)  # a slow fit

        def objective(y_true, y_pred):
            nonlocal count
            count += 1
            return accuracy_score(y_true, y_pred)

        watcher = Watcher(lambda clf: (clf.n_iter_, clf.objective_, clf.score(*data)))
        clf = averaging(cls, max_iter=120, objective=objective).set_callbacks(watcher)
        clf.fit(*data)
        assert len(watcher.seen) == 121  # a report at each iteration
        # In the middle of a hundredth, the network is that of its beginning.
        assert all(objective == score for _, objective, score in watcher.seen)
        assert count - clf.n_evaluations_ == 61

    @both
    def test_interrupt_keeps_the_combination_so_far(self, cls, data, monkeypatch):
        monkeypatch.setattr(_climber, "_seconds", lambda climb: 0.25)

        def interrupt(clf):
            if clf.n_iter_ == 33 and len(watcher.seen) == 32:
                watcher.seen.append(None)
                raise KeyboardInterrupt

        watcher = Watcher(interrupt)
        clf = averaging(cls, max_iter=200).set_callbacks(watcher)
        with pytest.warns(UserWarning, match="interrupted by user"):
            clf.fit(*data)
        whole = averaging(cls, max_iter=33).fit(*data)
        assert_array_equal(clf.objective_curve_, whole.objective_curve_)
        for a, b in zip(weights(clf), weights(whole), strict=True):
            assert_array_equal(a, b)
        assert clf.objective_ == whole.objective_

    @both
    def test_interrupt_amid_a_step_leaves_the_last_one(self, cls, data):
        X, y = data
        calls = 0

        def objective(y_true, y_pred):
            nonlocal calls
            calls += 1
            if calls == 250:  # some climbs are further than others
                raise KeyboardInterrupt
            return accuracy_score(y_true, y_pred)

        clf = averaging(cls, max_iter=1000, objective=objective)
        with pytest.warns(UserWarning, match="interrupted by user"):
            clf.fit(X, y)
        # How far they were depends on the time; each of three calls it once or more.
        assert 0 < clf.n_iter_ < 250 / 3
        whole = averaging(cls, max_iter=clf.n_iter_, objective=objective).fit(X, y)
        assert_array_equal(clf.objective_curve_, whole.objective_curve_)
        assert_array_equal(clf.decision_function(X), whole.decision_function(X))
        assert clf.objective_ == whole.objective_ == clf.score(X, y)


class TestGoingOn:
    @both
    @pytest.mark.parametrize("step_schedule", ["constant", "one_fifth"])
    def test_two_warm_starts_are_one_longer_fit(self, cls, step_schedule, data):
        options = {"step_schedule": step_schedule}
        once = averaging(cls, max_iter=200, **options).fit(*data)
        twice = averaging(cls, warm_start=True, **options).fit(*data)
        first = twice.objective_curve_
        twice.fit(*data)
        curve = np.append(first, twice.objective_curve_[1:])
        # Up to the rounding of sums that are kept between candidates.
        assert_allclose(curve, once.objective_curve_, rtol=1e-12)
        assert_allclose(
            twice.decision_function(data[0]),
            once.decision_function(data[0]),
            rtol=1e-7,
            atol=1e-10,
        )
        assert twice.objective_ == pytest.approx(once.objective_)

    @both
    def test_partial_fits_are_chunks_of_all_climbs(self, cls, data):
        X, y = data
        whole = averaging(cls, max_iter=40).fit(X, y)
        parts = averaging(cls, max_iter=40)
        for call in range(40):
            parts.partial_fit(X, y, classes=[0, 1, 2] if call == 0 else None)
            assert parts.n_iter_ == call + 1
        assert_allclose(parts.objective_curve_, whole.objective_curve_, rtol=1e-12)
        assert_allclose(parts.decision_function(X), whole.decision_function(X))
        assert parts.n_accepted_ == whole.n_accepted_
        assert len(parts._climbs) == 3

    @both
    @pytest.mark.parametrize("options", [{}, {"early_stopping": True}])
    def test_copies_go_on_like_the_original(self, cls, options, data):
        clf = averaging(cls, **options).fit(*data)
        file = io.BytesIO()
        joblib.dump(clf, file)
        file.seek(0)
        copies = [
            pickle.loads(pickle.dumps(clf)),
            copy.deepcopy(clf),
            joblib.load(file),
        ]
        clf.set_params(warm_start=True).fit(*data)
        for other in copies:
            assert_same_fit(clf, other.set_params(warm_start=True).fit(*data))
        assert not vars(clone(clf)).keys() & {"_climbs", "_members"}

    @both
    @pytest.mark.parametrize(
        ("before", "after", "advice"),
        [
            ({}, {"n_restarts": 4}, "combine='average' and n_restarts=2 to go on"),
            ({}, {"n_restarts": 0}, "combine='average' and n_restarts=2 to go on"),
            (
                {},
                {"combine": "best"},
                "has left 3, but combine='best' and n_restarts=2",
            ),
            (
                {"combine": "best"},
                {"combine": "average"},
                "combine='best' or n_restarts=0",
            ),
            ({"n_restarts": 0}, {"n_restarts": 1}, "has left 1, but combine='average'"),
        ],
    )
    def test_needs_the_same_climbs(self, cls, before, after, advice, data):
        clf = averaging(cls, warm_start=True, **before).fit(*data)
        weights_before = copy.deepcopy(weights(clf))
        clf.set_params(**after)
        for call in (clf.fit, clf.partial_fit):
            with pytest.raises(ValueError, match=advice):
                call(*data)
        for a, b in zip(weights(clf), weights_before, strict=True):
            assert_array_equal(a, b)
        clf.set_params(warm_start=False).fit(*data)

    @both
    def test_one_climb_goes_on_however_it_was_to_be_combined(self, cls, data):
        one = averaging(cls, n_restarts=0).fit(*data).set_params(combine="best")
        two = averaging(cls, combine="best", n_restarts=0).fit(*data)
        assert_goes_on_alike(one, two.set_params(combine="average"), *data)

    def test_needs_the_same_layers(self, data):
        clf = averaging(HillClimbMLP, warm_start=True).fit(*data)
        # As wide as the combination is.
        clf.set_params(hidden_layer_sizes=(15,))
        with pytest.raises(ValueError, match=r"began with, .*\(6, 5, 3\)"):
            clf.fit(*data)

    @both
    def test_other_weights_are_refused_by_several_climbs_only(self, cls, data):
        several = averaging(cls, warm_start=True).fit(*data)
        single = averaging(cls, warm_start=True, combine="best", max_iter=1).fit(*data)
        for clf in (several, single):
            weights(clf)[0][0, 0] += 1
        with pytest.raises(ValueError, match="weights have been changed since"):
            several.fit(*data)
        before = single.objective_curve_[-1]
        single.fit(*data)
        assert single.objective_curve_[0] != before


class TestEarlyStopping:
    @both
    def test_one_judge_watches_the_combination(self, cls, data, monkeypatch):
        # On a busy machine there would be steps between the reports.
        monkeypatch.setattr(_climber, "_seconds", lambda climb: 0.0)
        clf = averaging(
            cls,
            max_iter=3000,
            early_stopping=True,
            validation_fraction=0.3,
            n_iter_no_change=5,
        )
        watcher = Watcher(
            lambda clf: (clf.best_validation_score_, copy.deepcopy(weights(clf)))
        )
        clf.set_callbacks(watcher).fit(*data)
        assert clf.n_iter_ < 3000
        assert len(clf.validation_scores_) == clf.n_iter_ / 30
        assert clf.best_validation_score_ == max(clf.validation_scores_)
        best = int(np.argmax(clf.validation_scores_))
        for a, b in zip(weights(clf), watcher.seen[best][1], strict=True):
            assert_array_equal(a, b)
        # The climbs go on from there, too.
        assert_allclose(
            clf._combine(clf._climb_layers, clf._members),
            clf._layers.pack(*clf._get_weights()),
        )
        assert clf.n_evaluations_ == 3 * (clf.n_iter_ + 1)

    @both
    def test_goes_on_from_the_best(self, cls, data):
        clf = averaging(cls, early_stopping=True, warm_start=True).fit(*data)
        clf.set_params(early_stopping=False, max_iter=0).fit(*data)
        assert len(clf._climbs) == 3


@pytest.mark.slow
@parametrize_with_checks(
    [
        averaging(HillClimbPerceptron, max_iter=300, n_restarts=1),
        averaging(HillClimbMLP, max_iter=1000, n_restarts=1),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)
