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


class ForwardClimb(NetworkClimb):
    """A climb whose candidates move all weights, or a share of them.

    Each candidate needs a forward pass over dense data.

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
        self.evaluate()

    @property
    def _most_candidates(self) -> int:
        return int(np.clip(_MOST_BYTES // self.params.nbytes, 1, 256))

    def _refresh(self) -> None:
        from skperceptron.optim.kernels import _forward_scan, _outputs

        _forward_scan.forward(
            self._network, self.params, self._data, self._sums, self._outputs
        )
        self._raw_value = -np.inf
        if np.isfinite(self._sums).all():
            self._raw_value, _ = _outputs.evaluate(
                self._sums, len(self._outputs), self._targets, self._terms, -np.inf
            )

    def _prepare(self) -> None:
        """Leave it to the scan: nothing is known of a candidate's sums before."""

    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.kernels import _forward_scan

        state = np.array([self._raw_value, float(self.n_accepted)])
        _forward_scan.scan_networks(
            self._network,
            self._targets,
            self._terms,
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
