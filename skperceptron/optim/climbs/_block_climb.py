"""Climbs that prepare many candidates together and decide in compiled code."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers
from skperceptron.optim._metric import Metric
from skperceptron.optim.climbs._climb import Climb
from skperceptron.optim.climbs._mutation import Mutation

Array = NDArray[np.floating]


class BlockClimb(Climb):
    """A climb on a built-in objective of labelled samples.

    It finds what `HillClimb` finds with the same random numbers, up to rounding.

    Parameters
    ----------
    params, mutation
        As in `Climb`.

    layers : Layers
        The network; one output unit for two classes, else one each.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    n_samples : int
        Their number.

    n_iter : int
        Iterations that are planned. Candidates are prepared for so many and no more.

    sibling : BlockClimb of the same class or None, default=None
        Another climb on the same data. What both would copy of it is shared.

    alpha : float, default=0.0
        Strength of a penalty, for a log loss only: candidates are compared by the
        objective less ``alpha / 2`` times the sum of all squared weights (not of
        biases), divided by the total weight of the samples. `value` is the objective.

    **options
        `step_size` and `adapt`, as in `Climb`.
    """

    # Each kept candidate adds a rounding error to sums that are kept from one to the
    # next.
    _accepted_before_refresh: float = 64

    def __init__(
        self,
        params: Array,
        mutation: Mutation,
        layers: Layers,
        sample_weight: NDArray[np.float64] | None,
        *,
        n_samples: int,
        n_iter: int,
        sibling: Any = None,
        alpha: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(params, mutation, **options)
        self.layers = layers
        self._decay = alpha / 2
        self._sibling = sibling
        self._weight = np.empty(0) if sample_weight is None else sample_weight
        self._total = n_samples if sample_weight is None else float(sample_weight.sum())
        self._shift = 0.0
        # The objective less the shift, times the total weight, and less the penalty.
        self._raw_value, self._penalty = -np.inf, 0.0
        self._n_planned = n_iter
        self._n_prepared = self._n_decided = 0
        self._n_accepted_then = 0
        self._streams_before: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        self._group_of = np.empty(0, dtype=np.intp)
        self._noise: Array = np.empty((0, 0), params.dtype)

    def _maximise(self, metric: Metric) -> None:
        """Note how to get from what is computed to the objective."""
        self._metric = metric
        self._shift = metric.shift
        if not metric.is_additive:
            self._total = 1

    def evaluate(self) -> float:
        """Compute the objective of the current parameters anew."""
        self._refresh()
        self.value = self._objective_from(self._raw_value + self._penalty)
        return self.value

    def _advance(self, values: NDArray[np.float64]) -> None:
        n_iter = len(values)
        self.params = self.params.copy()
        done = 0
        while done < n_iter:
            if self._n_decided == self._n_prepared:
                self._draw_block(max(self._n_planned, n_iter - done))
            begin = self._n_decided
            size = min(self._n_prepared - begin, n_iter - done)
            self._scan(slice(begin, begin + size), values[done : done + size])
            self._n_decided += size
            self._n_planned -= size
            done += size
        self.value = self._objective_from(self._raw_value + self._penalty)
        values[:] = self._objective_from(values)

    def rewind(self) -> None:
        """Give back the random numbers of candidates that were prepared in vain."""
        if self._n_decided < self._n_prepared and self._streams_before is not None:
            self.mutation.streams.state = self._streams_before
            self.mutation.draw(self._n_decided)
        self._n_prepared = self._n_decided = 0

    def _draw_block(self, n_wanted: int) -> None:
        if self.n_accepted - self._n_accepted_then > self._accepted_before_refresh:
            self._refresh()
            self._n_accepted_then = self.n_accepted
        self._n_prepared = min(n_wanted, self._most_candidates)
        self._n_decided = 0
        self._streams_before = self.mutation.streams.state
        self._noise, self._group_of = self.mutation.draw(self._n_prepared)
        # A candidate that overflows is one of the worse ones.
        with np.errstate(over="ignore", invalid="ignore"):
            self._prepare()

    def _set_value(self, raw_value: float) -> None:
        """Note what was computed anew; the penalty is still to be subtracted."""
        weights = self.params[: self.layers.n_coefs].astype(np.float64)
        self._penalty = self._decay * float(weights @ weights) if self._decay else 0.0
        is_finite = np.isfinite(raw_value)
        self._raw_value = raw_value - self._penalty if is_finite else -np.inf

    def _objective_from(self, raw_values: Any) -> Any:
        return raw_values / self._total + self._shift

    @property
    @abstractmethod
    def _most_candidates(self) -> int:
        """How many candidates to prepare together."""

    @abstractmethod
    def _refresh(self) -> None:
        """Compute the value anew, and what is kept from one candidate to the next."""

    @abstractmethod
    def _prepare(self) -> None:
        """Compute what the noise of the new block adds to the network's sums."""

    @abstractmethod
    def _scan(self, candidates: slice, values: NDArray[np.float64]) -> None:
        """Decide over some candidates of the block, one after the other."""


def candidates_within(n_bytes: int, data_bytes: int, bytes_each: int) -> int:
    """Choose how many candidates to prepare together.

    Parameters
    ----------
    n_bytes : int
        What they may take in all where the data is small. The products should stay in
        the processor's cache, but BLAS also wants enough candidates to reuse what it
        has read of large data: a quarter of the data's size is never a burden.

    data_bytes : int
        Size of the data.

    bytes_each : int
        What one candidate takes. Four of them are never a burden, unless they are
        large.
    """
    bearable = max(min(data_bytes // 4, 2**28), min(4 * bytes_each, 2**27))
    fitting = max(n_bytes, bearable) // max(bytes_each, 1)
    return int(np.clip(fitting, 1, 256))
