import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import softmax as scipy_softmax

from skperceptron.network import ACTIVATIONS, DIFFERENTIABLE, OUTPUT_ACTIVATIONS

Z = np.array([-700.0, -3.0, -0.5, -1e-3, 1e-3, 0.5, 3.0, 700.0])


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivative_agrees_with_finite_differences(name):
    act, h = ACTIVATIONS[name], 1e-6
    z = np.linspace(-4, 4, 101) + 1e-3  # never on a kink
    numeric = (act.function(z + h) - act.function(z - h)) / (2 * h)
    assert_allclose(act.derivative(z, act.function(z)), numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_are_finite_and_keep_their_type(name, dtype):
    z = Z.astype(dtype)
    act = ACTIVATIONS[name]
    a = act.function(z)
    assert a.dtype == dtype
    assert np.isfinite(a).all()
    if act.derivative is not None:
        slope = act.derivative(z, a)
        assert slope.dtype == dtype
        assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", [-2.0, 0.0, 3.0]),
        ("relu", [0.0, 0.0, 3.0]),
        ("leaky_relu", [-0.02, 0.0, 3.0]),
        ("elu", [np.exp(-2.0) - 1, 0.0, 3.0]),
        ("softplus", [np.log1p(np.exp(-2.0)), np.log(2), np.log1p(np.exp(3.0))]),
        ("silu", [-2 / (1 + np.exp(2.0)), 0.0, 3 / (1 + np.exp(-3.0))]),
        ("gelu", [-0.0455002638, 0.0, 2.9959503059]),
        ("step", [0.0, 1.0, 1.0]),
        ("sign", [-1.0, 0.0, 1.0]),
    ],
)
def test_textbook_values(name, expected):
    assert_allclose(ACTIVATIONS[name].function(np.array([-2.0, 0, 3])), expected)


@pytest.mark.parametrize(
    ("name", "slope"), [("relu", 0), ("leaky_relu", 0.01), ("elu", 1)]
)
def test_slope_at_a_kink_is_that_of_the_left_side(name, slope):
    z = np.zeros(1)
    act = ACTIVATIONS[name]
    assert_allclose(act.derivative(z, act.function(z)), slope)


def test_flat_activations_have_no_derivative():
    assert set(ACTIVATIONS) - set(DIFFERENTIABLE) == {"step", "sign"}


def test_softmax_agrees_with_scipy_even_for_huge_sums():
    z = np.array([[1e4, 0, -1e4], [1, 2, 3], [0, 0, 0]])
    assert_allclose(OUTPUT_ACTIVATIONS["softmax"](z), scipy_softmax(z, axis=1))
