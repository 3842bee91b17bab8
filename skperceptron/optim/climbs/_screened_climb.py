"""Hill climbing on a metric of one threshold unit, mostly in single precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim._read_only import read_only
from skperceptron.optim.climbs._block_climb import candidates_within
from skperceptron.optim.climbs._one_unit_climb import OneUnitClimb

_CACHE_BYTES = 2**20
# The allocator keeps arrays up to this size for the next fit, where a larger one is new
# memory each time. But BLAS wants enough candidates to reuse what it has read.
_REUSED_BYTES = 2**25
_ENOUGH_CANDIDATES = 128
# Samples that are multiplied together: the products stay in the processor's cache.
_CHUNK = 512
# What products of two vectors of length 1 are rounded to: multiples of one over this,
# which 16 bits hold even if they are a little larger.
_UNITS = 32766


class ScreenedClimb(OneUnitClimb):
    """A climb on a metric of one threshold unit, on dense data.

    One matrix product in float32 serves a block of candidates, and is kept in 16 bits:
    memory that is new to the process can cost more than the product. Samples, each
    with a 1 for the bias, and noise are scaled to length 1 for that. Then no product is
    larger than 1, the rounding error has a bound for all samples alike, and sums so
    close to 0 that it matters are computed anew from the samples: for data in float64,
    the decisions are those of float64.

    Parameters are those of `BlockClimb`.
    """

    _accepted_before_refresh = np.inf  # each block begins with new sums

    def _copy_data(self) -> None:
        X = self._X = read_only(self._X)
        with np.errstate(over="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", X, X) + 1)
        # Where that is infinite, all sums are left to float64.
        self._longest = float(lengths.max())
        finite = np.minimum(lengths, np.finfo(np.float64).max)
        self._scale = np.where(self._is_positive, 1, -1) / finite
        # A sum of n products in any order (Higham, 2002, section 3.1), and the rounding
        # of both factors. Of a unit, rounding takes half, and what float32 cannot hold
        # of small factors is less than the rest.
        precision = (X.shape[1] + 5) * 2.0**-24
        self._doubt = precision + 0.51 / _UNITS
        self._memory = np.empty((0, len(X)), np.int16)
        # Counted like the sums, in float32; not needed for the accuracy.
        n_positive = 0 if self._use_accuracy else len(X)
        self._positive = self._is_positive[:n_positive].astype(np.float32)
        self._n_positive = int(self._is_positive.sum())
        self._sums = np.empty(len(X), np.float32)
        self._error = np.zeros(1)

    @property
    def _max_candidates(self) -> int:
        bytes_each = 2 * len(self._X)
        wanted = max(_REUSED_BYTES, _ENOUGH_CANDIDATES * bytes_each)
        # Half of the data's size, for nothing else here is as large.
        bearable = max(_CACHE_BYTES, self._X.nbytes // 2)
        return candidates_within(min(wanted, bearable), 0, bytes_each)

    def _compute(self) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            return self._value_of(self._X @ self.params[:-1] + self.params[-1])

    def _prepare(self) -> None:
        from skperceptron.optim.climbs._screened_kernel import (
            round_products,
            scale_rows,
        )

        X, noise = self._X, self._noise
        if len(self._memory) < len(noise):
            self._memory = np.empty((len(noise), len(X)), np.int16)
        self._added = self._memory[: len(noise)]
        self._lengths = np.sqrt(np.einsum("ij,ij->i", noise, noise))
        units = _UNITS / np.where(self._lengths > 0, self._lengths, 1)
        weights = (noise * units[:, np.newaxis]).astype(np.float32)
        rows = np.empty((_CHUNK, X.shape[1] + 1), np.float32)
        products = np.empty((len(noise), _CHUNK), np.float32)
        for start in range(0, len(X), _CHUNK):
            scale_rows(X, self._scale, self.params, start, rows, self._sums)
            np.dot(weights, rows.T, out=products)
            round_products(products, self._added, start)
        self._error[0] = 2.0**-23 * float(np.linalg.norm(self.params))

    def _scan(self, which: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.climbs._screened_kernel import (
            Samples,
            Sums,
            scan_screened,
        )

        samples = Samples(
            X=self._X,
            scale=self._scale,
            weight=self._weight,
            positive=self._positive,
            n_positive=self._n_positive,
            longest=self._longest,
        )
        sums = Sums(
            sums=self._sums,
            error=self._error,
            added=self._added[which],
            lengths=self._lengths[which],
            doubt=self._doubt,
            unit=1 / _UNITS,
        )
        scan_screened(
            tuple(samples),
            tuple(sums),
            tuple(self._description),
            self.params,
            self._candidates(which, values),
        )
