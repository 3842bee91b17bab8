"""Hill climbing with a forward pass for each candidate, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import forward
from skperceptron.optim._read_only import read_only
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._network_climb import NetworkClimb
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]

# Samples in a block, at most: its sums and outputs should stay in the processor's
# cache. Not a power of two: the values of one column would compete for the same cache
# lines.
_BLOCK = 992
# Bytes of the noise of the candidates that are drawn together, at most.
_MAX_BYTES = 2**22
# After this many candidates it pays to sort the samples anew.
_MAX_CANDIDATES = 128


class ForwardClimb(NetworkClimb):
    """A climb on dense data that goes from one block of samples to the next.

    There are never sums and outputs of more than one block. Samples in a file are read
    where they are. What is kept of each is its weight, its place in the order of the
    classes within a block, and, where candidates move one unit of the only hidden
    layer, the sums of the output units: such a candidate takes no pass through the
    whole network.

    The accuracy on samples in memory in float64 is computed in float32, whose error has
    a bound. Samples so close to a decision that it matters are computed again in
    float64: the decisions are those of float64.

    Parameters are those of `BlockClimb`.
    """

    def __init__(
        self, params: Array, mutation: Mutation, problem: Problem, **options: Any
    ) -> None:
        from skperceptron.optim.climbs._forward_kernel import Room
        from skperceptron.optim.kernels._network import describe_groups

        super().__init__(params, mutation, problem, **options)
        self._groups = describe_groups(mutation.groups)
        layers = problem.layers
        n_outputs, n_units = layers.units[-1], layers.n_units
        exchanges = mutation.by_group and len(layers.activations) == 1
        n_kept = len(self._data.order) if exchanges else 0
        sums, last = self._rows(n_units), n_units - n_outputs
        self._room = Room(
            sums=sums,
            outputs=self._rows(last),
            sorted_sums=self._rows(n_outputs) if self._is_in_place else sums[last:],
            pair=self._rows(2),
            sorted_pair=self._rows(2),
            weights=np.zeros((2, layers.units[0]), params.dtype),
            kept=np.zeros((n_kept, n_outputs, self._width), params.dtype),
        )
        self._single = self._allocate_screening()
        self._n_accepted_when_sorted = -1
        self.evaluate()

    def _row_length(self, n_samples: int) -> int:
        n_blocks = -(-n_samples // _BLOCK)
        return super()._row_length(-(-n_samples // n_blocks))

    def _take_samples(self) -> None:
        y, weight = self._problem.y, self._weight
        # Moving a unit is for samples that are too many for anything else.
        self._is_in_place = self._problem.stays_on_disk or self.mutation.by_group
        # What is copied is sorted by class as a whole, all else in each block.
        by_class = slice(None) if self._is_in_place else np.argsort(y, kind="stable")
        self._order: Any = by_class
        self._data = self._in_blocks() if self._sibling is None else self._sibling._data
        if weight.size:
            self._weight = weight[self._order].copy()
            for i, order in enumerate(self._data.order):
                part = self._weight[i * self._width : (i + 1) * self._width]
                part[:] = part[order[: len(part)]]

    def _in_blocks(self) -> Any:
        from skperceptron.optim.climbs._forward_kernel import Blocks

        X, y, size = self._problem.X, self._problem.y[self._order], self._width
        n_blocks = -(-len(y) // size)
        classes = np.arange(max(self.layers.units[-1], 2) + 1)
        order = np.tile(np.arange(size, dtype=np.uint16), (n_blocks, 1))
        class_start = np.empty((n_blocks, len(classes)), np.intp)
        for i in range(n_blocks):
            part = y[i * size : (i + 1) * size]
            order[i, : len(part)] = np.argsort(part, kind="stable")
            class_start[i] = np.searchsorted(np.sort(part), classes)
        n_features, n_copied = X.shape[1], 0 if self._is_in_place else n_blocks
        columns = np.zeros((n_copied, n_features + 1, size), X.dtype)
        for i, block in enumerate(columns):
            rows = X[self._order[i * size : (i + 1) * size]]
            block[:-1, : len(rows)], block[-1] = rows.T, 1
        tail = np.zeros((size if self._is_in_place else 0, n_features), X.dtype)
        # BLAS takes no other.
        X = np.ascontiguousarray(X) if self._is_in_place else tail
        rest = X[(n_blocks - 1) * size :]
        tail[: len(rest)] = rest
        return Blocks(columns, read_only(X), read_only(tail), order, class_start)

    def _allocate_screening(self) -> Any:
        from skperceptron.optim.climbs._forward_screening_kernel import (
            LIPSCHITZ,
            TILE,
            Single,
        )

        data, room = self._data.columns, self._room
        can_be_screened = (
            self._metric.kind == "accuracy"
            # Weights would have to be added up in an order that stays the same.
            and self._weight.size == 0
            and data.dtype == np.float64
            and bool(np.isfinite(LIPSCHITZ[self._network.codes]).all())
        )
        if not can_be_screened:
            data = data[:0]
        n_tiles = -(-len(self._problem.y) // TILE) if len(data) else 0
        with np.errstate(over="ignore"):  # what is infinite is left to float64
            length = np.sqrt(np.einsum("bij,bij->bj", data, data).max(initial=0))
        single, largest = np.float32, max(self.layers.units)
        return Single(
            data=np.ones((n_tiles, data.shape[1], TILE), single),
            order=np.zeros(n_tiles * TILE, np.intp),
            class_of=np.full((n_tiles, TILE), -1, np.int32),
            params=np.empty(self.params.size, single),
            sums=np.zeros((len(room.sums), TILE), single),
            outputs=np.zeros((len(room.outputs), TILE), single),
            margins=np.zeros(TILE, single),
            bounds=np.empty((4, largest)),
            row=np.empty((2, largest)),
            length=float(length),
        )

    def _sort(self) -> None:
        """Bring samples that the network gets wrong, or nearly so, to the front."""
        single, X, y = self._single, self._problem.X, self._problem.y
        with np.errstate(over="ignore", invalid="ignore"):
            z = forward(X, *self.layers.unpack(self.params), self.layers.activations)
            order = np.argsort(_margins(z, y)[self._order])
            single.order[: len(y)] = order
            samples, tile = self._order[order], single.data.shape[2]
            single.class_of.ravel()[: len(y)] = y[samples]
            for i, columns in enumerate(single.data):
                rows = X[samples[i * tile : (i + 1) * tile]]
                columns[:-1, : len(rows)] = rows.T

    @property
    def _max_candidates(self) -> int:
        return int(np.clip(_MAX_BYTES // self.params.nbytes, 1, _MAX_CANDIDATES))

    def _compute(self) -> float:
        from skperceptron.optim.climbs._forward_kernel import evaluate_blocks

        params, of_all_units = self.params, -1
        moved = of_all_units, params, params, -np.inf, True
        return evaluate_blocks(*self._evaluated, *moved)

    @property
    def _evaluated(self) -> tuple[Any, ...]:
        return self._network, self._targets, self._terms, self._data, self._room

    def _prepare(self) -> None:
        if len(self._single.data) and self.n_accepted > self._n_accepted_when_sorted:
            self._sort()
            self._n_accepted_when_sorted = self.n_accepted

    def _scan(self, which: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.climbs._forward_kernel import scan_networks

        scan_networks(
            *self._evaluated,
            self._groups,
            self._single,
            self.params,
            self._candidates(which, values),
            (self._problem.decay, self.layers.n_coefs),
        )


def _margins(z: Array, y: NDArray[np.intp]) -> Array:
    """Subtract from the sum of the true class the largest other, or 0; changes `z`."""
    if z.shape[1] == 1:
        return np.where(y == 1, z[:, 0], -z[:, 0])
    everyone = np.arange(len(y))
    own = z[everyone, y]
    z[everyone, y] = -np.inf
    return own - z.max(axis=1)
