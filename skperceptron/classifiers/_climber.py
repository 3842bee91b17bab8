"""Training of the hill climbers: what happens between two reports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import DTypeLike, NDArray
from sklearn import config_context, get_config
from sklearn.base import is_classifier

from skperceptron._functions import text_of
from skperceptron.classifiers._attempts import Attempt, AttemptMaker, ClimbState
from skperceptron.classifiers._blas_threads import ONE_THREAD, threads_for
from skperceptron.classifiers._combine import widen
from skperceptron.classifiers._hold_out import check_classes, hold_out
from skperceptron.classifiers._objectives import (
    Objective,
    check_first_value,
    scorer_objective,
)
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.network import Layers, initialize
from skperceptron.optim import Climb, Streams

Array = NDArray[np.floating]

# A fit reports to its callbacks about this often: each report costs some microseconds,
# an iteration may cost less.
REPORTS_PER_FIT = 100
# With verbose=True; more of them are a flood.
REPORTS_PER_LINE = 10
# A slow fit reports more often: about once in this many seconds.
SECONDS_PER_REPORT = 1.0
# A fit that nobody listens to still stops now and then: for the user who interrupts it.
SECONDS_PER_STEP = 0.05
# Threads that are done early get another one; joblib begins about 10 000 per second.
TASKS_PER_THREAD = 4


class Network(NamedTuple):
    """A network that a contestant has had.

    Attributes
    ----------
    members : list of ndarray of shape (n_params,)
        Parameters of its climbs.

    params : ndarray
        Its own parameters: those of the one climb, or of the combination.

    value : float
        Its objective on the training data.
    """

    members: list[Array]
    params: Array
    value: float


# Makes one network of the parameters of several climbs; gives it and its objective.
Merge = Callable[[list[Array]], tuple[Array, float]]


class Contestant:
    """What may become the classifier: one climb, or several that make one network.

    Parameters
    ----------
    attempts : list of Attempt
        The climbs.

    merge : callable or None
        Makes one network of several climbs. None for a single climb.

    validate : callable or None
        Objective on the held-out data, with early stopping.

    Attributes
    ----------
    curve : ndarray of shape (n_iter + 1,)
        Objective after each iteration so far, the start included; of several climbs
        the mean.

    network : Network
        The present one. That of several climbs may be some steps old: see `refresh`.

    best : Network
        The one with the best validation score so far; without any, the first one.
    """

    def __init__(
        self,
        attempts: list[Attempt],
        merge: Merge | None,
        validate: Objective | None,
    ) -> None:
        self.attempts = attempts
        self.merge = merge
        self.validate = validate
        self.start_curve()
        self._members = self._list_members()
        self.network = self.best = self._make_network()
        self.best_score = -math.inf
        self.scores: list[float] = []
        self.n_without_improvement = 0
        self.is_done = False

    @property
    def worth(self) -> float:
        """What the contestant with the largest one is kept for."""
        return self.network.value if self.validate is None else self.best_score

    def start_curve(self) -> None:
        """Forget what was before."""
        total = sum(attempt.climb.value for attempt in self.attempts)
        self.curve: Array = np.array([total / len(self.attempts)])

    def note_step(self) -> None:
        """Note a step that all climbs have made."""
        total = sum(attempt.values for attempt in self.attempts)
        self.curve = np.append(self.curve, total / len(self.attempts))
        # The climbs are not asked again: after an interrupt they are amid a step.
        self._members = self._list_members()
        if self.merge is None:
            self.refresh()

    def refresh(self) -> None:
        """Bring the network up to date.

        For several climbs this takes as long as one evaluation of each, or as many
        iterations where these are cheaper. So it is not done at every step.
        """
        if self.network.members is not self._members:
            self.network = self._make_network()

    def _list_members(self) -> list[Array]:
        return [attempt.climb.params for attempt in self.attempts]

    def _make_network(self) -> Network:
        if self.merge is not None:
            return Network(self._members, *self.merge(self._members))
        (params,), (attempt,) = self._members, self.attempts
        return Network(self._members, params, attempt.climb.value)

    def judge(self, tol: float, n_iter_no_change: float) -> None:
        """Compare with the best validation score so far; end if it is long ago."""
        if self.validate is None:
            return
        score = float(self.validate(self.network.params))
        self.scores.append(score)
        improved = not score < self.best_score + tol
        if score > self.best_score:
            self.best_score = score
            self.best = self.network
        self.n_without_improvement = 0 if improved else self.n_without_improvement + 1
        self.is_done = self.n_without_improvement > n_iter_no_change


class ClimbTrainer:
    """Lets a classifier climb, report by report, and keeps its attributes up to date.

    Several attempts climb side by side. At each report the classifier is the one that
    is best by then, or the combination of all.

    Parameters
    ----------
    estimator : HillClimbPerceptron or HillClimbMLP
        The classifier. Its fitted attributes are updated, and read where a climb is
        continued.

    layers : Layers
        The network of each climb.

    data : TrainingData
        What it is trained on.

    random_state : RandomState
        Source of the seed and of the validation split.

    fresh : bool
        Whether to start from random weights.

    n_iter : int
        Iterations to make in all.

    n_climbs : int
        How many climbs to make, or how many there are to be continued.

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
        n_climbs: int,
    ) -> None:
        self.estimator = estimator
        self.layers = layers
        self.remaining = n_iter
        self.is_observed = True
        self._done = 0
        self._chunk = iterations_per_report(estimator.max_iter)
        # One thread for each of several attempts whatever `n_jobs` is, so that it has
        # no influence on rounding.
        self.threads = ONE_THREAD if n_climbs > 1 else threads_for(len(data.y), layers)
        self._averages = estimator.combine == "average" and n_climbs > 1
        self._combined_layers = widen(layers, n_climbs) if self._averages else layers
        starts = (
            self._draw_starts(random_state, data.X.dtype, n_climbs)
            if fresh
            else self._find_starts()
        )
        training, held_out = self._split(data, random_state)
        self.attempts: list[Attempt] = []
        with self.threads:
            maker = AttemptMaker(estimator, layers, training, n_iter=n_iter)
            for start, state in starts:
                self.attempts.append(maker.make(start, state, fresh=fresh))
            self.contestants = self._enter(training, held_out)
            self._step = self._iterations_per_step()
        self._n_evaluations = 0 if fresh else estimator.n_evaluations_
        self._n_accepted = 0 if fresh else estimator.n_accepted_
        if not fresh:
            self.contestants[0].curve = estimator.objective_curve_
        self._update()

    def start_curves(self) -> None:
        """Forget what was before."""
        self._n_evaluations = self._n_accepted = 0
        for contestant in self.contestants:
            contestant.start_curve()
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
        running = [c for c in self.contestants if not c.is_done]
        self._advance([a for c in running for a in c.attempts], n_iter, parallel)
        self._done += n_iter
        self.remaining -= n_iter
        is_report = self.is_observed and self._done % self._chunk == 0
        for contestant in running:
            contestant.note_step()
            if is_report or self.remaining == 0:
                contestant.refresh()
                contestant.judge(est.tol, est.n_iter_no_change)
        if not self.is_observed and time.perf_counter() - started < SECONDS_PER_STEP:
            self._step *= 4
        self._update()
        is_over = self.remaining == 0 or all(c.is_done for c in self.contestants)
        reports_per_line = 1 if est.verbose > 1 else REPORTS_PER_LINE
        if est.verbose and (
            is_over or self._done % (reports_per_line * self._chunk) == 0
        ):
            self._print()
        return is_over

    def finish(self) -> None:
        """End the climb; with early stopping, return to what validated best."""
        for attempt in self.attempts:
            attempt.climb.rewind()
        leader = self._leader
        if leader.validate is not None:
            self._set_network(leader, leader.best)
        else:
            with self.threads:
                leader.refresh()  # an interrupt may have come between two reports
            self._set_network(leader, leader.network)

    @property
    def _leader(self) -> Contestant:
        return max(self.contestants, key=lambda contestant: contestant.worth)

    def _draw_starts(
        self, random_state: np.random.RandomState, dtype: DTypeLike, n: int
    ) -> list[tuple[Array, ClimbState]]:
        first = Streams.from_seed(random_state.randint(np.iinfo(np.int32).max))
        init = self.estimator.init
        return [
            (initialize(self.layers, init, streams.noise, dtype), ClimbState(streams))
            for streams in [first, *first.spawn(n - 1)]
        ]

    def _find_starts(self) -> list[tuple[Array, ClimbState]]:
        """Find out where the climbs are that are to be continued."""
        est = self.estimator
        present = self._combined_layers.pack(*est._get_weights())
        if not self._averages:
            return [(present, *est._climbs)]
        combined = est._combine(self.layers, est._members)
        if len(combined) != len(present) or not np.allclose(combined, present):
            raise ValueError(
                "The weights have been changed since they were fitted. They combine "
                f"{len(est._members)} climbs, each of which goes on from its own "
                "weights. Only a single climb can go on from other ones: use "
                "combine='best' or n_restarts=0 for the first fit, too."
            )
        return list(zip(est._members, est._climbs, strict=True))

    def _split(
        self, data: TrainingData, random_state: np.random.RandomState
    ) -> tuple[TrainingData, TrainingData | None]:
        est = self.estimator
        if not est.early_stopping or data.validation is not None:
            return data, data.validation
        stratify = None
        if is_classifier(est):
            check_classes(data.y_true, est.validation_fraction)
            stratify = data.y
        training, validation = hold_out(
            data, est.validation_fraction, random_state, stratify=stratify
        )
        return data.take(training), data.take(validation)

    def _enter(
        self, training: TrainingData, held_out: TrainingData | None
    ) -> list[Contestant]:
        """Let the climbs compete, or stand together."""
        est, layers = self.estimator, self._combined_layers
        validate, watched = None, "objective" if est.scoring is None else "scoring"
        if held_out is not None and est.scoring is None:
            validate = est._make_objective(layers, held_out)
        elif held_out is not None:
            validate = scorer_objective(est, layers, held_out, "scoring")
        if self._averages:
            evaluate = est._make_objective(layers, training)

            def merge(members: list[Array]) -> tuple[Array, float]:
                params = est._combine(self.layers, members)
                return params, evaluate(params)

            contestants = [Contestant(self.attempts, merge, validate)]
        else:
            contestants = [Contestant([a], None, validate) for a in self.attempts]
        for contestant in contestants:
            check_first_value(contestant.network.value, est, "objective")
            if validate is not None:
                check_first_value(validate(contestant.network.params), est, watched)
        return contestants

    def _iterations_per_step(self) -> int:
        """Choose how often to report, by the time that one evaluation takes."""
        seconds = self._chunk * _seconds(self.attempts[0].climb) * len(self.attempts)
        n_reports = min(max(1, math.ceil(seconds / SECONDS_PER_REPORT)), self._chunk)
        return math.ceil(self._chunk / n_reports)

    def _advance(
        self, attempts: list[Attempt], n_iter: int, parallel: Parallel
    ) -> None:
        if len(attempts) == 1:
            attempts[0].advance(n_iter)
            return
        # A task takes longer to begin than some climbs to advance.
        n_threads = effective_n_jobs(self.estimator.n_jobs)
        n_tasks = min(TASKS_PER_THREAD * n_threads, len(attempts))
        config = get_config()
        parallel(
            delayed(_advance)(attempts[i::n_tasks], n_iter, config)
            for i in range(n_tasks)
        )

    def _update(self) -> None:
        """Write the leader to the fitted attributes."""
        est, leader = self.estimator, self._leader
        self._set_network(leader, leader.network)
        est.objective_curve_ = leader.curve
        est.n_iter_ = len(leader.curve) - 1
        est.n_accepted_ = self._n_accepted + sum(
            attempt.climb.n_accepted for attempt in leader.attempts
        )
        est.n_evaluations_ = self._n_evaluations + sum(
            attempt.climb.n_evaluations for attempt in self.attempts
        )
        validates = leader.validate is not None
        est.validation_scores_ = leader.scores if validates else None
        est.best_validation_score_ = leader.best_score if validates else None

    def _set_network(self, contestant: Contestant, network: Network) -> None:
        est = self.estimator
        est._set_weights(self._combined_layers, network.params)
        est.objective_ = network.value
        # For those who go on. The weights of a single climb are the attributes' own.
        est._climb_layers = self.layers
        est._members = network.members if self._averages else None
        est._climbs = [attempt.state for attempt in contestant.attempts]

    def _print(self) -> None:
        est = self.estimator
        name = text_of(est.objective)
        print(f"Iteration {est.n_iter_}, objective ({name}) = {est.objective_:.8f}")
        if est.validation_scores_:
            print(f"Validation score: {est.validation_scores_[-1]:f}")


def count_climbs(estimator: Any, *, fresh: bool, incremental: bool) -> int:
    """Count the climbs that a fit has to make, or to continue.

    Parameters
    ----------
    estimator : HillClimbPerceptron or HillClimbMLP
        The classifier.

    fresh : bool
        Whether it starts from random weights.

    incremental : bool
        Whether it is a call of `partial_fit`, which does not begin several climbs to
        keep only one of them.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        When there are others than are to be continued.
    """
    n_climbs = 1 + int(estimator.n_restarts)
    if estimator.combine == "best" and (incremental or not fresh):
        n_climbs = 1
    if not fresh and n_climbs != (n_present := len(estimator._climbs)):
        raise ValueError(
            "Training can only be continued with as many climbs as there are. The last "
            f"fit has left {n_present}, but combine={estimator.combine!r} and "
            f"n_restarts={estimator.n_restarts} go on with {n_climbs}. Set "
            + (
                "combine='best' or n_restarts=0 to go on with that one"
                if n_present == 1
                else f"combine='average' and n_restarts={n_present - 1} to go on"
            )
            + ", or call fit with warm_start=False to start over."
        )
    return n_climbs


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
