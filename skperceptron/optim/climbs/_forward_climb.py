"""Hill climbing that moves any weights of a network, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._network_climb import NetworkClimb, copy_to_columns

Array = NDArray[np.floating]

# Most samples of a block, whose sums and outputs should stay in the processor's cache.
# Not a power of two: the values of one column would compete for the same cache lines.
_BLOCK = 992
# The noise of so many candidates takes no more memory than this, whatever the network.
_MOST_BYTES = 2**22
# After so many candidates it pays to sort the samples anew.
_MOST_CANDIDATES = 128
# Copying takes memory for so many tiles of samples.
_TILES_COPIED = 32


class ForwardClimb(NetworkClimb):
    """A climb whose candidates move all weights, or a share of them.

    Each candidate needs a forward pass over dense data. It goes from one block of
    samples to the next: there are never sums and outputs of more than one. For the
    accuracy in float64 it is a pass in float32, whose error has a bound, and samples so
    close to a decision that it matters are computed again: the decisions are those of
    float64.

    Parameters are those of `NetworkClimb`.
    """

    def __init__(
        self,
        params: Array,
        mutation: Mutation,
        layers: Layers,
        *data: Any,
        **options: Any,
    ) -> None:
        from skperceptron.optim.climbs._forward_kernel import Blocks

        super().__init__(params, mutation, layers, *data, **options)
        block_start = self._width * np.arange(len(self._data))[:, np.newaxis]
        class_start = np.asarray(self._targets[0]) - block_start
        self._blocks = tuple(
            Blocks(
                data=self._data,
                class_start=np.clip(class_start, 0, self._width),
                largest=float(max(self._data.max(), -self._data.min())),
            )
        )
        n_units = sum(layers.units[1:])
        self._sums = self._rows(n_units)
        self._outputs = self._rows(n_units - layers.units[-1])
        self._prepare_screening()
        self.evaluate()

    def _row_length(self, n_samples: int) -> int:
        n_blocks = -(-n_samples // _BLOCK)
        return super()._row_length(-(-n_samples // n_blocks))

    def _copy_samples(self, X: Array, order: NDArray[np.intp]) -> Array:
        size = self._width
        n_blocks = -(-len(order) // size)
        data = np.zeros((n_blocks, X.shape[1] + 1, size), self.params.dtype)
        for i, block in enumerate(data):
            copy_to_columns(X, order[i * size : (i + 1) * size], block)
        return data

    def _prepare_screening(self) -> None:
        from skperceptron.optim.climbs._forward_screening_kernel import (
            LIPSCHITZ,
            TILE,
            Single,
        )

        self._is_screened = (
            self._metric.kind == "accuracy"
            # Weights would have to be added up in an order that stays the same.
            and self._weight.size == 0
            and self.params.dtype == np.float64
            and bool(np.isfinite(LIPSCHITZ[self._network[1]]).all())
        )
        data = self._data if self._is_screened else np.zeros((1, 1, 1))
        class_start = np.asarray(self._targets[0] if self._is_screened else [0])
        self._classes = np.repeat(np.arange(len(class_start) - 1), np.diff(class_start))
        n_tiles = -(-len(self._classes) // TILE)
        with np.errstate(over="ignore"):  # what is infinite is left to float64
            length = np.sqrt(np.einsum("bij,bij->bj", data, data).max())
        single, largest = np.float32, max(self.layers.units)
        self._single = Single(
            data=np.empty((n_tiles, data.shape[1], TILE), single),
            order=np.zeros(n_tiles * TILE, np.intp),
            class_of=np.full((n_tiles, TILE), -1),
            params=np.empty(self.params.size, single),
            sums=np.zeros((len(self._sums), TILE), single),
            outputs=np.zeros((len(self._outputs), TILE), single),
            margins=np.zeros(TILE, single),
            bounds=np.empty((4, largest)),
            row=np.empty((2, largest)),
            length=float(length),
        )
        self._n_accepted_when_sorted = -1

    def _sort(self) -> None:
        """Bring samples that the network gets wrong, or nearly so, to the front."""
        from skperceptron.optim.climbs._forward_screening_kernel import TILE

        classes, single = self._classes, self._single
        n_samples = len(classes)
        single.order[:n_samples] = np.argsort(self._margins())
        single.class_of.ravel()[:n_samples] = classes[single.order[:n_samples]]
        with np.errstate(over="ignore"):
            for start in range(0, len(single.data), _TILES_COPIED):
                tiles = single.data[start : start + _TILES_COPIED]
                columns = single.order[start * TILE : (start + len(tiles)) * TILE]
                block, place = np.divmod(columns, self._width)
                parts = self._data[block, :, place].reshape(len(tiles), TILE, -1)
                tiles[:] = parts.swapaxes(1, 2)

    def _margins(self) -> Array:
        """By how much the sums speak for the true class of each sample."""
        from skperceptron.optim.kernels import _network

        margins = np.empty(len(self._classes))
        for i, block in enumerate(self._data):
            _network.forward(
                self._network, self.params, block, self._sums, self._outputs
            )
            part = slice(i * self._width, (i + 1) * self._width)
            classes = self._classes[part]
            z = self._sums[len(self._outputs) :, : len(classes)]
            margins[part] = _margins_of(z, classes)
        return margins

    @property
    def _most_candidates(self) -> int:
        return int(np.clip(_MOST_BYTES // self.params.nbytes, 1, _MOST_CANDIDATES))

    def _refresh(self) -> None:
        from skperceptron.optim.climbs import _forward_kernel

        value = _forward_kernel.evaluate_blocks(
            self._network,
            self._targets,
            self._terms,
            self._blocks,
            self._sums,
            self._outputs,
            self.params,
            -np.inf,
        )
        self._set_value(value)

    def _prepare(self) -> None:
        if self._is_screened and self.n_accepted > self._n_accepted_when_sorted:
            self._sort()
            self._n_accepted_when_sorted = self.n_accepted

    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.climbs import _forward_kernel

        state = np.array([self._raw_value, float(self.n_accepted), self._penalty])
        _forward_kernel.scan_networks(
            self._network,
            self._targets,
            self._terms,
            tuple(self._single),
            self._is_screened,
            self._blocks,
            self._sums,
            self._outputs,
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


def _margins_of(z: Array, classes: NDArray[np.intp]) -> Array:
    """Subtract from the sum of the true class the largest other, or 0; changes `z`."""
    if len(z) == 1:
        return np.where(classes == 1, z[0], -z[0])
    everyone = np.arange(len(classes))
    own = z[classes, everyone]
    z[classes, everyone] = -np.inf
    return own - z.max(axis=0)
