"""Training by mini-batches, step by step against NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from skperceptron.network import Layers, initialize
from skperceptron.optim import (
    SGD,
    Adam,
    Dropout,
    EpochLoop,
    RegularizedLoss,
    RMSProp,
)
from skperceptron.optim.gradient import _gradient
from skperceptron.optim.gradient._backpropagation_kernel import (
    Samples,
    Workspace,
    backpropagate,
)

LAYERS = Layers(units=(5, 6, 4, 3), activations=("tanh", "silu"))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 5))
Y = RNG.integers(3, size=50)[:, np.newaxis] == np.arange(3)
WEIGHT = RNG.integers(0, 3, size=50).astype(float)
START = initialize(LAYERS, "auto", np.random.RandomState(0), np.float64)
LOSS = RegularizedLoss(LAYERS, "softmax", alpha=0.5)
PLAIN_SGD = {
    "learning_rate_init": 0.1,
    "learning_rate": "constant",
    "power_t": 0.5,
    "momentum": 0.0,
    "nesterovs_momentum": False,
}


def train(loss=LOSS, solver=None, X=X, weight=None, rows=None, n_epochs=3, **options):
    params = START.astype(X.dtype)
    solver = SGD(params, **PLAIN_SGD) if solver is None else solver
    options = {"batch_size": 8, "max_grad_norm": None, "dropout": None, **options}
    loop = EpochLoop(loss, solver, X, Y, weight, **options)
    rows = np.arange(len(Y)) if rows is None else rows
    for _ in range(n_epochs):
        value, norms = loop.run(params, rows)
    return params, value, norms


def by_hand(move, *, loss=LOSS, weight=None, rows=None, n_epochs=3):
    """Train with the gradients that the loss gives, one mini-batch after the other."""
    params = START.copy()
    rows = np.arange(len(Y)) if rows is None else rows
    for _ in range(n_epochs):
        total, norms = 0.0, np.zeros(3)
        for start in range(0, len(rows), 8):
            batch = rows[start : start + 8]
            w = None if weight is None else weight[batch]
            value, gradient = loss.value_and_gradient(params, X[batch], Y[batch], w)
            total += value * len(batch) / len(rows)
            norms += LAYERS.norms(gradient) * len(batch) / len(rows)
            move(params, gradient)
    return params, total, norms


def descend(params, gradient):
    params -= 0.1 * gradient


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("rows", [None, RNG.permutation(50)[:37]])
def test_each_mini_batch_is_a_step(weight, rows):
    ours = train(weight=weight, rows=rows)
    for mine, expected in zip(
        ours, by_hand(descend, weight=weight, rows=rows), strict=True
    ):
        assert_allclose(mine, expected)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_chunks_make_no_difference(form, monkeypatch):
    whole = train()
    monkeypatch.setattr(_gradient, "_CHUNK_BYTES", 2 * 8 * 5 * 8)
    # Without dropout, dense samples are not copied in chunks.
    nothing = Dropout(np.zeros(10), 0.0, np.random.default_rng(0))
    for mine, expected in zip(train(X=form(X), dropout=nothing), whole, strict=True):
        assert_allclose(mine, expected)


def test_adamw_shrinks_weights_but_not_biases():
    n_coefs, state = LAYERS.n_coefs, {"m": 0.0, "v": 0.0, "t": 0}

    def move(params, gradient):
        state["t"] += 1
        state["m"] = 0.9 * state["m"] + 0.1 * gradient
        state["v"] = 0.99 * state["v"] + 0.01 * gradient**2
        m = state["m"] / (1 - 0.9 ** state["t"])
        v = state["v"] / (1 - 0.99 ** state["t"])
        params[:n_coefs] -= 0.05 * 0.3 * params[:n_coefs]
        params -= 0.05 * m / (np.sqrt(v) + 1e-30)

    options = {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-30}
    solver = Adam(START, learning_rate_init=0.05, weight_decay=0.3, **options)
    loss = RegularizedLoss(LAYERS, "softmax", alpha=0)
    for mine, expected in zip(
        train(loss, solver), by_hand(move, loss=loss), strict=True
    ):
        assert_allclose(mine, expected)


def test_rmsprop():
    state = {"v": 0.0}

    def move(params, gradient):
        state["v"] = 0.9 * state["v"] + 0.1 * gradient**2
        params -= 0.05 * gradient / (np.sqrt(state["v"]) + 1e-8)

    solver = RMSProp(START, learning_rate_init=0.05, beta_2=0.9, epsilon=1e-8)
    for mine, expected in zip(train(solver=solver), by_hand(move), strict=True):
        assert_allclose(mine, expected)


def test_a_batch_without_weight_changes_nothing():
    weight = np.ones(50)
    weight[8:16] = 0
    rest = np.delete(np.arange(50), np.arange(8, 16))
    assert_allclose(train(weight=weight)[0], train(rows=rest)[0])


class TestClipping:
    @pytest.mark.parametrize("weight", [None, WEIGHT])
    def test_longer_gradients_are_shortened(self, weight):
        def move(params, gradient):
            descend(params, gradient * min(1, 0.5 / np.linalg.norm(gradient)))

        ours = train(weight=weight, max_grad_norm=0.5)
        # The norms are those of the gradient as it was.
        for mine, expected in zip(ours, by_hand(move, weight=weight), strict=True):
            assert_allclose(mine, expected)

    def test_norms_are_known_however_short_they_become(self):
        params, _, norms = train(max_grad_norm=5e-324)
        assert_array_equal(params, START)
        assert_allclose(norms, by_hand(lambda params, gradient: None)[2])

    def test_loss_is_infinite_where_the_norm_is(self):
        # The squares of the gradient overflow, not the gradient.
        steep = RegularizedLoss(LAYERS, "softmax", alpha=1e200)
        params, value, _ = train(steep, max_grad_norm=0.5)
        assert value == np.inf
        assert_array_equal(params, START)

    def test_shorter_ones_are_not(self):
        assert_allclose(train(max_grad_norm=1e3)[0], train()[0])


class TestDropout:
    def dropout(self, rates, input_rate=0.0):
        rates = np.repeat(rates, LAYERS.units[1:-1])
        return Dropout(rates, input_rate, np.random.default_rng(0))

    def test_masks_drop_the_share_and_keep_the_mean(self):
        masks = self.dropout([0.2, 0.6]).masks(20_000, np.float64)
        for unit, rate in enumerate([0.2] * 6 + [0.6] * 4):
            assert set(masks[:, unit]) == {0, 1 / (1 - rate)}
            deviation = np.sqrt(rate / (1 - rate) / 20_000)
            assert abs(masks[:, unit].mean() - 1) < 4 * deviation

    @pytest.mark.parametrize("form", [np.array, csr_array])
    def test_inputs_keep_their_mean(self, form):
        many = np.ones((20_000, 2))
        thin = self.dropout([0, 0], 0.3).thin_out(form(many))
        deviation = np.sqrt(0.3 / 0.7 / 20_000)
        assert_allclose(thin.mean(axis=0), 1, atol=4 * deviation)

    def test_the_data_stays_as_it_is(self):
        before = X.copy()
        train(dropout=self.dropout([0.5, 0.5], 0.5))
        assert_array_equal(X, before)

    def test_dropped_outputs_pass_neither_value_nor_gradient(self):
        # Without some units the network is smaller; the others count for more.
        keep = [0, 2, 5]
        masks = np.zeros((50, 10))
        masks[:, keep], masks[:, 6:] = 2.0, 1.0
        small = Layers(units=(5, 3, 4, 3), activations=LAYERS.activations)
        coefs, intercepts = LAYERS.unpack(START.copy())
        coefs = [coefs[0][:, keep], 2 * coefs[1][keep], coefs[2]]
        intercepts = [intercepts[0][keep], *intercepts[1:]]
        value, expected = RegularizedLoss(small, "softmax", 0).value_and_gradient(
            small.pack(coefs, intercepts), X, Y
        )
        gradient = np.empty_like(START)
        total = backpropagate(
            *LOSS.compiled,
            START,
            Samples(*_gradient.as_samples(X, Y, None, np.float64, masks)),
            0,
            50,
            Workspace(*LOSS.workspace(50, np.float64, dropout=True)),
            gradient,
        )
        assert total / 50 == pytest.approx(value)
        mine, yours = LAYERS.unpack(gradient / 50)[0], small.unpack(expected)[0]
        assert_allclose(mine[0][:, keep], yours[0])
        assert_allclose(mine[1][keep], 2 * yours[1])
        assert_allclose(mine[2], yours[2])
        assert not np.delete(mine[0], keep, axis=1).any()

    @pytest.mark.parametrize("form", [np.array, csr_array])
    def test_an_epoch_leaves_out_what_is_drawn(self, form):
        drawn = self.dropout([0.5, 0.2], 0.3)
        thin, masks = drawn.thin_out(form(X)), drawn.masks(50, np.float64)
        loss = RegularizedLoss(LAYERS, "softmax", alpha=0)
        gradient = np.empty_like(START)
        backpropagate(
            *loss.compiled,
            START,
            Samples(*_gradient.as_samples(thin, Y, None, np.float64, masks)),
            0,
            50,
            Workspace(*loss.workspace(50, np.float64, dropout=True)),
            gradient,
        )
        params, _, _ = train(
            loss,
            X=form(X),
            dropout=self.dropout([0.5, 0.2], 0.3),
            batch_size=50,
            n_epochs=1,
        )
        assert_allclose(params, START - 0.1 * gradient / 50)

    def test_rate_0_is_no_dropout(self):
        assert_array_equal(train(dropout=self.dropout([0, 0]))[0], train()[0])

    def test_float32_is_not_promoted(self):
        solver = Adam(
            START.astype(np.float32),
            learning_rate_init=0.1,
            beta_1=0.9,
            beta_2=0.9,
            epsilon=1e-8,
        )
        dropout = self.dropout([0.5, 0.5], 0.2)
        params, _, _ = train(solver=solver, X=X.astype(np.float32), dropout=dropout)
        assert params.dtype == np.float32
        assert np.isfinite(params).all()
