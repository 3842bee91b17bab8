import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array
from scipy.special import softmax

from skperceptron.network import (
    DIFFERENTIABLE,
    OUTPUT_ACTIVATIONS,
    Layers,
    forward,
    initialize,
)
from skperceptron.optim import RegularizedLoss


def problem(activations, out_activation, alpha, *, seed=0):
    layers = Layers(
        units=(5, *(4 for _ in activations), 3), activations=tuple(activations)
    )
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(12, 5))
    y = rng.integers(3, size=12)[:, np.newaxis] == np.arange(3)
    params = initialize(layers, "auto", rng, np.float64)
    return RegularizedLoss(layers, out_activation, alpha), params, X, y


def numeric_gradient(loss, params, *data, h=1e-5):
    """Fourth-order central differences."""
    gradient = np.empty_like(params)
    for i in range(params.size):
        value = {}
        for k in (-2, -1, 1, 2):
            moved = params.copy()
            moved[i] += k * h
            value[k] = loss.value_and_gradient(moved, *data)[0]
        gradient[i] = (value[-2] - 8 * value[-1] + 8 * value[1] - value[2]) / (12 * h)
    return gradient


@pytest.mark.parametrize("activation", DIFFERENTIABLE)
@pytest.mark.parametrize("out_activation", ["softmax", "logistic"])
@pytest.mark.parametrize("n_hidden", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_agrees_with_finite_differences(
    activation, out_activation, n_hidden, weighted
):
    loss, params, X, y = problem([activation] * n_hidden, out_activation, alpha=0.1)
    weight = np.linspace(0.1, 3, len(X)) if weighted else None
    _, gradient = loss.value_and_gradient(params, X, y, weight)
    numeric = numeric_gradient(loss, params, X, y, weight)
    error = np.linalg.norm(gradient - numeric) / np.linalg.norm(numeric)
    assert error < 1e-6


def test_layers_may_have_different_activations():
    loss, params, X, y = problem(["tanh", "relu", "gelu"], "softmax", alpha=0)
    _, gradient = loss.value_and_gradient(params, X, y)
    assert_allclose(
        gradient, numeric_gradient(loss, params, X, y), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("units", [(1, 4, 3), (5, 1, 3), (5, 1, 1), (1, 1), (1, 3)])
def test_layers_may_have_a_single_unit(units):
    layers = Layers(units, ("tanh",) * (len(units) - 2))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, units[0]))
    y = rng.random((12, units[-1])) < 0.5
    params = initialize(layers, "auto", rng, np.float64)
    loss = RegularizedLoss(layers, "logistic", alpha=0.1)
    _, gradient = loss.value_and_gradient(params, X, y)
    assert_allclose(
        gradient, numeric_gradient(loss, params, X, y), rtol=1e-6, atol=1e-9
    )


def test_penalty_grows_with_the_weights_but_not_with_the_biases():
    loss, params, X, y = problem(["tanh"], "softmax", alpha=2.0)
    plain = RegularizedLoss(loss.layers, loss.out_activation, alpha=0.0)
    coefs, _ = loss.layers.unpack(params)
    penalty = 2.0 / 2 * sum((c**2).sum() for c in coefs) / len(X)
    value = loss.value_and_gradient(params, X, y)[0]
    assert value == pytest.approx(plain.value_and_gradient(params, X, y)[0] + penalty)


def test_whole_number_weights_act_like_repeated_samples():
    loss, params, X, y = problem(["tanh"], "softmax", alpha=0.5)
    times = np.arange(len(X)) % 3
    weighted = loss.value_and_gradient(params, X, y, times.astype(float))
    repeated = loss.value_and_gradient(
        params, np.repeat(X, times, axis=0), np.repeat(y, times, axis=0)
    )
    assert weighted[0] == pytest.approx(repeated[0])
    assert_allclose(weighted[1], repeated[1])


def test_sparse_samples_give_the_same_gradient():
    loss, params, X, y = problem(["tanh"], "softmax", alpha=0.5)
    X = np.where(X > 0, X, 0)
    assert_allclose(
        loss.value_and_gradient(params, csr_array(X), y)[1],
        loss.value_and_gradient(params, X, y)[1],
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("out_activation", ["softmax", "logistic"])
def test_saturated_networks_make_no_subnormal_numbers(out_activation, dtype):
    loss, params, X, y = problem(["logistic", "logistic"], out_activation, alpha=0)
    limit = 60 if dtype == np.float32 else 500
    params = (params * limit).astype(dtype)
    _, gradient = loss.value_and_gradient(params, X.astype(dtype), y)
    assert not (np.abs(gradient[gradient != 0]) < np.finfo(dtype).tiny).any()
    assert (gradient == 0).any()


@pytest.mark.parametrize("out_activation", ["softmax", "logistic"])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_the_squared_error(out_activation, weighted):
    loss, params, X, y = problem(["tanh"], out_activation, alpha=0.1)
    loss = dataclasses.replace(loss, name="squared_error")
    weight = np.linspace(0.1, 3, len(X)) if weighted else None
    _, gradient = loss.value_and_gradient(params, X, y, weight)
    numeric = numeric_gradient(loss, params, X, y, weight)
    assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-9)


