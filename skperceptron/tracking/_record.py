"""What is to be said of a fit, in plain values."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import joblib
import numpy as np
from sklearn.utils import _safe_indexing

# So many samples make a digest, and so many characters of it are kept, as MLflow does.
_MOST_DIGESTED = 10_000
_DIGEST_LENGTH = 8
# MLflow refuses longer parameter values.
MAX_PARAM_LENGTH = 6000

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class Metric:
    """A value of a metric.

    Attributes
    ----------
    key : str
        Name.

    value : float
        Value.

    step : int
        Iteration or epoch.

    timestamp : int
        Milliseconds since 1970.
    """

    key: str
    value: float
    step: int
    timestamp: int


@dataclass(frozen=True)
class Dataset:
    """What is told of the data of a run: not the data.

    Attributes
    ----------
    digest : str
        The same for the same samples and labels only.

    n_samples, n_features : int
        Shape of the samples.
    """

    digest: str
    n_samples: int
    n_features: int


@dataclass
class RunRecord:
    """A run, or the part of it that is not in MLflow yet.

    Attributes
    ----------
    name : str
        Name of the run.

    start_time : int
        Milliseconds since 1970.

    params, tags : dict of str
        Parameters and tags.

    metrics : list of Metric
        Metrics.

    dataset : Dataset or None
        What the classifier was trained on.

    status : {"FINISHED", "FAILED", "KILLED"}
        How the fit ended: by itself, with an error, or by an interrupt of the user.

    end_time : int or None
        Milliseconds since 1970; None while the fit goes on.
    """

    name: str
    start_time: int = field(default_factory=lambda: now())
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    dataset: Dataset | None = None
    status: Status = "FINISHED"
    end_time: int | None = None

    def add_metric(self, key: str, value: float, step: int = 0) -> None:
        """Add a value of a metric, observed now."""
        self.metrics.append(Metric(key, float(value), step, now()))


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def describe_data(X: Any, y: Any) -> Dataset:
    """Describe training data.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Samples. Of more than 10 000, so many in even distances make the digest.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels.

    Returns
    -------
    Dataset
    """
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    n_samples, n_features = X.shape
    if n_samples > _MOST_DIGESTED:
        rows = np.linspace(0, n_samples - 1, _MOST_DIGESTED).astype(int)
        X, y = _safe_indexing(X, rows), _safe_indexing(y, rows)
    digest = joblib.hash((n_samples, X, y))
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
        A function by its qualified name, anything else as `str` shows it, cut to what
        MLflow stores.
    """
    if callable(value) and hasattr(value, "__qualname__"):
        text = f"{value.__module__}.{value.__qualname__}"
    else:
        text = str(value)
    if len(text) > MAX_PARAM_LENGTH:
        text = text[: MAX_PARAM_LENGTH - 3] + "..."
    return text
