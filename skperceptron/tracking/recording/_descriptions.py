"""Parameters, data and curves, in the plain values of a record."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np

from skperceptron._functions import text_of
from skperceptron.tracking.journal._record import MAX_PARAM_LENGTH, Dataset, Metric
from skperceptron.tracking.recording._sklearn_internals import safe_indexing

# A digest uses at most this many samples, and keeps this many characters, as in MLflow.
_MAX_DIGESTED = 10_000
_DIGEST_LENGTH = 8


def thin(metrics: list[Metric], most: int) -> list[Metric]:
    """Keep at most `most` evenly spaced points of each curve, including both ends."""
    by_key: dict[str, list[Metric]] = {}
    for metric in metrics:
        by_key.setdefault(metric.key, []).append(metric)
    kept: list[Metric] = []
    for curve in by_key.values():
        where = np.linspace(0, len(curve) - 1, min(len(curve), most)).round()
        kept += [curve[i] for i in where.astype(int)]
    return kept


def describe_data(X: Any, y: Any) -> Dataset:
    """Describe training data.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Samples. The digest uses at most 10 000 of them, evenly spaced.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or numbers.
    """
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    n_samples, n_features = X.shape
    if n_samples > _MAX_DIGESTED:
        rows = np.linspace(0, n_samples - 1, _MAX_DIGESTED).astype(int)
        X, y = safe_indexing(X, rows), safe_indexing(y, rows)
    # Processors have instructions for SHA-1, but not for MD5.
    digest = joblib.hash((n_samples, X, y), hash_name="sha1")
    return Dataset(digest[:_DIGEST_LENGTH], n_samples, n_features)


def param_value(value: Any) -> str:
    """Return a constructor parameter as a readable text that MLflow accepts.

    Functions are given by their qualified names.
    """
    text = text_of(value)
    if len(text) > MAX_PARAM_LENGTH:
        text = text[: MAX_PARAM_LENGTH - 3] + "..."
    return text
