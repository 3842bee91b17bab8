"""The climbs of a fit: how they are made, and what it takes to go on with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from skperceptron.classifiers._objectives import check_first_value
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.network import Layers
from skperceptron.optim import Climb, Guide, GuidedClimb, Mutation, Streams

Array = NDArray[np.floating]


@dataclass(frozen=True)
class ClimbState:
    """What it takes to go on with a climb, beside its parameters.

    Attributes
    ----------
    streams : Streams
        Its random numbers.

    step_size : ndarray of shape (n_groups,) or None
        Its step sizes; None before it has begun.

    ahead : tuple or None
        What it has found but not kept yet, see `Climb`.

    guidance : tuple (params, step sizes, iterations) or None
        Where the climb on the log loss is that leads it, if there is one.
    """

    streams: Streams
    step_size: NDArray[np.float64] | None = None
    ahead: tuple[Array, int] | None = None
    guidance: tuple[Array, NDArray[np.float64], int] | None = None


class Attempt:
    """One climb, and what its last step has brought.

    Parameters
    ----------
    climb : Climb
        The climb.

    streams : Streams
        Its random numbers.

    Attributes
    ----------
    values : ndarray of shape (n_iter,)
        Objective after each iteration of the last step.
    """

    def __init__(self, climb: Climb, streams: Streams) -> None:
        self.climb = climb
        self.streams = streams
        self.values = np.empty(0)

    def advance(self, n_iter: int) -> None:
        """Climb on."""
        self.values = self.climb.run(n_iter)

    @property
    def state(self) -> ClimbState:
        """What it takes to go on."""
        climb, guidance = self.climb, None
        if isinstance(climb, GuidedClimb) and climb.guide is not None:
            guide = climb.guide
            guidance = (guide.climb.params, guide.climb.step_size.copy(), guide.n_iter)
        return ClimbState(self.streams, climb.step_size.copy(), climb.ahead, guidance)


class AttemptMaker:
    """Makes the climbs of a fit.

    Parameters
    ----------
    estimator : HillClimbPerceptron or HillClimbMLP
        The classifier.

    layers : Layers
        The network of each climb.

    data : TrainingData
        What it is trained on.

    n_iter : int
        Iterations to make in all.
    """

    def __init__(
        self, estimator: Any, layers: Layers, data: TrainingData, *, n_iter: int
    ) -> None:
        self.estimator = estimator
        self.layers = layers
        self.data = data
        self.n_iter = n_iter
        # The first climb of each kind, from which others have what all would copy.
        self._siblings: WeakValueDictionary[str, Climb] = WeakValueDictionary()

    def make(self, start: Array, state: ClimbState, *, fresh: bool) -> Attempt:
        """Prepare a climb.

        Parameters
        ----------
        start : ndarray of shape (n_params,)
            Where it begins.

        state : ClimbState
            What else it takes to go on.

        fresh : bool
            Whether it begins anew.

        Raises
        ------
        ValueError
            When the objective is of no use at the start.
        """
        max_guide_iter = self.estimator._n_surrogate_iter(self.data)
        climb = (
            self._guide_climb(start, state, max_guide_iter, fresh=fresh)
            if max_guide_iter
            else self._make_climb("climb", state, self.n_iter, start)
        )
        check_first_value(climb.value, self.estimator, "objective")
        return Attempt(climb, state.streams)

    def _guide_climb(
        self, start: Array, state: ClimbState, max_guide_iter: int, *, fresh: bool
    ) -> GuidedClimb:
        guide = None
        if fresh:
            climb = self._make_climb("guide", state, 0, start)
            guide = Guide(climb, max_guide_iter)
        elif state.guidance is not None:
            place, step_size, n_done = state.guidance
            guided = replace(state, step_size=step_size)
            climb = self._make_climb("guide", guided, 0, place)
            guide = Guide(climb, max_guide_iter, n_done)
        test = self.estimator._make_test(self.layers, self.data)
        # A stretch that is tested is prepared as a whole, and nothing beyond it.
        n_iter = self.n_iter if test is None else 0
        return GuidedClimb(
            start,
            partial(self._make_climb, "climb", state, n_iter),
            self.estimator._make_objective(self.layers, self.data),
            guide=guide,
            test=test,
            ahead=state.ahead,
        )

    def _make_climb(
        self, kind: str, state: ClimbState, n_iter: int, start: Array
    ) -> Climb:
        est, layers = self.estimator, self.layers
        mutation = Mutation(
            state.streams,
            layers.n_params,
            start.dtype,
            share=None if isinstance(est.mutation, str) else float(est.mutation),
            groups=layers.unit_groups() if est.mutation == "unit" else None,
        )
        adapt = est.step_schedule == "one_fifth"
        step_size = est.step_size
        adapted = state.step_size
        if adapt and adapted is not None and len(adapted) == len(mutation.groups):
            step_size = adapted
        climb: Climb = est._make_climb(
            start,
            mutation,
            layers,
            self.data,
            on_surrogate=kind == "guide",
            n_iter=n_iter,
            sibling=self._siblings.get(kind),
            step_size=step_size,
            adapt=adapt,
        )
        self._siblings.setdefault(kind, climb)
        return climb
