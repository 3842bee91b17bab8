"""An Optuna study as a tree of MLflow runs."""

from __future__ import annotations

import reprlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optuna import Study
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from skperceptron.tracking._agreement import StudyIdentity, agree_on_run, is_shared
from skperceptron.tracking._arguments import check_tags, check_texts
from skperceptron.tracking._destination import Destination, ParentRun, enclosing
from skperceptron.tracking._figures import as_png, new_figure
from skperceptron.tracking._lost_trials import end_lost_trials
from skperceptron.tracking._origin import origin_tags
from skperceptron.tracking._record import RunRecord, param_value
from skperceptron.tracking._recorder import note_failure
from skperceptron.tracking._run import TrackedRun, deliver_all
from skperceptron.tracking._tolerance import tolerate
from skperceptron.tracking._trial_run import end_trial_run, trial_run

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

# Many workers that begin at once are slow, and must not begin the run twice.
_PATIENCE = 30.0
# While somebody reports how a study stands, others may finish it; so often at most.
_MOST_REPORTS = 10


@contextmanager
def track_study(
    study: Study,
    *,
    experiment_name: str | None = None,
    tracking_uri: str | None = None,
    run_name: str | None = None,
    tags: dict[str, str] | None = None,
) -> Iterator[Study]:
    """Log an Optuna study to MLflow.

    There is one run of the study, below it one for each trial that begins inside the
    block, and below those the runs of what is fitted in the trial. Processes that work
    on one study in a shared storage share its run.

    A trial's run holds its parameters, value and intermediate values. It ends as
    FINISHED, as KILLED when the trial was pruned, or as FAILED; the tag
    ``optuna_trial_state`` tells. The study's run holds the best value, the best
    parameters as tags, and figures of the history and of the importances. Each process
    that is done writes them, and ends the run.

    A trial whose process was killed has failed. Where the study's storage has
    heartbeats, Optuna finds that out. Where it has none, trials are told to have failed
    when another process enters or leaves the block: those of this machine, and those
    whose journal was delivered.

    Parameters
    ----------
    study : optuna.Study
        The study.

    experiment_name : str or None, default=None
        Experiment, created if need be. None leaves the choice to MLflow.

    tracking_uri : str or None, default=None
        Address of the store. None leaves the choice to MLflow.

    run_name : str or None, default=None
        Name of the run. None takes the name of the study.

    tags : dict of str or None, default=None
        More tags of the study's run.

    Yields
    ------
    study : optuna.Study
        The same study.

    Raises
    ------
    TypeError
        When `study` is no Optuna study, `tags` is no dict, or another argument is no
        text.

    See Also
    --------
    MLflowTracker : Log a scikit-learn search.

    Examples
    --------
    >>> import optuna
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from skperceptron import HillClimbPerceptron
    >>> from skperceptron.tracking import track_study
    >>> X, y = load_iris(return_X_y=True)
    >>> def objective(trial):
    ...     step_size = trial.suggest_float("step_size", 0.05, 1, log=True)
    ...     clf = HillClimbPerceptron(max_iter=50, step_size=step_size)
    ...     return cross_val_score(clf, X, y, cv=3).mean()
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> with track_study(optuna.create_study(direction="maximize")) as study:
    ...     study.optimize(objective, n_trials=3)
    """
    if not isinstance(study, Study):
        raise TypeError(
            f"study must be an Optuna study, got {reprlib.repr(study)}. Pass what "
            "optuna.create_study() or optuna.load_study() returns."
        )
    check_texts(
        experiment_name=experiment_name, tracking_uri=tracking_uri, run_name=run_name
    )
    check_tags(tags)
    destination = Destination.current().directed_to(tracking_uri, experiment_name)
    identity = agree_on_run(study)
    run, parent = _study_run(study, identity, destination, run_name, tags or {})
    below = destination.below(parent)
    _begin(run, study, identity, below)
    sampler = study.sampler
    token = enclosing.set(below)
    study.sampler = _WatchedSampler(sampler, below)
    try:
        yield study
    finally:
        study.sampler = sampler
        enclosing.reset(token)
        with tolerate("The result of a study could not be tracked"):
            _finish(run, study, below)


def _study_run(
    study: Study,
    identity: StudyIdentity,
    destination: Destination,
    name: str | None,
    tags: dict[str, str],
) -> tuple[TrackedRun, ParentRun]:
    key, start_time = identity.key, identity.start_time
    record = RunRecord(name or study.study_name, start_time)
    record.tags = {
        "optuna_study_name": study.study_name,
        "optuna_directions": ", ".join(d.name.lower() for d in study.directions),
        "optuna_sampler": type(study.sampler).__name__,
        "optuna_pruner": type(study.pruner).__name__,
        **origin_tags(),
        **{str(k): str(v) for k, v in tags.items()},
    }
    parent = ParentRun(key, record.name, start_time, is_managed=True)
    return TrackedRun(record, destination, key, is_shared=True), parent


