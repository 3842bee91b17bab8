"""The compiled climbs of networks, against `HillClimb` with the same random numbers."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from skperceptron.network import (
    ACTIVATIONS,
    Layers,
    forward,
    initialize,
    log_likelihood,
)
from skperceptron.optim import Metric, Mutation, Problem, Streams
from skperceptron.optim.climbs import _unit_climb
from skperceptron.optim.climbs._descent import Descent
from skperceptron.optim.climbs._forward_climb import ForwardClimb
from skperceptron.optim.climbs._forward_screening_kernel import screened_accuracy
from skperceptron.optim.climbs._hill_climb import HillClimb
from skperceptron.optim.climbs._unit_climb import UnitClimb
from tests.coverings import pairwise

N = 200
# The second one keeps no more than two units of the first layer.
BY_UNIT = ["unit", "lean unit"]
LEAN = {"MAX_BYTES_KEPT": 0, "_MAX_TIMES": 0, "_MIN_KEPT": 2, "_MAX_KEPT": 2}
FORWARD = ["all", 0.4, "forward unit"]
MUTATIONS = [*BY_UNIT, *FORWARD]
OBJECTIVES = ["accuracy", "log_loss"]


def make_problem(units, activations, dtype=np.float64, n_samples=N):
    rng = np.random.default_rng(0)
    layers = Layers((3, *units), tuple(activations))
    X = rng.normal(size=(n_samples, 3))
    z = forward(X, *layers.unpack(2 * rng.normal(size=layers.n_params)), activations)
    y = decide(z)
    # Some labels at random, so that no climb reaches a perfect fit.
    at_random = rng.random(n_samples) < 0.2
    y[at_random] = rng.integers(max(units[-1], 2), size=at_random.sum())
    start = initialize(layers, "glorot", rng, dtype)
    # Without biases, a network whose hidden units are all off sums up to exactly 0,
    # where the last bit of a sum decides.
    start[layers.n_coefs :] = rng.normal(scale=0.1, size=start.size - layers.n_coefs)
    return X.astype(dtype), y, layers, start


def decide(z):
    return (z[:, 0] > 0).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)


def both_climbs(
    problem,
    objective,
    mutation="unit",
    *,
    weight=None,
    sparse=False,
    step_size=0.3,
    adapt=True,
    n_iter=400,
    alpha=0.0,
    descends=False,
    keeps_ties=True,
):
    X, y, layers, start = problem
    options = {"alpha": alpha, "descends": descends}
    problem = Problem(layers, X, y, weight, Metric(objective), **options)
    samples = csr_array(X) if sparse else X

    def evaluate(params):
        z = forward(X, *layers.unpack(params), layers.activations)
        if objective == "log_loss":
            return log_likelihood(z, y, weight)
        return np.average(decide(z) == y, weights=weight)

    first, second = (
        Mutation(
            Streams.from_seed(1),
            start.size,
            start.dtype,
            groups=layers.unit_groups() if str(mutation).endswith("unit") else None,
            share=0.4 if mutation == 0.4 else None,
        )
        for _ in range(2)
    )
    steps = {"step_size": step_size, "adapt": adapt, "keeps_ties": keeps_ties}

    def penalty(params):
        total = len(y) if weight is None else weight.sum()
        return alpha / 2 * np.sum(params[: layers.n_coefs] ** 2) / total

    turn = Descent(problem) if descends else None
    literal = HillClimb(start, first, evaluate, penalty=penalty, turn=turn, **steps)
    make = UnitClimb if mutation in BY_UNIT else ForwardClimb
    problem = replace(problem, X=samples)
    with pytest.MonkeyPatch.context() as patch:
        if mutation == "lean unit":
            for name, value in LEAN.items():
                patch.setattr(_unit_climb, name, value)
        return literal, make(start, second, problem, n_iter=n_iter, **steps)


def assert_same(literal, compiled, n_iter=400):
    assert compiled.value == pytest.approx(literal.value)
    for part in (n_iter // 3, 1, n_iter // 2):
        # The losses are means of rounded terms of the order of 1.
        assert_allclose(compiled.run(part), literal.run(part), rtol=1e-9, atol=1e-15)
    assert compiled.n_accepted == literal.n_accepted
    assert_allclose(compiled.params, literal.params)
    assert_allclose(compiled.step_size, literal.step_size)
    assert compiled.n_evaluations == literal.n_evaluations
    compiled.rewind()
    assert compiled.mutation.streams.state == literal.mutation.streams.state


@pytest.mark.parametrize(
    ("activation", "objective", "mutation"),
    pairwise(list(ACTIVATIONS), OBJECTIVES, MUTATIONS),
)
def test_same_climb_with_every_activation(activation, objective, mutation):
    problem = make_problem((6, 3), [activation])
    assert_same(*both_climbs(problem, objective, mutation))


DIFFERENT_NETWORKS = [["logistic"], ["relu"], ["tanh", "softplus"]]
DEPTHS = [
    ((3,), []),
    ((1,), []),
    ((5, 1), ["logistic"]),
    ((5, 4, 1), ["tanh", "relu"]),
    ((5, 4, 6, 3), ["tanh", "step", "silu"]),
]


@pytest.mark.parametrize(
    ("mutation", "depth", "weighted"),
    pairwise(
        BY_UNIT,
        [*DEPTHS[2:], ((5, 3), ["step"]), ((5, 3), ["relu"])],
        [False, True],
    ),
)
def test_noise_is_turned_to_where_the_loss_falls(mutation, depth, weighted):
    units, activations = depth
    problem = make_problem(units, activations)
    weight = np.random.default_rng(3).uniform(0, 2, N) if weighted else None
    options = {"weight": weight, "alpha": 2.0, "descends": True}
    climbs = both_climbs(problem, "log_loss", mutation, **options)
    assert_same(*climbs)


@pytest.mark.parametrize("units", [(1,), (3,)])
def test_noise_is_turned_without_hidden_layers(units):
    problem = make_problem(units, [])
    assert_same(*both_climbs(problem, "log_loss", alpha=1.0, descends=True))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_only_what_is_better_is_kept(mutation):
    problem = make_problem((4, 3), ["relu"])
    climbs = both_climbs(problem, "accuracy", mutation, keeps_ties=False)
    assert_same(*climbs)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_large_weights_are_penalised(mutation):
    problem = make_problem((4, 3), ["tanh"])
    assert_same(*both_climbs(problem, "log_loss", mutation, alpha=5.0))


@pytest.mark.parametrize(
    ("depth_and_mutation", "objective", "weighted", "adapt"),
    pairwise(
        [
            (depth, mutation)
            for mutation in MUTATIONS
            for depth in DEPTHS
            # Which keeps nothing of the first hidden layer.
            if depth[1] or mutation != "lean unit"
        ],
        OBJECTIVES,
        [False, True],
        [False, True],
    ),
)
def test_same_climb_at_any_depth(depth_and_mutation, objective, weighted, adapt):
    (units, activations), mutation = depth_and_mutation
    weight = np.random.default_rng(2).uniform(size=N) if weighted else None
    problem = make_problem(units, activations)
    assert_same(*both_climbs(problem, objective, mutation, weight=weight, adapt=adapt))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mutation", BY_UNIT)
def test_same_climb_on_sparse_data(objective, mutation):
    problem = make_problem((5, 4, 3), ["tanh", "relu"])
    assert_same(*both_climbs(problem, objective, mutation, sparse=True))


@pytest.mark.parametrize(
    ("mutation", "n_samples"), [("unit", 2500), ("lean unit", 4999)]
)
def test_same_climb_with_more_samples_than_fit_in_a_tile(mutation, n_samples):
    problem = make_problem((5, 3), ["logistic"], n_samples=n_samples)
    assert_same(*both_climbs(problem, "log_loss", mutation))


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda X: X.repeat(2, 1)[:, ::2]]
)
def test_same_climb_whatever_the_layout_of_the_data(mutation, layout):
    X, *problem = make_problem((5, 3), ["logistic"])
    assert_same(*both_climbs((layout(X), *problem), "log_loss", mutation))


@pytest.mark.parametrize(
    ("units", "objective", "weighted", "mutation"),
    pairwise([(5, 3), (5, 1)], OBJECTIVES, [False, True], FORWARD),
)
def test_same_climb_with_more_samples_than_fit_in_two_blocks(
    units, objective, weighted, mutation
):
    n_samples = 2500
    weight = np.random.default_rng(2).uniform(size=n_samples) if weighted else None
    problem = make_problem(units, ["logistic"], n_samples=n_samples)
    assert_same(*both_climbs(problem, objective, mutation, weight=weight))


@pytest.mark.parametrize(
    ("mutation", "scale", "activations"),
    [
        *pairwise(MUTATIONS, [1e-30, 1e3, 1e9], DIFFERENT_NETWORKS),
        # Not with sums that are kept from one candidate to the next: one that was as
        # large as this has left a rounding error larger than all others.
        *pairwise(["all"], [1e30, 1e38, 1e60], DIFFERENT_NETWORKS),
    ],
)
def test_same_accuracy_whatever_the_scale_of_the_data(mutation, scale, activations):
    X, y, layers, start = make_problem((4,) * len(activations) + (3,), activations)
    X[:, 0] *= scale
    literal, compiled = both_climbs((X, y, layers, start), "accuracy", mutation)
    assert_array_equal(compiled.run(200), literal.run(200))
    assert_allclose(compiled.params, literal.params)


@pytest.mark.parametrize(("n_outputs", "seed"), [(1, 10), (3, 5)])
def test_equal_sums_count_as_in_float64(n_outputs, seed):
    # Of whole numbers many sums are equal, or 0: float32 leaves open what decides.
    rng = np.random.default_rng(seed)
    X = rng.integers(-9, 10, size=(900, 3)).astype(float)
    layers = Layers((3, 4, n_outputs), ("relu",))
    start = rng.integers(-3, 4, size=layers.n_params).astype(float)
    z = forward(X, *layers.unpack(start), layers.activations)
    is_open = z == 0 if n_outputs == 1 else z == np.roll(z, 1, axis=1)
    # With more than a 16th of the samples, all would be computed in float64.
    assert 10 < is_open.any(axis=1).sum() < 900 / 16
    problem = X, decide(z), layers, start
    literal, compiled = both_climbs(problem, "accuracy", "all", step_size=1e-9)
    assert_array_equal(compiled.run(100), literal.run(100))
    assert compiled.n_accepted == literal.n_accepted


def close_to_a_decision(problem, n_samples):
    """Find samples on both sides of decisions, closer to them than float32 can tell."""
    X, _, layers, start = problem

    def predict(X):
        return decide(forward(X, *layers.unpack(start), layers.activations))

    one, other = X[:-1], X[1:]
    apart = predict(one) != predict(other)
    one, other = one[apart][:n_samples], other[apart][:n_samples]
    first = predict(one)
    for _ in range(32):
        middle = (one + other) / 2
        stays = (predict(middle) == first)[:, np.newaxis]
        one, other = np.where(stays, middle, one), np.where(stays, other, middle)
    return np.vstack([one, other])


@pytest.mark.parametrize("units", [(1,), (3,), (4, 1), (4, 3)])
def test_sums_too_close_for_float32_count_as_in_float64(units):
    activations = ("tanh",) * (len(units) - 1)
    X, y, layers, start = make_problem(units, activations, n_samples=900)
    # With more than a 16th of the samples, all would be computed in float64.
    X = np.vstack([X, close_to_a_decision((X, y, layers, start), n_samples=15)])
    y = decide(forward(X, *layers.unpack(start), activations))
    parts = layers.unpack(start.astype(np.float32))
    assert (decide(forward(X.astype(np.float32), *parts, activations)) != y).any()
    literal, compiled = both_climbs(
        (X, y, layers, start), "accuracy", "all", step_size=1e-15, adapt=False
    )
    assert compiled.value == literal.value == 1
    assert_array_equal(compiled.run(100), literal.run(100))
    assert compiled.n_accepted == literal.n_accepted == 100


@pytest.mark.parametrize("units", [(1,), (4, 3)])
def test_float32_settles_all_but_few_samples(units):
    activations = ("tanh",) * (len(units) - 1)
    X, y, layers, start = make_problem(units, activations, n_samples=2500)
    _, climb = both_climbs((X, y, layers, start), "accuracy", "all")
    climb._sort()
    columns = climb._data.columns
    n_right = screened_accuracy(
        climb._network, climb._targets, climb._single, start, columns, -np.inf
    )  # NaN where too many are left to float64
    z = forward(X, *layers.unpack(start), activations)
    assert n_right == np.sum(decide(z) == y)


def test_samples_are_sorted_anew_only_after_a_candidate_was_kept(monkeypatch):
    sorted_at = []
    sort = ForwardClimb._sort

    def count(climb):
        sorted_at.append(climb.n_accepted)
        sort(climb)

    monkeypatch.setattr(ForwardClimb, "_sort", count)
    problem = make_problem((4, 3), ["tanh"])
    _, climb = both_climbs(problem, "accuracy", "all", step_size=1.0, adapt=False)
    climb.run(5000)
    n_blocks = -(-5000 // 128)
    assert 1 < len(sorted_at) < n_blocks
    assert (np.diff(sorted_at) > 0).all()


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("step_size", [1e-16, 0.3])
def test_weights_only_count_relative_to_each_other(mutation, step_size):
    # Multiplied by a power of 2, all numbers are rounded as before. The smaller steps
    # change sums by as much as rounding does, if at all.
    problem = make_problem((6, 3), ["tanh"])
    weight = np.random.default_rng(2).uniform(size=N)
    options = {"step_size": step_size, "adapt": False}
    _, climb = both_climbs(problem, "log_loss", mutation, weight=weight, **options)
    weight = 2.0**40 * weight
    _, heavy = both_climbs(problem, "log_loss", mutation, weight=weight, **options)
    assert_array_equal(heavy.run(400), climb.run(400))
    assert heavy.n_accepted == climb.n_accepted > 0
    assert_array_equal(heavy.params, climb.params)


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_start_that_overflows_is_worth_minus_infinity(mutation, objective):
    X, y, layers, start = make_problem((4, 3), ["tanh"])
    X[-1] = 1e308  # of its outputs, nobody could tell
    with np.errstate(all="ignore"):
        _, compiled = both_climbs((X, y, layers, 10 * start), objective, mutation)
    assert compiled.value == -np.inf


@pytest.mark.parametrize("mutation", [*BY_UNIT, "forward unit"])
def test_kept_candidates_do_not_add_up_rounding_errors(mutation):
    problem = make_problem((6, 3), ["tanh"])
    literal, compiled = both_climbs(
        problem, "log_loss", mutation, step_size=1e-3, adapt=False
    )
    compiled.run(4000)
    assert compiled.n_accepted > 500
    assert compiled.value == pytest.approx(literal.objective(compiled.params))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_start_is_never_written_to(mutation):
    problem = make_problem((6, 3), ["tanh"])
    before = problem[-1].copy()
    both_climbs(problem, "log_loss", mutation)[1].run(100)
    assert_array_equal(problem[-1], before)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_float32_stays_float32(mutation):
    problem = make_problem((6, 3), ["logistic"], dtype=np.float32)
    literal, compiled = both_climbs(problem, "log_loss", mutation)
    compiled.run(300)
    assert compiled.params.dtype == np.float32
    assert compiled.value == pytest.approx(literal.objective(compiled.params), rel=1e-4)


@pytest.mark.parametrize(
    ("mutation", "objective", "activation"),
    pairwise(MUTATIONS, OBJECTIVES, ["relu", "logistic"]),
)
def test_candidates_that_overflow_are_rejected(mutation, objective, activation):
    X, y, layers, start = make_problem((6, 3), [activation])
    _, compiled = both_climbs(
        (X * 1e10, y, layers, start), objective, mutation, step_size=1e300
    )
    before = compiled.value
    with np.errstate(all="ignore"):
        compiled.run(50)
    assert np.isfinite(compiled.value)
    assert compiled.value >= before
    assert np.isfinite(compiled.params).all()


@pytest.mark.parametrize(
    ("objective", "sample", "mutation"),
    pairwise(OBJECTIVES, [0, -1], ["all", "forward unit"]),
)
def test_candidates_that_overflow_for_one_sample_are_rejected(
    objective, sample, mutation
):
    # More samples than fit in two blocks, and units whose outputs are always finite.
    X, y, layers, start = make_problem((6, 3), ["step"], n_samples=2500)
    X[sample, 0] = 1e308
    _, compiled = both_climbs((X, y, layers, start), objective, mutation, step_size=1.0)
    compiled.run(300)
    assert compiled.n_accepted > 0
    (first, _), (bias, _) = layers.unpack(compiled.params)
    with np.errstate(over="ignore"):
        assert np.isfinite(X @ first + bias).all()