class TestLossesOfNumbers:
    """The losses of regressors."""

    ALL = [
        ("squared_error", None),
        ("poisson", None),
        ("absolute_error", None),
        ("huber", 0.4),
        ("quantile", 0.2),
    ]

    def problem(self, name, parameter, alpha=0.0):
        loss, params, X, _ = problem(["tanh"], "identity", alpha)
        y = np.random.default_rng(1).normal(size=(len(X), 3))
        if name == "poisson":
            loss = dataclasses.replace(loss, out_activation="exp")
            y = np.maximum(y, 0)
        return dataclasses.replace(loss, name=name, parameter=parameter), params, X, y

    def outputs(self, loss, params, X):
        z = forward(X, *loss.layers.unpack(params), loss.layers.activations)
        return OUTPUT_ACTIVATIONS[loss.out_activation](z)

    @pytest.mark.parametrize(("name", "parameter"), ALL)
    @pytest.mark.parametrize("weighted", [False, True])
    def test_gradient_agrees_with_finite_differences(self, name, parameter, weighted):
        loss, params, X, y = self.problem(name, parameter)
        weight = np.linspace(0.1, 3, len(X)) if weighted else None
        _, gradient = loss.value_and_gradient(params, X, y, weight)
        # So small a step that no error changes its sign.
        numeric = numeric_gradient(loss, params, X, y, weight, h=1e-6)
        if name == "squared_error":  # the value is a mean, the gradient that of the sum
            numeric *= y.shape[1]
        assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)

    @pytest.mark.parametrize(("name", "parameter"), ALL)
    @pytest.mark.parametrize("weighted", [False, True])
    def test_value_is_that_of_the_outputs(self, name, parameter, weighted):
        loss, params, X, y = self.problem(name, parameter)
        weight = np.linspace(0.1, 3, len(X)) if weighted else None
        value, _ = loss.value_and_gradient(params, X, y, weight)
        outputs = self.outputs(loss, params, X)
        assert value == pytest.approx(loss.evaluate(y, outputs, weight))

    def test_nothing_is_learned_from_an_error_of_0(self):
        for name, parameter in self.ALL[2:]:
            loss, _, X, _ = self.problem(name, parameter)
            loss = dataclasses.replace(loss, layers=Layers(units=(5, 3)))
            params = np.append(np.zeros(15), [1.0, 2.0, 3.0])
            y = np.tile([1.0, 2.0, 3.0], (len(X), 1))
            value, gradient = loss.value_and_gradient(params, X, y)
            assert value == 0
            assert not gradient.any()

    @pytest.mark.parametrize(("name", "parameter"), ALL)
    def test_float32_is_close_to_float64(self, name, parameter):
        loss, params, X, y = self.problem(name, parameter, alpha=0.1)
        single = [a.astype(np.float32) for a in (params, X, y)]
        value, gradient = loss.value_and_gradient(*single)
        expected, exact = loss.value_and_gradient(params, X, y)
        assert gradient.dtype == np.float32
        assert value == pytest.approx(expected, rel=1e-5)
        assert_allclose(gradient, exact, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "sums",
    [(3, 1, -2), (900, 899, 0), (-900, -901, -950), (1e4, -1e4, 1e4), (0, -200, 1)],
)
def test_softmax_of_sums_of_any_size(sums, dtype):
    layers = Layers(units=(2, 3), activations=())
    biases = np.array(sums, dtype)
    params = np.concatenate([np.zeros(6, dtype), biases])
    X, y = np.zeros((2, 2), dtype), np.array([[False, True, False]] * 2)
    loss = RegularizedLoss(layers, "softmax", 0)
    _, gradient = loss.value_and_gradient(params, X, y)
    expected = softmax(biases.astype(float)) - y[0]
    eps = np.finfo(dtype).eps
    assert_allclose(gradient[6:], expected, rtol=4 * eps, atol=4 * eps)


def test_softmax_of_what_is_no_number_is_none():
    layers = Layers(units=(2, 3), activations=())
    params = np.append(np.zeros(8), np.nan)
    _, gradient = RegularizedLoss(layers, "softmax", 0).value_and_gradient(
        params, np.zeros((1, 2)), np.array([[True, False, False]])
    )
    assert np.isnan(gradient[6:]).all()
