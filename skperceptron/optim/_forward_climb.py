"""Hill climbing that moves any weights of a network, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers
from skperceptron.optim._mutation import Mutation
from skperceptron.optim._network_climb import NetworkClimb

Array = NDArray[np.floating]

# The noise of so many candidates takes no more memory than this, whatever the network.
_MOST_BYTES = 2**22
# After so many candidates it pays to sort the samples anew.
_MOST_CANDIDATES = 128
# Copying takes memory for so many tiles of samples.
_TILES_COPIED = 32


class ForwardClimb(NetworkClimb):
    """A climb whose candidates move all weights, or a share of them.

    Each candidate needs a forward pass over dense data. For the accuracy in float64 it
    is a pass in float32, whose error has a bound, and samples so close to a decision
    that it matters are computed again: the decisions are those of float64.

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
        super().__init__(params, mutation, layers, *data, **options)
        n_units = sum(layers.units[1:])
        self._sums = self._rows(n_units)
        self._outputs = self._rows(n_units - layers.units[-1])
        self._prepare_screening()
        self.evaluate()

    def _prepare_screening(self) -> None:
        from skperceptron.optim.kernels._screened_forward import (
            LIPSCHITZ,
            TILE,
            Single,
        )

        self._is_screened = (
            self._use_accuracy
            # Weights would have to be added up in an order that stays the same.
            and self._weight.size == 0
            and self.params.dtype == np.float64
            and bool(np.isfinite(LIPSCHITZ[self._network[1]]).all())
        )
        data = self._data if self._is_screened else np.zeros((1, 1))
        class_start = np.asarray(self._targets[0] if self._is_screened else [0])
        self._classes = np.repeat(np.arange(len(class_start) - 1), np.diff(class_start))
        n_tiles = -(-len(self._classes) // TILE)
        with np.errstate(over="ignore"):  # what is infinite is left to float64
            length = np.sqrt(np.einsum("ij,ij->j", data, data).max())
        single, largest = np.float32, max(self.layers.units)
        self._single = Single(
            data=np.empty((n_tiles, len(data), TILE), single),
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
        from skperceptron.optim.kernels import _network
        from skperceptron.optim.kernels._screened_forward import TILE

        _network.forward(
            self._network, self.params, self._data, self._sums, self._outputs
        )
        classes, single = self._classes, self._single
        n_samples = len(classes)
        z = self._sums[len(self._outputs) :, :n_samples]
        if len(z) == 1:
            margins = np.where(classes == 1, z[0], -z[0])
        else:
            everyone = np.arange(n_samples)
            margins = z[classes, everyone]
            z[classes, everyone] = -np.inf
            margins -= z.max(axis=0)
        single.order[:n_samples] = np.argsort(margins)
        single.class_of.ravel()[:n_samples] = classes[single.order[:n_samples]]
        with np.errstate(over="ignore"):
            for start in range(0, len(single.data), _TILES_COPIED):
                tiles = single.data[start : start + _TILES_COPIED]
                columns = single.order[start * TILE : (start + len(tiles)) * TILE]
                parts = self._data[:, columns].reshape(-1, len(tiles), TILE)
                tiles[:] = parts.swapaxes(0, 1)

    @property
    def _most_candidates(self) -> int:
        return int(np.clip(_MOST_BYTES // self.params.nbytes, 1, _MOST_CANDIDATES))

    def _refresh(self) -> None:
        from skperceptron.optim.kernels import _network, _outputs

        _network.forward(
            self._network, self.params, self._data, self._sums, self._outputs
        )
        self._raw_value = -np.inf
        if np.isfinite(self._sums).all():
            self._raw_value, _ = _outputs.evaluate(
                self._sums, len(self._outputs), self._targets, self._terms, -np.inf
            )

    def _prepare(self) -> None:
        if self._is_screened and self.n_accepted > self._n_accepted_when_sorted:
            self._sort()
            self._n_accepted_when_sorted = self.n_accepted

    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.kernels import _forward_scan

        state = np.array([self._raw_value, float(self.n_accepted)])
        _forward_scan.scan_networks(
            self._network,
            self._targets,
            self._terms,
            tuple(self._single),
            self._is_screened,
            self._data,
            self._sums,
            self._outputs,
            self.params,
            self._noise[candidates],
            self._group_of[candidates],
            self.step_size,
            self.rates,
            state,
            values,
        )
        self._raw_value, self.n_accepted = float(state[0]), int(state[1])
