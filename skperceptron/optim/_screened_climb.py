"""Hill climbing on the accuracy of one threshold unit, mostly in single precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim._block_climb import candidates_within
from skperceptron.optim._one_unit_climb import OneUnitClimb

_CACHE_BYTES = 2**20


class ScreenedClimb(OneUnitClimb):
    """A climb on the accuracy of one threshold unit, on dense float64 data.

    One matrix product in float32 serves a block of candidates, and is kept in 16 bits:
    memory that is new to the process can cost more than the product. The error has a
    bound, and sums so close to 0 that it matters are computed anew in float64: the
    decisions are those of float64.

    Parameters are those of `OneUnitClimb`.
    """

    def _copy_data(self) -> None:
        X = self._X
        self._signs = np.where(self._is_positive, np.float32(1), np.float32(-1))
        with np.errstate(over="ignore"):  # what is infinite is left to float64
            self._largest_length = np.sqrt(np.einsum("ij,ij->i", X, X).max() + 1)
        # A sum of n products in any order (Higham, 2002, section 3.1), and the rounding
        # of both factors.
        self._precision = (X.shape[1] + 4) * 2.0**-24
        self._memory = np.empty((0, len(X)), np.int16)

    @property
    def _most_candidates(self) -> int:
        # Half of the data's size, for nothing else here is as large.
        return candidates_within(_CACHE_BYTES, 2 * self._X.nbytes, 2 * len(self._X))

    def _refresh(self) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            sums = self._X @ self.params[:-1] + self.params[-1]
            self._sums = (sums * self._signs).astype(np.float32)
        self._largest = float(np.abs(sums).max())
        self._error = 2.0**-24 * self._largest
        self._raw_value = self._value_of(sums)

    def _prepare(self) -> None:
        from skperceptron.optim.kernels._screened_scan import CHUNK, round_products

        X, noise = self._X, self._noise
        single = noise.astype(np.float32)
        weights, biases = np.ascontiguousarray(single[:, :-1]), single[:, -1]
        if len(self._memory) < len(noise):
            self._memory = np.empty((len(noise), len(X)), np.int16)
        self._added = self._memory[: len(noise)]
        self._units = np.empty((-(-len(X) // CHUNK), len(noise)), np.float32)
        rows = np.empty((CHUNK, X.shape[1]), np.float32)
        products = np.empty((len(noise), CHUNK), np.float32)
        for chunk, start in enumerate(range(0, len(X), CHUNK)):
            size = min(CHUNK, len(X) - start)
            rows[:size] = X[start : start + size]
            np.matmul(weights, rows.T, out=products)
            round_products(
                products,
                biases,
                self._signs,
                self._units[chunk],
                self._added,
                start,
            )
        lengths = np.sqrt(np.einsum("ij,ij->i", noise, noise))
        self._reach = lengths * self._largest_length
        self._doubt = self._precision * self._reach + 0.51 * self._units.max(axis=0)

    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.kernels import _screened_scan

        state = np.array(
            [self._raw_value, float(self.n_accepted), self._error, self._largest]
        )
        _screened_scan.scan_screened(
            self._X,
            self._signs,
            self._weight,
            self._sums,
            self._added[candidates],
            self._units[:, candidates],
            self._reach[candidates],
            self._doubt[candidates],
            self.params,
            self._noise[candidates],
            self._group_of[candidates],
            self.step_size,
            self.rates,
            state,
            values,
        )
        self._raw_value, self.n_accepted = float(state[0]), int(state[1])
        self._error, self._largest = float(state[2]), float(state[3])
