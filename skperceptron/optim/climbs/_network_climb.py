"""What the compiled climbs of multilayer networks have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._block_climb import BlockClimb
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]


class NetworkClimb(BlockClimb):
    """A climb of a multilayer network.

    Rows of one value per sample have the samples sorted by class.

    Parameters are those of `BlockClimb`.
    """

    def __init__(
        self, params: Array, mutation: Mutation, problem: Problem, **options: Any
    ) -> None:
        from skperceptron.optim.kernels._network import describe
        from skperceptron.optim.kernels._outputs import make_targets, make_terms

        super().__init__(params, mutation, problem, **options)
        y, n_outputs, dtype = problem.y, problem.layers.units[-1], params.dtype
        self._width = self._row_length(len(y))
        # Of samples that come in blocks, those of all blocks.
        n_columns = -(-len(y) // self._width) * self._width
        self._take_samples()
        self._network = describe(problem.layers)
        self._targets = make_targets(
            self._metric, y, self._weight, n_outputs, dtype, n_columns
        )
        width = n_columns if self._metric.is_of_ranks else self._width
        self._terms = make_terms(self._metric, n_outputs, width, dtype)

    def _row_length(self, n_samples: int) -> int:
        """Length of rows of one value per sample."""
        from skperceptron.optim.kernels._elementwise import padded

        return padded(n_samples)

    @abstractmethod
    def _take_samples(self) -> None:
        """Find the order of the classes, and bring the weights into it."""

    def _rows(self, n_rows: int) -> Array:
        """Allocate rows of one value per sample."""
        return np.zeros((n_rows, self._width), self.params.dtype)
