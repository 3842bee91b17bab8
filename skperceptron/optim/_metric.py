"""What a compiled climb maximises, in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# The codes of `kernels/_metrics.py` are the places in these tuples.
# Sums over the samples. "log_loss" is what a climb has of its own: it does not clip.
ADDITIVE = ("log_loss", "accuracy", "clipped_log_loss", "brier", "top_k")
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
# "roc_auc" is that of each class against all others.
OF_RANKS = ("roc_auc", "roc_auc_ovo", "average_precision")
KINDS = (*ADDITIVE, *OF_COUNTS, *OF_RANKS)
# Buckets into which scores are sorted, for each sample and in all: the processor's
# second-level cache has room for the maximum.
_BUCKETS_PER_SAMPLE = 2
_MAX_BUCKETS = 2**15
AVERAGES = ("micro", "macro", "weighted")


@dataclass(frozen=True)
class Metric:
    """A metric that compiled code can compute.

    Attributes
    ----------
    kind : str
        One of `KINDS`.

    sign : float
        1, or -1 for a metric whose smaller values are better.

    average : {"micro", "macro", "weighted"}
        How classes are combined.

    shift : float
        What is added to the accuracy, as the negated zero-one loss has it.

    number : float
        What else the metric has to know: beta of an F score; 1 for a balanced accuracy
        that is adjusted for chance; k; and 1 for ranks of probabilities, not of sums.

    classes : tuple of int
        The classes that count, where not all do; of ranks, the positive one of two.

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
    def has_slope(self) -> bool:
        """Whether it is a convex function of the sums: a climb's own log loss."""
        return self.kind == "log_loss"

    @property
    def unit(self) -> float:
        """What a mean over the samples is multiplied with."""
        return 1.0

    @property
    def uses_odds(self) -> bool:
        """Whether it needs probabilities."""
        if self.is_of_ranks:
            return self.number > 0
        return self.kind in ("log_loss", "clipped_log_loss", "brier")

    @property
    def is_of_predictions(self) -> bool:
        """Whether it follows from the confusion matrix."""
        return self.kind == "accuracy" or self.kind in OF_COUNTS

    @property
    def is_of_ranks(self) -> bool:
        """Whether it needs the scores of all samples together."""
        return self.kind in OF_RANKS

    @property
    def scale(self) -> float:
        """How much the prediction of a sample matters to the metric of that sample."""
        return float(np.ptp(self.costs)) if self.kind == "costs" else 1.0

    def describe(
        self, n_classes: int, dtype: np.dtype, n_samples: int = 0, n_gathered: int = 0
    ) -> Description:
        """Describe it for compiled code.

        Parameters
        ----------
        n_classes : int
            Number of classes, which is at least 2.

        dtype : numpy dtype
            Type of the sums.

        n_samples : int, default=0
            Number of samples, which only metrics of ranks have to know.

        n_gathered : int, default=0
            For metrics of ranks, length of the rows of sums that come in blocks.
        """
        n_outputs = n_classes if n_classes > 2 else 1
        n_gathered = n_gathered if self.is_of_ranks else 0
        zero = np.zeros((), dtype)
        limit = np.nextafter(zero, zero - 1) if self.positive_at_zero else 0.0
        chosen = self.classes or tuple(range(n_classes))
        costs: NDArray[np.float64] = np.zeros((n_classes, n_classes))
        if self.costs:
            costs[:] = self.costs
        return Description(
            kind=KINDS.index(self.kind),
            average=AVERAGES.index(self.average),
            sign=float(self.sign),
            number=float(self.number),
            limit=float(limit),
            classes=np.array(chosen, dtype=np.intp),
            costs=costs,
            counts=np.zeros((n_classes, n_classes)),
            room=np.zeros((4, n_classes * n_classes)),
            ranking=_make_ranking(n_samples, n_classes) if self.is_of_ranks else None,
            gathered=np.zeros((n_outputs, n_gathered), dtype),
        )


ACCURACY = Metric("accuracy")


class Ranking(NamedTuple):
    """Room for sorting the scores of samples for one class after the other.

    Attributes
    ----------
    scores : ndarray of float64 of shape (n_samples,)
        In the order of the samples.

    bucket : ndarray of int32 of shape (n_samples,)
        Where each belongs.

    counts : ndarray of float64 of shape (2, n_buckets)
        Weight in each bucket: that of the class, and that of all others.

    start : ndarray of int32 of shape (n_buckets + 1,)
        Where each begins.

    limits : ndarray of float64 of shape (n_classes, 2)
        Between which of their scores the buckets are; equal where not known.

    keys, order : ndarrays of shape (n_samples,)
        The scores, sorted, and which samples have them.

    curve : ndarray of float64 of shape (3, n_samples)
        Sums of what is right and what is wrong, and room for what follows from them.

    class_of : ndarray of int32 of shape (n_samples,)
        Class of each sample.
    """

    scores: NDArray
    bucket: NDArray
    counts: NDArray
    start: NDArray
    limits: NDArray
    keys: NDArray
    order: NDArray
    curve: NDArray
    class_of: NDArray


def _make_ranking(n_samples: int, n_classes: int) -> Ranking:
    n_buckets = min(_BUCKETS_PER_SAMPLE * n_samples, _MAX_BUCKETS)
    return Ranking(
        scores=np.zeros(n_samples),
        bucket=np.zeros(n_samples, np.int32),
        counts=np.zeros((2, n_buckets)),
        start=np.zeros(n_buckets + 1, np.int32),
        limits=np.zeros((n_classes, 2)),
        keys=np.zeros(n_samples),
        order=np.zeros(n_samples, np.int32),
        curve=np.zeros((3, n_samples)),
        class_of=np.zeros(n_samples, np.int32),
    )


class Description(NamedTuple):
    """A metric, and what compiled code needs to compute it.

    Attributes
    ----------
    kind, average : int
        Places in `KINDS` and `AVERAGES`.

    sign, number : float
        As in `Metric`.

    limit : float
        Above it, a sum stands for the second of two classes.

    classes : ndarray of int
        Classes that count; of ranks, the last one is the positive one of two.

    costs : ndarray of shape (n_classes, n_classes)
        Costs of each true class (row) and predicted one, or weights of a kappa.

    counts : ndarray of shape (n_classes, n_classes)
        Confusion matrix: rows are true classes.

    room : ndarray of shape (4, n_classes ** 2)
        Room for numbers.

    ranking : Ranking or None
        Room for sorting; None for other metrics than those of ranks. This tells the
        compiler which code is never needed.

    gathered : ndarray of shape (n_outputs, n)
        Sums of all samples, for metrics of ranks where those come in blocks.
    """

    kind: int
    average: int
    sign: float
    number: float
    limit: float
    classes: NDArray[np.intp]
    costs: NDArray[np.float64]
    counts: NDArray[np.float64]
    room: NDArray[np.float64]
    ranking: Ranking | None
    gathered: NDArray[np.floating]
