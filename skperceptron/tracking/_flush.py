"""Delivery, on request, of the runs that wait in the journals."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
import warnings
from contextlib import closing
from functools import cache
from numbers import Real
from typing import Any

from skperceptron.tracking._notices import tell_notices
from skperceptron.tracking._warnings import TrackingWarning
from skperceptron.tracking.journal import _owners
from skperceptron.tracking.journal._folders import where_runs_wait
from skperceptron.tracking.journal._handover import before_flush, deliver_here
from skperceptron.tracking.journal._journal import usable_journals
from skperceptron.tracking.journal._process import ask_or_do, delivering_process


def flush(timeout: float | None = None) -> int:
    """Deliver what is still waiting in the journal.

    These are the runs that this process has not delivered yet, and those of processes
    that have ended before they could deliver them. Runs of fits whose process was
    killed end as KILLED, and those of trials of a study as FAILED.

    Parameters
    ----------
    timeout : float or None, default=None
        Maximum number of seconds to wait for the stores. A store that cannot be
        reached, for example because its server is just starting, is tried again until
        then. None waits until each store has answered, and tries one that cannot be
        reached once.

    Returns
    -------
    n_waiting : int
        Number of runs that still wait. A `TrackingWarning` says why.

    Raises
    ------
    TypeError, ValueError
        When `timeout` is not a number of seconds.

    See Also
    --------
    pending : Count them without delivering anything.

    Examples
    --------
    >>> from skperceptron.tracking import flush
    >>> flush(timeout=60)
    0
    """
    _check_timeout(timeout)
    deadline = math.inf
    if timeout is not None and timeout < threading.TIMEOUT_MAX:
        deadline = time.monotonic() + max(timeout, 0)
    for call in before_flush:
        call()
    seconds = None if deadline == math.inf else deadline - time.monotonic()
    # If nothing waits, no process has to import MLflow.
    reasons = ask_or_do("flush", timeout=seconds) if waiting() else []
    for reason in reasons:
        _warn(reason)
    n_waiting = pending()
    tell_notices()
    if n_waiting and not reasons and time.monotonic() >= deadline:
        _warn(
            f"{n_waiting} runs still wait in the journal "
            f"{where_runs_wait()}: {timeout} seconds were not enough to "
            "deliver all of them. Call flush again, with more time."
        )
    return n_waiting


def _deliver_here(verb: str, arguments: dict[str, Any]) -> Any:
    """Answer a question to the delivering process here, if none can be started."""
    # Imported late: only in this case does this process need MLflow.
    from skperceptron.tracking.delivery._limits import limited
    from skperceptron.tracking.delivery._service import Service

    with limited(), closing(Service(_owners.this_process())) as service:
        for store, journal in list(delivering_process().watched):
            service.watch(store, str(journal), 0.0)
        return getattr(service, verb)(**arguments)


deliver_here.append(_deliver_here)


def _check_timeout(timeout: float | None) -> None:
    if timeout is None:
        return
    if not isinstance(timeout, Real) or isinstance(timeout, bool):
        raise TypeError(f"timeout must be a number of seconds or None, got {timeout!r}")
    # Not `math.isnan`: an integer may be larger than any float.
    if not (timeout > -math.inf):
        raise ValueError(f"timeout must be a number of seconds, got {timeout}")


def pending() -> int:
    """Count the runs that wait in the journal for their delivery.

    Returns
    -------
    int
        The number of waiting runs of all processes that share the journal.
    """
    return len(waiting())


def waiting() -> list[sqlite3.Row]:
    """List the rows of undelivered runs in all journals."""
    return [
        row for journal in usable_journals(_tell_unusable) for row in journal.waiting()
    ]


@cache
def _tell_unusable(reason: str) -> None:
    _warn(f"Runs may wait in a journal that cannot be used: {reason}.")


def _warn(message: str) -> None:
    warnings.warn(message, TrackingWarning, stacklevel=4)
