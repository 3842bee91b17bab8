"""The losses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Array = NDArray[np.floating]


def log_loss(y: NDArray, proba: Array, sample_weight: Array | None = None) -> float:
    """Cross-entropy of probabilities, as scikit-learn's MLPClassifier computes it.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_outputs)
        Targets, 0 or 1. One column for two classes, one per class or label otherwise.

    proba : ndarray of shape (n_samples, n_outputs)
        Probability of a 1. Rows add up to one in a multiclass problem.

    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Weights of the samples.

    Returns
    -------
    float
        Weighted mean over the samples of the loss summed over the outputs.
    """
    eps = np.finfo(proba.dtype).eps
    p = np.clip(proba, eps, 1 - eps)
    return -_average_rows(xlogy(y, p), sample_weight)


def binary_log_loss(
    y: NDArray, proba: Array, sample_weight: Array | None = None
) -> float:
    """Cross-entropy of independent binary outputs.

    Parameters
    ----------
    y, proba, sample_weight
        As in `log_loss`; here every output also counts its zeros.

    Returns
    -------
    float
        Weighted mean over the samples of the loss summed over the outputs.
    """
    eps = np.finfo(proba.dtype).eps
    p = np.clip(proba, eps, 1 - eps)
    return -_average_rows(xlogy(y, p) + xlogy(1 - y, 1 - p), sample_weight)


def squared_error(
    y: NDArray, proba: Array, sample_weight: Array | None = None
) -> float:
    """Half the squared error, summed over the outputs.

    Parameters
    ----------
    y, proba, sample_weight
        As in `log_loss`.

    Returns
    -------
    float
        Weighted mean over the samples of the loss summed over the outputs.
    """
    return _average_rows(0.5 * (proba - y) ** 2, sample_weight)


def mean_squared_error(
    y: NDArray, outputs: Array, sample_weight: Array | None = None
) -> float:
    """Half the squared error, averaged over the outputs as MLPRegressor does.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_outputs)
        Targets.

    outputs : ndarray of shape (n_samples, n_outputs)
        What the network says of them.

    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Weights of the samples.

    Returns
    -------
    float
        Weighted mean over the samples and outputs.
    """
    return squared_error(y, outputs, sample_weight) / y.shape[1]


def poisson(y: NDArray, outputs: Array, sample_weight: Array | None = None) -> float:
    """Half the Poisson deviance, summed over the outputs.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_outputs)
        Targets, at least 0.

    outputs : ndarray of shape (n_samples, n_outputs)
        Expected values, above 0.

    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Weights of the samples.

    Returns
    -------
    float
        Weighted mean over the samples of the loss summed over the outputs.
    """
    return _average_rows(xlogy(y, y / outputs) - y + outputs, sample_weight)


def absolute_error(
    y: NDArray, outputs: Array, sample_weight: Array | None = None
) -> float:
    """Absolute error, summed over the outputs.

    Parameters
    ----------
    y, outputs, sample_weight
        As in `mean_squared_error`.

    Returns
    -------
    float
        Weighted mean over the samples of the loss summed over the outputs.
    """
    return _average_rows(np.abs(outputs - y), sample_weight)


def huber(
    y: NDArray, outputs: Array, sample_weight: Array | None, epsilon: float
) -> float:
    """Huber loss (Huber, 1964): half the squared error, linear beyond some error.

    Parameters
    ----------
    y, outputs, sample_weight
        As in `mean_squared_error`.

    epsilon : float
        The error from which on it is linear.

    Returns
    -------
    float
        Weighted mean over the samples of the loss summed over the outputs.
    """
    size = np.abs(outputs - y)
    linear = epsilon * (size - 0.5 * epsilon)
    return _average_rows(np.where(size > epsilon, linear, 0.5 * size**2), sample_weight)


def pinball(
    y: NDArray, outputs: Array, sample_weight: Array | None, quantile: float
) -> float:
    """Pinball loss (Koenker and Bassett, 1978), which a quantile minimises.

    Parameters
    ----------
    y, outputs, sample_weight
        As in `mean_squared_error`.

    quantile : float
        Which quantile, between 0 and 1.

    Returns
    -------
    float
        Weighted mean over the samples of the loss summed over the outputs.
    """
    error = y - outputs
    return _average_rows(
        np.maximum(quantile * error, (quantile - 1) * error), sample_weight
    )


@np.errstate(over="ignore")
def log_likelihood(z: Array, y: NDArray, sample_weight: Array | None = None) -> float:
    """Mean log-likelihood of class labels, from the sums of the output units.

    Unlike `log_loss` it does not clip, so that it tells apart any two networks however
    confident both are: a search that only compares values must not see a plateau where
    there is none.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_outputs)
        Output sums; one column for two classes, one per class otherwise.

    y : ndarray of int of shape (n_samples,)
        Index of the true class.

    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Weights of the samples.

    Returns
    -------
    float
        The negative of the log loss: at most 0, more is better; minus infinity where
        the sums are so large that it overflows.
    """
    if z.shape[1] == 1:
        signed = np.where(y == 1, z[:, 0], -z[:, 0])
        ll = -np.logaddexp(0, -signed)
    else:
        largest = z.max(axis=1)
        own = z[np.arange(len(y)), y] - largest
        shares = np.exp(z - largest[:, np.newaxis])
        shares[np.arange(len(y)), y] = 0
        others = shares.sum(axis=1)
        # log1p keeps what the others leave of a probability that is close to 1.
        ll = own - np.where(own == 0, np.log1p(others), np.log(np.exp(own) + others))
    return float(np.average(ll, weights=sample_weight))


def _average_rows(values: Array, sample_weight: Array | None) -> float:
    return float(np.average(values, weights=sample_weight, axis=0).sum())


# By name and output activation. Some have a parameter, the last argument.
LOSSES: dict[tuple[str, str], Callable[..., float]] = {
    ("log_loss", "softmax"): log_loss,
    ("log_loss", "logistic"): binary_log_loss,
    ("squared_error", "softmax"): squared_error,
    ("squared_error", "logistic"): squared_error,
    ("squared_error", "identity"): mean_squared_error,
    ("poisson", "exp"): poisson,
    ("absolute_error", "identity"): absolute_error,
    ("huber", "identity"): huber,
    ("quantile", "identity"): pinball,
}
