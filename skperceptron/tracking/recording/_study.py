"""An Optuna study as a tree of MLflow runs."""

from __future__ import annotations

import reprlib
import sys
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from optuna import Study
from optuna.trial import TrialState

from skperceptron.tracking._warnings import tolerate
from skperceptron.tracking.journal._record import (
    DESCRIPTION_TAG,
    ParentRun,
    RunRecord,
)
from skperceptron.tracking.recording._descriptions import param_value
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._figures import as_png, new_figure
from skperceptron.tracking.recording._fit_run import TrackedRun, deliver_all
from skperceptron.tracking.recording._lost_trials import end_lost_trials
from skperceptron.tracking.recording._origin import origin_tags
from skperceptron.tracking.recording._outcome import note_failure
from skperceptron.tracking.recording._pareto_front import log_pareto_front
from skperceptron.tracking.recording._run_arguments import check_tags, check_texts
from skperceptron.tracking.recording._study_agreement import (
    StudyIdentity,
    agree_on_run,
    is_of_agreement,
    is_shared,
)
from skperceptron.tracking.recording._summaries import summarize_study
from skperceptron.tracking.recording._watched_study import Watch, own_sampler

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

# Seconds to wait for the store: many workers that begin at once are slow, and must not
# begin the run twice.
_PATIENCE = 30.0
# A report of a study is repeated at most this many times if others finish trials
# meanwhile.
_MAX_REPORTS = 10
# Tag of the run of a study whose earlier trials are elsewhere: the first run's key.
_CONTINUES_TAG = "skperceptron.continues"

# The runs of the studies that this process has tracked.
_runs: weakref.WeakKeyDictionary[Study, TrackedRun] = weakref.WeakKeyDictionary()


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

    The study has a run, each trial that begins inside the block has a run below it, and
    the fits of a trial have runs below that. Processes that work on one study in a
    shared storage share its run.

    The run of a trial has its parameters, value and intermediate values. It ends as
    FINISHED, as KILLED if the trial was pruned, or as FAILED. Its tag
    ``optuna_trial_state`` has the state in Optuna, and its tag ``error`` the reason for
    a failure. The run of the study has the ``best_score``, the best parameters as tags,
    figures of the optimisation history and the hyperparameter importances, for several
    objectives the Pareto front, and the study's user attributes as tags. Each process
    writes these when it leaves the block, and ends the run.

    In an objective, the run of the trial is MLflow's active run, unless MLflow logs to
    another store: `mlflow.log_metric` and the like log to it, and `mlflow.start_run`
    needs ``nested=True``. Between `ask` and `tell`, this holds while the thread has no
    other open trial.

    A copy of a study has its own run. So do trials that go to another experiment or
    store than earlier ones; the tag ``skperceptron.continues`` of their study's run is
    the key of the first run.

    A trial whose process was killed fails. If the study's storage has heartbeats,
    Optuna notices that. If it has none, the trials that were killed on this machine,
    and those whose journal was delivered, are set to failed when another process enters
    or leaves the block.

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
        The same study; `study_run_id` returns the id of its run.

    Raises
    ------
    TypeError
        If `study` is not an Optuna study, `tags` is not a dict, or another argument is
        not a str.

    See Also
    --------
    study_run_id : Return the id of the MLflow run of a study.
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
    identity = agree_on_run(study, destination.address())
    run, parent = _study_run(study, identity, destination, run_name, tags or {})
    below = destination.below(parent)
    _begin(run, study, identity, below)
    _runs[study] = run
    try:
        with Watch(study, below):
            yield study
    finally:
        with tolerate("The result of a study could not be tracked"):
            _finish(run, study, below)


