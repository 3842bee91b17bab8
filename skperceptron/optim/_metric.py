"""What a compiled climb maximises, in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The codes of `kernels/_metrics.py` are the places in these tuples.
# Sums over the samples. "log_loss" is what a climb has of its own: it does not clip.
ADDITIVE = ("log_loss", "accuracy", "clipped_log_loss", "brier")
OF_COUNTS = (
    "balanced_accuracy",
    "precision",
    "recall",
    "f_score",
    "jaccard",
    "matthews",
    "kappa",
    "costs",
)
KINDS = (*ADDITIVE, *OF_COUNTS)
AVERAGES = ("micro", "macro", "weighted")


@dataclass(frozen=True)
class Metric:
    """A metric that compiled code can compute.

    Attributes
    ----------
    kind : str
        One of `KINDS`.

    sign : float
        1, or -1 for a metric that is the better the smaller it is.

    average : {"micro", "macro", "weighted"}
        How classes are combined.

    shift : float
        What is added to the accuracy, as the negated zero-one loss has it.

    number : float
        What else the metric has to know: beta of an F score; 1 for a balanced accuracy
        that is adjusted for chance.

    classes : tuple of int
        The classes that count, where not all do.

    costs : tuple of tuples of float
        Costs of each true class (row) and predicted one; or weights of a kappa.

    positive_at_zero : bool
        Of two classes, which one is predicted where the sum is 0.
    """

    kind: str
    sign: float = 1.0
    average: str = "micro"
    shift: float = 0.0
    number: float = 0.0
    classes: tuple[int, ...] = ()
    costs: tuple[tuple[float, ...], ...] = ()
    positive_at_zero: bool = False

    @property
    def is_additive(self) -> bool:
        """Whether it is a mean over the samples."""
        return self.kind in ADDITIVE

    @property
    def uses_odds(self) -> bool:
        """Whether it needs probabilities."""
        return self.is_additive and self.kind != "accuracy"

    @property
    def is_of_counts(self) -> bool:
        """Whether it follows from the confusion matrix."""
        return self.kind in OF_COUNTS

    def describe(self, n_classes: int, dtype: np.dtype) -> tuple[Any, ...]:
        """Describe it for compiled code, see `kernels/_metrics.py`.

        Parameters
        ----------
        n_classes : int
            Number of classes, which is at least 2.

        dtype : numpy dtype
            Type of the sums.
        """
        zero = np.zeros((), dtype)
        limit = np.nextafter(zero, zero - 1) if self.positive_at_zero else 0.0
        chosen = self.classes or tuple(range(n_classes))
        costs: NDArray[np.float64] = np.zeros((n_classes, n_classes))
        if self.costs:
            costs[:] = self.costs
        return (
            KINDS.index(self.kind),
            AVERAGES.index(self.average),
            float(self.sign),
            float(self.number),
            float(limit),
            np.array(chosen, dtype=np.intp),
            costs,
            np.zeros((n_classes, n_classes)),
            np.zeros((4, n_classes * n_classes)),
        )


ACCURACY = Metric("accuracy")


class MetricOfSums:
    """Computes a metric from the sums of the output units of samples.

    Parameters
    ----------
    metric : Metric
        What to compute; neither "accuracy" nor "log_loss".

    y : ndarray of int of shape (n_samples,)
        Index of the true class.

    weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    n_outputs : int
        Number of output units: 1 for two classes.

    dtype : numpy dtype
        Type of the sums.
    """

    def __init__(
        self,
        metric: Metric,
        y: NDArray[np.intp],
        weight: NDArray[np.float64] | None,
        n_outputs: int,
        dtype: np.dtype,
    ) -> None:
        from skperceptron.optim.kernels._elementwise import padded
        from skperceptron.optim.kernels._outputs import make_targets, make_terms

        self._order = np.argsort(y, kind="stable")
        sorted_weight = np.empty(0) if weight is None else weight[self._order]
        self._targets = make_targets(
            metric, y[self._order], sorted_weight, n_outputs, dtype
        )
        width = padded(len(y))
        self._terms = make_terms(metric, n_outputs, width, dtype)
        self._sums = np.zeros((n_outputs, width), dtype)
        self._total = 1.0
        if metric.is_additive:
            self._total = len(y) if weight is None else float(weight.sum())

    def __call__(self, z: NDArray[np.floating]) -> float:
        """Compute the metric.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_outputs)
            Finite sums.
        """
        from skperceptron.optim.kernels._outputs import evaluate

        self._sums[:, : len(z)] = z[self._order].T
        value, _ = evaluate(self._sums, 0, self._targets, self._terms, -np.inf)
        return float(value / self._total)
