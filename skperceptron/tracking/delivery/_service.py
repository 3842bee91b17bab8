"""The questions that the delivering process answers for its owner.

There is one deliverer for each store, so that no store has to wait for another.
"""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from contextlib import suppress
from pathlib import Path

from skperceptron.tracking._credentials import hide_credentials, without_credentials
from skperceptron.tracking._reasons import reason_of
from skperceptron.tracking.delivery import _runs, _store, _ties
from skperceptron.tracking.delivery._artifacts import FilesAwayError
from skperceptron.tracking.delivery._loop import (
    SECONDS_UNTIL_OTHERS_HAVE_DELIVERED,
    Deliverer,
)
from skperceptron.tracking.delivery._store_check import (
    UnsignedStoreError,
    check_store,
)
from skperceptron.tracking.journal._folders import Inbox, where_runs_wait
from skperceptron.tracking.journal._handover import Problem
from skperceptron.tracking.journal._journal import journal_in, usable_journals
from skperceptron.tracking.journal._record import Address, as_address
from skperceptron.tracking.journal._signature import is_signed

# At the end, each store gets at least this many seconds, however long another one took.
MIN_PATIENCE = 1.0
# At most this many reasons are given why a store takes nothing.
MAX_REASONS = 3
# A flush retries runs that another process was delivering at most this many times.
MAX_ROUNDS = 100
# Pause before a flush that has time left retries a store that is out of reach.
SECONDS_BETWEEN_RETRIES = 0.5


