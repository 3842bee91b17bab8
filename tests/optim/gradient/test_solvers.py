"""The update rules, against the formulas of their papers written out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skperceptron.network import Layers
from skperceptron.optim import SGD, Adam, RMSProp, make_solver
from skperceptron.optim.gradient import _updates_kernel
from skperceptron.optim.kernels._network import describe

GRADIENTS = np.random.default_rng(0).normal(size=(5, 3))
START = np.array([1.0, -2.0, 0.5])
SGD_DEFAULTS = {
    "learning_rate_init": 0.1,
    "learning_rate": "constant",
    "power_t": 0.5,
    "momentum": 0.9,
    "nesterovs_momentum": False,
}


# Two weights and a bias.
NETWORK = tuple(describe(Layers(units=(2, 1))))


def step(solver, params, gradient):
    _updates_kernel.update(
        NETWORK, solver.compiled, 0.0, 1.0, params, gradient.copy(), np.empty(2)
    )


def moved_by(solver_class, **options):
    params = START.copy()
    solver = solver_class(params, **options)
    for gradient in GRADIENTS:
        step(solver, params, gradient)
    return params


def test_sgd_with_classical_momentum():
    w, v = START.copy(), np.zeros(3)
    for g in GRADIENTS:
        v = 0.9 * v - 0.1 * g
        w = w + v
    assert_allclose(moved_by(SGD, **SGD_DEFAULTS), w)


def test_sgd_with_nesterovs_momentum():
    w, v = START.copy(), np.zeros(3)
    for g in GRADIENTS:
        v = 0.9 * v - 0.1 * g
        w = w + 0.9 * v - 0.1 * g
    assert_allclose(moved_by(SGD, **{**SGD_DEFAULTS, "nesterovs_momentum": True}), w)


@pytest.mark.parametrize("beta_1", [0.9, 0.3])
def test_adam(beta_1):
    w, m, v = START.copy(), np.zeros(3), np.zeros(3)
    for t, g in enumerate(GRADIENTS, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = 0.999 * v + 0.001 * g**2
        rate = 0.1 * np.sqrt(1 - 0.999**t) / (1 - beta_1**t)
        w = w - rate * m / (np.sqrt(v) + 1e-8)
    options = {"learning_rate_init": 0.1, "beta_1": beta_1, "beta_2": 0.999}
    assert_allclose(moved_by(Adam, **options, epsilon=1e-8), w)


def test_adam_with_decoupled_weight_decay():
    w, m, v = START.copy(), np.zeros(3), np.zeros(3)
    decays = np.array([1, 1, 0])  # not the bias
    for t, g in enumerate(GRADIENTS, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        rescaled = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-30)
        w = w - 0.1 * (rescaled + 0.3 * decays * w)
    options = {"learning_rate_init": 0.1, "beta_1": 0.9, "beta_2": 0.999}
    assert_allclose(moved_by(Adam, **options, epsilon=1e-30, weight_decay=0.3), w)


def test_rmsprop():
    w, v = START.copy(), np.zeros(3)
    for g in GRADIENTS:
        v = 0.9 * v + 0.1 * g**2
        w = w - 0.1 * g / (np.sqrt(v) + 1e-8)
    options = {"learning_rate_init": 0.1, "beta_2": 0.9, "epsilon": 1e-8}
    assert_allclose(moved_by(RMSProp, **options), w)


def test_inverse_scaling_follows_the_samples_seen():
    solver = SGD(START, **{**SGD_DEFAULTS, "learning_rate": "invscaling"})
    solver.end_epoch(n_samples_seen=99)
    assert solver.learning_rate == pytest.approx(0.1 / 100**0.5)


def test_inverse_scaling_may_be_as_fast_as_it_likes():
    options = {"learning_rate": "invscaling", "power_t": 1e3}
    solver = SGD(START, **{**SGD_DEFAULTS, **options})
    solver.end_epoch(n_samples_seen=99)
    assert solver.learning_rate == 0  # 100**1000 is no float


def test_adaptive_rate_is_divided_until_it_is_too_small():
    solver = SGD(START, **{**SGD_DEFAULTS, "learning_rate": "adaptive"})
    n_reductions = 0
    while not solver.stalled()[0]:
        n_reductions += 1
    assert n_reductions == 8  # 0.1 / 5**8 is the first rate below 1e-6
    assert solver.learning_rate == pytest.approx(0.1 / 5**8)


@pytest.mark.parametrize("schedule", ["constant", "invscaling"])
def test_other_schedules_stop_at_once(schedule):
    solver = SGD(START, **{**SGD_DEFAULTS, "learning_rate": schedule})
    assert solver.stalled() == (True, "Stopping.")


def test_solvers_remember_only_the_moments_that_they_use():
    for solver, sizes in (
        (SGD(START, **SGD_DEFAULTS), [3, 0]),
        (Adam(START, learning_rate_init=0.1), [3, 3]),
        (RMSProp(START, learning_rate_init=0.1), [0, 3]),
    ):
        assert [moment.size for moment in solver.moments] == sizes


def test_float32_is_not_promoted():
    params = START.astype(np.float32)
    for solver in (
        SGD(params, **SGD_DEFAULTS),
        Adam(params, learning_rate_init=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8),
    ):
        step(solver, params, GRADIENTS[0].astype(np.float32))
        assert {m.dtype for m in (params, *solver.moments)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("solver_class", [SGD, Adam, RMSProp])
def test_moments_that_overflow_are_noticed(solver_class):
    options = SGD_DEFAULTS if solver_class is SGD else {"learning_rate_init": 0.1}
    solver = solver_class(START, **options)
    assert not solver.has_overflowed
    for moment in solver.moments:
        moment[1:2] = np.inf
    assert solver.has_overflowed


@pytest.mark.parametrize(
    ("name", "solver_class", "used", "changed"),
    [
        ("sgd", SGD, list(SGD_DEFAULTS), {}),
        ("adam", Adam, ["learning_rate_init", "beta_1", "beta_2", "epsilon"], {}),
        (
            "adamw",
            Adam,
            ["learning_rate_init", "beta_1", "beta_2", "epsilon"],
            {"weight_decay": 0.3},
        ),
        ("rmsprop", RMSProp, ["learning_rate_init", "beta_2", "epsilon"], {}),
    ],
)
def test_solvers_are_made_of_what_concerns_them(name, solver_class, used, changed):
    options = {
        **SGD_DEFAULTS,
        "solver": name,
        "beta_1": 0.8,
        "beta_2": 0.99,
        "epsilon": 1e-7,
        "alpha": 0.3,
    }
    solver = make_solver(START, options)
    expected = solver_class(START, **{key: options[key] for key in used}, **changed)
    assert type(solver) is solver_class
    rule, numbers, _ = solver.compiled
    expected_rule, expected_numbers, _ = expected.compiled
    assert rule == expected_rule
    assert_array_equal(numbers, expected_numbers)
