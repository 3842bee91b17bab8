import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skperceptron.network import INITIALIZATIONS, Layers, initialize

LAYERS = Layers(units=(200, 100, 50), activations=("relu",))


def draw(init, dtype=np.float64, layers=LAYERS, **options):
    params = initialize(layers, init, np.random.default_rng(0), dtype, **options)
    return layers.unpack(params)


@pytest.mark.parametrize(
    ("init", "expected_std"),
    [
        ("uniform", [np.sqrt(1 / 12)] * 2),
        ("normal", [1.0, 1.0]),
        ("glorot", [np.sqrt(2 / 300), np.sqrt(2 / 150)]),
        ("glorot_uniform", [np.sqrt(2 / 300), np.sqrt(2 / 150)]),
        ("glorot_normal", [np.sqrt(2 / 300), np.sqrt(2 / 150)]),
        ("he_uniform", [np.sqrt(2 / 200), np.sqrt(2 / 100)]),
        ("he_normal", [np.sqrt(2 / 200), np.sqrt(2 / 100)]),
        ("auto", [np.sqrt(2 / 300), np.sqrt(2 / 150)]),
    ],
)
def test_spread_of_the_weights(init, expected_std):
    coefs, _ = draw(init)
    for coef, std in zip(coefs, expected_std, strict=True):
        # 5 standard errors of a standard deviation estimated from that many draws
        assert abs(coef.std() / std - 1) < 5 / np.sqrt(2 * coef.size)


@pytest.mark.parametrize(
    ("init", "bias"),
    [("normal", 0.01), ("glorot", 0), ("glorot_normal", 0), ("he_normal", 0)],
)
def test_constant_biases(init, bias):
    _, intercepts = draw(init)
    for intercept in intercepts:
        assert_array_equal(intercept, bias)


def test_uniform_start_lies_in_the_unit_interval():
    params = np.concatenate(
        [np.ravel(part) for parts in draw("uniform") for part in parts]
    )
    assert 0 <= params.min() < 0.01
    assert 0.99 < params.max() < 1


def test_logistic_units_start_closer_to_zero():
    logistic = Layers(units=(200, 100, 50), activations=("logistic",))
    coefs, _ = draw("auto", layers=logistic)
    assert np.abs(coefs[0]).max() <= np.sqrt(2 / 300)


def test_without_hidden_layers_the_given_activation_scales_the_output():
    layers = Layers(units=(200, 50))
    coefs, _ = draw("auto", layers=layers, output_activation="logistic")
    assert np.abs(coefs[0]).max() <= np.sqrt(2 / 250)


@pytest.mark.parametrize("init", INITIALIZATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_type(init, dtype):
    assert draw(init, dtype)[0][0].dtype == dtype
