"""The MLflow run of an estimator, as long as the estimator can add to it."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections import deque
from dataclasses import replace
from functools import lru_cache
from multiprocessing.util import Finalize
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import _safe_indexing

from skperceptron.tracking._delivery import deliver, without_credentials
from skperceptron.tracking._destination import Destination
from skperceptron.tracking._record import Metric, RunRecord, now
from skperceptron.tracking._tolerance import tolerate

# Calls of `partial_fit` come by the thousand and must not wait for the store each time.
SECONDS_BETWEEN_DELIVERIES = 1.0
# Size of the sample by which training data is recognised.
_SAMPLE_ROWS = 32
_SAMPLE_COLUMNS = 32
# So many chunks of `partial_fit` are known again, the latest ones.
_KNOWN_CHUNKS = 100

# Runs of `partial_fit` calls that may still have something to deliver, ...
_unfinished: set[TrackedRun] = set()
# ... and those of them whose estimators are gone.
_left_behind: deque[TrackedRun] = deque()


class TrackedRun:
    """The run of one `fit`, or of all `partial_fit` calls in a row.

    Parameters
    ----------
    record : RunRecord
        What is known at the start.

    destination : Destination
        Where the run goes.

    incremental : bool
        Whether it is the run of `partial_fit` calls.

    Attributes
    ----------
    record : RunRecord
        What is not delivered yet.

    run_id : str or None
        The run in MLflow, once there is one.

    summary : dict of float
        Metrics of which only the latest value counts, not delivered yet.

    fit_time : float
        Seconds spent training so far.

    has_progress : bool
        Whether a step, or the start, was recorded.

    has_test_score : bool
        Whether a score on other data was recorded.
    """

    def __init__(
        self, record: RunRecord, destination: Destination, *, incremental: bool
    ) -> None:
        self.record = record
        self.destination = destination
        self.incremental = incremental
        self.run_id: str | None = None
        self.summary: dict[str, float] = {}
        self.fit_time = 0.0
        self.has_progress = False
        self.has_test_score = False
        self._training_samples: deque[tuple[int, np.ndarray]] = deque(
            maxlen=_KNOWN_CHUNKS
        )
        self._delivered_at = float("-inf")
        self._is_lost = False

    def remember_training_data(self, X: Any) -> None:
        """Keep a small sample of the training data, to know it again."""
        if not (self.has_test_score or self.knows(X)):
            self._training_samples.append(_sample(X))

    def knows(self, X: Any) -> bool:
        """Tell whether `X` is the training data, or a chunk that was trained on."""
        n_samples, sample = _sample(X)
        return any(
            n_samples == n and sample.shape == s.shape and np.allclose(sample, s)
            for n, s in self._training_samples
        )

    def deliver(self) -> None:
        """Bring what is new to MLflow.

        A run that could not be created is given up, with a warning: its parameters
        would be missing from whatever came later.
        """
        if self._is_lost:
            return
        latest = [Metric(k, v, 0, now()) for k, v in self.summary.items()]
        record = replace(self.record, metrics=[*self.record.metrics, *latest])
        is_new = self.run_id is None
        store = without_credentials(self.destination.tracking_uri)
        delivered = False
        with tolerate(f"A run of {record.name} could not be logged to {store}"):
            self.run_id = deliver(record, self.destination, self.run_id)
            delivered = True
        self._delivered_at = time.monotonic()
        self._is_lost = is_new and not delivered
        if delivered:
            self.record = RunRecord(record.name)
            self.summary = {}

    def deliver_soon(self) -> None:
        """Bring what is new to MLflow, unless the last time was a moment ago."""
        if time.monotonic() - self._delivered_at > SECONDS_BETWEEN_DELIVERIES:
            self.deliver()

    def close_with(self, estimator: Any) -> None:
        """See to it that nothing is left behind when the estimator is gone."""
        _unfinished.add(self)
        _close_at_exit(os.getpid())
        # The garbage collector may come in the middle of a delivery, so this only
        # takes a note.
        weakref.finalize(estimator, _left_behind.append, self).atexit = False

    def close(self) -> None:
        """Deliver what `deliver_soon` has left behind."""
        _unfinished.discard(self)
        if self.record.metrics or self.summary:
            self.record.end_time = now()
            self.deliver()


def close_left_behind() -> None:
    """Deliver the rest of the runs whose estimators are gone."""
    while _left_behind:
        try:
            _left_behind.popleft().close()
        except IndexError:  # another thread was faster
            return


@lru_cache
def _close_at_exit(process_id: int) -> None:
    atexit.register(_close_all)
    # Child processes of multiprocessing end without the handlers of atexit.
    Finalize(None, _close_all, exitpriority=10)


def _close_all() -> None:
    for run in list(_unfinished):
        run.close()


def _forget_all() -> None:
    """In a forked child: what waits there is the parent's to deliver."""
    _unfinished.clear()
    _left_behind.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _sample(X: Any) -> tuple[int, np.ndarray]:
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    n_samples, n_features = X.shape
    rows = np.unique(np.linspace(0, n_samples - 1, _SAMPLE_ROWS).astype(int))
    columns = np.unique(np.linspace(0, n_features - 1, _SAMPLE_COLUMNS).astype(int))
    if issparse(X):
        part = X.tocsr()[rows][:, columns].toarray()
    else:
        part = np.asarray(_safe_indexing(_safe_indexing(X, rows), columns, axis=1))
    return n_samples, part.astype(float)