class Service:
    """Delivers the runs of the process `owner`, and answers its questions.

    Each public method but `close` is a verb of these questions: its arguments and its
    result are of JSON's types. Several threads may call them at once.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._deliverers: dict[str | None, Deliverer] = {}
        self._lock = threading.Lock()

    def _deliverer(self, store: str | None) -> Deliverer:
        with self._lock:
            if store not in self._deliverers:
                self._deliverers[store] = Deliverer(store, self._owner)
            return self._deliverers[store]

    def close(self) -> None:
        """End the threads."""
        for deliverer in list(self._deliverers.values()):
            deliverer.close()

    # While the owner runs

    def watch(self, store: str | None, journal: str, after: float) -> None:
        """Deliver from a journal from now on; look there after `after` seconds."""
        deliverer = self._deliverer(store)
        deliverer.watch(journal_in(Path(journal)))
        deliverer.wake(after)

    def wait_for(
        self, store: str | None, journal: str, key: str, seconds: float, for_id: bool
    ) -> Problem | None:
        """Wait until a run is delivered, or with `for_id` until its id is known.

        It waits longer than `seconds` only while MLflow is being imported.
        """
        waits_in = journal_in(Path(journal))
        deliverer = self._deliverer(store)
        deliverer.watch(waits_in)
        until = (lambda: waits_in.run_id_of(key) is not None) if for_id else None
        reason = deliverer.wait_for(waits_in, key, seconds, until=until)
        return None if reason is None else _problem(reason)

    def catch_up(self, store: str | None, journal: str, seconds: float) -> None:
        """Wait while many runs are due, unless the store is out of reach."""
        self._deliverer(store).catch_up(journal_in(Path(journal)), seconds)

    def deliver_all(self, store: str | None, patience: float) -> Problem | None:
        """Deliver what waits for a store while it answers within `patience` seconds."""
        reason = self._deliverer(store).deliver_all(patience)
        return None if reason is None else _problem(reason)

    def deliver_unless_away(self, store: str | None, patience: float) -> None:
        """Deliver what waits for a store, unless it was out of reach before."""
        deliverer = self._deliverer(store)
        if deliverer.can_deliver:
            deliverer.drain(deliverer.begin_to_drain(set()), patience=patience)
        deliverer.wake()

    def deliver_left(
        self, store: str | None, left: list[tuple[str, str]], patience: float
    ) -> None:
        """Deliver what processes that are gone have left, by journal and process."""
        deliverer = self._deliverer(store)
        inboxes = {Inbox(Path(journal), owner) for journal, owner in left}
        deliverer.drain(deliverer.begin_to_drain(inboxes), patience=patience)

    # What is in the stores

    def look_up(self, address: Address, key: str) -> str | None:
        """Find a run by its key; None if the store lacks it or does not answer.

        A run of another machine may be in a store that is a file of that machine.
        """
        with suppress(Exception):  # any error of the store
            _store.require_store(address)
            return _ties.find_run(address, key)
        return None

    def read_run(self, address: Address, run_id: str) -> str:
        """Read a run in the form of MLflow's protocol buffers, as base64."""
        run = _store.client_of(address).get_run(run_id)
        return base64.b64encode(run.to_proto().SerializeToString()).decode()

    def place_of(self, address: Address, run_id: str) -> tuple[str, str | None]:
        """Return the address of a run's store and, on a server, its experiment."""
        uri = without_credentials(_store.tracking_uri_of(address)) or ""
        if not uri.startswith(("http://", "https://")):
            return uri, None
        with suppress(Exception):  # any error of the server
            info = _store.client_of(address).get_run(run_id).info
            return uri, info.experiment_id
        return uri, None

    def tags_below(
        self, address: Address, run_id: str, status: str
    ) -> list[dict[str, str]]:
        """List the tags of the child runs of a run that have a status."""
        below = f"tags.`{_ties.PARENT_RUN_TAG}` = '{run_id}'"
        found = _runs.search(address, f"{below} AND status = '{status}'")
        return [run.data.tags for run in found]

    # At the end, and for processes that are gone

    def flush(self, timeout: float | None) -> list[str]:
        """Deliver what waits in all journals, including what dead processes have left.

        Returns the reasons why runs still wait. The timeout is that of
        `skperceptron.tracking.flush`.
        """
        deadline = math.inf if timeout is None else time.monotonic() + max(timeout, 0)
        found, reasons = self._what_waits()
        for store in found:
            self._deliverer(store).delivery.places.allow_all()
        begun = {
            store: self._deliverer(store).begin_to_drain(inboxes)
            for store, inboxes in found.items()
        }
        for store, n_passes in begun.items():
            deliverer = self._deliverer(store)
            _drain_with_others(deliverer, n_passes, found[store], deadline)
            failures = deliverer.failures()[:MAX_REASONS]
            reasons += [_what_prevents(store, failure) for failure in failures]
        for journal in usable_journals():
            journal.sweep()
        return reasons

    def finish(self, seconds: float) -> list[str]:
        """Deliver what can be delivered before the owner ends.

        It takes at most `seconds`, but each store gets at least `MIN_PATIENCE`. Returns
        the reasons why runs still wait.
        """
        deadline = time.monotonic() + seconds
        begun = []
        for deliverer in list(self._deliverers.values()):
            with suppress(OSError):
                deliverer.end_searches()
            if deliverer.can_deliver:
                begun.append((deliverer, deliverer.begin_to_drain(set())))
        for deliverer, n_passes in begun:
            left = max(deadline - time.monotonic(), MIN_PATIENCE)
            deliverer.drain(n_passes, patience=left)
        reasons = [
            _what_prevents(store, failure)
            for store, deliverer in list(self._deliverers.items())
            for failure in deliverer.new_failures()[:1]
        ]
        watched = [deliverer.watched for deliverer in self._deliverers.values()]
        for journal in set().union(*watched):
            with suppress(OSError):
                if journal.exists:
                    journal.sweep(gone={self._owner})
        return reasons

    def _what_waits(self) -> tuple[dict[str | None, set[Inbox]], list[str]]:
        """Find the inboxes with runs for each store, and reasons why others wait."""
        found: dict[str | None, set[Inbox]] = {uri: set() for uri in self._deliverers}
        unsigned: set[str] = set()
        for journal in usable_journals():  # the owner warns of the others
            journal.end_killed()
            for row in journal.waiting():
                inbox = Inbox(journal.folder, row["deliverer"])
                try:
                    address = as_address(json.loads(row["address"]))
                    check_store(
                        address, is_signed=is_signed(row["address"], row["signature"])
                    )
                except UnsignedStoreError as error:
                    unsigned.add(str(error))
                    continue
                except (ValueError, TypeError, AttributeError):
                    pass  # the deliverer reports it
                found.setdefault(row["store"] or None, set()).add(inbox)
        return found, [
            f"Runs wait in the journal {where_runs_wait()}: {hide_credentials(reason)}."
            for reason in sorted(unsigned)[:MAX_REASONS]
        ]


def _problem(reason: Exception) -> Problem:
    if isinstance(reason, FilesAwayError):
        return {"text": str(reason), "is_about_files": True}
    return {"text": reason_of(reason), "is_about_files": False}


def _what_prevents(store: str | None, failure: Exception) -> str:
    if isinstance(failure, FilesAwayError):
        return f"{failure}."
    return (
        f"Runs for {store or 'the default store'} could not be delivered and "
        f"stay in the journal {where_runs_wait()}: {reason_of(failure)}."
    )


def _drain_with_others(
    deliverer: Deliverer, n_passes: int, inboxes: set[Inbox], deadline: float
) -> None:
    """Drain, and wait for other processes that deliver the same runs.

    With a finite deadline, a store that is out of reach is retried until then.
    """
    n_rounds = 0
    while True:
        left = deadline - time.monotonic()
        deliverer.drain(n_passes, timeout=max(left, 0))
        if time.monotonic() >= deadline:
            return
        if deliverer.is_away and left < math.inf:
            pause = SECONDS_BETWEEN_RETRIES
        elif deliverer.is_held_up and n_rounds < MAX_ROUNDS:
            n_rounds += 1
            pause = SECONDS_UNTIL_OTHERS_HAVE_DELIVERED
        else:
            return
        time.sleep(max(min(pause, deadline - time.monotonic()), 0))
        n_passes = deliverer.begin_to_drain(inboxes)
