"""What waits in the journal, of this process and of others that are gone."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time
import warnings
from functools import cache
from numbers import Real

from skperceptron.tracking._credentials import hide_credentials
from skperceptron.tracking._warnings import TrackingWarning
from skperceptron.tracking.delivery._all_stores import (
    all_deliverers,
    deliverer_for,
    what_prevents,
)
from skperceptron.tracking.delivery._loop import SECONDS_BETWEEN_LOOKS, Deliverer
from skperceptron.tracking.delivery._store_check import (
    UnnamedStoreError,
    check_is_named,
)
from skperceptron.tracking.journal._folders import Inbox, journals, where_runs_wait
from skperceptron.tracking.journal._handover import before_flush
from skperceptron.tracking.journal._journal import Journal, journal_in
from skperceptron.tracking.journal._record import as_address

# At most this many reasons are given why a store takes nothing.
_MAX_REASONS = 3
# How many times, at most, a flush tries again what another process was delivering.
_MAX_ROUNDS = 100
# A flush that has time asks a store that is away again after this pause.
SECONDS_BETWEEN_RETRIES = 0.5


def flush(timeout: float | None = None) -> int:
    """Deliver what is still waiting in the journal.

    That is what this process has not delivered yet, and what processes have left behind
    that ended before they could. Runs whose process was killed in the middle of the fit
    end as KILLED, and those of trials of a study as FAILED.

    Parameters
    ----------
    timeout : float or None, default=None
        Seconds to wait for the stores at most. A store that cannot be reached, because
        its server is just starting, say, is tried again until then. None waits until
        each store has answered, and tries one that cannot be reached only once.

    Returns
    -------
    n_waiting : int
        Runs that wait even so. A `TrackingWarning` says why.

    Raises
    ------
    TypeError, ValueError
        When `timeout` is no number of seconds.

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
    found, reasons = _inboxes_by_store()
    for uri in found:
        deliverer_for(uri).delivery.places.allow_all()
    begun = {
        uri: deliverer_for(uri).begin_to_drain(inboxes)
        for uri, inboxes in found.items()
    }
    for uri, n_passes in begun.items():
        deliverer = deliverer_for(uri)
        _drain_with_others(deliverer, n_passes, found[uri], deadline)
        deliverer.tell_notices()
        failures = deliverer.failures()[:_MAX_REASONS]
        reasons += [what_prevents(uri, failure) for failure in failures]
    for reason in reasons:
        _warn(reason)
    for journal in _journals():
        journal.sweep()
        journal.tell_notices()
    n_waiting = pending()
    if n_waiting and not reasons and time.monotonic() >= deadline:
        _warn(
            f"{n_waiting} runs still wait in the journal "
            f"{where_runs_wait()}: {timeout} seconds were not enough to "
            "deliver all of them. Call flush again, with more time."
        )
    return n_waiting


def _inboxes_by_store() -> tuple[dict[str | None, set[Inbox]], list[str]]:
    """Find where something waits for each store, and why some has to wait on."""
    found: dict[str | None, set[Inbox]] = {uri: set() for uri in all_deliverers()}
    unnamed: set[str] = set()
    for journal in _journals():
        journal.end_killed()
    for journal, row in waiting():
        inbox = Inbox(journal.folder, row["deliverer"])
        try:
            check_is_named(as_address(json.loads(row["address"])))
        except UnnamedStoreError as error:
            unnamed.add(str(error))
            continue
        except (ValueError, TypeError, AttributeError):
            pass  # which the deliverer tells
        found.setdefault(row["store"] or None, set()).add(inbox)
    reasons = [
        f"Runs wait in the journal {where_runs_wait()}: {hide_credentials(reason)}."
        for reason in sorted(unnamed)[:_MAX_REASONS]
    ]
    return found, reasons


def _check_timeout(timeout: float | None) -> None:
    if timeout is None:
        return
    if not isinstance(timeout, Real) or isinstance(timeout, bool):
        raise TypeError(f"timeout must be a number of seconds or None, got {timeout!r}")
    # Compared, because an integer may be larger than any float.
    if not (timeout > -math.inf):
        raise ValueError(f"timeout must be a number of seconds, got {timeout}")


def _drain_with_others(
    deliverer: Deliverer, n_passes: int, inboxes: set[Inbox], deadline: float
) -> None:
    """Drain, wait for other processes that have begun to, and for a store that is away.

    Without a deadline, nobody waits for a store that is away.
    """
    n_rounds = 0
    while True:
        left = deadline - time.monotonic()
        deliverer.drain(n_passes, max(left, 0) if left < math.inf else None)
        if time.monotonic() >= deadline:
            return
        if deliverer.is_away and left < math.inf:
            pause = SECONDS_BETWEEN_RETRIES
        elif deliverer.is_held_up and n_rounds < _MAX_ROUNDS:
            n_rounds += 1
            pause = SECONDS_BETWEEN_LOOKS
        else:
            return
        time.sleep(max(min(pause, deadline - time.monotonic()), 0))
        n_passes = deliverer.begin_to_drain(inboxes)


def pending() -> int:
    """Count the runs that wait in the journal for their delivery.

    Returns
    -------
    int
        Those of all processes that share the journal.
    """
    return len(waiting())


def waiting() -> list[tuple[Journal, sqlite3.Row]]:
    """List the rows of the runs that are not delivered, of all journals."""
    return [(journal, row) for journal in _journals() for row in journal.waiting()]


def _journals() -> list[Journal]:
    """List the journals that there are and that can be read."""
    found = []
    for journal in map(journal_in, journals()):
        try:
            if journal.exists:
                journal.has("")
                found.append(journal)
        except OSError as error:
            _tell_unusable(str(error))
    return found


@cache
def _tell_unusable(reason: str) -> None:
    _warn(f"Runs may wait in a journal that cannot be used: {reason}.")


def _warn(message: str) -> None:
    warnings.warn(message, TrackingWarning, stacklevel=4)
