"""Hill climbing that moves one unit of a network at a time, compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from skperceptron.network import Layers
from skperceptron.optim.climbs._block_climb import candidates_within
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._network_climb import NetworkClimb
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]

_CACHE_BYTES = 2**20
# What is kept of a network may take at most this many bytes, ...
MAX_BYTES_KEPT = 2**29
# ... or this many times the bytes of the samples, if that is more. A climb that keeps
# less needs a fifth to a half more time.
_MAX_TIMES = 1.7
# Samples that are copied at a time.
_CHUNK = 4096
# Samples that are worked off together: the sums of a wide layer then stay in the
# processor's cache.
_TILE = 2048
# Where little is kept: candidates that are drawn together. Those of the second layer
# among them share a forward pass, as many as there are rows for.
_CANDIDATES = 256
# Arrays with a value for each sample then take this many times the memory of the
# samples, unless there are very many units behind the first layer.
_TIMES_THE_DATA = 1.6
# Units of the first layer that are kept at a time. More rows do not make products any
# faster.
_MIN_KEPT, _MAX_KEPT = 4, 32


class UnitClimb(NetworkClimb):
    """A climb with one group for each unit, as ``layers.unit_groups()`` gives them.

    A candidate changes the sums of one unit, and those of the next layer by a rank-one
    update: sums and outputs of all units are kept between candidates, so that nothing
    before and beside the unit is computed again. What the noise adds to the sums of the
    first layer is one matrix product for many candidates. And as the log loss is
    convex in the sums of the output units, its slope tells for most of those that make
    it worse that they do, before anything else is computed.

    Where that takes too much memory, nothing of the first layer is kept, which is most
    of it. Sums and outputs of the units that are moved next are computed together with
    what the noise adds to them. What noise adds to units of the second layer takes a
    forward pass through the first, tile by tile, for as many candidates as possible; it
    follows when units of the first layer move.

    Parameters are those of `BlockClimb`.
    """

    def __init__(
        self, params: Array, mutation: Mutation, problem: Problem, **options: Any
    ) -> None:
        from skperceptron.optim.climbs._unit_kernel import Manner, Memory
        from skperceptron.optim.kernels._network import describe_groups

        super().__init__(params, mutation, problem, **options)
        units = problem.layers.units
        self._manner = Manner(problem.decay, problem.turns(mutation))
        self._groups = describe_groups(mutation.groups)
        n_units, n_outputs, n_first = sum(units[1:]), units[-1], units[1]
        n_slopes = n_outputs if problem.has_slope else 0
        n_left_out = n_first - self._n_kept
        n_rows = n_units - n_left_out
        self._memory = Memory(
            layer_of=np.repeat(np.arange(len(units) - 1), units[1:]),
            row_of=np.arange(n_units) - n_left_out,
            sums=self._rows(n_rows),
            outputs=self._rows(n_rows - n_outputs),
            slope=self._rows(n_slopes),
            slope_is_exact=np.zeros(1, bool),
            row=self._rows(2),
            new_sums=self._rows(n_units - n_first),
            new_outputs=self._rows(max(n_units - n_first - n_outputs, 0)),
        )
        # Where not all is kept, the first half is for the first layer.
        self._added = self._rows(0 if self._keeps_all else 2 * self._n_kept)
        self.evaluate()

    def _take_samples(self) -> None:
        X, order = self._problem.X, np.argsort(self._problem.y, kind="stable")
        if self._weight.size:
            self._weight = self._weight[order]
        self._data_bytes = X.data.nbytes if issparse(X) else X.nbytes
        self._row_bytes = self._width * self.params.itemsize
        n_first = self.layers.units[1]
        self._n_kept = choose_n_kept(
            self.layers, self._data_bytes, self._row_bytes, copies=not issparse(X)
        )
        self._keeps_all = self._n_kept == n_first
        if self._keeps_all:
            if self._sibling is not None:
                self._data = self._sibling._data
            else:
                self._data = X[order] if issparse(X) else self._columns(order)
            return
        self._column = np.empty_like(order)
        self._column[order] = np.arange(len(order))
        # BLAS takes no other.
        is_flat = issparse(X) or min(X.strides) == X.itemsize
        self._data = X if is_flat else np.ascontiguousarray(X)

    def _columns(self, order: NDArray[np.intp]) -> Array:
        """Copy samples in some order to columns, with a 1 below each for the biases."""
        X = self._problem.X
        data = np.zeros((X.shape[1] + 1, self._width), X.dtype)
        for start in range(0, len(order), _CHUNK):
            rows = X[order[start : start + _CHUNK]]
            data[:-1, start : start + len(rows)] = rows.T
        data[-1, : len(order)] = 1
        return data

    @property
    def _max_candidates(self) -> int:
        if self._keeps_all:
            return candidates_within(_CACHE_BYTES, self._data_bytes, self._row_bytes)
        return _CANDIDATES

    def _compute(self) -> float:
        from skperceptron.optim.kernels import _outputs

        memory = self._memory
        if not self._forward():
            return -np.inf
        value, exact = _outputs.evaluate(
            memory.sums, len(memory.outputs), self._targets, self._terms, -np.inf
        )
        if len(memory.slope):
            _outputs.update_slope(
                memory.slope,
                memory.sums,
                len(memory.outputs),
                self._targets,
                self._terms,
            )
            memory.slope_is_exact[0] = exact
        return float(value)

    def _forward(self) -> bool:
        """Compute sums and outputs anew; tell whether the sums are finite."""
        from skperceptron.optim.kernels import _network
        from skperceptron.optim.kernels._elementwise import scatter

        sums, outputs = self._memory.sums, self._memory.outputs
        n_first, finite = self.layers.units[1], True
        with np.errstate(over="ignore", invalid="ignore"):
            if self._keeps_all:
                self._multiply(self._weights(0), sums[:n_first])
            else:
                weights = self._weights(1)
                for columns, z, a in self._first_layer():
                    finite = finite and bool(np.isfinite(z).all())
                    scatter(_multiply(weights, a), sums, self._n_kept, columns)
        first, at = 0 if self._keeps_all else 1, n_first - self._n_kept
        _network.propagate(self._network, first, self.params, sums, at, outputs, at)
        return finite and bool(np.isfinite(sums).all())

    def _multiply(self, weights: Array, sums: Array) -> None:
        """Multiply weights, the biases last, with samples sorted by class."""
        if issparse(self._data):
            products = (self._data @ weights[:, :-1].T).T
            np.add(products, weights[:, -1:], out=sums[:, : self._data.shape[0]])
        else:
            np.matmul(weights, self._data, out=sums)

    def _prepare(self) -> None:
        self._place = np.full(len(self._group_of), -1)
        self._n_ready = 0
        if self._keeps_all:
            is_first = self._group_of < self.layers.units[1]
            weights = self._noise[is_first, : self.layers.units[0] + 1]
            self._place[is_first] = np.arange(len(weights))
            if len(self._added) < len(weights):
                self._added = self._rows(len(weights))
            self._multiply(np.ascontiguousarray(weights), self._added[: len(weights)])
            self._n_ready = self._n_prepared

    def _scan(self, which: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.climbs._unit_kernel import Added, scan_units

        start = which.start
        while start < which.stop:
            if start == self._n_ready:
                self._n_ready = min(start + self._n_kept, self._n_prepared)
                part = slice(start, self._n_ready)
                with np.errstate(over="ignore", invalid="ignore"):
                    self._prepare_first(part)
                    self._prepare_second(part)
            stop = min(self._n_ready, which.stop)
            with_later = slice(start, None)
            done = values[start - which.start : stop - which.start]
            scan_units(
                self._network,
                self._targets,
                self._terms,
                self._memory,
                self._groups,
                Added(self._added, self._place[with_later]),
                self._manner,
                self.params,
                self._candidates(with_later, done),
            )
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
        mine = mine[: self._n_kept]
        self._place[mine] = self._n_kept + np.arange(len(mine))
        weights = self._noise[mine, : n_first + 1]
        for columns, _, a in self._first_layer():
            scatter(_multiply(weights, a), self._added, self._n_kept, columns)

    def _weights(self, layer: int) -> Array:
        """Weights and biases of a layer, one row per unit."""
        coefs, intercepts = self.layers.unpack(self.params)
        return np.vstack([coefs[layer], intercepts[layer]]).T

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


def choose_n_kept(
    layers: Layers, data_bytes: int, row_bytes: int, *, copies: bool = True
) -> int:
    """Choose of how many units of the first layer sums and outputs are kept at a time.

    Parameters
    ----------
    layers : Layers
        The network.

    data_bytes, row_bytes : int
        Size of the data, and of one number for each sample.

    copies : bool, default=True
        Whether a copy of the data is as large where all is kept.
    """
    n_first, bearable = layers.units[1], max(MAX_BYTES_KEPT, _MAX_TIMES * data_bytes)
    kept = n_rows_kept(layers) * row_bytes + (data_bytes if copies else 0)
    if not layers.activations or kept <= bearable:
        return n_first
    # Four rows for each: sums, outputs, and what is added in two layers. And four for
    # each unit behind: sums, outputs and room for new ones; for an output unit slope
    # and odds instead of outputs.
    fitting = _TIMES_THE_DATA * data_bytes / (4 * row_bytes) - sum(layers.units[2:])
    return min(int(np.clip(fitting, _MIN_KEPT, _MAX_KEPT)), n_first)


def n_rows_kept(layers: Layers) -> int:
    """Count the numbers for each sample where all is kept."""
    n_hidden, n_outputs = sum(layers.units[1:-1]), layers.units[-1]
    # Sums and outputs; of output units also slopes, odds and the sums of a candidate;
    # those of the unit that it moves, and the total of the odds.
    return 2 * n_hidden + 4 * n_outputs + 3


def _multiply(weights: Array, inputs: Any) -> Array:
    """Multiply weights, the biases last, with inputs in columns."""
    if issparse(inputs):
        sums = np.ascontiguousarray((inputs.T @ weights[:, :-1].T).T)
    else:
        sums = np.matmul(weights[:, :-1], inputs)
    sums += weights[:, -1:]
    return sums
