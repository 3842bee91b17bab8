"""Training of the hill climbers: what happens between two reports."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import NDArray
from sklearn import config_context, get_config

from skperceptron.classifiers._blas_threads import ONE_THREAD, threads_for
from skperceptron.classifiers._hold_out import check_classes, hold_out
from skperceptron.classifiers._objectives import (
    Objective,
    check_first_value,
    make_objective,
)
from skperceptron.network import Layers, initialize
from skperceptron.optim import Climb, Mutation, Streams

if TYPE_CHECKING:
    from skperceptron.classifiers._base import TrainingData

Array = NDArray[np.floating]

# A fit reports to its callbacks about this often: each report costs some microseconds,
# an iteration may cost less.
REPORTS_PER_FIT = 100
# A fit that is slow reports more often: about once in so many seconds.
SECONDS_PER_REPORT = 1.0
# A fit that nobody listens to still stops now and then: for the user who interrupts it.
SECONDS_PER_STEP = 0.05
# Threads that are done early get another one; joblib begins about 10 000 per second.
TASKS_PER_THREAD = 4


class Attempt:
    """One climb, its curve, and what it is worth on held-out data.

    Parameters
    ----------
    climb : Climb
        The climb.

    streams : Streams
        Its random numbers.

    curve : ndarray of shape (n_iter + 1,)
        Objective after each iteration so far, the start included.

    validate : callable or None
        Objective on the held-out data, with early stopping.
    """

    def __init__(
        self, climb: Climb, streams: Streams, curve: Array, validate: Objective | None
    ) -> None:
        self.climb = climb
        self.streams = streams
        self.curve = curve
        self.validate = validate
        self.best = (climb.params, climb.value)
        self.best_score = -math.inf
        self.scores: list[float] = []
        self.n_without_improvement = 0
        self.is_done = False

    @property
    def worth(self) -> float:
        """What the attempt with the largest one is kept for."""
        return self.climb.value if self.validate is None else self.best_score

    def advance(self, n_iter: int) -> None:
        """Climb on, unless early stopping has ended it."""
        if not self.is_done:
            self.curve = np.append(self.curve, self.climb.run(n_iter))

    def judge(self, tol: float, n_iter_no_change: float) -> None:
        """Compare with the best validation score so far; end if it is long ago."""
        if self.validate is None or self.is_done:
            return
        score = float(self.validate(self.climb.params))
        self.scores.append(score)
        improved = not score < self.best_score + tol
        if score > self.best_score:
            self.best_score = score
            self.best = (self.climb.params, self.climb.value)
        self.n_without_improvement = 0 if improved else self.n_without_improvement + 1
        self.is_done = self.n_without_improvement > n_iter_no_change


class ClimbTrainer:
    """Lets a classifier climb, report by report, and keeps its attributes up to date.

    Several attempts climb side by side; at each report the classifier is the one that
    is best by then.

    Parameters
    ----------
    estimator : HillClimbPerceptron or HillClimbMLP
        The classifier. Its fitted attributes are updated, and read where a climb is
        continued.

    layers : Layers
        Its network.

    data : TrainingData
        What it is trained on.

    random_state : RandomState
        Source of the seed and of the validation split.

    fresh : bool
        Whether to start from random weights.

    n_iter : int
        Iterations to make in all.

    n_restarts : int
        Attempts beyond the first.

    Attributes
    ----------
    threads : context manager
        Limits the threads of BLAS while there is climbing.

    Raises
    ------
    ValueError
        When the objective is of no use at the start.
    """

    def __init__(
        self,
        estimator: Any,
        layers: Layers,
        data: TrainingData,
        random_state: np.random.RandomState,
        *,
        fresh: bool,
        n_iter: int,
        n_restarts: int,
    ) -> None:
        self.estimator = estimator
        self.layers = layers
        self.remaining = n_iter
        self.is_observed = True
        self._done = 0
        self._chunk = iterations_per_report(estimator.max_iter)
        # One thread for each of several attempts whatever `n_jobs` is, so that it has
        # no influence on rounding.
        self.threads = ONE_THREAD if n_restarts else threads_for(len(data.y), layers)
        starts = self._find_starts(data, random_state, fresh=fresh, n=1 + n_restarts)
        training, validate = self._split(data, random_state)
        if fresh and estimator._has_surrogate:
            starts = self._climb_on_surrogate(starts, training)
        self.attempts: list[Attempt] = []
        with self.threads:
            for streams, start in starts:
                self.attempts.append(self._attempt(start, streams, training, validate))
            self._step = self._iterations_per_step()
        self._n_evaluations = 0 if fresh else estimator.n_evaluations_
        self._n_accepted = 0 if fresh else estimator.n_accepted_
        if not fresh:
            self.attempts[0].curve = estimator.objective_curve_
        self._update()

    def start_curves(self) -> None:
        """Forget what was before."""
        self._n_evaluations = self._n_accepted = 0
        for attempt in self.attempts:
            attempt.curve = np.array([attempt.climb.value])
        self._update()

    @property
    def n_steps(self) -> int:
        """Number of steps to come."""
        whole, rest = divmod(self.remaining, self._chunk)
        return whole * math.ceil(self._chunk / self._step) + math.ceil(
            rest / self._step
        )

    def parallel(self) -> Parallel:
        """Prepare to let the attempts climb at the same time."""
        # In threads: a climb changes its attempt, and compiled code runs beside others.
        return Parallel(n_jobs=self.estimator.n_jobs, require="sharedmem")

    def step(self, parallel: Parallel) -> bool:
        """Climb until the next report.

        Returns
        -------
        bool
            Whether the climb has come to its end.
        """
        est = self.estimator
        n_iter = min(self._step, self.remaining)
        if self.is_observed:
            n_iter = min(n_iter, self._chunk - self._done % self._chunk)
        started = time.perf_counter()
        n_attempts = len(self.attempts)
        if n_attempts == 1:
            self.attempts[0].advance(n_iter)
        else:
            # A task takes longer to begin than some climbs to advance.
            n_tasks = min(TASKS_PER_THREAD * effective_n_jobs(est.n_jobs), n_attempts)
            config = get_config()
            parallel(
                delayed(_advance)(self.attempts[i::n_tasks], n_iter, config)
                for i in range(n_tasks)
            )
        self._done += n_iter
        self.remaining -= n_iter
        if self._done % self._chunk == 0 or self.remaining == 0:
            for attempt in self.attempts:
                attempt.judge(est.tol, est.n_iter_no_change)
        if not self.is_observed and time.perf_counter() - started < SECONDS_PER_STEP:
            self._step *= 4
        self._update()
        if est.verbose:
            self._print()
        return self.remaining == 0 or all(a.is_done for a in self.attempts)

    def finish(self) -> None:
        """End the climb; with early stopping, return to what validated best."""
        for attempt in self.attempts:
            attempt.climb.rewind()
        leader = self._leader
        if leader.validate is not None:
            params, self.estimator.objective_ = leader.best
            self.estimator._set_weights(self.layers, params)

    @property
    def _leader(self) -> Attempt:
        return max(self.attempts, key=lambda attempt: attempt.worth)

    def _find_starts(
        self,
        data: TrainingData,
        random_state: np.random.RandomState,
        *,
        fresh: bool,
        n: int,
    ) -> list[tuple[Streams, Array]]:
        est, layers = self.estimator, self.layers
        if not fresh:
            return [(est._streams, layers.pack(*est._get_weights()))]
        first = Streams.from_seed(random_state.randint(np.iinfo(np.int32).max))
        return [
            (streams, initialize(layers, est.init, streams.noise, data.X.dtype))
            for streams in [first, *first.spawn(n - 1)]
        ]

    def _climb_on_surrogate(
        self, starts: list[tuple[Streams, Array]], data: TrainingData
    ) -> list[tuple[Streams, Array]]:
        """Begin with climbs on the log loss, and take where they end as starts."""
        est, layers = self.estimator, self.layers
        climbs: list[Climb] = []
        for streams, start in starts:
            climb = est._make_climb(
                start,
                _mutation(est, layers, streams, start.dtype),
                layers,
                data,
                on_surrogate=True,
                n_iter=est.surrogate_iter,
                sibling=climbs[0] if climbs else None,
                step_size=est.step_size,
                adapt=est.step_schedule == "one_fifth",
            )
            climbs.append(climb)
        with self.threads, self.parallel() as parallel:
            parallel(delayed(climb.run)(int(est.surrogate_iter)) for climb in climbs)
        for climb in climbs:
            climb.rewind()
        return [
            (streams, climb.params)
            for (streams, _), climb in zip(starts, climbs, strict=True)
        ]

    def _split(
        self, data: TrainingData, random_state: np.random.RandomState
    ) -> tuple[TrainingData, Objective | None]:
        est = self.estimator
        if not est.early_stopping:
            return data, None
        check_classes(data.labels, est.validation_fraction)
        training, validation = hold_out(
            data, est.validation_fraction, random_state, stratify=data.y
        )
        validate = make_objective(est, self.layers, data.take(validation))
        return data.take(training), validate

    def _attempt(
        self,
        start: Array,
        streams: Streams,
        data: TrainingData,
        validate: Objective | None,
    ) -> Attempt:
        est, layers = self.estimator, self.layers
        mutation = _mutation(est, layers, streams, start.dtype)
        adapt = est.step_schedule == "one_fifth"
        step_size = est.step_size
        goes_on = streams is getattr(est, "_streams", None)
        if adapt and goes_on and len(est._step_size) == len(mutation.groups):
            step_size = est._step_size
        climb = est._make_climb(
            start,
            mutation,
            layers,
            data,
            n_iter=self.remaining,
            sibling=self.attempts[0].climb if self.attempts else None,
            step_size=step_size,
            adapt=adapt,
        )
        check_first_value(climb.value, est.objective)
        if validate is not None:
            check_first_value(validate(start), est.objective)
        return Attempt(climb, streams, np.array([climb.value]), validate)

    def _iterations_per_step(self) -> int:
        """Choose how often to report, by the time that one evaluation takes."""
        seconds = self._chunk * _seconds(self.attempts[0].climb) * len(self.attempts)
        n_reports = min(max(1, math.ceil(seconds / SECONDS_PER_REPORT)), self._chunk)
        return math.ceil(self._chunk / n_reports)

    def _update(self) -> None:
        """Write the leader to the fitted attributes."""
        est, leader = self.estimator, self._leader
        climb = leader.climb
        est._set_weights(self.layers, climb.params)
        est._streams = leader.streams
        est._step_size = climb.step_size.copy()
        est.objective_ = climb.value
        est.objective_curve_ = leader.curve
        est.n_iter_ = len(leader.curve) - 1
        est.n_accepted_ = self._n_accepted + climb.n_accepted
        est.n_evaluations_ = self._n_evaluations + sum(
            attempt.climb.n_evaluations for attempt in self.attempts
        )
        validates = leader.validate is not None
        est.validation_scores_ = leader.scores if validates else None
        est.best_validation_score_ = leader.best_score if validates else None

    def _print(self) -> None:
        est = self.estimator
        print(f"Iteration {est.n_iter_}, objective = {est.objective_:.8f}")
        if est.validation_scores_:
            print(f"Validation score: {est.validation_scores_[-1]:f}")


def _mutation(
    estimator: Any, layers: Layers, streams: Streams, dtype: np.dtype
) -> Mutation:
    how = estimator.mutation
    return Mutation(
        streams,
        layers.n_params,
        dtype,
        share=None if isinstance(how, str) else float(how),
        groups=layers.unit_groups() if how == "unit" else None,
    )


def iterations_per_report(max_iter: int) -> int:
    """Count the iterations between two reports, and of one call of `partial_fit`."""
    return max(1, math.ceil(max_iter / REPORTS_PER_FIT))


def _advance(attempts: list[Attempt], n_iter: int, config: dict[str, Any]) -> None:
    # A new thread has scikit-learn's default configuration. `sklearn.utils.parallel`
    # would bring the filters of warnings along too; but these are the whole process's:
    # each thread would replace them under the others.
    with config_context(**config):
        for attempt in attempts:
            attempt.advance(n_iter)


def _seconds(climb: Climb) -> float:
    """Measure one evaluation of the objective."""
    started = time.perf_counter()
    climb.evaluate()
    return time.perf_counter() - started
