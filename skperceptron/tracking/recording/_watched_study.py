"""Follows the trials of an Optuna study while they begin and end."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType
from typing import TYPE_CHECKING, Any

from optuna import Study
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from skperceptron.tracking._warnings import tolerate
from skperceptron.tracking.journal._record import ParentRun
from skperceptron.tracking.recording._activation import stand_in_for
from skperceptron.tracking.recording._active_run import (
    activate,
    active_runs,
    deactivate,
    end_all_but,
)
from skperceptron.tracking.recording._destination import (
    Destination,
    OpenPlace,
    Surroundings,
    destination_of_trial,
)
from skperceptron.tracking.recording._fit_run import TrackedRun
from skperceptron.tracking.recording._trial import end_trial_run, trial_run

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

# The watches of the blocks in which each study is, the innermost last.
_watches: weakref.WeakKeyDictionary[Study, list[Watch]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


@dataclass(kw_only=True)
class _OpenTrial(OpenPlace):
    """A trial whose result Optuna does not have yet.

    Attributes
    ----------
    run : TrackedRun
        Its run.

    stand_in : ActiveRun or None
        MLflow's active run in its objective.

    active_before : list of ActiveRun
        The runs that were active before it.

    earlier_error : BaseException or None
        The exception that was being handled when it began.
    """

    run: TrackedRun
    stand_in: Any = None
    active_before: list[Any]
    earlier_error: BaseException | None


class Watch:
    """Makes a run for each trial of a study that begins in a block.

    The runs go to `below`, the place below the run of the study.
    """

    def __init__(self, study: Study, below: Destination) -> None:
        self._study = study
        self._place = OpenPlace(below)
        self._trials: dict[int, _OpenTrial] = {}

    def __enter__(self) -> None:
        self._active_before = list(active_runs())
        self._token = destination_of_trial.set(Surroundings(self._place))
        with _lock:
            watches = _watches.setdefault(self._study, [])
            watches.append(self)
            _watch(self._study, self)

    def __exit__(self, *exc_info: object) -> None:
        with _lock:
            watches = _watches[self._study]
            watches.remove(self)
            _watch(self._study, watches[-1] if watches else None)
        self._place.is_over = True
        destination_of_trial.reset(self._token)
        for trial in list(self._trials.values()):
            trial.is_over = True
            _withdraw(trial)
        with tolerate("A run that the block of a study has begun could not be ended"):
            end_all_but(self._active_before)

    def begin(self, trial: FrozenTrial) -> None:
        """Begin the run of a trial, in its thread."""
        if self._place.is_over or trial.number in self._trials:
            return
        run = trial_run(trial, self._place.destination)
        name, start_time = run.record.name, run.record.start_time
        parent = ParentRun(run.key, name, start_time, is_managed=True)
        begun = _OpenTrial(
            self._place.destination.below(parent),
            run=run,
            active_before=list(active_runs()),
            earlier_error=sys.exception(),
        )
        self._trials[trial.number] = begun
        run.deliver(wait=False)
        begun.stand_in = stand_in_for(run)
        self._surround(begun)

    def end(
        self, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """End the run of a trial, in any thread."""
        begun = self._trials.pop(trial.number, None)
        if begun is None:  # it began outside of the block
            return
        begun.is_over = True
        optimization = _optimization_that_tells()
        error = _error_of(begun, optimization) if state == TrialState.FAIL else None
        _withdraw(begun)
        if optimization is not None:  # the objective has returned
            with tolerate("A run that an objective has begun could not be ended"):
                end_all_but(begun.active_before)
        self._surround()
        end_trial_run(
            begun.run,
            trial,
            state,
            values,
            names=self._study.metric_names,
            error=error,
        )

    def _surround(self, *begun: _OpenTrial) -> None:
        """Put this thread into its only open trial, or else into the study."""
        surroundings = destination_of_trial.get()
        if surroundings is None or surroundings.study is not self._place:
            surroundings = Surroundings(self._place)
        trials = (*surroundings.open_trials, *begun)
        destination_of_trial.set(Surroundings(self._place, trials))
        for trial in list(self._trials.values()):
            if trial.stand_in is not None:
                deactivate(trial.stand_in)
        if (
            len(trials) == 1
            and isinstance(trials[0], _OpenTrial)
            and trials[0].stand_in
        ):
            activate(trials[0].stand_in)


def _withdraw(trial: _OpenTrial) -> None:
    if trial.stand_in is not None:
        trial.stand_in.is_over = True
        deactivate(trial.stand_in)


def _telling() -> FrameType | None:
    """Find the frame in which Optuna gets the result of a trial, in this thread."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if frame.f_code.co_name == "_tell_with_warning" and "optuna" in module:
            return frame
        frame = frame.f_back
    return None


