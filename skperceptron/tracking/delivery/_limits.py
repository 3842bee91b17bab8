"""How long MLflow waits for a server, and what it says meanwhile.

The journal tries again. MLflow itself would do so for many minutes, and not look
whether a run that it creates a second time was created the first time.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

# How long a server may take over anything, in seconds.
PATIENCE = 30
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"


def limits(environment: Mapping[str, str]) -> dict[str, str]:
    """Tell what an environment needs for MLflow to give up soon.

    Parameters
    ----------
    environment : mapping of str
        That of the user, whose own limit counts if it is a smaller one.
    """
    seconds = PATIENCE
    with suppress(KeyError, ValueError):
        seconds = min(seconds, int(environment[_TIMEOUT]))
    return {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        _TIMEOUT: str(seconds),
        # It prints the address of the store for each run, credentials included.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }


@contextmanager
def limited() -> Iterator[None]:
    """Limit MLflow in the process of the user, as long as the block lasts.

    Users can do nothing about its warnings, and where they have made errors of them,
    it would not work.
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
