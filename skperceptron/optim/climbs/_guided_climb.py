"""A climb on a metric that begins where one on the log loss ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skperceptron.optim.climbs._climb import Climb

Array = NDArray[np.floating]

# Iterations of a climb on the log loss between two candidates of the climb on the
# metric: the first ones, and later on. It ends where as many as later on move the
# weights by no more than this share of their length.
FIRST_ITERATIONS, MAX_ITERATIONS = 10, 500
MIN_MOVE = 0.01
# Iterations on the metric after which its gain is tested, and what it has to be.
STRETCH = 50
MIN_STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class SignificanceTest:
    """Tells whether what other predictions gain is more than luck.

    Two networks that are equally good, and differ in what they predict for m of n
    samples, differ in accuracy by luck, with a standard error of ``sqrt(m) / n``
    (McNemar, 1947). For other metrics this is a rough measure.

    Attributes
    ----------
    predict : callable
        Computes the predicted classes, an array of shape (n_samples,), of parameters.

    weight : ndarray of shape (n_samples,)
        Weights of the samples.

    scale : float
        How much the prediction of a sample matters to the metric of this sample: 1 for
        the accuracy.
    """

    predict: Callable[[Array], NDArray]
    weight: NDArray[np.float64]
    scale: float

    def min_gain(self, before: NDArray, after: NDArray) -> float:
        """Compute what has to be gained by other predictions."""
        changed = self.weight[before != after]
        error = np.sqrt(changed @ changed) / self.weight.sum()
        return MIN_STANDARD_ERRORS * self.scale * float(error)


@dataclass
class Guide:
    """A climb on the log loss that leads another one.

    Attributes
    ----------
    climb : Climb
        The climb, planned for no iterations beyond those of a call.

    max_iter : int
        Its maximum iterations.

    n_iter : int, default=0
        Those that it has made.
    """

    climb: Climb
    max_iter: int
    n_iter: int = 0

    def advance(self) -> bool:
        """Climb on, and tell whether that was the end."""
        n_iter = min(self.n_iter + FIRST_ITERATIONS, MAX_ITERATIONS)
        # It may have made more already, before the maximum was changed.
        n_iter = max(min(n_iter, self.max_iter - self.n_iter), 0)
        before = self.climb.params
        self.climb.run(n_iter)
        self.n_iter += n_iter
        # Weights that separate the classes may grow without end.
        with np.errstate(over="ignore", invalid="ignore"):
            moved = np.linalg.norm(self.climb.params - before)
            is_still = moved <= MIN_MOVE * np.linalg.norm(self.climb.params)
        return self.n_iter >= self.max_iter or bool(
            n_iter == MAX_ITERATIONS and is_still
        )


class GuidedClimb(Climb):
    """A climb that another one leads to where it begins, and that tests its gains.

    Its first candidates are where a climb on the log loss has got to, after 10, 30, 70,
    ... iterations. They are kept if they are not worse, and the last one whatever it is
    worth. From there, many candidates are better by a few samples, by luck. So the
    climb goes ahead for `STRETCH` iterations at a time. What it finds in them is kept
    if the gain passes a test; else the next stretch begins where this one began.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Where to start.

    make_climb : callable
        Makes the climb that is led, on the metric, of where it begins. It is made once
        there is nothing more to follow, as either may need much memory.

    objective : callable
        Computes the metric of parameters, until then.

    guide : Guide or None, default=None
        The climb on the log loss; None if it has ended.

    test : SignificanceTest or None, default=None
        None keeps what each candidate gains.

    ahead : tuple (ndarray of shape (n_params,), int) or None, default=None
        How far the present stretch has got, and in how many iterations.

    Attributes
    ----------
    params, value, n_accepted
        Those of what has been kept.

    step_size : ndarray of shape (n_groups,)
        That of the climb on the metric; empty before it has begun.

    guide : Guide or None
        The climb on the log loss, while there is any.
    """

    def __init__(
        self,
        params: Array,
        make_climb: Callable[[Array], Climb],
        objective: Callable[[Array], float],
        *,
        guide: Guide | None = None,
        test: SignificanceTest | None = None,
        ahead: tuple[Array, int] | None = None,
    ) -> None:
        self.params = params
        self.step_size = np.empty(0)
        self.guide = guide
        self._make_climb = make_climb
        self._objective = objective
        self._test = test
        self._predicted: NDArray | None = None
        self._n_accepted_then = 0
        self._n_ahead = 0
        if guide is not None:
            self.value = objective(params)
            return
        self._begin(params)
        if ahead is not None:
            self._climb.params, self._n_ahead = ahead
            self._climb.value = self._climb.evaluate()

    @property
    def ahead(self) -> tuple[Array, int] | None:
        """How far the present stretch has got, and in how many iterations."""
        return (self._climb.params, self._n_ahead) if self._n_ahead else None

    def evaluate(self) -> float:
        """Compute the objective that is climbed on anew."""
        return self._objective(self.params)

    def rewind(self) -> None:
        """Give back the random numbers of candidates that were prepared in vain."""
        if self.step_size.size:  # else there was an interrupt before it has begun
            self._climb.rewind()

    def _advance(self, values: NDArray[np.float64]) -> None:
        done = 0
        while done < len(values):
            n_iter = 1
            if self.guide is not None:
                self._follow(self.guide)
                if self.guide is None:  # only now is its memory free
                    self._begin(self.params)
                values[done] = self.value
            else:
                n_iter = min(len(values) - done, STRETCH - self._n_ahead)
                self._go_ahead(values[done : done + n_iter])
            done += n_iter

    def _follow(self, guide: Guide) -> None:
        is_last = guide.advance()
        params = guide.climb.params
        if is_last:
            self.params, self.guide = params, None
        elif (value := self._objective(params)) >= self.value:
            self.params, self.value = params, value
        else:
            return
        self.n_accepted += 1

    def _begin(self, params: Array) -> None:
        """Begin to climb on the metric."""
        self._climb = self._make_climb(params)
        self.value = self._climb.value
        self.step_size = self._climb.step_size

    def _go_ahead(self, values: NDArray[np.float64]) -> None:
        values[:] = self._climb.run(len(values))
        if self._test is None:
            self._keep()
            return
        self._n_ahead += len(values)
        values[:] = self.value
        if self._n_ahead == STRETCH:
            self._n_ahead = 0
            self._decide(self._test)
            values[-1] = self.value

    def _decide(self, test: SignificanceTest) -> None:
        gain = self._climb.value - self.value
        if gain > 0:
            if self._predicted is None:
                self._predicted = test.predict(self.params)
            predicted = test.predict(self._climb.params)
            if gain > test.min_gain(self._predicted, predicted):
                self._predicted = predicted
                self._keep()
                return
        self._go_to(self.params)

    def _keep(self) -> None:
        self.params, self.value = self._climb.params, self._climb.value
        self.n_accepted += self._climb.n_accepted - self._n_accepted_then
        self._n_accepted_then = self._climb.n_accepted

    def _go_to(self, params: Array) -> None:
        self._climb.rewind()
        self._climb.params = params
        self._climb.value = self._climb.evaluate()
        self._n_accepted_then = self._climb.n_accepted
