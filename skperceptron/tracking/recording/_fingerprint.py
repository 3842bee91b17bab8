"""Recognizes training data: as a whole, in part, in another order or form.

Each row is reduced to a few sums of its columns with random weights, which are cheap
for arrays, sparse matrices and memory maps alike. The sums differ between rows, but not
between dtypes of the same row, nor after a transformer has rounded it differently.

If many rows are equal, as with one-hot columns, new data has rows of the training data
as well. So the number of known rows is compared with that expected of new data. It is
estimated from the training data: new rows are as often unknown as training rows are
unique.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.special import bdtr, pdtr, pdtrc

from skperceptron.tracking.recording._sklearn_internals import safe_indexing

# At most this many rows are kept, drawn at random from more, ...
MAX_ROWS = 2**18
# ... and at most this many calls of `partial_fit`, the latest ones.
MAX_CHUNKS = 10_000
# The columns are divided into blocks, each with a sum of its own. Rows are compared in
# all blocks, and in pairs of blocks: if one column or some neighbours were permuted,
# one of the pairs is unchanged.
_N_BLOCKS = 4
_ALL = (0, 1, 2, 3)
_PAIRS = ((0, 1), (2, 3), (1, 2), (3, 0))
# Sums have a standard deviation of about 1, and are rounded to multiples of this.
# float32 or a transformer changes them by a hundredth of it.
_RESOLUTION = 1e-4
# The scales of the columns are estimated from at most this many rows. Columns of a much
# smaller scale than others are not scaled up fully, as they may be rounding errors, nor
# are columns that vary little around a large number.
_MAX_ROWS_FOR_SCALE = 1000
_MIN_SCALE = 1e-3
_MIN_VARIATION = 1e-2
_ROUNDING = 1e-6
_VALUES_AT_ONCE = 2**18
# Maximum probability with which new data is taken for training data. It is smaller for
# pairs of blocks, because there are several, and more rows are equal in them.
_RISK = 0.05
_RISK_OF_PAIR = 0.001
# Rows in the order of the training data are known only if new data would need at least
# this many times its length to have them in that order by chance.
_N_LENGTHS = 2.0
# Odd factors that hash several integers to one.
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93],
    dtype=np.uint64,
)

Blocks = tuple[int, ...]


@dataclass(frozen=True)
class _Rows:
    """The sums of the rows of one call.

    Attributes
    ----------
    rounded : ndarray of int32 of shape (n_kept, 4)
        Sums of each block of columns for the kept rows, in multiples of the resolution.

    n_rows : int
        Number of rows of the call, including those not kept.

    totals, magnitudes : ndarray of shape (4,)
        Totals of the sums, and of their absolute values, over the kept rows.
    """

    rounded: NDArray[np.int32]
    n_rows: int
    totals: NDArray[np.float64]
    magnitudes: NDArray[np.float64]

    @cached_property
    def digest(self) -> int:
        """A hash that is equal for the same rows in the same order."""
        return hash((self.n_rows, self.rounded.tobytes()))

    def codes(self, blocks: Blocks) -> NDArray[np.uint64]:
        """Hash some blocks of each row to one integer."""
        columns = list(blocks)
        parts = self.rounded[:, columns].astype(np.uint64) * _FACTORS[columns]
        return parts.sum(axis=1, dtype=np.uint64)


@dataclass(frozen=True)
class _Counts:
    """How often each row was trained on.

    Attributes
    ----------
    codes : ndarray of uint64
        Different rows, sorted.

    counts : ndarray of int
        How often each of them occurs.
    """

    codes: NDArray[np.uint64]
    counts: NDArray[np.intp]

    @property
    def n_rows(self) -> int:
        return int(self.counts.sum())

    @property
    def min_share_of_new(self) -> float:
        """A lower estimate of the share of new rows that have no equal here."""
        share = (self.counts == 1).sum() / self.n_rows
        error = np.sqrt(share * (1 - share) / self.n_rows)
        return float(max(share - 2 * error, 0))

    def of(self, codes: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return how often some rows were trained on."""
        where = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        return np.where(self.codes[where] == codes, self.counts[where], 0)


