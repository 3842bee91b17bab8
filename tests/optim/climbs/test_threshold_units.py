"""The compiled climbs of threshold units, against `HillClimb` on the same noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from skperceptron.network import Layers, initialize
from skperceptron.optim import Metric, Mutation, Problem, Streams
from skperceptron.optim.climbs._forward_climb import ForwardClimb
from skperceptron.optim.climbs._hill_climb import HillClimb
from skperceptron.optim.climbs._hyperplane_climb import MAX_FEATURES, HyperplaneClimb
from skperceptron.optim.climbs._screened_climb import ScreenedClimb
from skperceptron.optim.climbs._unit_climb import UnitClimb
from tests.coverings import pairwise


def make_problem(n_units, *, n_samples=300, n_features=6, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, n_features))
    z = X @ rng.normal(size=(n_features, n_units))
    z += 0.5 * rng.normal(size=z.shape)
    layers = Layers((n_features, n_units))
    start = initialize(layers, "uniform", rng, dtype)
    return X.astype(dtype), decide(z), layers, start


def decide(z):
    return (z[:, 0] >= 0).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)


def accuracy_on(X, y, weight, layers):
    def accuracy(params):
        (coef,), (intercept,) = layers.unpack(params)
        correct = decide(X @ coef + intercept) == y
        return np.average(correct, weights=weight)

    return accuracy


# For one unit and dense data there are three ways to the same result.
ONE_UNIT = [UnitClimb, HyperplaneClimb, ScreenedClimb]
ACCURACY = Metric("accuracy", positive_at_zero=True)


def both_climbs(
    problem,
    climb=None,
    *,
    weight=None,
    sparse=False,
    n_iter=367,
    share=None,
    by_unit=False,
    **steps,
):
    X, y, layers, start = problem
    groups = layers.unit_groups() if by_unit else None
    first, second = (
        Mutation(
            Streams.from_seed(1), start.size, start.dtype, share=share, groups=groups
        )
        for _ in range(2)
    )
    literal = HillClimb(start, first, accuracy_on(X, y, weight, layers), **steps)
    problem = Problem(layers, csr_array(X) if sparse else X, y, weight, ACCURACY)
    if climb is None:
        climb = UnitClimb if by_unit or layers.n_units == 1 else ForwardClimb
    return literal, climb(start, second, problem, n_iter=n_iter, **steps)


@pytest.mark.parametrize(
    ("n_units_and_mutation", "adapt", "weighted"),
    pairwise(
        [
            (n_units, mutation)
            for n_units in (1, 4)
            for sparse in (False, True)
            for mutation in (
                {"sparse": sparse},
                {"sparse": sparse, "share": 0.3},
                {"sparse": sparse, "by_unit": True},
            )
            # Which are left to the literal climb.
            if n_units == 1 or "by_unit" in mutation or not sparse
        ],
        [False, True],
        [False, True],
    ),
)
def test_same_random_numbers_give_the_same_climb(n_units_and_mutation, adapt, weighted):
    n_units, mutation = n_units_and_mutation
    weight = np.random.default_rng(2).uniform(size=300) if weighted else None
    literal, compiled = both_climbs(
        make_problem(n_units),
        weight=weight,
        step_size=0.1,
        adapt=adapt,
        **mutation,
    )
    for n_iter in (150, 1, 216):
        assert_allclose(compiled.run(n_iter), literal.run(n_iter), rtol=1e-14)
        assert compiled.n_accepted == literal.n_accepted
        assert_array_equal(compiled.params, literal.params)
        assert_allclose(compiled.step_size, literal.step_size)
    assert compiled.value == pytest.approx(literal.value)
    assert compiled.n_evaluations == literal.n_evaluations == 368


@pytest.mark.parametrize("climb", ONE_UNIT)
def test_only_what_is_better_is_kept(climb):
    options = {"step_size": 0.1, "adapt": True, "keeps_ties": False}
    literal, compiled = both_climbs(make_problem(1), climb, **options)
    curve = [compiled.value, *compiled.run(367)]
    assert_allclose(curve[1:], literal.run(367), rtol=1e-14)
    assert_array_equal(compiled.params, literal.params)
    assert_allclose(compiled.step_size, literal.step_size)
    assert compiled.n_accepted == np.count_nonzero(np.diff(curve)) > 0


@pytest.mark.parametrize(
    ("climb_and_features", "mutation", "adapt", "weighted"),
    pairwise(
        [
            *((HyperplaneClimb, n) for n in (1, 5, MAX_FEATURES)),
            *((ScreenedClimb, n) for n in (1, 24)),
        ],
        [{}, {"share": 0.3}],
        [False, True],
        [False, True],
    ),
)
def test_every_way_for_one_unit_gives_the_same_climb(
    climb_and_features, mutation, adapt, weighted
):
    climb, n_features = climb_and_features
    weight = np.random.default_rng(2).uniform(size=300) if weighted else None
    literal, compiled = both_climbs(
        make_problem(1, n_features=n_features),
        climb,
        weight=weight,
        step_size=0.1,
        adapt=adapt,
        **mutation,
    )
    for n_iter in (150, 1, 216):
        assert_allclose(compiled.run(n_iter), literal.run(n_iter), rtol=1e-14)
        assert compiled.n_accepted == literal.n_accepted
        assert_array_equal(compiled.params, literal.params)
        assert_allclose(compiled.step_size, literal.step_size)


@pytest.mark.parametrize("climb", ONE_UNIT)
@pytest.mark.parametrize("step_size", [1e-3, 0.05, 3.0])
def test_long_climbs_of_one_unit_stay_the_same(climb, step_size):
    problem = make_problem(1, n_samples=1000, n_features=7)
    literal, compiled = both_climbs(problem, climb, step_size=step_size, n_iter=3000)
    assert_array_equal(compiled.run(3000), literal.run(3000))
    assert_array_equal(compiled.params, literal.params)


@pytest.mark.parametrize("climb", ONE_UNIT)
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e6, 1e36, 1e38, 1e60, 1e170])
def test_same_climb_whatever_the_scale_of_the_data(climb, scale):
    X, y, layers, start = make_problem(1)
    X[:, 0] *= scale
    literal, compiled = both_climbs((X, y, layers, start), climb, step_size=0.1)
    assert_array_equal(compiled.run(367), literal.run(367))
    assert_array_equal(compiled.params, literal.params)


@pytest.mark.parametrize("climb", [HyperplaneClimb, ScreenedClimb])
@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_samples_on_the_hyperplane_count_as_class_1(climb, scale):
    # Whole numbers: many sums are exactly 0, where float32 would do as well as float64.
    X = np.random.default_rng(0).integers(-2, 3, size=(400, 3)).astype(float)
    y = (X.sum(axis=1) >= 0).astype(int)
    layers = Layers((3, 1))
    literal, compiled = both_climbs(
        (X, y, layers, scale * np.array([1.0, 1, 1, 0])), climb, step_size=1e-9 * scale
    )
    assert compiled.value == literal.value == 1
    assert_array_equal(compiled.run(300), literal.run(300))
    assert compiled.n_accepted == literal.n_accepted


@pytest.mark.parametrize("n_units", [1, 3])
def test_same_climb_on_a_single_feature(n_units):
    problem = make_problem(n_units, n_features=1)
    literal, compiled = both_climbs(problem, step_size=0.1)
    assert_array_equal(compiled.run(367), literal.run(367))
    assert_array_equal(compiled.params, literal.params)


@pytest.mark.parametrize("climb", ONE_UNIT)
def test_many_kept_candidates_do_not_add_up_rounding_errors(climb):
    X, y, layers, start = make_problem(1)
    literal, compiled = both_climbs((X, y, layers, start), climb, step_size=1e-3)
    assert_array_equal(compiled.run(5000), literal.run(5000))
    assert compiled.n_accepted > 1000
    assert compiled.value == accuracy_on(X, y, None, layers)(compiled.params)


def test_sums_are_computed_anew_as_often_as_many_candidates_are_kept(monkeypatch):
    refreshed = []
    refresh = UnitClimb._compute

    def count(climb):
        refreshed.append(climb.n_accepted)
        return refresh(climb)

    monkeypatch.setattr(UnitClimb, "_compute", count)
    _, compiled = both_climbs(make_problem(1), step_size=1e-3, n_iter=5000)
    compiled.run(5000)
    # Candidates are drawn 256 at a time: at most that many were kept in between.
    n_kept = np.diff([*refreshed, compiled.n_accepted])
    assert n_kept.max() <= 64 + 256
    assert n_kept[1:-1].min() > 64


def test_rewinding_gives_back_what_was_prepared_in_vain():
    literal, compiled = both_climbs(make_problem(3), by_unit=True, step_size=0.1)
    literal.run(37)
    compiled.run(37)
    compiled.rewind()
    assert compiled.mutation.streams.state == literal.mutation.streams.state


@pytest.mark.parametrize("climb", ONE_UNIT)
def test_climb_goes_on_after_rewinding_and_beyond_the_plan(climb):
    literal, compiled = both_climbs(make_problem(1), climb, step_size=0.1, n_iter=20)
    compiled.run(15)
    compiled.rewind()
    compiled.run(100)
    literal.run(115)
    assert_array_equal(compiled.params, literal.params)


@pytest.mark.parametrize("climb", ONE_UNIT)
def test_start_is_never_written_to(climb):
    problem = make_problem(1)
    before = problem[-1].copy()
    both_climbs(problem, climb, step_size=0.1)[1].run(100)
    assert_array_equal(problem[-1], before)


def test_float32_stays_float32_and_ends_with_the_accuracy_of_its_weights():
    X, y, layers, start = make_problem(3, dtype=np.float32)
    _, compiled = both_climbs((X, y, layers, start), step_size=0.1)
    compiled.run(300)
    assert compiled.params.dtype == np.float32
    # A sum within rounding of another may count on either side.
    expected = accuracy_on(X, y, None, layers)(compiled.params)
    assert abs(compiled.value - expected) <= 2 / len(y)


@pytest.mark.parametrize(
    ("climb", "n_units"),
    [(UnitClimb, 3), (ForwardClimb, 3), *((climb, 1) for climb in ONE_UNIT)],
)
@pytest.mark.parametrize("n_features", [1, 6])
def test_candidates_that_overflow_are_rejected(climb, n_units, n_features):
    X, y, layers, start = make_problem(n_units, n_features=n_features)
    _, compiled = both_climbs((X * 1e12, y, layers, start), climb, step_size=1e300)
    compiled.run(100)
    assert compiled.n_accepted == 0
    assert_array_equal(compiled.params, start)


@pytest.mark.parametrize("climb", ONE_UNIT)
def test_start_that_overflows_is_worth_minus_infinity(climb):
    X, y, layers, start = make_problem(1)
    with np.errstate(all="ignore"):  # the literal climb overflows just the same
        _, compiled = both_climbs((X, y, layers, start + 1e308), climb, step_size=1)
    assert compiled.value == -np.inf
