import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.special import huber as scipy_huber
from sklearn import metrics
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import mean_squared_error
from sklearn.neural_network import _base as mlp_classifier

from skperceptron.network import (
    LOSSES,
    binary_log_loss,
    log_likelihood,
    log_loss,
    squared_error,
)

RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=20)
SUMS = RNG.normal(size=(20, 3))
WEIGHTS = [None, RNG.uniform(size=20)]


@pytest.mark.parametrize("weight", WEIGHTS)
def test_multiclass_losses_agree_with_scikit_learn(weight):
    expected = sklearn_log_loss(LABELS, softmax(SUMS, axis=1), sample_weight=weight)
    one_hot = LABELS[:, np.newaxis] == np.arange(3)
    assert log_loss(one_hot, softmax(SUMS, axis=1), weight) == pytest.approx(expected)
    assert log_likelihood(SUMS, LABELS, weight) == pytest.approx(-expected)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_binary_losses_agree_with_scikit_learn(weight):
    y, z = (LABELS > 0).astype(int), SUMS[:, :1]
    expected = sklearn_log_loss(y, expit(z).ravel(), sample_weight=weight)
    assert binary_log_loss(y[:, None], expit(z), weight) == pytest.approx(expected)
    assert log_likelihood(z, y, weight) == pytest.approx(-expected)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_squared_error_is_half_that_of_scikit_learn_summed_over_the_outputs(weight):
    y, proba = LABELS[:, np.newaxis] == np.arange(3), softmax(SUMS, axis=1)
    errors = mean_squared_error(
        y, proba, sample_weight=weight, multioutput="raw_values"
    )
    assert squared_error(y, proba, weight) == pytest.approx(errors.sum() / 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["log_loss", "binary_log_loss"])
@pytest.mark.parametrize("y", [[[1, 0]], [[0, 1]]], ids=["error", "success"])
def test_certain_outputs_are_clipped_as_in_mlp_classifier(name, dtype, y):
    ours = {"log_loss": log_loss, "binary_log_loss": binary_log_loss}[name]
    proba = np.array([[0, 1]], dtype)
    expected = getattr(mlp_classifier, name)(np.array(y), proba)
    assert ours(np.array(y), proba) == pytest.approx(expected, rel=1e-6, abs=0)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_log_likelihood_is_precise_for_confident_networks(n_outputs):
    right = np.array([[50.0]]) if n_outputs == 1 else np.array([[0.0, 50.0]])
    assert log_likelihood(right, np.array([1])) == pytest.approx(
        -np.exp(-50), rel=1e-12
    )


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_log_likelihood_tells_apart_what_clipping_would_not(n_outputs):
    wrong = np.array([[50.0]]) if n_outputs == 1 else np.array([[50.0, 0.0]])
    label = np.array([0 if n_outputs == 1 else 1])
    assert log_likelihood(2 * wrong, label) < log_likelihood(wrong, label) < -49


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_log_likelihood_of_sums_that_overflow_is_minus_infinity(n_outputs):
    largest = np.finfo(float).max
    z = np.array([[largest], [largest]])
    if n_outputs == 2:
        z = np.hstack([z, [[0.0], [-largest]]])
    labels = np.full(2, 0 if n_outputs == 1 else 1)
    assert log_likelihood(z, labels) == -np.inf


class TestLossesOfNumbers:
    """Of the outputs of regressors; the oracles are metrics and MLPRegressor."""

    y, outputs = RNG.gamma(2.0, size=(2, 20, 3))
    y[:5] = 0

    def compute(self, name, weight, *options):
        out = "exp" if name == "poisson" else "identity"
        return LOSSES[name, out](self.y, self.outputs, weight, *options)

    def by_output(self, metric, weight, **options):
        """A metric of scikit-learn's, that of each output by itself."""
        pairs = zip(self.y.T, self.outputs.T, strict=True)
        return [metric(y, p, sample_weight=weight, **options) for y, p in pairs]

    @pytest.mark.parametrize("weight", WEIGHTS)
    def test_squared_error_and_poisson_are_those_of_mlp_regressor(self, weight):
        for name in ("squared_error", "poisson"):
            expected = mlp_classifier.LOSS_FUNCTIONS[name](self.y, self.outputs, weight)
            assert self.compute(name, weight) == pytest.approx(expected)

    @pytest.mark.parametrize("weight", WEIGHTS)
    def test_others_are_sums_over_the_outputs_of_known_metrics(self, weight):
        errors = self.by_output(metrics.mean_absolute_error, weight)
        assert self.compute("absolute_error", weight) == pytest.approx(sum(errors))
        for q in (0, 0.1, 0.5, 1):
            pinball = self.by_output(metrics.mean_pinball_loss, weight, alpha=q)
            assert self.compute("quantile", weight, q) == pytest.approx(sum(pinball))
        deviances = self.by_output(metrics.mean_poisson_deviance, weight)
        assert self.compute("poisson", weight) == pytest.approx(sum(deviances) / 2)
        for epsilon in (1e-3, 1.35, 1e3):
            huber = scipy_huber(epsilon, self.y - self.outputs)
            expected = np.average(huber, axis=0, weights=weight).sum()
            assert self.compute("huber", weight, epsilon) == pytest.approx(expected)