class Fingerprint:
    """The fingerprint of training data, 16 bytes for each row.

    All calls of `partial_fit` add to one. `n_kept` is the number of kept rows.
    """

    def __init__(self) -> None:
        self._weights: NDArray[np.float64] | None = None
        self._calls: deque[_Rows] = deque()
        self._digests: set[int] = set()
        self.n_kept = self._n_left_out = 0
        self._counted: dict[Blocks, _Counts] = {}

    def add(self, X: Any) -> None:
        """Add training data, an array-like or sparse matrix."""
        X = _as_matrix(X)
        if self._weights is None:
            self._weights = _choose_weights(X)
        rows = _summarize(X, self._weights)
        if rows.digest in self._digests:
            return
        self._counted.clear()
        self._digests.add(rows.digest)
        self._calls.append(rows)
        self.n_kept += len(rows.rounded)
        self._n_left_out += rows.n_rows - len(rows.rounded)
        while self.n_kept > MAX_ROWS or len(self._calls) > MAX_CHUNKS:
            oldest = self._calls.popleft()
            self._digests.discard(oldest.digest)
            self.n_kept -= len(oldest.rounded)
            self._n_left_out += len(oldest.rounded)

    def covers(self, X: Any) -> bool:
        """Return whether most of the rows, or permuted copies, were trained on."""
        X = _as_matrix(X)
        if self._weights is None or len(self._weights) != X.shape[1]:
            return False
        rows = _summarize(X, self._weights)
        return (
            rows.digest in self._digests
            or self._has_totals_of(rows)
            or self._has_most_of(rows, _ALL, _RISK)
            or any(self._has_most_of(rows, pair, _RISK_OF_PAIR) for pair in _PAIRS)
            or self._has_as_often(rows)
            or self._has_as_slice(rows)
            or self._has_in_order(rows)
        )

    def _has_totals_of(self, rows: _Rows) -> bool:
        """Return whether the rows are all training data, with any columns permuted."""
        if rows.n_rows != sum(call.n_rows for call in self._calls):
            return False
        totals = sum(call.totals for call in self._calls)
        tolerance = _ROUNDING * sum(call.magnitudes for call in self._calls)
        return bool((np.abs(rows.totals - totals) <= tolerance).all())

    def _has_most_of(self, rows: _Rows, blocks: Blocks, risk: float) -> bool:
        """Return whether far fewer rows are unknown in some blocks than of new data."""
        known, codes = self._count(blocks), rows.codes(blocks)
        n_new = int((known.of(codes) == 0).sum())
        share, n_rows = known.min_share_of_new, len(codes)
        share_kept = self.n_kept / (self.n_kept + self._n_left_out)
        if n_new >= n_rows * share * (1 - share_kept / 2):
            return False
        return bool(bdtr(n_new, n_rows, share) <= risk)

    def _has_as_often(self, rows: _Rows) -> bool:
        """Return whether rows exceed their training counts too rarely for new data."""
        if self._n_left_out:
            return False
        known = self._count(_ALL)
        codes, counts = np.unique(rows.codes(_ALL), return_counts=True)
        n_more = int((counts > known.of(codes)).sum())
        per_row = len(rows.rounded) / known.n_rows
        expected = pdtrc(known.counts, per_row * known.counts).sum()
        return bool(n_more < expected / 2 and pdtr(n_more, expected) <= _RISK)

    def _has_as_slice(self, rows: _Rows) -> bool:
        """Return whether the rows are a contiguous part of the training data."""
        codes, known = rows.codes(_ALL), self._count(_ALL)
        counts = known.of(codes)
        if not counts.all():
            return False
        # The probability that new rows are one, beginning at any row.
        log_probability = np.log(counts / known.n_rows).sum() + np.log(known.n_rows)
        is_chance = log_probability > np.log(_RISK)
        return not is_chance and codes.tobytes() in self._in_order().tobytes()

    def _has_in_order(self, rows: _Rows) -> bool:
        """Return whether the rows are a part of the training data in the same order."""
        codes = rows.codes(_ALL)
        counts = self._count(_ALL).of(codes)
        # 1 / count is the expected distance to the next equal row, as a fraction of the
        # training data. New data in this order needs the sum of the distances.
        if not counts.all() or (1 / counts).sum() < _N_LENGTHS:
            return False
        trained_on = iter(self._in_order().tolist())
        return all(code in trained_on for code in codes.tolist())

    def _in_order(self) -> NDArray[np.uint64]:
        return np.concatenate([call.codes(_ALL) for call in self._calls])

    def _count(self, blocks: Blocks) -> _Counts:
        if blocks not in self._counted:
            self._counted[blocks] = _count([call.codes(blocks) for call in self._calls])
        return self._counted[blocks]


