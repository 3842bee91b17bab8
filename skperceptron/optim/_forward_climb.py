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
        from skperceptron.optim.kernels._screened_forward import LIPSCHITZ, Single

        self._is_screened = (
            self._use_accuracy
            and self.params.dtype == np.float64
            and bool(np.isfinite(LIPSCHITZ[self._network[1]]).all())
        )
        data = self._data if self._is_screened else np.zeros((1, 1))
        with np.errstate(over="ignore"):  # what is infinite is left to float64
            length = np.sqrt(np.einsum("ij,ij->j", data, data).max())
            data_single = data.astype(np.float32)
        width, largest = data.shape[1], max(self.layers.units)
        self._single = tuple(
            Single(
                params=np.empty(self.params.size, np.float32),
                data=data_single,
                sums=np.zeros((len(self._sums), width), np.float32),
                outputs=np.zeros((len(self._outputs), width), np.float32),
                bounds=np.empty((4, largest)),
                row=np.empty((2, largest)),
                length=float(length),
            )
        )

    @property
    def _most_candidates(self) -> int:
        return int(np.clip(_MOST_BYTES // self.params.nbytes, 1, 256))

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
        """Leave it to the scan: nothing is known of a candidate's sums before."""

    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.kernels import _forward_scan

        state = np.array([self._raw_value, float(self.n_accepted)])
        _forward_scan.scan_networks(
            self._network,
            self._targets,
            self._terms,
            self._single,
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
