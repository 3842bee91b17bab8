"""Passes the parent run on to threads that the user starts."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from typing import ParamSpec, TypeVar

from skperceptron.tracking.recording._destination import (
    Destination,
    OpenPlace,
    Surroundings,
    destination_of_trial,
)

P = ParamSpec("P")
R = TypeVar("R")


def inherit_parent_run(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function fit below the run that is active here, in any thread.

    In MLflow, each thread has its own active run; a thread that you start has none.

    Parameters
    ----------
    function : callable
        Function that the other threads will call.

    Returns
    -------
    callable
        Calls `function`. Its fits go to the store and the experiment of this thread,
        below its active run or its study and trial, with the settings of
        `skperceptron.config_context` that hold here. The function itself has no active
        run: to log to the run, pass its id.

    See Also
    --------
    track_study : Trials can run in threads without this.

    Notes
    -----
    For processes that you start, set the environment variable ``MLFLOW_RUN_ID`` to the
    id of the run.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import mlflow
    >>> from sklearn.datasets import load_iris
    >>> from skperceptron import HillClimbPerceptron
    >>> from skperceptron.tracking import inherit_parent_run
    >>> X, y = load_iris(return_X_y=True)
    >>> def fit(step_size):
    ...     return HillClimbPerceptron(step_size=step_size, max_iter=20).fit(X, y)
    >>> with mlflow.start_run(run_name="step sizes"), ThreadPoolExecutor(2) as pool:
    ...     fitted = list(pool.map(inherit_parent_run(fit), [0.1, 0.3]))
    """
    context = copy_context()
    here = Destination.current()
    if not here.parents:  # otherwise the context has a study, which may end earlier
        context.run(destination_of_trial.set, Surroundings(OpenPlace(here)))

    @wraps(function)
    def inherit(*args: P.args, **kwargs: P.kwargs) -> R:
        # One context cannot be entered by several threads at once.
        return context.copy().run(function, *args, **kwargs)

    return inherit