def study_run_id(study: Study) -> str | None:
    """Return the id of the MLflow run of a study, to log more to it.

    Parameters
    ----------
    study : optuna.Study
        A study that this process tracks, or has tracked.

    Returns
    -------
    run_id : str or None
        Run of the present or the last block. None if it is not known, because the study
        was not tracked or the store cannot be reached.

    See Also
    --------
    track_study : Log an Optuna study.

    Examples
    --------
    >>> import mlflow
    >>> import optuna
    >>> from skperceptron.tracking import study_run_id, track_study
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> with track_study(optuna.create_study()) as study:
    ...     study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    ...     mlflow.log_metric("n_samples", 150, run_id=study_run_id(study))
    """
    run = _runs.get(study)
    if run is None:
        return None
    with suppress(OSError):
        return run.begin()
    return None


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
        **({} if identity.continues is None else {_CONTINUES_TAG: identity.continues}),
        "optuna_study_name": study.study_name,
        "optuna_directions": ", ".join(d.name.lower() for d in study.directions),
        "optuna_sampler": type(own_sampler(study)).__name__,
        "optuna_pruner": type(study.pruner).__name__,
        **origin_tags(),
        **{str(k): str(v) for k, v in tags.items()},
    }
    # Another process may end it and remove it from the journal while this one goes on.
    parent = ParentRun(key, record.name, start_time, is_managed=True, may_exist=True)
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
    """Log the present result of a study."""
    if is_shared(study):
        deliver_all(run)
        end_lost_trials(study, below, deliver=True)
    for _ in range(_MAX_REPORTS):
        trials = study.get_trials(deepcopy=False)
        _log_result(run, study, trials)
        deliver_all(run)
        states = [trial.state for trial in study.get_trials(deepcopy=False)]
        # If another process still runs a trial, it will report when it is done. If none
        # does, but trials have ended meanwhile, this one reports again, as its report
        # may have overwritten a later one.
        if TrialState.RUNNING in states or states == [t.state for t in trials]:
            return


def _log_result(run: TrackedRun, study: Study, trials: list[FrozenTrial]) -> None:
    error = sys.exception()
    if error is not None:
        note_failure(run, error)
    # MLflow shows the value of the largest step, whatever the order of delivery.
    step = sum(trial.state.is_finished() for trial in trials)
    # Whatever cannot be logged, the run ends.
    with tolerate("The attributes of a study could not be tracked"):
        _log_attributes(run, study)
    with tolerate("The best trials of a study could not be tracked"):
        if len(study.directions) == 1:
            _log_best(run, study, trials, step)
        else:
            log_pareto_front(run, study, step)
    with tolerate("A study cannot be described"):
        run.record.tags.setdefault(DESCRIPTION_TAG, _describe(study, trials))
    # MLflow's UI shows metrics in this order, so these follow the best value.
    for state in TrialState:
        n_trials = sum(trial.state == state for trial in trials)
        run.record.add_metric(f"n_trials_{state.name.lower()}", n_trials, step)
    run.end()


def _describe(study: Study, trials: list[FrozenTrial]) -> str:
    directions = [direction.name.lower() for direction in study.directions]
    tried = [trial.params for trial in trials if trial.state.is_finished()]
    best = None
    with suppress(ValueError, RuntimeError):  # none, or several objectives
        trial = study.best_trial
        best = (trial.number, trial.values[0], trial.params)
    return summarize_study(directions, tried, best)


def _log_attributes(run: TrackedRun, study: Study) -> None:
    for name, value in study.user_attrs.items():
        if not is_of_agreement(name):
            run.record.tags[name] = param_value(value)


def _log_best(
    run: TrackedRun, study: Study, trials: list[FrozenTrial], step: int
) -> None:
    try:
        best = study.best_trial
    except ValueError:  # none is complete, or none of these is feasible
        return
    (value,) = best.values
    # Searches have a best_score, too, by which they can be compared with studies.
    for name in dict.fromkeys(("score", *(study.metric_names or ()))):
        run.record.add_metric(f"best_{name}", value, step)
    run.record.add_metric("best_trial", best.number, step)
    # As tags, because the parameters of a run cannot change, but the best trial can
    # when the study is continued.
    for name, value in best.params.items():
        run.record.tags[f"best_{name}"] = param_value(value)
    with tolerate("The figures of a study cannot be drawn"):
        _keep_figures(run, study, trials)


def _keep_figures(run: TrackedRun, study: Study, trials: list[FrozenTrial]) -> None:
    """Plot the history of the value, and the importances of the hyperparameters."""
    with warnings.catch_warnings():
        # Optuna warns of trials that are too few or too similar, which figures show.
        warnings.simplefilter("ignore")
        _draw_figures(run, study, trials)


def _draw_figures(run: TrackedRun, study: Study, trials: list[FrozenTrial]) -> None:
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    run.keep_file("history.png", _draw_history(study, complete, run.record.name))
    # Where all values are equal, no parameter matters more than another.
    differs = len({trial.value for trial in complete}) > 1
    if differs and len(study.best_trial.params) > 1:
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
