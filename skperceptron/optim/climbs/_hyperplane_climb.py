"""Hill climbing on a metric of one threshold unit of few inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._one_unit_climb import OneUnitClimb

Array = NDArray[np.floating]

# As many as the kernel has inputs. In more dimensions the length of a step also says
# too little about what it moves.
MAX_FEATURES = 8


class HyperplaneClimb(OneUnitClimb):
    """A climb on a metric of one threshold unit, on dense data with few features.

    It only looks at the samples that a step can move across the hyperplane. They are
    sorted by class.

    Parameters are those of `BlockClimb`.
    """

    _max_candidates = 256

    def _copy_data(self) -> None:
        from skperceptron.optim.climbs._hyperplane_kernel import N_INPUTS

        order = np.argsort(self._is_positive, kind="stable")
        self._is_positive = self._is_positive[order]
        self._n_negative = len(order) - int(self._is_positive.sum())
        if self._weight.size:
            self._weight = self._weight[order]
        self._data = (
            _columns(self._X, order, N_INPUTS)
            if self._sibling is None
            else self._sibling._data
        )
        with np.errstate(over="ignore"):  # infinite for huge values: all are near then
            squares = np.einsum("ij,ij->j", self._data, self._data)
            self._lengths = np.sqrt(squares + 1)
        self._near = np.empty(len(self._lengths), dtype=np.intp)
        self._near_data = np.empty_like(self._data)
        self._reference = self.params.copy()
        self._selection = np.array([-1.0, 0, 0, 0])
        self._far = np.zeros((2, 2))

    def _compute(self) -> float:
        from skperceptron.optim.climbs._hyperplane_kernel import REACH, SHOWN

        with np.errstate(over="ignore", invalid="ignore"):
            sums = self.params[:-1] @ self._data[: self.params.size - 1]
            sums += self.params[-1]
        value = self._value_of(sums)
        self._selection[REACH], self._selection[SHOWN] = -1, value
        return value

    def _prepare(self) -> None:
        self._norms = np.sqrt(
            np.einsum("ij,ij->i", self._noise, self._noise, dtype=float)
        )

    def _scan(self, which: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.climbs._hyperplane_kernel import (
            Samples,
            Selection,
            scan_hyperplanes,
        )

        data = Samples(self._data, self._lengths, self._n_negative, self._weight)
        selection = Selection(
            self._selection, self._far, self._near, self._near_data, self._reference
        )
        scan_hyperplanes(
            tuple(data),
            tuple(self._description),
            tuple(selection),
            self.params,
            self._candidates(which, values),
            self._norms[which],
        )


def _columns(X: Array, order: NDArray[np.intp], n_inputs: int) -> Array:
    """Copy samples in some order to columns, with inputs of 0 at the end."""
    data = np.zeros((n_inputs, len(X)), X.dtype)
    for feature in range(X.shape[1]):
        data[feature] = X[order, feature]
    return data
