"""What is said of parameters, data and curves, in plain values."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np

from skperceptron._functions import text_of
from skperceptron.tracking.journal._record import MAX_PARAM_LENGTH, Dataset, Metric
from skperceptron.tracking.recording._sklearn_internals import safe_indexing

# At most this many samples make a digest, of which this many characters are kept, as
# MLflow does.
_MAX_DIGESTED = 10_000
_DIGEST_LENGTH = 8


def thin(metrics: list[Metric], most: int) -> list[Metric]:
    """Leave out points of long curves, in even distances.

    Parameters
    ----------
    metrics : list of Metric
        The curves.

    most : int
        Points to keep of each, at most; the first and the last among them.
    """
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
        Samples. At most 10 000 of them, in even distances, make the digest.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or numbers.

    Returns
    -------
    Dataset
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
    """Write a constructor parameter so that MLflow accepts and a reader understands it.

    Parameters
    ----------
    value : object
        Value of the parameter.

    Returns
    -------
    str
        Functions by their qualified names, anything else as `str` shows it, cut to what
        MLflow stores.
    """
    text = text_of(value)
    if len(text) > MAX_PARAM_LENGTH:
        text = text[: MAX_PARAM_LENGTH - 3] + "..."
    return text
