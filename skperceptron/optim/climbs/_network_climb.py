"""What the compiled climbs of multilayer networks have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from skperceptron.optim._number_metric import NumberMetric
from skperceptron.optim.climbs._block_climb import BlockClimb
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]

# Samples that are copied at a time.
_CHUNK = 4096


class NetworkClimb(BlockClimb):
    """A climb of a multilayer network.

    The samples are sorted by class, and kept with one column for each.

    Parameters are those of `BlockClimb`.
    """

    def __init__(
        self, params: Array, mutation: Mutation, problem: Problem, **options: Any
    ) -> None:
        from skperceptron.optim.kernels._network import describe
        from skperceptron.optim.kernels._numbers import make_number_targets
        from skperceptron.optim.kernels._outputs import make_targets, make_terms

        super().__init__(params, mutation, problem, **options)
        y, n_outputs, dtype = problem.y, problem.layers.units[-1], params.dtype
        self._width = self._row_length(len(y))
        # Of samples that come in blocks, those of all blocks.
        n_columns = -(-len(y) // self._width) * self._width
        self._take_samples()
        self._network = describe(problem.layers)
        if isinstance(self._metric, NumberMetric):
            self._targets = make_number_targets(
                self._metric,
                np.argsort(y, kind="stable"),
                self._weight,
                n_columns,
                dtype,
            )
        else:
            self._targets = make_targets(
                self._metric, y, self._weight, n_outputs, dtype, n_columns
            )
        width = n_columns if self._metric.is_of_ranks else self._width
        self._terms = make_terms(self._metric, n_outputs, width, dtype)

    def _row_length(self, n_samples: int) -> int:
        """Length of rows of one value per sample."""
        from skperceptron.optim.kernels._elementwise import padded

        return padded(n_samples)

    def _take_samples(self) -> None:
        """Bring the samples and their weights into the order of the classes."""
        order = np.argsort(self._problem.y, kind="stable")
        if self._weight.size:
            self._weight = self._weight[order]
        self._data = self._arrange(order)

    def _arrange(self, order: NDArray[np.intp]) -> Any:
        """Bring the samples into the form that the climb wants."""
        return self._copy(order) if self._sibling is None else self._sibling._data

    def _copy(self, order: NDArray[np.intp]) -> Any:
        """Copy the samples in some order."""
        X = self._problem.X
        if issparse(X):
            return X[order]
        data = np.zeros((X.shape[1] + 1, self._width), self.params.dtype)
        copy_to_columns(X, order, data)
        return data

    @property
    def _data_bytes(self) -> int:
        return self._data.data.nbytes if issparse(self._data) else self._data.nbytes

    def _rows(self, n_rows: int) -> Array:
        """Allocate rows of one value per sample."""
        return np.zeros((n_rows, self._width), self.params.dtype)

    def _multiply(self, weights: Array, sums: Array) -> None:
        """Multiply weights with the data.

        Parameters
        ----------
        weights : ndarray of shape (n_units, n_features + 1)
            Of the inputs; the bias comes last.

        sums : ndarray of shape (n_units, n)
            Receives the result.
        """
        if not issparse(self._data):
            np.matmul(weights, self._data, out=sums)
            return
        n_samples = self._data.shape[0]
        sums[:, :n_samples] = (self._data @ weights[:, :-1].T).T
        sums[:, :n_samples] += weights[:, -1:]

    def _weights(self, layer: int) -> Array:
        """Weights and biases of a layer, one row per unit."""
        coefs, intercepts = self.layers.unpack(self.params)
        return np.vstack([coefs[layer], intercepts[layer]]).T


def copy_to_columns(X: Array, order: NDArray[np.intp], data: Array) -> None:
    """Copy samples in some order to columns, with a 1 below each for the biases.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Samples.

    order : ndarray of int of shape (n,)
        Which of them to copy.

    data : ndarray of shape (n_features + 1, width)
        Receives them in its first n columns.
    """
    n_samples = len(order)
    for start in range(0, n_samples, _CHUNK):
        stop = min(start + _CHUNK, n_samples)
        data[:-1, start:stop] = X[order[start:stop]].T
    data[-1, :n_samples] = 1
