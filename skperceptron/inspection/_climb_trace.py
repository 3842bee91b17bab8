"""A hill climb with all of its candidates."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from skperceptron._config import config_context
from skperceptron.classifiers._hill_climb import BaseHillClimb
from skperceptron.optim import HillClimb, make_plain_climb

Array = NDArray[np.floating]


class ClimbTrace:
    """What a climb has tried, and what it has kept.

    Attributes
    ----------
    candidates : list of ndarray of shape (n_params,)
        The weights that were tried, one after the other, as flat vectors.

    positions : list of ndarray of shape (n_params,)
        Where the climb was when it tried each of them, and where it ended.
    """

    def __init__(self) -> None:
        self.candidates: list[Array] = []
        self._before: list[Array] = []
        self._climb: HillClimb  # once it is made

    @classmethod
    def of(cls, climber: BaseHillClimb, X: ArrayLike, y: ArrayLike) -> Self:
        """Climb as `fit` does, with the same random numbers, and keep all candidates.

        Parameters
        ----------
        climber : HillClimbPerceptron or HillClimbMLP
            Says how to climb. It is not changed.

        X, y
            Training samples, and labels or numbers.

        Raises
        ------
        ValueError
            When it is not the only climb, but another one comes first.
        """
        trace = cls()
        climber = clone(climber).set_callbacks()
        climber._choose_climb = trace._watch
        with config_context(tracking=False):
            climber.fit(X, y)
        return trace

    @property
    def positions(self) -> list[Array]:
        """Where the climb was before each candidate, and at the end."""
        return [*self._before, self._climb.params]

    @property
    def is_kept(self) -> NDArray[np.bool_]:
        """Tell for each candidate whether it was kept."""
        after = self.positions[1:]
        pairs = zip(self.candidates, after, strict=True)
        return np.array([candidate is position for candidate, position in pairs])

    def worth(self, params: Array) -> float:
        """Compute what the climb compares: the objective, less the penalty."""
        return self._evaluate(params) - self._climb.penalty(params)

    def _watch(self, *args: Any, n_iter: int, sibling: Any, **steps: Any) -> HillClimb:
        """Make a climb that tells of each of its candidates."""
        if hasattr(self, "_climb"):
            raise ValueError(
                "The path of a climb on the objective alone is drawn, and a climb on "
                "another objective comes first. Set surrogate_iter=0."
            )
        self._climb = make_plain_climb(*args, **steps)
        self._evaluate = self._climb.objective
        self._climb.objective = self._note
        return self._climb

    def _note(self, params: Array) -> float:
        present = self._climb.params
        if params is not present:  # which is evaluated anew now and then
            self.candidates.append(params)
            self._before.append(present)
        return self._evaluate(params)
