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
    climb : Climb
        The climb that is led: on the metric, from the start, or from where the present
        stretch began.

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

    guide : Guide or None
        The climb on the log loss, while there is any.
    """

    def __init__(
        self,
        climb: Climb,
        *,
        guide: Guide | None = None,
        test: SignificanceTest | None = None,
        ahead: tuple[Array, int] | None = None,
    ) -> None:
        self.params, self.value = climb.params, climb.value
        self.mutation, self.step_size = climb.mutation, climb.step_size
        self.guide = guide
        self._climb = climb
        self._test = test
        self._predicted: NDArray | None = None
        self._n_accepted_then = 0
        self._n_ahead = 0
        if ahead is not None:
            climb.params, self._n_ahead = ahead
            climb.value = climb.evaluate()

    @property
    def ahead(self) -> tuple[Array, int] | None:
        """How far the present stretch has got, and in how many iterations."""
        return (self._climb.params, self._n_ahead) if self._n_ahead else None

    def evaluate(self) -> float:
        """Compute the objective that is climbed on anew."""
        return self._climb.evaluate()

    def rewind(self) -> None:
        """Give back the random numbers of candidates that were prepared in vain."""
        self._climb.rewind()

    def _advance(self, values: NDArray[np.float64]) -> None:
        done = 0
        while done < len(values):
            n_iter = 1
            if self.guide is not None:
                self._follow(self.guide)
                values[done] = self.value
            else:
                n_iter = min(len(values) - done, STRETCH - self._n_ahead)
                self._go_ahead(values[done : done + n_iter])
            done += n_iter

    def _follow(self, guide: Guide) -> None:
        is_last = guide.advance()
        self._go_to(guide.climb.params)
        if is_last:
            self.guide = None
        if is_last or self._climb.value >= self.value:
            self._keep()
            self.n_accepted += 1

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
