"""Climbs that prepare many candidates together and decide in compiled code."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim._metric import ACCURACY
from skperceptron.optim.climbs._candidates import (
    N_ACCEPTED,
    PENALTY,
    VALUE,
    Candidates,
)
from skperceptron.optim.climbs._climb import Climb
from skperceptron.optim.climbs._mutation import Mutation
from skperceptron.optim.climbs._problem import Problem

Array = NDArray[np.floating]


class BlockClimb(Climb):
    """A climb on a metric that compiled code can compute.

    It finds what `HillClimb` finds with the same random numbers, up to rounding.

    Parameters
    ----------
    params, mutation
        As in `Climb`.

    problem : Problem
        What is maximised, and on which samples. `value` is the objective without its
        penalty.

    n_iter : int
        Iterations that are planned. At most this many candidates are prepared.

    sibling : BlockClimb of the same class or None, default=None
        Another climb on the same problem. What both would copy of the samples is
        shared.

    **steps
        `step_size`, `adapt` and `keeps_ties`, as in `Climb`.
    """

    # Each kept candidate adds a rounding error to sums that are kept from one to the
    # next.
    _accepted_before_refresh: float = 64

    def __init__(
        self,
        params: Array,
        mutation: Mutation,
        problem: Problem,
        *,
        n_iter: int,
        sibling: Any = None,
        **steps: Any,
    ) -> None:
        super().__init__(params, mutation, **steps)
        self.layers = problem.layers
        self._problem = problem
        self._metric: Any = problem.metric or ACCURACY
        weight = problem.sample_weight
        self._weight = np.empty(0) if weight is None else weight
        self._sibling = sibling
        self._state = np.array([-np.inf, 0.0, 0.0])  # see `Candidates`
        self._n_planned = n_iter
        self._n_prepared = self._n_decided = 0
        self._n_accepted_then = 0
        self._streams_before: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        self._group_of = np.empty(0, dtype=np.intp)
        self._noise: Array = np.empty((0, 0), params.dtype)

    def evaluate(self) -> float:
        """Compute the objective of the current parameters anew."""
        self._set_value(self._compute())
        self.value = float(
            self._objective_from(self._state[VALUE] + self._state[PENALTY])
        )
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
            self.n_accepted = int(self._state[N_ACCEPTED])
            self._n_decided += size
            self._n_planned -= size
            done += size
        values[:] = self._objective_from(values)
        if n_iter:
            self.value = float(values[-1])

    def rewind(self) -> None:
        """Give back the random numbers of candidates that were prepared in vain."""
        if self._n_decided < self._n_prepared and self._streams_before is not None:
            self.mutation.streams.state = self._streams_before
            self.mutation.draw(self._n_decided)
        self._n_prepared = self._n_decided = 0

    def _draw_block(self, n_wanted: int) -> None:
        if self.n_accepted - self._n_accepted_then > self._accepted_before_refresh:
            self._set_value(self._compute())
            self._n_accepted_then = self.n_accepted
        self._n_prepared = min(n_wanted, self._max_candidates)
        self._n_decided = 0
        self._streams_before = self.mutation.streams.state
        self._noise, self._group_of = self.mutation.draw(self._n_prepared)
        # A candidate that overflows is one of the worse ones.
        with np.errstate(over="ignore", invalid="ignore"):
            self._prepare()

    def _candidates(self, which: slice, values: NDArray[np.float64]) -> tuple[Any, ...]:
        """Candidates of the block, as a plain tuple: kernels take it in less time."""
        noise, group_of = self._noise[which], self._group_of[which]
        rule, state = tuple(self.rule), self._state
        return tuple(Candidates(noise, group_of, self.step_size, rule, state, values))

    def _set_value(self, computed: float) -> None:
        weights = self.params[: self.layers.n_coefs].astype(np.float64)
        decay = self._problem.decay
        penalty = decay * float(weights @ weights) if decay else 0.0
        is_finite = np.isfinite(computed)
        self._state[VALUE] = computed - penalty if is_finite else -np.inf
        self._state[PENALTY] = penalty

    def _objective_from(self, computed: Any) -> Any:
        total = self._problem.total if self._metric.is_additive else 1.0
        return computed / total * self._metric.unit + self._metric.shift

    @property
    @abstractmethod
    def _max_candidates(self) -> int:
        """How many candidates to prepare together."""

    @abstractmethod
    def _compute(self) -> float:
        """Compute the value anew, and what is kept from one candidate to the next.

        It is the metric without its shift, times the total weight if it is a mean over
        the samples. Not finite where sums are not.
        """

    @abstractmethod
    def _prepare(self) -> None:
        """Compute what the noise of the new block adds to the network's sums."""

    @abstractmethod
    def _scan(self, which: slice, values: NDArray[np.float64]) -> None:
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
