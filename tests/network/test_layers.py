import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from skperceptron.network import Layers

LAYERS = Layers(units=(3, 2, 4), activations=("relu",))


def test_flat_vector_holds_weights_then_biases():
    coefs, intercepts = LAYERS.unpack(np.arange(LAYERS.n_params))
    assert LAYERS.n_params == 3 * 2 + 2 * 4 + 2 + 4
    assert_array_equal(coefs[0], [[0, 1], [2, 3], [4, 5]])
    assert_array_equal(coefs[1], [[6, 7, 8, 9], [10, 11, 12, 13]])
    assert_array_equal(intercepts[0], [14, 15])
    assert_array_equal(intercepts[1], [16, 17, 18, 19])


def test_pack_reverses_unpack():
    params = np.random.default_rng(0).normal(size=LAYERS.n_params)
    assert_array_equal(LAYERS.pack(*LAYERS.unpack(params)), params)


def test_unpacked_weights_are_views():
    params = np.zeros(LAYERS.n_params)
    LAYERS.unpack(params)[0][1][0, 0] = 7
    assert params[6] == 7


def test_hidden_unit_owns_what_enters_and_leaves_it():
    groups = LAYERS.unit_groups()
    assert len(groups) == 2 + 4
    assert_array_equal(groups[0], [0, 2, 4, 14, 6, 7, 8, 9])
    assert_array_equal(groups[1], [1, 3, 5, 15, 10, 11, 12, 13])


def test_output_unit_owns_what_enters_it():
    assert_array_equal(LAYERS.unit_groups()[2], [6, 10, 16])


def test_groups_cover_every_parameter():
    covered = np.concatenate(LAYERS.unit_groups())
    assert_array_equal(np.unique(covered), np.arange(LAYERS.n_params))


def test_norms_take_weights_and_biases_of_a_layer_together():
    params = np.random.default_rng(0).normal(size=LAYERS.n_params)
    pairs = zip(*LAYERS.unpack(params), strict=True)
    expected = [np.linalg.norm(np.append(coef, intercept)) for coef, intercept in pairs]
    assert_allclose(LAYERS.norms(params), expected)
