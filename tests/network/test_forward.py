import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array

from skperceptron.network import ACTIVATIONS, Layers, _forward, forward

LAYERS = Layers(units=(4, 5, 3, 2), activations=("tanh", "silu"))


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    coefs, intercepts = LAYERS.unpack(rng.normal(size=LAYERS.n_params))
    return coefs, intercepts, rng.normal(size=(7, 4))


def test_forward_agrees_with_single_units(network):
    coefs, intercepts, X = network
    z = forward(X, coefs, intercepts, LAYERS.activations)
    a = X[3]
    for layer, name in enumerate((*LAYERS.activations, "identity")):
        sums = [
            sum(a[i] * coefs[layer][i, j] for i in range(len(a))) + intercepts[layer][j]
            for j in range(len(intercepts[layer]))
        ]
        a = ACTIVATIONS[name].function(np.array(sums))
    assert_allclose(z[3], a)


def test_sparse_samples_give_the_same_sums(network):
    coefs, intercepts, X = network
    X = np.where(X > 0, X, 0)
    assert_allclose(
        forward(csr_array(X), coefs, intercepts, LAYERS.activations),
        forward(X, coefs, intercepts, LAYERS.activations),
    )


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_many_samples_go_through_in_chunks(network, form, monkeypatch):
    coefs, intercepts, X = network
    whole = forward(X, coefs, intercepts, LAYERS.activations)
    monkeypatch.setattr(_forward, "_CHUNK_BYTES", 2 * 5 * 8)  # two samples
    parts = forward(form(X), coefs, intercepts, LAYERS.activations)
    assert_allclose(parts, whole)


def test_float32_stays_float32(network):
    coefs, intercepts, X = network
    z = forward(
        X.astype(np.float32),
        [c.astype(np.float32) for c in coefs],
        [b.astype(np.float32) for b in intercepts],
        LAYERS.activations,
    )
    assert z.dtype == np.float32
