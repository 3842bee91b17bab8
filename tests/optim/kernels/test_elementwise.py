"""Compiled exponentials and activations, against NumPy and the table."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal

from skperceptron.network import ACTIVATIONS
from skperceptron.optim.kernels import _elementwise

EPS = {np.float64: 2**-52, np.float32: 2**-23}
precisions = pytest.mark.parametrize("dtype", EPS)


@njit
def exp_of(x, out):
    for j in range(x.size):
        out[j] = _elementwise.exp(x[j])


@njit
def reciprocals_of(x, out):
    for j in range(x.size):
        out[j] = _elementwise.reciprocal(x[j])


def compiled_exp(x):
    out = np.empty_like(x)
    exp_of(x, out)
    return out


@precisions
def test_exp_agrees_with_numpy_over_its_whole_range(dtype):
    low, high = (-708, 709) if dtype == np.float64 else (-87, 88)
    x = np.concatenate([np.linspace(low, high, 20_001), [0.0, -1e-30, 1e-9]])
    x = x.astype(dtype)
    assert_allclose(compiled_exp(x), np.exp(x.astype(float)), rtol=2 * EPS[dtype])


@precisions
def test_exp_is_cut_beyond_it(dtype):
    low, high = (-708, 709) if dtype == np.float64 else (-87, 88)
    x = np.array([-1e9, 1e9, -np.inf, np.inf], dtype)
    expected = np.exp(np.array([low, high, low, high], float))
    assert_allclose(compiled_exp(x), expected, rtol=2 * EPS[dtype])


@precisions
def test_exp_of_nan_is_nan(dtype):
    assert np.isnan(compiled_exp(np.array([np.nan], dtype)))


@precisions
def test_reciprocals_are_precise_whatever_the_size(dtype):
    least = np.finfo(dtype).tiny
    exponents = np.random.default_rng(0).uniform(np.log(least) + 1, 80, size=10_000)
    x = np.concatenate([[least, 1e-8, 1, 2], np.exp(exponents)]).astype(dtype)
    out = np.empty_like(x)
    reciprocals_of(x, out)
    assert_allclose(out, 1 / x.astype(float), rtol=2 * EPS[dtype])


@precisions
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_with_the_table(name, dtype):
    z = np.concatenate([np.linspace(-40, 40, 4001), [-80.0, 80.0, 1e-9, -1e-5, 0.0]])
    z = z.astype(dtype)
    out = np.empty((2, z.size), dtype)
    code = _elementwise.ACTIVATION_CODES[name]
    _elementwise.activate(code, z[np.newaxis], 0, out, 1)
    expected = ACTIVATIONS[name].function(z.astype(float))
    assert_allclose(out[1], expected, rtol=1e4 * EPS[dtype], atol=4 * EPS[dtype])
    one = [_elementwise.activate_one(code, v) for v in z.astype(float)]
    assert_allclose(one, expected, rtol=1e-12, atol=1e-15)


def test_every_activation_has_a_code():
    assert set(_elementwise.ACTIVATION_CODES) == set(ACTIVATIONS)


def test_rows_are_as_long_as_loops_like_it():
    assert_array_equal(
        [_elementwise.padded(n) for n in (1, 31, 32, 33)], [32, 32, 32, 64]
    )
