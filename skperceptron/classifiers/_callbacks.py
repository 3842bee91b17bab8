"""How a fit talks to scikit-learn's callbacks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackContext

from skperceptron._workers import end_with_parent
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.tracking.recording._recorder import (
    FitRecorder,
    recorder_for,
    remember_validation_data,
)
from skperceptron.tracking.recording._sklearn_internals import (
    ATTRIBUTES_OF_FIT,
    add_to_fit,
    callbacks_of,
    callbacks_of_fit,
    is_called_by_user,
    make_root_task,
    task_of_fit,
)


def open_fit(
    estimator: Any, *, max_subtasks: int, incremental: bool
) -> CallbackContext:
    """Create the root task of a fit and attach the automatic tracker to it.

    Parameters
    ----------
    estimator : estimator
        The estimator being fitted.

    max_subtasks : int
        Maximum number of steps of the fit.

    incremental : bool
        Whether it is a call of `partial_fit`.

    Returns
    -------
    CallbackContext
        The root task.
    """
    end_with_parent()
    task_name = "partial-fit" if incremental else "fit"
    context = make_root_task(estimator, task_name=task_name, max_subtasks=max_subtasks)
    recorder = recorder_for(estimator, context, incremental=incremental)
    if recorder is not None:
        # It is told of the end first: a tracker of the whole ends the run that both
        # write to.
        add_to_fit(estimator, context, recorder)
        recorder.setup(estimator=estimator, context=context)
    return context


def begin_fit(estimator: Any, context: CallbackContext, data: TrainingData) -> None:
    """Tell the callbacks that the training begins: nothing is refused any more.

    Parameters
    ----------
    estimator : estimator
        The estimator being fitted.

    context : CallbackContext
        The root task.

    data : TrainingData
        What it is trained on.
    """
    context.call_on_fit_task_begin(estimator=estimator, **data.hook_args)
    context.has_begun = True
    if data.validation is not None:
        remember_validation_data(estimator, data.validation.hook_args["X"])


def withdraw_fit(estimator: Any, before: dict[str, Any]) -> None:
    """Give an estimator its attributes back if its fit was refused.

    Parameters
    ----------
    estimator : estimator
        The estimator that could not be fitted.

    before : dict
        Its attributes before. What was learned must not be spoilt.
    """
    state = vars(estimator)
    if getattr(task_of_fit(state), "has_begun", False):
        return
    # The callbacks that were set up already have to be told of the end.
    opened = {name: state[name] for name in ATTRIBUTES_OF_FIT if name in state}
    state.clear()
    state.update(before | opened)


def has_listeners(context: CallbackContext) -> bool:
    """Tell whether any callback follows the fit step by step.

    The automatic tracker does not: it reads the curves when they are complete, and now
    and then in a long fit.
    """
    return len(callbacks_of_fit(context)) > len(recorders(context))


def recorders(context: CallbackContext) -> list[FitRecorder]:
    """Get the automatic tracker of a fit, if there is one."""
    return [c for c in callbacks_of_fit(context) if isinstance(c, FitRecorder)]


def add_callback(estimator: Any, callback: Any) -> bool:
    """Set one more callback on an estimator.

    Returns
    -------
    bool
        False when it had it already.
    """
    present = callbacks_of(estimator)
    if callback in present:
        return False
    estimator.set_callbacks(*present, callback)
    return True


def remove_callback(estimator: Any, callback: Any) -> None:
    """Take a callback from an estimator that has it."""
    present = callbacks_of(estimator)
    estimator.set_callbacks(*(c for c in present if c is not callback))


def run_step(
    estimator: Any,
    context: CallbackContext,
    step: Callable[[], bool],
    task_name: str,
    hook_args: dict[str, Any],
) -> bool:
    """Train one step, as a callback task if any callback follows the fit.

    Parameters
    ----------
    estimator : estimator
        The estimator being fitted.

    context : CallbackContext
        The root task.

    step : callable
        Does the step, updates the fitted attributes, and tells whether to stop.

    task_name : str
        Name of the task.

    hook_args : dict
        What the hooks receive.

    Returns
    -------
    bool
        Whether the step or a callback wants training to stop.
    """
    if not has_listeners(context):
        is_done = step()
        for recorder in recorders(context):
            recorder.write_if_due(estimator)
        return is_done
    task = context.subcontext(task_name)
    task.call_on_fit_task_begin(estimator=estimator, **hook_args)
    is_done = step()
    return task.call_on_fit_task_end(estimator=estimator, **hook_args) or is_done


def run_steps(
    estimator: Any,
    context: CallbackContext,
    step: Callable[[], bool],
    task_name: str,
    hook_args: dict[str, Any],
    *,
    n_steps: int,
) -> None:
    """Train step by step, until `run_step` says stop or for `n_steps` steps.

    Parameters
    ----------
    estimator, context, step, task_name, hook_args
        As in `run_step`.

    n_steps : int
        Most steps.

    Raises
    ------
    KeyboardInterrupt
        When the user interrupts the training, and something else than the user has
        called the fit: a search, say, would go on with the next one.
    """
    for recorder in recorders(context):
        recorder.begin_curves(estimator)
    try:
        for _ in range(n_steps):
            if run_step(estimator, context, step, task_name, hook_args):
                break
    except KeyboardInterrupt:
        if not is_called_by_user(estimator):
            raise
        # As MLPClassifier does: what was learned so far is worth keeping.
        for recorder in recorders(context):
            recorder.interrupt()
        warnings.warn("Training interrupted by user.", stacklevel=2)
