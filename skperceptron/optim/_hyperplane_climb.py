"""Hill climbing on the accuracy of one threshold unit of few inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers
from skperceptron.optim._block_climb import BlockClimb
from skperceptron.optim._mutation import Mutation

Array = NDArray[np.floating]

# As many as the kernel has inputs. In more dimensions the length of a step also says
# too little about what it moves.
MOST_FEATURES = 8


class HyperplaneClimb(BlockClimb):
    """A climb on the accuracy of one threshold unit, on dense data with few features.

    It only looks at the samples that a step can move across the hyperplane.

    Parameters
    ----------
    params, mutation, layers
        As in `BlockClimb`. One output unit: class 1 where its sum is at least 0.

    X : ndarray of shape (n_samples, n_features)
        Samples.

    y : ndarray of int of shape (n_samples,)
        Index of the true class, 0 or 1.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    **options
        As in `BlockClimb`.
    """

    _most_candidates = 256

    def __init__(
        self,
        params: Array,
        mutation: Mutation,
        layers: Layers,
        X: Array,
        y: NDArray[np.intp],
        sample_weight: NDArray[np.float64] | None,
        **options: Any,
    ) -> None:
        from skperceptron.optim.kernels._hyperplane_scan import N_INPUTS

        order = np.argsort(y, kind="stable")
        if sample_weight is not None:
            sample_weight = sample_weight[order]
        super().__init__(
            params, mutation, layers, sample_weight, n_samples=len(y), **options
        )
        self._data = (
            _columns(X, order, N_INPUTS)
            if self._sibling is None
            else self._sibling._data
        )
        with np.errstate(over="ignore"):  # infinite for huge values: all are near then
            squares = np.einsum("ij,ij->j", self._data, self._data)
            self._lengths = np.sqrt(squares + 1)
        self._n_negative = int(np.sum(y == 0))
        self._near = np.empty(len(y), dtype=np.intp)
        self._near_data = np.empty_like(self._data)
        self._reference = params.copy()
        self._selection = np.array([-1.0, 0, 0, 0, 0])
        self.evaluate()

    def _refresh(self) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            sums = self.params[:-1] @ self._data[: self.params.size - 1]
            sums += self.params[-1]
        self._raw_value = -np.inf
        if np.isfinite(sums).all():
            right = sums >= 0
            right[: self._n_negative] ^= True
            self._raw_value = float(
                self._weight[right].sum() if self._weight.size else right.sum()
            )

    def _prepare(self) -> None:
        self._norms = np.sqrt(
            np.einsum("ij,ij->i", self._noise, self._noise, dtype=float)
        )

    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.kernels import _hyperplane_scan

        state = np.array([self._raw_value, self.n_accepted, *self._selection])
        _hyperplane_scan.scan_hyperplanes(
            self._data,
            self._lengths,
            self._n_negative,
            self._weight,
            self._near,
            self._near_data,
            self.params,
            self._reference,
            self._noise[candidates],
            self._norms[candidates],
            self._group_of[candidates],
            self.step_size,
            self.rates,
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
