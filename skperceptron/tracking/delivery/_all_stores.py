"""The deliverers of this process: one for each store, so that none keeps up another.

What they have not delivered when the process ends, they try then, as long as the stores
answer.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import warnings
from contextlib import suppress
from multiprocessing.util import Finalize

from skperceptron.tracking._reasons import reason_of
from skperceptron.tracking._warnings import TrackingWarning
from skperceptron.tracking.delivery._loop import Deliverer
from skperceptron.tracking.journal import _handover, _owners
from skperceptron.tracking.journal._folders import Inbox, where_runs_wait
from skperceptron.tracking.journal._handover import FilesAwayError, before_finish
from skperceptron.tracking.journal._journal import journal_in

# Then each store has at least this many seconds, however long another one took.
_MIN_PATIENCE = 1.0

_deliverers: dict[str | None, Deliverer] = {}
_all_lock = threading.Lock()
_registered: set[int] = set()


def deliverer_for(tracking_uri: str | None) -> Deliverer:
    """Get the deliverer of a store.

    Parameters
    ----------
    tracking_uri : str or None
        Its address, without credentials.
    """
    with _all_lock:
        if not _deliverers:
            _register_finish(os.getpid())
        return _deliverers.setdefault(tracking_uri, Deliverer(tracking_uri))


def all_deliverers() -> dict[str | None, Deliverer]:
    """List the deliverers of this process, by the addresses of their stores."""
    return dict(_deliverers)


def expect_entries(tracking_uri: str | None, inbox: Inbox) -> None:
    """Look, again and again, for what other processes write for this one to deliver.

    Parameters
    ----------
    tracking_uri : str or None
        Address of the store, without credentials.

    inbox : Inbox
        Where they write; it must be open.
    """
    deliverer = deliverer_for(tracking_uri)
    deliverer.watch(inbox)
    deliverer.is_expecting = True
    deliverer.wake()


def what_prevents(tracking_uri: str | None, failure: Exception) -> str:
    """Say why runs are not delivered, and where they are.

    Parameters
    ----------
    tracking_uri : str or None
        The store.

    failure : Exception
        What it said.
    """
    if isinstance(failure, FilesAwayError):
        return f"{failure}."
    return (
        f"Runs for {tracking_uri or 'the default store'} could not be delivered and "
        f"stay in the journal {where_runs_wait()}: {reason_of(failure)}."
    )


def _register_finish(process_id: int) -> None:
    if process_id not in _registered:
        _registered.add(process_id)
        atexit.register(finish)
        # Child processes of multiprocessing end without the handlers of atexit.
        Finalize(None, finish, exitpriority=5)


def finish() -> None:
    """Deliver what can be, before the process ends; the rest stays in the journal."""
    for call in before_finish:
        with suppress(Exception):  # a warning, say, that was made an error
            call()
    deadline = time.monotonic() + _handover.SECONDS_TO_WAIT
    begun = []
    for deliverer in list(_deliverers.values()):
        with suppress(OSError):
            deliverer.end_searches()
        if deliverer.can_deliver:
            begun.append((deliverer, deliverer.begin_to_drain(set())))
    for deliverer, n_passes in begun:
        left = max(deadline - time.monotonic(), _MIN_PATIENCE)
        deliverer.drain_decided(n_passes, patience=left)
    for uri, deliverer in list(_deliverers.items()):
        with suppress(TrackingWarning):
            deliverer.tell_notices()
            for failure in deliverer.new_failures()[:1]:
                message = what_prevents(uri, failure)
                warnings.warn(message, TrackingWarning, stacklevel=1)
    folders = {i.journal for d in _deliverers.values() for i in d.inboxes}
    _owners.remove_sign_of_life()
    for folder in folders:
        with suppress(OSError):
            journal_in(folder).sweep(gone={_owners.this_process()})
            journal_in(folder).database.close()


def _start_anew() -> None:
    """In a forked child: threads and what waits are the parent's."""
    global _all_lock
    _all_lock = threading.Lock()
    _deliverers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
