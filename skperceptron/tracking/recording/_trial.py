"""The run of a trial of an Optuna study."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from skperceptron.tracking.journal._record import RunRecord, Status
from skperceptron.tracking.recording._descriptions import param_value
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fit_run import TrackedRun
from skperceptron.tracking.recording._outcome import note_failure
from skperceptron.tracking.recording._task_path import key_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

STATE_TAG = "optuna_trial_state"
_STATUS_OF: dict[TrialState, Status] = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}


def key_of_trial(trial: FrozenTrial, below: Destination) -> str:
    """Return the key of the run of a trial; `below` is the place below its study."""
    return key_of(below.parents[-1].key, (trial.number,), "trial")


def trial_run(
    trial: FrozenTrial, below: Destination, *, has_begun: bool = False
) -> TrackedRun:
    """Return the run of a trial, which another process may have begun.

    `below` is the place below the run of its study.
    """
    record = RunRecord(f"trial {trial.number}")
    if trial.datetime_start is not None:
        record.start_time = _milliseconds(trial.datetime_start)
    record.tags["optuna_trial_number"] = str(trial.number)
    return TrackedRun(
        record,
        below,
        key_of_trial(trial, below),
        is_shared=has_begun,
        status_if_killed="FAILED",
    )


def end_trial_run(
    run: TrackedRun,
    trial: FrozenTrial,
    state: TrialState,
    values: Sequence[float] | None,
    *,
    names: list[str] | None = None,
    error: BaseException | None = None,
) -> None:
    """Write down how a trial has ended, and deliver its run.

    Parameters
    ----------
    run : TrackedRun
        Its run.

    trial : optuna.trial.FrozenTrial
        The trial.

    state : TrialState
        The final state, which may not be in `trial` yet.

    values : sequence of float or None
        The values of its objectives.

    names : list of str or None, default=None
        The names of the values, if the study has any.

    error : exception or None, default=None
        Why it has failed, if that is known. After an interrupt by the user, the run
        ends as killed.
    """
    record = run.record
    record.params = {k: param_value(v) for k, v in trial.params.items()}
    record.tags[STATE_TAG] = state.name
    for name, value in trial.user_attrs.items():
        record.tags[str(name)] = param_value(value)
    for step, value in trial.intermediate_values.items():
        record.add_metric("intermediate_value", value, step)
    values = values or ()
    for i, name in enumerate(value_names(names, len(values))[: len(values)]):
        record.add_metric(name, values[i])
    if names is not None and len(values) == 1:
        record.add_metric("value", values[0])  # the common metric of all studies
    run.status = _STATUS_OF.get(state, "FAILED")
    if error is not None:
        note_failure(run, error)
    run.end()
    if trial.datetime_complete is not None:
        record.end_time = _milliseconds(trial.datetime_complete)
    run.deliver(wait=False)


def value_names(names: list[str] | None, n_values: int) -> list[str]:
    """Return the names of a trial's values, which the user may have given."""
    if names is not None:
        return names
    return ["value"] if n_values == 1 else [f"value_{i}" for i in range(n_values)]


def _milliseconds(moment: datetime) -> int:
    return int(1000 * moment.timestamp())
