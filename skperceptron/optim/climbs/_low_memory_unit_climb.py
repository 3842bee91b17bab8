"""Hill climbing that moves one unit of a network at a time, in little memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._problem import Problem
from skperceptron.optim.climbs._unit_climb import UnitClimb

Array = NDArray[np.floating]

# What `UnitClimb` keeps of a network may take at most this many bytes, ...
MAX_BYTES_KEPT = 2**29
# ... or this many times the bytes of the samples, if that is more. A climb that keeps
# less needs a fifth to a half more time.
MAX_TIMES_KEPT = 1.7
# Samples that are worked off together: the sums of a wide layer then stay in the
# processor's cache.
_TILE = 2048
# Candidates that are drawn together: those of the second layer among them share a
# forward pass, as many as there are rows for.
_CANDIDATES = 256
# Arrays with a value for each sample take this many times the memory of the samples,
# unless there are very many units behind the first layer.
_TIMES_THE_DATA = 1.6
# More rows do not make products any faster.
_MAX_TOGETHER = 32


class LowMemoryUnitClimb(UnitClimb):
    """A climb with one group for each unit that keeps nothing of the first layer.

    It neither copies the samples nor keeps the sums and outputs of the first layer,
    which is most of what `UnitClimb` keeps. Those of the units that are moved next are
    computed together with what the noise adds to them. What noise adds to units of the
    second layer takes a forward pass through the first, tile by tile, for as many
    candidates as possible; it follows when units of the first layer move.

    Parameters are those of `BlockClimb`. There must be a hidden layer.
    """

    def __init__(
        self, params: Array, mutation: Mutation, problem: Problem, **options: Any
    ) -> None:
        super().__init__(params, mutation, problem, **options)
        # The first half is for the first layer.
        self._added = self._rows(2 * self._n_first_kept)

    def _arrange(self, order: NDArray[np.intp]) -> Any:
        self._column = np.empty_like(order)
        self._column[order] = np.arange(len(order))
        X = self._problem.X
        if issparse(X) or min(X.strides) == X.itemsize:
            return X
        return np.ascontiguousarray(X)  # BLAS takes no other

    @property
    def _n_first_kept(self) -> int:
        # Four rows for each: sums, outputs, and what is added in two layers. And four
        # for each unit behind: sums, outputs and room for new ones; for an output unit
        # slope and odds instead of outputs.
        row = self._width * self.params.dtype.itemsize
        n_behind = sum(self.layers.units[2:])
        fitting = int(_TIMES_THE_DATA * self._data_bytes / (4 * row)) - n_behind
        return int(np.clip(fitting, 4, _MAX_TOGETHER))

    @property
    def _max_candidates(self) -> int:
        return _CANDIDATES

    def _forward(self) -> bool:
        from skperceptron.optim.kernels import _network
        from skperceptron.optim.kernels._elementwise import scatter

        n_first, n_kept = self.layers.units[1], self._n_first_kept
        sums, outputs = self._memory.sums[n_kept:], self._memory.outputs[n_kept:]
        finite = True
        with np.errstate(over="ignore", invalid="ignore"):
            weights = self._weights(1)
            for columns, z, a in self._first_layer():
                finite = finite and bool(np.isfinite(z).all())
                scatter(_multiply(weights, a), sums, 0, columns)
        _network.propagate(
            self._network, 1, self.params, sums, n_first, outputs, n_first
        )
        return finite and bool(np.isfinite(sums).all())

    def _prepare(self) -> None:
        self._place = np.full(len(self._group_of), -1)
        self._n_ready = 0

    def _scan(self, which: slice, values: NDArray[np.float64]) -> None:
        start = which.start
        while start < which.stop:
            if start == self._n_ready:
                self._n_ready = min(start + self._n_first_kept, self._n_prepared)
                part = slice(start, self._n_ready)
                with np.errstate(over="ignore", invalid="ignore"):
                    self._prepare_first(part)
                    self._prepare_second(part)
            stop = min(self._n_ready, which.stop)
            done = slice(start - which.start, stop - which.start)
            super()._scan(slice(start, stop), values[done])
            start = stop

    def _prepare_first(self, part: slice) -> None:
        """Compute, for the first layer, the moved units and what the noise adds."""
        from skperceptron.optim.kernels._elementwise import activate, scatter

        sums, outputs = self._memory.sums, self._memory.outputs
        n_features, n_first = self.layers.units[:2]
        mine = part.start + np.flatnonzero(self._group_of[part] < n_first)
        units = np.unique(self._group_of[mine])
        self._memory.row_of[units] = np.arange(len(units))
        self._place[mine] = np.arange(len(mine))
        noise = self._noise[mine, : n_features + 1]
        weights = np.vstack([self._weights(0)[units], noise])
        for columns, z in self._products(weights):
            scatter(z[: len(units)], sums, 0, columns)
            scatter(z[len(units) :], self._added, 0, columns)
        for k in range(len(units)):
            activate(self._network.codes[0], sums, k, outputs, k)

    def _prepare_second(self, part: slice) -> None:
        """Compute what the noise adds to units of the second layer, also later ones."""
        from skperceptron.optim.kernels._elementwise import scatter

        n_first, n_second = self.layers.units[1:3]
        layer = np.searchsorted([n_first, n_first + n_second], self._group_of, "right")
        if not np.any((layer[part] == 1) & (self._place[part] < 0)):
            return
        mine = part.start + np.flatnonzero(layer[part.start :] == 1)
        mine = mine[: self._n_first_kept]
        self._place[mine] = self._n_first_kept + np.arange(len(mine))
        weights = self._noise[mine, : n_first + 1]
        for columns, _, a in self._first_layer():
            scatter(_multiply(weights, a), self._added, self._n_first_kept, columns)

    def _first_layer(self) -> Iterator[tuple[NDArray[np.intp], Array, Array]]:
        """Compute sums and outputs of the first layer, tile by tile."""
        from skperceptron.optim.kernels._elementwise import activate

        for columns, z in self._products(self._weights(0)):
            a = np.empty_like(z)
            activate(self._network.codes[0], z.reshape(1, -1), 0, a.reshape(1, -1), 0)
            yield columns, z, a

    def _products(self, weights: Array) -> Iterator[tuple[NDArray[np.intp], Array]]:
        """Multiply weights with the samples, tile by tile.

        Yields
        ------
        columns : ndarray of int of shape (n_tile,)
            The place of each sample where they are sorted by class.

        sums : ndarray of shape (n_weights, n_tile)
        """
        for start in range(0, len(self._column), _TILE):
            samples = slice(start, start + _TILE)
            yield self._column[samples], _multiply(weights, self._data[samples].T)


def _multiply(weights: Array, inputs: Any) -> Array:
    """Multiply weights, the biases last, with inputs in columns."""
    if issparse(inputs):
        sums = np.ascontiguousarray((inputs.T @ weights[:, :-1].T).T)
    else:
        sums = np.matmul(weights[:, :-1], inputs)
    sums += weights[:, -1:]
    return sums
