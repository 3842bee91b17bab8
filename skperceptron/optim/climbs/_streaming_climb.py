"""Hill climbing on samples that are read anew for each candidate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers
from skperceptron.optim._metric import Metric
from skperceptron.optim.climbs._block_climb import BlockClimb
from skperceptron.optim.climbs._mutation import Mutation

Array = NDArray[np.floating]

# Most samples of a block, whose sums and outputs should stay in the processor's cache.
# Not a power of two: the values of one column would compete for the same cache lines.
_BLOCK = 992
# The noise of so many candidates takes no more memory than this, whatever the network.
_MOST_BYTES = 2**22
_MOST_CANDIDATES = 128


class StreamingClimb(BlockClimb):
    """A climb that copies no samples, for those in a memory-mapped file.

    Each candidate reads all of them, from one block to the next in the order in which
    they are stored. What it keeps of a sample is its weight, its place in the order of
    the classes within a block, and, where candidates move one unit of the only hidden
    layer, the sums of the output units: such a candidate takes no pass through the
    whole network.

    Parameters
    ----------
    params, mutation, layers
        As in `BlockClimb`.

    X : ndarray of shape (n_samples, n_features)
        Samples.

    y : ndarray of int of shape (n_samples,)
        Index of the true class.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    objective : {"accuracy", "log_loss"} or Metric
        What is maximised (the log loss is negated).

    **options
        As in `BlockClimb`.
    """

    def __init__(
        self,
        params: Array,
        mutation: Mutation,
        layers: Layers,
        X: Array,
        y: NDArray[np.intp],
        sample_weight: NDArray[np.float64] | None,
        objective: str | Metric,
        **options: Any,
    ) -> None:
        from skperceptron.optim.kernels._elementwise import padded
        from skperceptron.optim.kernels._network import describe

        super().__init__(
            params, mutation, layers, sample_weight, n_samples=len(y), **options
        )
        n_blocks = -(-len(y) // _BLOCK)
        self._width = padded(-(-len(y) // n_blocks))
        self._sort_blocks(X, y)
        metric = Metric(objective) if isinstance(objective, str) else objective
        self._maximise(metric)
        n_classes = max(layers.units[-1], 2)
        self._targets = self._weight, metric.describe(n_classes, params.dtype)
        # Compiled code takes plain tuples; see `make_targets`.
        self._network = tuple(describe(layers))
        groups = mutation.groups
        starts = np.cumsum([0, *map(len, groups)])
        self._groups = starts, np.concatenate(groups)
        self._allocate(exchanges=mutation.by_group and len(layers.activations) == 1)
        self.evaluate()

    def _sort_blocks(self, X: Array, y: NDArray[np.intp]) -> None:
        """Find the order of the classes in each block."""
        from skperceptron.optim.climbs._streaming_kernel import Rows

        size, n_outputs = self._width, self.layers.units[-1]
        n_blocks = -(-len(y) // size)
        classes = np.arange(max(n_outputs, 2) + 1)
        order = np.tile(np.arange(size, dtype=np.uint16), (n_blocks, 1))
        class_start = np.empty((n_blocks, len(classes)), np.intp)
        weight = np.empty_like(self._weight)
        for i in range(n_blocks):
            part = slice(i * size, (i + 1) * size)
            mine = np.argsort(y[part], kind="stable")
            order[i, : len(mine)] = mine
            class_start[i] = np.searchsorted(y[part][mine], classes)
            weight[part] = self._weight[part][mine] if len(weight) else weight
        self._weight = weight
        tail = np.zeros((size, X.shape[1]), X.dtype)
        rest = X[(n_blocks - 1) * size :]
        tail[: len(rest)] = rest
        self._rows = Rows(
            X=_read_only(np.ascontiguousarray(X)),  # BLAS takes no other
            tail=_read_only(tail),
            order=order,
            class_start=class_start,
            largest=float(max(X.max(), -X.min())),
        )

    def _allocate(self, *, exchanges: bool) -> None:
        from skperceptron.optim.climbs._streaming_kernel import Room
        from skperceptron.optim.kernels._outputs import make_terms

        units, dtype, size = self.layers.units, self.params.dtype, self._width
        n_units, n_outputs = sum(units[1:]), units[-1]
        n_kept = -(-len(self._rows.X) // size) if exchanges else 0
        self._kept = np.zeros((n_kept, n_outputs, size), dtype)
        self._room = tuple(
            Room(
                sums=np.zeros((n_units, size), dtype),
                outputs=np.zeros((n_units - n_outputs, size), dtype),
                pair=np.zeros((2, size), dtype),
                sorted_pair=np.zeros((2, size), dtype),
                weights=np.zeros((2, units[0]), dtype),
                new=np.zeros((n_outputs, size), dtype),
            )
        )
        self._terms = make_terms(self._metric, n_outputs, size, dtype)

    @property
    def _data(self) -> tuple[Any, ...]:
        rows, room = tuple(self._rows), self._room
        return self._network, self._targets, self._terms, rows, room, self._kept

    @property
    def _most_candidates(self) -> int:
        return int(np.clip(_MOST_BYTES // self.params.nbytes, 1, _MOST_CANDIDATES))

    def _refresh(self) -> None:
        from skperceptron.optim.climbs import _streaming_kernel as kernels

        network, targets, terms, rows, room, kept = self._data
        moved = rows, room, kept, -1, self.params, self.params
        if not len(kept):
            value = kernels.evaluate_rows(network, targets, terms, *moved, -np.inf)
        elif kernels.keep_rows(network, *moved):
            value = kernels.evaluate_kept(targets, terms, rows, kept)
        else:
            value = -np.inf
        self._set_value(value)

    def _prepare(self) -> None:
        """Each candidate is computed by itself."""

    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.climbs._streaming_kernel import scan_rows

        state = np.array([self._raw_value, float(self.n_accepted), self._penalty])
        scan_rows(
            self._network,
            self._groups,
            *self._data[1:],
            self.params,
            self._noise[candidates],
            self._group_of[candidates],
            self.step_size,
            self.rule,
            (self._decay, self.layers.n_coefs),
            state,
            values,
        )
        self._raw_value, self.n_accepted = float(state[0]), int(state[1])
        self._penalty = float(state[2])


def _read_only(array: Array) -> Array:
    # Compiled code distinguishes read-only arrays from others; these are all the same.
    view = array.view()
    view.flags.writeable = False
    return view
