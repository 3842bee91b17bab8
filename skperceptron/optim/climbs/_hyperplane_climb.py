"""Hill climbing on a metric of one threshold unit of few inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._one_unit_climb import OneUnitClimb

Array = NDArray[np.floating]

# As many as the kernel has inputs. In more dimensions the length of a step also says
# too little about what it moves.
MOST_FEATURES = 8


class HyperplaneClimb(OneUnitClimb):
    """A climb on a metric of one threshold unit, on dense data with few features.

    It only looks at the samples that a step can move across the hyperplane. They are
    sorted by class.

    Parameters are those of `OneUnitClimb`.
    """

    _most_candidates = 256

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
        self._far = np.zeros((2, 2))

    def _refresh(self) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            sums = self.params[:-1] @ self._data[: self.params.size - 1]
            sums += self.params[-1]
        self._raw_value = self._value_of(sums)
        # What is compared with is that of the selection, so there has to be a new one.
        self._selection = np.array([-1.0, 0, 0, 0])

    def _prepare(self) -> None:
        self._norms = np.sqrt(
            np.einsum("ij,ij->i", self._noise, self._noise, dtype=float)
        )

    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.climbs import _hyperplane_kernel

        state = np.array([self._raw_value, self.n_accepted, *self._selection])
        _hyperplane_kernel.scan_hyperplanes(
            self._data,
            self._lengths,
            self._n_negative,
            self._weight,
            self._description,
            self._far,
            self._near,
            self._near_data,
            self.params,
            self._reference,
            self._noise[candidates],
            self._norms[candidates],
            self._group_of[candidates],
            self.step_size,
            self.rule,
            state,
            values,
        )
        self._raw_value, self.n_accepted = float(state[0]), int(state[1])
        self._selection = state[2:]


def _columns(X: Array, order: NDArray[np.intp], n_inputs: int) -> Array:
    """Copy samples in some order to columns, with inputs of 0 at the end."""
    data = np.zeros((n_inputs, len(X)), X.dtype)
    for feature in range(X.shape[1]):
        data[feature] = X[order, feature]
    return data
