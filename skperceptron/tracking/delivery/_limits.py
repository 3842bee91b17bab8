"""Limits on how long MLflow waits for a server, and on what it prints.

MLflow's own retries are switched off: they take many minutes, and may create a run
twice without a check. The deliverer retries instead.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

# Maximum time for one request to a server, in seconds.
PATIENCE = 30
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"


def limits(environment: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables that make MLflow give up soon.

    A smaller timeout in the user's `environment` is kept.
    """
    seconds = PATIENCE
    with suppress(KeyError, ValueError):
        seconds = min(seconds, int(environment[_TIMEOUT]))
    return {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        _TIMEOUT: str(seconds),
        # MLflow prints the store's address for each run, including credentials.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }


@contextmanager
def limited() -> Iterator[None]:
    """Limit MLflow in the user's process while the block runs.

    Its warnings are ignored: users can do nothing about them, and a filter that turns
    them into errors would break MLflow.
    """
    changes = limits(os.environ)
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
