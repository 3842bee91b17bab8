"""Hill climbing on the accuracy of one threshold unit, mostly in single precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim._block_climb import candidates_within
from skperceptron.optim._one_unit_climb import OneUnitClimb

Array = NDArray[np.floating]

_CACHE_BYTES = 2**20
# Samples that are copied at a time.
_CHUNK = 4096


class ScreenedClimb(OneUnitClimb):
    """A climb on the accuracy of one threshold unit, on dense float64 data.

    One matrix product in float32 serves a block of candidates. Its error has a bound,
    and sums so close to 0 that it matters are computed anew in float64: the decisions
    are those of float64.

    Parameters are those of `OneUnitClimb`.
    """

    def _copy_data(self) -> None:
        X = self._X
        with np.errstate(over="ignore"):  # what is infinite is left to float64
            self._X_single = (
                _sorted_copy(X, self._order)
                if self._sibling is None
                else self._sibling._X_single
            )
            self._largest_length = np.sqrt(np.einsum("ij,ij->i", X, X).max() + 1)
        # A sum of n products in any order (Higham, 2002, section 3.1), and the rounding
        # of both factors.
        self._precision = (X.shape[1] + 4) * 2.0**-24
        self._memory = np.empty((0, len(X)), np.float32)

    @property
    def _most_candidates(self) -> int:
        # Twice as many as otherwise, for they are float32 and the data is float64.
        return candidates_within(_CACHE_BYTES, 2 * self._X.nbytes, 4 * len(self._X))

    def _refresh(self) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            sums = (self._X @ self.params[:-1] + self.params[-1])[self._order]
            self._sums = sums.astype(np.float32)
        self._largest = float(np.abs(sums).max())
        self._error = 2.0**-24 * self._largest
        self._raw_value = self._value_of(sums)

    def _prepare(self) -> None:
        noise = self._noise
        single = noise.astype(np.float32)
        if len(self._memory) < len(noise):
            self._memory = np.empty((len(noise), len(self._X)), np.float32)
        self._added = self._memory[: len(noise)]
        np.matmul(single[:, :-1], self._X_single.T, out=self._added)
        self._bias = single[:, -1]
        lengths = np.sqrt(np.einsum("ij,ij->i", noise, noise))
        self._reach = lengths * self._largest_length

    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.kernels import _screened_scan

        state = np.array(
            [self._raw_value, float(self.n_accepted), self._error, self._largest]
        )
        _screened_scan.scan_screened(
            self._X,
            self._order,
            self._n_negative,
            self._weight,
            self._sums,
            self._added[candidates],
            self._bias[candidates],
            self._reach[candidates],
            self._precision,
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


def _sorted_copy(X: Array, order: NDArray[np.intp]) -> NDArray[np.float32]:
    """Copy samples in some order, in single precision."""
    result = np.empty(X.shape, np.float32)
    for start in range(0, len(X), _CHUNK):
        rows = order[start : start + _CHUNK]
        result[start : start + _CHUNK] = X[rows]
    return result
