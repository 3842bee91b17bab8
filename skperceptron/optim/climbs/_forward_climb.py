"""Hill climbing with a forward pass for each candidate, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._network_climb import NetworkClimb, copy_to_columns
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]

# Samples in a block, at most: its sums and outputs should stay in the processor's
# cache. Not a power of two: the values of one column would compete for the
# same cache lines.
_BLOCK = 992
# Bytes of the noise of the candidates that are drawn together, at most.
_MAX_BYTES = 2**22
# After this many candidates it pays to sort the samples anew.
_MAX_CANDIDATES = 128
# Tiles of samples that are copied at a time.
_TILES_COPIED = 32


class ForwardClimb(NetworkClimb):
    """A climb whose candidates move all weights, or a share of them.

    Each candidate needs a forward pass over dense data. It goes from one block of
    samples to the next: there are never sums and outputs of more than one. For the
    accuracy in float64 it is a pass in float32, whose error has a bound, and samples so
    close to a decision that it matters are computed again: the decisions are those of
    float64.

    Parameters are those of `BlockClimb`.
    """

    def __init__(
        self, params: Array, mutation: Mutation, problem: Problem, **options: Any
    ) -> None:
        from skperceptron.optim.kernels._network import describe_groups

        super().__init__(params, mutation, problem, **options)
        self._groups = describe_groups(mutation.groups)
        self._allocate()
        self._single = self._allocate_screening()
        self._n_accepted_when_sorted = -1
        self.evaluate()

    def _row_length(self, n_samples: int) -> int:
        n_blocks = -(-n_samples // _BLOCK)
        return super()._row_length(-(-n_samples // n_blocks))

    def _copy(self, order: NDArray[np.intp]) -> Any:
        from skperceptron.optim.climbs._forward_kernel import Blocks

        X, size = self._problem.X, self._width
        n_blocks = -(-len(order) // size)
        columns = np.zeros((n_blocks, X.shape[1] + 1, size), self.params.dtype)
        for i, block in enumerate(columns):
            copy_to_columns(X, order[i * size : (i + 1) * size], block)
        n_classes = max(self.layers.units[-1], 2)
        class_start = np.cumsum([0, *np.bincount(self._problem.y, minlength=n_classes)])
        block_start = size * np.arange(n_blocks)[:, np.newaxis]
        return Blocks(
            columns=columns,
            class_start=np.clip(class_start - block_start, 0, size),
            largest=float(max(columns.max(), -columns.min())),
            X=read_only(np.empty((0, 0), columns.dtype)),
            tail=read_only(np.empty((0, 0), columns.dtype)),
            order=np.empty((0, 0), np.uint16),
        )

    def _allocate(self, n_kept: int = 0) -> None:
        """Allocate room for one block, and for sums of `n_kept` blocks to be kept."""
        from skperceptron.optim.climbs._forward_kernel import Room

        units, n_outputs = self.layers.units, self.layers.units[-1]
        n_units = sum(units[1:])
        sums = self._rows(n_units)
        self._room = Room(
            sums=sums,
            outputs=self._rows(n_units - n_outputs),
            # Where blocks are sorted, no others.
            sorted_sums=sums[n_units - n_outputs :],
            pair=self._rows(2),
            sorted_pair=self._rows(2),
            weights=np.zeros((2, units[0]), sums.dtype),
            kept=np.zeros((n_kept, n_outputs, self._width), sums.dtype),
        )

    @property
    def _can_be_screened(self) -> bool:
        from skperceptron.optim.climbs._forward_screening_kernel import LIPSCHITZ

        return (
            self._metric.kind == "accuracy"
            # Weights would have to be added up in an order that stays the same.
            and self._weight.size == 0
            and self.params.dtype == np.float64
            and bool(np.isfinite(LIPSCHITZ[self._network.codes]).all())
        )

    def _allocate_screening(self) -> Any:
        from skperceptron.optim.climbs._forward_screening_kernel import TILE, Single

        data = self._data.columns if self._can_be_screened else np.zeros((0, 1, 1))
        n_samples = len(self._problem.y) if len(data) else 0
        n_tiles = -(-n_samples // TILE)
        with np.errstate(over="ignore"):  # what is infinite is left to float64
            length = np.sqrt(np.einsum("bij,bij->bj", data, data).max(initial=0))
        single, largest = np.float32, max(self.layers.units)
        room = self._room
        return Single(
            data=np.empty((n_tiles, data.shape[1], TILE), single),
            order=np.zeros(n_tiles * TILE, np.intp),
            class_of=np.full((n_tiles, TILE), -1),
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
        from skperceptron.optim.climbs._forward_screening_kernel import TILE

        single = self._single
        n_classes = len(self._targets.class_start) - 1
        classes = np.repeat(np.arange(n_classes), np.diff(self._targets.class_start))
        n_samples = len(classes)
        single.order[:n_samples] = np.argsort(self._margins(classes))
        single.class_of.ravel()[:n_samples] = classes[single.order[:n_samples]]
        with np.errstate(over="ignore"):
            for start in range(0, len(single.data), _TILES_COPIED):
                tiles = single.data[start : start + _TILES_COPIED]
                columns = single.order[start * TILE : (start + len(tiles)) * TILE]
                block, place = np.divmod(columns, self._width)
                parts = self._data.columns[block, :, place]
                tiles[:] = parts.reshape(len(tiles), TILE, -1).swapaxes(1, 2)

    def _margins(self, classes: NDArray[np.intp]) -> Array:
        """By how much the sums speak for the true class of each sample."""
        from skperceptron.optim.kernels._network import forward

        margins, room = np.empty(len(classes)), self._room
        for i, block in enumerate(self._data.columns):
            forward(self._network, self.params, block, room.sums, room.outputs)
            part = slice(i * self._width, (i + 1) * self._width)
            mine = classes[part]
            margins[part] = _margins_of(room.sorted_sums[:, : len(mine)], mine)
        return margins

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


def _margins_of(z: Array, classes: NDArray[np.intp]) -> Array:
    """Subtract from the sum of the true class the largest other, or 0; changes `z`."""
    if len(z) == 1:
        return np.where(classes == 1, z[0], -z[0])
    everyone = np.arange(len(classes))
    own = z[classes, everyone]
    z[classes, everyone] = -np.inf
    return own - z.max(axis=0)


def read_only(array: Array) -> Array:
    """See an array as a mapped file is seen: compiled code distinguishes the two."""
    view = array.view()
    view.flags.writeable = False
    return view
