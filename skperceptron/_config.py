"""The switches of the package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, get_args

from skperceptron._names import did_you_mean

ENVIRONMENT_VARIABLE = "SKPERCEPTRON_TRACKING"
_ON = {"1", "true", "yes", "on"}
_OFF = {"0", "false", "no", "off"}

LogModels = Literal["best", "all", "none"]
_DEFAULTS = {"log_models": "best", "log_input_examples": True}

# What `set_config` changed, for the whole process, ...
_process_wide: dict[str, Any] = {}
# ... and what `config_context` changed, for the code inside the `with` block only.
_in_context: ContextVar[dict[str, Any] | None] = ContextVar(
    "skperceptron_config", default=None
)


def get_config() -> dict[str, Any]:
    """Return the current switches.

    Returns
    -------
    config : dict
        ``{"tracking": bool, "log_models": str, "log_input_examples": bool}``.

    Raises
    ------
    ValueError
        When the environment variable ``SKPERCEPTRON_TRACKING`` decides and holds
        something other than 1, true, yes, on, 0, false, no, off.

    Examples
    --------
    >>> import skperceptron
    >>> with skperceptron.config_context(tracking=False):
    ...     skperceptron.get_config()
    {'log_models': 'best', 'log_input_examples': True, 'tracking': False}
    """
    config = {**_DEFAULTS, **_process_wide, **(_in_context.get() or {})}
    if "tracking" not in config:
        config["tracking"] = _from_environment()
    return config


def set_config(
    *,
    tracking: bool | None = None,
    log_models: LogModels | None = None,
    log_input_examples: bool | None = None,
) -> None:
    """Set switches for the whole process, all its threads included.

    Parameters
    ----------
    tracking : bool or None, default=None
        Whether every fit becomes an MLflow run. None leaves the switch as it is. A
        process starts with the value of the environment variable
        ``SKPERCEPTRON_TRACKING``, or True without one.

    log_models : {"best", "all", "none"} or None, default=None
        Which runs hold their models: those of single fits and of the best of a search
        (at the start of a process), those of the folds too, or none.

    log_input_examples : bool or None, default=None
        Whether a model holds its input example: the first rows of the training data.
        A process starts with True.

    Raises
    ------
    TypeError
        When `tracking` or `log_input_examples` is neither a bool nor None.

    ValueError
        When `log_models` is none of its values.

    See Also
    --------
    config_context : Set switches for a block of code.
    get_config : Look at the switches.
    """
    _process_wide.update(_checked(tracking, log_models, log_input_examples))


@contextmanager
def config_context(
    *,
    tracking: bool | None = None,
    log_models: LogModels | None = None,
    log_input_examples: bool | None = None,
) -> Iterator[None]:
    """Set switches for a block of code.

    Parameters
    ----------
    tracking : bool or None, default=None
        Whether fits in the block become MLflow runs. None leaves the switch as it is.
        A search that starts in the block carries the switch to its worker processes
        and threads.

    log_models : {"best", "all", "none"} or None, default=None
        Which runs hold their models, as in `set_config`.

    log_input_examples : bool or None, default=None
        Whether models hold rows of the training data, as in `set_config`.

    Raises
    ------
    TypeError
        When `tracking` or `log_input_examples` is neither a bool nor None.

    ValueError
        When `log_models` is none of its values.

    See Also
    --------
    set_config : Set switches for the whole process.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import skperceptron
    >>> with skperceptron.config_context(tracking=False):
    ...     clf = skperceptron.HillClimbPerceptron().fit(*load_iris(return_X_y=True))
    >>> clf.run_id_ is None
    True
    """
    changes = _checked(tracking, log_models, log_input_examples)
    token = _in_context.set({**(_in_context.get() or {}), **changes})
    try:
        yield
    finally:
        _in_context.reset(token)


def _checked(
    tracking: bool | None, log_models: LogModels | None, log_input_examples: bool | None
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    bools = {"tracking": tracking, "log_input_examples": log_input_examples}
    for name, value in bools.items():
        if value is not None:
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True, False or None, got {value!r}.")
            changes[name] = value
    if log_models is not None:
        check_log_models(log_models)
        changes["log_models"] = log_models
    return changes


def check_log_models(log_models: Any) -> None:
    """Refuse a value that `log_models` cannot have."""
    allowed = get_args(LogModels)
    if not isinstance(log_models, str) or log_models not in allowed:
        raise ValueError(
            f"log_models must be one of {list(allowed)}, got {log_models!r}."
            f"{did_you_mean(log_models, allowed)}"
        )


def _from_environment() -> bool:
    value = os.environ.get(ENVIRONMENT_VARIABLE, "1").strip().lower()
    if value in _ON | _OFF:
        return value in _ON
    raise ValueError(
        f"The environment variable {ENVIRONMENT_VARIABLE} must be one of "
        f"{sorted(_ON)} to track fits or one of {sorted(_OFF)} not to, got {value!r}."
    )
