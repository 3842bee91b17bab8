"""Hill climbing on the accuracy of threshold units, many candidates at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from skperceptron.optim.climbs._block_climb import BlockClimb, candidates_within
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]

_CACHE_BYTES = 2**20
# Data up to this size is also kept transposed, with a row of ones for the biases: BLAS
# likes that for few features, and it saves going over the product once more.
_SMALL_BYTES = 2**20


class ThresholdClimb(BlockClimb):
    """A climb on the accuracy of a single layer of threshold units.

    The sums of the units are linear in the noise, so that one matrix product serves a
    block of candidates, and a compiled scan decides over them one after the other,
    adding what the noise of a kept one changes.

    Parameters are those of `BlockClimb`. The metric is the accuracy, maybe shifted.
    With one unit for two classes, class 1 is predicted where its sum is at least 0;
    else the largest sum wins.
    """

    def __init__(
        self, params: Array, mutation: Mutation, problem: Problem, **options: Any
    ) -> None:
        super().__init__(params, mutation, problem, **options)
        X, y, n_outputs = problem.X, problem.y, problem.layers.units[-1]
        self._X = X
        self._X_T_ones: Array | None = None
        if not issparse(X) and X.nbytes <= _SMALL_BYTES:
            self._X_T_ones = np.vstack([X.T, np.ones(len(X), X.dtype)])
        self._y = y == 1 if n_outputs == 1 else y
        self._groups = np.array(mutation.groups)
        self._largest_norm = np.sqrt(_squared_row_norms(X).max()) + 1
        self._memory: Array | None = None
        self._sums = np.empty((n_outputs, len(y)), params.dtype)
        self.evaluate()

    @property
    def _max_candidates(self) -> int:
        n_units = 1 if self.mutation.by_group else self.layers.units[-1]
        bytes_each = n_units * len(self._y) * self.params.itemsize
        return candidates_within(_CACHE_BYTES, _n_bytes(self._X), bytes_each)

    def _compute(self) -> float:
        from skperceptron.optim.climbs import _threshold_kernel

        (coef,), (intercept,) = self.layers.unpack(self.params)
        with np.errstate(over="ignore", invalid="ignore"):
            if issparse(self._X):
                self._sums = np.ascontiguousarray((self._X @ coef).T)
            else:
                self._sums = np.matmul(coef.T, self._X.T, out=self._sums)
            self._sums += intercept[:, np.newaxis]
        dtype = self._sums.dtype
        self._limits = np.array([np.abs(self._sums).max(), np.finfo(dtype).max / 4])
        if not np.isfinite(self._sums).all():
            return -np.inf
        nothing = np.zeros((1, self._sums.shape[1]), dtype)
        return _threshold_kernel.correct(
            self._sums, nothing, 0, 0.0, self._y, self._weight
        )

    def _prepare(self) -> None:
        norms = np.sqrt(np.einsum("ij,ij->i", self._noise, self._noise, dtype=float))
        self._reach = norms * self._largest_norm
        self._added = self._added_to_sums(self._noise)

    def _scan(self, which: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.climbs import _threshold_kernel

        _threshold_kernel.scan(
            self._sums,
            self._added[which],
            self._reach[which],
            self._limits,
            self._y,
            self._weight,
            self._groups,
            self.params,
            self._candidates(which, values),
        )

    def _added_to_sums(self, noise: Array) -> Array:
        """Multiply the data with the noise.

        Returns an array of shape (n_candidates, n_moved_units, n_samples).
        """
        n_features, n_units = self.layers.units
        n_candidates = len(noise)
        if not self.mutation.by_group and n_units > 1:
            # One row per unit: its weights, then its bias.
            noise = noise.reshape(n_candidates, n_features + 1, n_units)
            noise = noise.transpose(0, 2, 1).reshape(-1, n_features + 1)
        if issparse(self._X):
            product = np.ascontiguousarray((self._X @ noise[:, :n_features].T).T)
            product += noise[:, n_features:]
        elif self._X_T_ones is not None:
            product = np.matmul(noise, self._X_T_ones, out=self._product(len(noise)))
        else:
            product = self._product(len(noise))
            np.matmul(noise[:, :n_features], self._X.T, out=product)
            product += noise[:, n_features:]
        return product.reshape(n_candidates, -1, product.shape[1])

    def _product(self, n_rows: int) -> Array:
        """Memory for a product, used again by the next block."""
        if self._memory is None or len(self._memory) < n_rows:
            self._memory = np.empty((n_rows, len(self._y)), self.params.dtype)
        return self._memory[:n_rows]


def _n_bytes(X: Any) -> int:
    return X.data.nbytes if issparse(X) else X.nbytes


def _squared_row_norms(X: Any) -> Array:
    if issparse(X):
        return np.asarray(X.multiply(X).sum(axis=1)).ravel()
    with np.errstate(over="ignore"):  # infinite for huge values, and so is the bound
        return np.einsum("ij,ij->i", X, X)