def _optimization_that_tells() -> FrameType | None:
    """Find the frame that has called an objective, unless the user calls `tell`."""
    telling = _telling()
    caller = None if telling is None else telling.f_back
    is_optimization = caller is not None and caller.f_code.co_name == "_run_trial"
    return caller if is_optimization else None


def _error_of(
    begun: _OpenTrial, optimization: FrameType | None
) -> BaseException | None:
    """Return why a trial has failed, which Optuna does not pass to samplers."""
    if optimization is not None:
        error = optimization.f_locals.get("func_err")
    else:  # `Study.tell`, perhaps called in an exception handler
        error = sys.exception()
        error = None if error is begun.earlier_error else error
    if isinstance(error, BaseException):
        return error
    telling = _telling()
    told = None if telling is None else telling.f_locals.get("value_or_values")
    if told is None and optimization is None:
        return None
    return ValueError(f"{told!r} is not a valid value of an objective")


class _WatchedSampler(BaseSampler):
    """A sampler that calls a watch when trials begin and end, in their own threads.

    It has the class and attributes of the wrapped sampler. Copies and pickles of it are
    the wrapped sampler.
    """

    def __init__(self, sampler: BaseSampler, watch: Watch) -> None:
        self._sampler = sampler
        self._watch = watch

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _itself, (self._sampler,)

    def __str__(self) -> str:
        return str(self._sampler)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, *args: Any, **kwargs: Any) -> Any:
        return self._sampler.sample_independent(*args, **kwargs)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(study, trial)
        with tolerate("A trial cannot be tracked"):
            self._watch.begin(trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        with tolerate("A trial could not be tracked"):
            self._watch.end(trial, state, values)
        self._sampler.after_trial(study, trial, state, values)


def own_sampler(study: Study) -> BaseSampler:
    """Return the sampler of a study as the user has made it."""
    sampler: BaseSampler = study.sampler
    return sampler._sampler if type(sampler) is _WatchedSampler else sampler


def _new(kind: type[Study]) -> Study:
    return kind.__new__(kind)


def _itself(sampler: BaseSampler) -> BaseSampler:
    return sampler


def _watch(study: Study, watch: Watch | None) -> None:
    """Let any sampler of a study call a watch; None ends that."""
    sampler = own_sampler(study)
    kind: Any = type(study)
    if watch is None:
        study.__class__ = kind.watched_kind
        study.sampler = sampler
        return
    if not hasattr(kind, "watched_kind"):
        study.__class__ = _watched(kind)
    study.sampler = sampler  # which `WatchedStudy` wraps


@lru_cache
def _watched(kind: Any) -> Any:
    """Return a class of studies that wrap each sampler that they are given.

    A study is of this class only inside of the block. Only samplers have hooks for the
    begin and end of trials, and the user may set another one at any time.
    """

    class WatchedStudy(kind):
        watched_kind = kind

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "sampler":
                own = value._sampler if type(value) is _WatchedSampler else value
                value = _WatchedSampler(own, _watches[self][-1])
            super().__setattr__(name, value)

        def __reduce_ex__(self, protocol: Any) -> Any:
            return _new, (kind,), self.__getstate__()  # a copy is not watched

    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(WatchedStudy, name, getattr(kind, name))
    return WatchedStudy
