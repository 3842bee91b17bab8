"""The trials that users pass."""

from __future__ import annotations

from typing import Any

from optuna.trial import BaseTrial


def check_trial(trial: Any) -> None:
    """Refuse what is not an Optuna trial.

    Raises
    ------
    TypeError
        When it is something else.
    """
    if not isinstance(trial, BaseTrial):
        raise TypeError(
            f"trial must be an Optuna trial, got {trial!r}. Pass the one that the "
            "function receives which study.optimize calls, or the one from study.ask()."
        )
