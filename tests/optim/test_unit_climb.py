"""The compiled climb of a network, against `HillClimb` with the same random numbers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skperceptron.network import (
    ACTIVATIONS,
    Layers,
    forward,
    initialize,
    log_likelihood,
)
from skperceptron.optim import HillClimb, UnitClimb, _network_kernels

N = 200


def make_problem(units, activations, dtype=np.float64):
    rng = np.random.default_rng(0)
    layers = Layers((3, *units), tuple(activations))
    X = rng.normal(size=(N, 3))
    z = forward(X, *layers.unpack(2 * rng.normal(size=layers.n_params)), activations)
    y = decide(z)
    # Some labels at random, so that no climb reaches a perfect fit.
    at_random = rng.random(N) < 0.2
    y[at_random] = rng.integers(max(units[-1], 2), size=at_random.sum())
    start = initialize(layers, "glorot", rng, dtype)
    return X.astype(dtype), y, layers, start


def decide(z):
    return (z[:, 0] > 0).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)


def both_climbs(problem, objective, *, weight=None, step_size=0.3, adapt=True):
    X, y, layers, start = problem

    def evaluate(params):
        z = forward(X, *layers.unpack(params), layers.activations)
        if objective == "log_loss":
            return log_likelihood(z, y, weight)
        return np.average(decide(z) == y, weights=weight)

    options = {"step_size": step_size, "adapt": adapt}
    literal = HillClimb(
        start,
        evaluate,
        rng=np.random.default_rng(1),
        groups=layers.unit_groups(),
        **options,
    )
    compiled = UnitClimb(
        start, X, y, weight, layers, objective, rng=np.random.default_rng(1), **options
    )
    return literal, compiled


def assert_same(literal, compiled, n_iter=400):
    assert compiled.value == pytest.approx(literal.value)
    for part in (n_iter // 3, 1, n_iter // 2):
        # The losses are means of rounded terms of the order of 1.
        assert_allclose(compiled.run(part), literal.run(part), rtol=1e-9, atol=1e-15)
    assert compiled.n_accepted == literal.n_accepted
    assert_allclose(compiled.params, literal.params)
    assert_allclose(compiled.step_size, literal.step_size)
    assert compiled.n_evaluations == literal.n_evaluations
    assert compiled.rng.random() == literal.rng.random()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("objective", ["accuracy", "log_loss"])
def test_same_climb_with_every_activation(activation, objective):
    assert_same(*both_climbs(make_problem((6, 3), [activation]), objective))


@pytest.mark.parametrize(
    ("units", "activations"),
    [
        ((3,), []),
        ((1,), []),
        ((5, 1), ["logistic"]),
        ((5, 4, 1), ["tanh", "relu"]),
        ((5, 4, 6, 3), ["tanh", "step", "silu"]),
    ],
)
@pytest.mark.parametrize("objective", ["accuracy", "log_loss"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("adapt", [False, True])
def test_same_climb_at_any_depth(units, activations, objective, weighted, adapt):
    weight = np.random.default_rng(2).uniform(size=N) if weighted else None
    assert_same(
        *both_climbs(
            make_problem(units, activations), objective, weight=weight, adapt=adapt
        )
    )


def test_kept_candidates_do_not_add_up_rounding_errors():
    literal, compiled = both_climbs(
        make_problem((6, 3), ["tanh"]), "log_loss", step_size=1e-3, adapt=False
    )
    compiled.run(4000)
    assert compiled.n_accepted > 500
    assert compiled.value == pytest.approx(literal.objective(compiled.params))


def test_start_is_never_written_to():
    problem = make_problem((6, 3), ["tanh"])
    before = problem[-1].copy()
    both_climbs(problem, "log_loss")[1].run(100)
    assert_array_equal(problem[-1], before)


def test_float32_stays_float32():
    problem = make_problem((6, 3), ["logistic"], dtype=np.float32)
    literal, compiled = both_climbs(problem, "log_loss")
    compiled.run(300)
    assert compiled.params.dtype == np.float32
    assert compiled.value == pytest.approx(literal.objective(compiled.params), rel=1e-4)


def test_candidates_that_overflow_are_rejected():
    X, y, layers, start = make_problem((6, 3), ["relu"])
    _, compiled = both_climbs((X * 1e10, y, layers, start), "log_loss", step_size=1e300)
    before = compiled.value
    with np.errstate(all="ignore"):
        compiled.run(50)
    assert np.isfinite(compiled.value)
    assert compiled.value >= before
    assert np.isfinite(compiled.params).all()


class TestKernels:
    @pytest.mark.parametrize("n_outputs", [1, 4])
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 500.0])
    def test_log_likelihood_agrees_with_the_vectorised_one(
        self, n_outputs, weighted, scale
    ):
        rng = np.random.default_rng(0)
        z = scale * rng.normal(size=(N, n_outputs))
        y = decide(z)  # mostly right, some very wrong
        y[: N // 4] = rng.integers(max(n_outputs, 2), size=N // 4)
        weight = rng.uniform(size=N) if weighted else np.empty(0)
        value = _network_kernels.log_likelihood(
            np.ascontiguousarray(z.T),
            y,
            weight,
            np.empty((5, N)),
            np.empty(N, np.int64),
        )
        expected = log_likelihood(z, y, weight if weighted else None)
        total = weight.sum() if weighted else N
        assert value / total == pytest.approx(expected, rel=1e-13)

    def test_log_likelihood_is_precise_for_confident_networks(self):
        z, y = np.array([[40.0] * 3, [0.0] * 3]), np.zeros(3, dtype=np.intp)
        value = _network_kernels.log_likelihood(
            z, y, np.empty(0), np.empty((5, 3)), np.empty(3, np.int64)
        )
        assert value == pytest.approx(-3 * np.exp(-40.0), rel=1e-13)

    def test_exp_agrees_with_numpy_over_its_whole_range(self):
        x = np.concatenate([np.linspace(-708, 709, 20_001), [0.0, -1e-300, 1e-9]])
        out = np.empty_like(x)
        _network_kernels.exp_row(x, out, np.empty(x.size, np.int64))
        assert_allclose(out, np.exp(x), rtol=1e-15)

    def test_exp_is_cut_beyond_it(self):
        out = np.empty(2)
        _network_kernels.exp_row(np.array([-1e9, 1e9]), out, np.empty(2, np.int64))
        assert_allclose(out, np.exp([-708.0, 709.0]), rtol=1e-15)

    @pytest.mark.parametrize("name", ACTIVATIONS)
    def test_activations_agree_with_the_table(self, name):
        z = np.concatenate([np.linspace(-40, 40, 4001), [-800.0, 800.0], [1e-9, -1e-5]])
        out = np.empty_like(z)
        code = _network_kernels.ACTIVATION_CODES[name]
        scratch, bits = np.empty((5, z.size)), np.empty(z.size, np.int64)
        _network_kernels.activate(code, z, out, scratch, bits)
        assert_allclose(out, ACTIVATIONS[name].function(z), rtol=1e-12, atol=1e-300)

    def test_every_activation_has_a_code(self):
        assert set(_network_kernels.ACTIVATION_CODES) == set(ACTIVATIONS)
