"""Hill climbing that moves one unit of a network at a time, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers
from skperceptron.optim.climbs._block_climb import candidates_within
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._network_climb import NetworkClimb
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]

_CACHE_BYTES = 2**19


class UnitClimb(NetworkClimb):
    """A climb with one group for each unit, as ``layers.unit_groups()`` gives them.

    A candidate changes the sums of one unit, and those of the next layer by a rank-one
    update: sums and outputs of all units are kept between candidates, so that nothing
    before and beside the unit is computed again. What the noise adds to the sums of the
    first layer is one matrix product for many candidates. And as the log loss is
    convex in the sums of the output units, its slope tells for most of those that make
    it worse that they do, before anything else is computed.

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
        n_slopes = n_outputs if problem.is_log_loss else 0
        n_left_out = n_first - self._n_first_kept
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
        self._added = self._rows(0)
        self.evaluate()

    @property
    def _n_first_kept(self) -> int:
        """Of how many units of the first layer sums and outputs are kept at a time."""
        return self.layers.units[1]

    @staticmethod
    def n_rows_kept(layers: Layers) -> int:
        """Count the values that are kept of each sample, beside the sample itself."""
        n_hidden, n_outputs = sum(layers.units[1:-1]), layers.units[-1]
        # Sums and outputs; of output units also slopes, odds and the sums of a
        # candidate; those of the unit that it moves, and the total of the odds.
        return 2 * n_hidden + 4 * n_outputs + 3

    @property
    def _max_candidates(self) -> int:
        row = self._width * self.params.dtype.itemsize
        return candidates_within(_CACHE_BYTES, self._data_bytes, row)

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

        sums, outputs = self._memory.sums, self._memory.outputs
        with np.errstate(over="ignore", invalid="ignore"):
            self._multiply(self._weights(0), sums[: self.layers.units[1]])
        _network.propagate(self._network, 0, self.params, sums, 0, outputs, 0)
        return bool(np.isfinite(sums).all())

    def _prepare(self) -> None:
        is_first = self._group_of < self.layers.units[1]
        self._place = np.where(is_first, np.cumsum(is_first) - 1, -1)
        weights = self._noise[is_first, : self.layers.units[0] + 1]
        if len(self._added) < len(weights):
            self._added = self._rows(len(weights))
        self._multiply(np.ascontiguousarray(weights), self._added[: len(weights)])

    def _scan(self, which: slice, values: NDArray[np.float64]) -> None:
        from skperceptron.optim.climbs._unit_kernel import Added, scan_units

        with_later = slice(which.start, None)
        scan_units(
            self._network,
            self._targets,
            self._terms,
            self._memory,
            self._groups,
            Added(self._added, self._place[with_later]),
            self._manner,
            self.params,
            self._candidates(with_later, values),
        )