def _count(calls: list[NDArray[np.uint64]]) -> _Counts:
    """Count each row: the maximum over the calls, since these may be epochs."""
    codes = np.concatenate(calls)
    numbers = np.repeat(np.arange(len(calls)), [len(call) for call in calls])
    order = np.lexsort((numbers, codes))
    codes, numbers = codes[order], numbers[order]
    is_other_row = np.diff(codes, prepend=~codes[:1]) != 0
    starts = np.flatnonzero(is_other_row | (np.diff(numbers, prepend=-1) != 0))
    counts = np.diff(starts, append=len(codes))
    first = np.flatnonzero(is_other_row[starts])
    return _Counts(codes[starts][first], np.maximum.reduceat(counts, first))


def _as_matrix(X: Any) -> Any:
    if issparse(X):
        return X.tocsr()
    return X if hasattr(X, "shape") else np.asarray(X)


def _choose_weights(X: Any) -> NDArray[np.float64]:
    """Draw random weights for the columns, which also bring them to one scale."""
    n_features = X.shape[1]
    sample = _some_rows(X, _MAX_ROWS_FOR_SCALE)
    with np.errstate(all="ignore"):
        if issparse(sample):
            mean = np.asarray(sample.mean(axis=0), dtype=float).ravel()
            squares = sample.astype(float).power(2).mean(axis=0)
            variance = np.asarray(squares).ravel() - mean**2
        else:
            values = np.asarray(sample, dtype=float)
            mean, variance = values.mean(axis=0), values.var(axis=0)
        deviation = np.sqrt(variance.clip(min=0))
        size = np.abs(mean)
        scale = np.maximum(deviation, _MIN_VARIATION * size)
        scale = np.maximum(scale, _MIN_SCALE * deviation.max(initial=0.0))
        varies = (deviation > _ROUNDING * size) & np.isfinite(scale)
        n_columns = max(n_features / _N_BLOCKS, 1)
        random = np.random.default_rng(0).standard_normal(n_features)
        return np.where(varies, random / scale / np.sqrt(n_columns), 0.0)


def _summarize(X: Any, weights: NDArray[np.float64]) -> _Rows:
    n_rows = X.shape[0]
    with np.errstate(all="ignore"):  # of huge values
        sums = _block_sums(_some_rows(X, MAX_ROWS), weights)
        multiples = np.rint(sums / _RESOLUTION)
        return _Rows(
            rounded=multiples.astype(np.int64).astype(np.int32),
            n_rows=n_rows,
            totals=sums.sum(axis=0),
            magnitudes=np.abs(sums).sum(axis=0),
        )


def _block_sums(X: Any, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the weighted sum of each block of columns, for each row."""
    n_rows, n_features = X.shape
    ends = [round(i * n_features / _N_BLOCKS) for i in range(_N_BLOCKS + 1)]
    blocks = [slice(*pair) for pair in pairwise(ends)]
    if issparse(X):
        spread = np.zeros((n_features, _N_BLOCKS))
        for i, block in enumerate(blocks):
            spread[block, i] = weights[block]
        return np.asarray(X @ spread)
    sums = np.empty((n_rows, _N_BLOCKS))
    n_at_once = max(_VALUES_AT_ONCE // max(n_features, 1), 1)
    for start in range(0, n_rows, n_at_once):
        rows = slice(start, start + n_at_once)
        part = X if n_rows <= n_at_once else safe_indexing(X, rows)
        values = np.asarray(part, dtype=float)
        for i, block in enumerate(blocks):
            sums[rows, i] = values[:, block] @ weights[block]
    return sums


def _some_rows(X: Any, most: int) -> Any:
    n_rows = X.shape[0]
    if n_rows <= most:
        return X
    # The same rows for the same data. They are random, to be independent of its order.
    rows = np.random.default_rng(0).choice(n_rows, most, replace=False, shuffle=False)
    return safe_indexing(X, np.sort(rows))
