"""Hill climbing on samples that are read anew for each candidate."""

from __future__ import annotations

from typing import Any

import numpy as np

from skperceptron.optim.climbs._forward_climb import ForwardClimb, read_only


class StreamingClimb(ForwardClimb):
    """A climb that copies no samples, for those in a memory-mapped file.

    Each candidate reads all of them, from one block to the next in the order in which
    they are stored. What it keeps of a sample is its weight, its place in the order of
    the classes within a block, and, where candidates move one unit of the only hidden
    layer, the sums of the output units: such a candidate takes no pass through the
    whole network.

    Parameters are those of `BlockClimb`.
    """

    _can_be_screened = False

    def _take_samples(self) -> None:
        """Find the order of the classes in each block."""
        from skperceptron.optim.climbs._forward_kernel import Blocks

        X, y, size = self._problem.X, self._problem.y, self._width
        n_blocks = -(-len(y) // size)
        classes = np.arange(max(self.layers.units[-1], 2) + 1)
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
        self._data = Blocks(
            columns=np.empty((0, 0, 0), X.dtype),
            class_start=class_start,
            largest=float(max(X.max(), -X.min())),
            X=read_only(np.ascontiguousarray(X)),  # BLAS takes no other
            tail=read_only(tail),
            order=order,
        )

    def _allocate(self, n_kept: int = 0) -> None:
        if self.mutation.by_group and len(self.layers.activations) == 1:
            n_kept = len(self._data.order)
        super()._allocate(n_kept)
        sorted_sums = self._rows(self.layers.units[-1])
        self._room = self._room._replace(sorted_sums=sorted_sums)

    @property
    def _data_bytes(self) -> Any:
        return self._problem.X.nbytes