def _begin(
    run: TrackedRun, study: Study, identity: StudyIdentity, below: Destination
) -> None:
    """Begin the run of a study, or join it."""
    if not is_shared(study):
        identity.announce(study)
        run.deliver(wait=False)
        return
    deliver_all(run, _PATIENCE)
    if identity.is_new:
        identity.announce(study)
    end_lost_trials(study, below, deliver=False)


def _finish(run: TrackedRun, study: Study, below: Destination) -> None:
    """Log the result of a study, as far as it has come."""
    if is_shared(study):
        deliver_all(run)
        end_lost_trials(study, below, deliver=True)
    for _ in range(_MOST_REPORTS):
        trials = study.get_trials(deepcopy=False)
        _log_result(run, study, trials)
        deliver_all(run)
        states = [trial.state for trial in study.get_trials(deepcopy=False)]
        # Who is still at work will report. Nobody else may, when another process has
        # stored the last result sooner than this one an earlier result.
        if TrialState.RUNNING in states or states == [t.state for t in trials]:
            return


def _log_result(run: TrackedRun, study: Study, trials: list[FrozenTrial]) -> None:
    error = sys.exception()
    if error is not None:
        note_failure(run, error)
    # So that the latest values count, whoever delivers them when.
    step = sum(trial.state.is_finished() for trial in trials)
    is_complete = any(trial.state == TrialState.COMPLETE for trial in trials)
    if len(study.directions) == 1 and is_complete:
        best = study.best_trial
        run.record.add_metric("best_value", study.best_value, step)
        run.record.add_metric("best_trial", best.number, step)
        # As tags, because the parameters of a run cannot change, while the best trial
        # does, whenever somebody goes on with the study.
        for name, value in best.params.items():
            run.record.tags[f"best_{name}"] = param_value(value)
        with tolerate("The figures of a study cannot be drawn"):
            _keep_figures(run, study, trials)
    # After the best value: in this order MLflow's UI shows them.
    for state in TrialState:
        n_trials = sum(trial.state == state for trial in trials)
        run.record.add_metric(f"n_trials_{state.name.lower()}", n_trials, step)
    run.end()


class _WatchedSampler(BaseSampler):
    """A sampler that tells when trials begin and end, in their own threads.

    Parameters
    ----------
    sampler : BaseSampler
        Who samples.

    destination : Destination
        Where the runs of the trials go.
    """

    def __init__(self, sampler: BaseSampler, destination: Destination) -> None:
        self._sampler = sampler
        self._destination = destination
        self._trials: dict[int, TrackedRun] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

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
        with tolerate("A trial cannot be tracked"):
            self._begin(trial)
        self._sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        with tolerate("A trial could not be tracked"):
            self._end(trial, state, values)
        self._sampler.after_trial(study, trial, state, values)

    def _begin(self, trial: FrozenTrial) -> None:
        run = self._trials[trial.number] = trial_run(trial, self._destination)
        record = run.record
        parent = ParentRun(run.key, record.name, record.start_time, is_managed=True)
        enclosing.set(self._destination.below(parent))
        run.deliver(wait=False)

    def _end(
        self, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        enclosing.set(self._destination)
        run = self._trials.pop(trial.number, None)
        if run is not None:  # else it has begun before the study was tracked
            end_trial_run(run, trial, state, values)


def _keep_figures(run: TrackedRun, study: Study, trials: list[FrozenTrial]) -> None:
    """Draw how the value has developed, and what it depends on."""
    with warnings.catch_warnings():
        # Of trials too few or too alike to tell what matters; the figure shows it.
        warnings.simplefilter("ignore")
        _draw_figures(run, study, trials)


def _draw_figures(run: TrackedRun, study: Study, trials: list[FrozenTrial]) -> None:
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    run.keep_file("history.png", _draw_history(study, complete, run.record.name))
    if len(complete) > 1 and len(study.best_trial.params) > 1:
        run.keep_file("importances.png", _draw_importances(study, run.record.name))


def _draw_history(study: Study, complete: list[FrozenTrial], title: str) -> bytes:
    import numpy as np
    from optuna.study import StudyDirection

    numbers = [trial.number for trial in complete]
    values = np.array([trial.value for trial in complete], dtype=float)
    is_minimized = study.direction == StudyDirection.MINIMIZE
    best = (np.minimum if is_minimized else np.maximum).accumulate(values)
    figure = new_figure(8, 5)
    ax = figure.subplots()
    ax.plot(numbers, values, "o", color="C0", alpha=0.6, label="trials")
    ax.step(numbers, best, where="post", color="C1", label="best so far")
    ax.set(xlabel="trial", ylabel="value", title=title)
    ax.legend()
    return as_png(figure)


def _draw_importances(study: Study, title: str) -> bytes:
    from optuna.importance import get_param_importances

    importances = get_param_importances(study)
    figure = new_figure(8, 1 + 0.5 * len(importances))
    ax = figure.subplots()
    ax.barh(list(importances)[::-1], list(importances.values())[::-1], color="C0")
    ax.set(xlabel="importance for the value", title=title)
    return as_png(figure)
