"""A thread that delivers the runs in the journal to MLflow.

A fit waits for its own run, for a bounded time. Whatever happens, the run stays in the
journal until MLflow has it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial

from skperceptron.tracking._notices import note
from skperceptron.tracking._reasons import reason_of
from skperceptron.tracking.delivery import _runs, _store
from skperceptron.tracking.delivery._artifacts import FilesAwayError
from skperceptron.tracking.delivery._delivery import Delivery, WaitsForAboveError
from skperceptron.tracking.delivery._failures import Failures
from skperceptron.tracking.delivery._store_check import check_store
from skperceptron.tracking.journal._folders import Inbox
from skperceptron.tracking.journal._journal import Journal, WaitingRun, journal_in
from skperceptron.tracking.journal._record import now

# While nobody waits, the thread rests this many times longer than it works: where fits
# use all processors, they lose about three times the time that it works. ...
REST = 99
# ... It does not rest when nothing was written for this time: then no fits are running,
# or so long ones that the few things they write are soon delivered.
SECONDS_UNTIL_NO_REST = 1.0
# ... Nor when more runs than this wait: storing them takes about ten seconds, for which
# the user would have to wait at the end.
MAX_WAITING = 1000
# Additional time to wait while MLflow is imported or a store made, on a busy machine.
SECONDS_TO_GET_READY = 120.0
# Waiting no longer than this does not show whether a store answers.
MIN_SILENCE = 0.25
# Worker processes do not announce what they write, so the journal is polled. The pauses
# grow to a tenth of the time for which nothing has happened, between these limits.
MIN_SECONDS_BETWEEN_LOOKS = 0.2
MAX_SECONDS_BETWEEN_LOOKS = 5.0
LOOKS_IN_IDLE_TIME = 10
# Nor do other processes announce that they have delivered runs that this one waits for.
SECONDS_UNTIL_OTHERS_HAVE_DELIVERED = 0.05
# Interval at which a wait or a rest checks whether its reason still holds.
SECONDS_BETWEEN_CHECKS = 0.5
# At most this many runs of a search on another machine may wait on this one, with which
# they would be lost.
MAX_BEHIND = 10
# A process that runs for weeks removes delivered runs from the journal this often.
SECONDS_BETWEEN_SWEEPS = 600.0
# At most this many runs are stored in one transaction.
MAX_BATCH_SIZE = 10


class Deliverer:
    """Delivers the runs of one store.

    Parameters
    ----------
    tracking_uri : str or None
        Address of the store, without credentials.

    owner : str
        The process for which it delivers.

    Attributes
    ----------
    watched : set of Journal
        The journals that it polls for runs of its owner.
    """

    def __init__(self, tracking_uri: str | None, owner: str) -> None:
        self.tracking_uri = tracking_uri
        self.owner = owner
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._due = math.inf
        self._is_in_pass = self._is_closed = False
        self._n_passes = self._n_tried = self._n_waiting = 0
        self.watched: set[Journal] = set()
        self._visits: set[Inbox] = set()
        self._journals: set[Journal] = set()
        self._failures = Failures()
        self._told: set[str] = set()
        self.delivery = Delivery(owner)
        self._looked_at = self._active_at = self._swept_at = time.monotonic()

    def watch(self, journal: Journal) -> None:
        """Deliver the owner's runs from a journal from now on."""
        with self._changed:
            self.watched.add(journal)
            self._journals.add(journal)

    def wake(self, after: float = 0.0) -> None:
        """Let the thread look for runs to deliver, at the latest in `after` seconds."""
        with self._changed:
            self._due = min(self._due, time.monotonic() + after)
            self._active_at = time.monotonic()
            self._changed.notify_all()
            if self._thread is None or not self._thread.is_alive():
                name = "skperceptron delivery"
                self._thread = threading.Thread(target=self._work, name=name)
                self._thread.daemon = True  # `Service.finish` waits for it
                self._thread.start()

    def wait_for(
        self,
        journal: Journal,
        key: str,
        seconds: float,
        *,
        until: Callable[[], bool] | None = None,
    ) -> Exception | None:
        """Wait until a run is delivered.

        Parameters
        ----------
        seconds : float
            Maximum time to wait, not counting the import of MLflow.

        until : callable or None, default=None
            Returns whether to stop waiting. None waits until MLflow has all of the run.

        Returns
        -------
        Exception or None
            What prevented it, unless that was reported before. It will be tried again.
        """
        is_delivered = until or (lambda: not journal.is_due(key))
        with self._changed:
            if self._failures.outage_is_told:
                self.wake(max(self._failures.retry_at - time.monotonic(), 0))
                return None
            self._failures.allow()
            self._failures.forget(key)
            journal.try_again(self.tracking_uri, key)
            n_stored = self._failures.n_stored
            self.wake()
            has_answer = self._wait_patiently(
                lambda: self._failures.prevents(key) is not None or is_delivered(),
                seconds,
            )
            if not has_answer and self._failures.n_stored > n_stored:
                return None  # the store answers; other runs were first
            if not has_answer:
                self._note_silence(seconds)
            return self._failures.tell(key)

    def catch_up(self, journal: Journal, seconds: float) -> None:
        """Wait while many runs of the owner are due, unless the store is away."""
        with self._changed:
            has_caught_up = self._wait_patiently(
                lambda: (
                    self._failures.outage is not None
                    or journal.count_due(self.tracking_uri, [self.owner]) <= MAX_BEHIND
                ),
                seconds,
            )
            if not has_caught_up:
                self._note_silence(seconds)

    def begin_to_drain(self, inboxes: set[Inbox]) -> int:
        """Let all runs be tried once, including those of some other inboxes.

        Returns the `n_passes` for which `drain` has to wait.
        """
        with self._changed:
            self._visits |= inboxes
            self._journals |= {journal_in(inbox.journal) for inbox in inboxes}
            self._failures.allow()
            for journal in self._journals:
                if journal.exists:
                    journal.try_again(self.tracking_uri)
            self.wake()
            return self._n_passes + 1 + self._is_in_pass

    def drain(
        self,
        n_passes: int,
        *,
        timeout: float = math.inf,
        patience: float = math.inf,
    ) -> None:
        """Wait until all runs were tried once.

        Parameters
        ----------
        n_passes : int
            The result of `begin_to_drain`.

        timeout, patience : float, default=inf
            Seconds to wait in all, and for each next run to be delivered or refused.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            n_tried = self._n_tried
            while self._n_passes < n_passes:
                has_moved = partial(self._has_moved, self._n_tried, n_passes)
                pause = min(patience, deadline - time.monotonic())
                is_patient = pause == patience
                wait = self._wait_patiently if is_patient else self._wait_until
                if not wait(has_moved, pause):
                    # When `timeout` is up, the store may still be answering.
                    is_silent = is_patient or (
                        self._n_tried == n_tried and pause > MIN_SILENCE
                    )
                    if self._failures.outage is None and is_silent:
                        self._note_silence(pause)
                    return

    def _wait_until(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition. Meanwhile the thread does not rest."""
        self._n_waiting += 1
        self._changed.notify_all()
        try:
            return self._changed.wait_for(
                is_so, seconds if seconds < math.inf else None
            )
        finally:
            self._n_waiting -= 1

    def _wait_patiently(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition, not counting the time in which MLflow gets ready.

        It gets ready while it is imported or creates the store.
        """
        limit = time.monotonic() + SECONDS_TO_GET_READY
        while seconds > 0:
            began_at = time.monotonic()
            if self._wait_until(is_so, min(seconds, SECONDS_BETWEEN_CHECKS)):
                return True
            if not self._is_getting_ready or began_at > limit:
                seconds -= time.monotonic() - began_at
        return is_so()

    @property
    def _is_getting_ready(self) -> bool:
        return _store.is_getting_ready(self._thread)

    def _note_silence(self, seconds: float) -> None:
        what = "MLflow was not ready" if self._is_getting_ready else "no answer"
        self._failures.note_silence(f"{what} within {max(seconds, 0):.3g} s")

    def _has_moved(self, n_tried: int, n_passes: int) -> bool:
        return self._n_tried > n_tried or self._n_passes >= n_passes

    def deliver_all(self, patience: float) -> Exception | None:
        """Deliver what waits, while the store answers within `patience` seconds.

        Returns what prevented it, unless that was reported before.
        """
        with self._changed:
            if self._failures.outage_is_told:
                return None
        self.drain(self.begin_to_drain(set()), patience=patience)
        # Another process, which has just ended, may still be delivering the rest.
        deadline = time.monotonic() + patience
        while self._are_claimed_by_others and time.monotonic() < deadline:
            time.sleep(SECONDS_UNTIL_OTHERS_HAVE_DELIVERED)
            self.drain(self.begin_to_drain(set()), patience=patience)
        return next(iter(self.new_failures()), None)

    @property
    def _are_claimed_by_others(self) -> bool:
        """Whether other processes are just delivering runs of the owner."""
        return any(
            journal.count_claimed(self.tracking_uri, self.owner)
            for journal in self._journals
        )

    def new_failures(self) -> list[Exception]:
        """List what has prevented deliveries, without what was reported before."""
        with self._changed:
            return self._failures.tell_new()

    def failures(self) -> list[Exception]:
        """List what prevents deliveries now, each reason once."""
        with self._changed:
            self._forget_delivered()
            return self._failures.tell_all()

    @property
    def can_deliver(self) -> bool:
        """Whether its thread was started, and its store was within reach last time."""
        with self._changed:
            return self._thread is not None and self._failures.outage is None

    @property
    def is_held_up(self) -> bool:
        """Whether another process is just delivering runs to the same store."""
        return any(j.count_claimed(self.tracking_uri) for j in self._journals)

    @property
    def is_away(self) -> bool:
        """Whether the store cannot be reached."""
        with self._changed:
            return self._failures.outage is not None

    def end_searches(self) -> None:
        """End the runs of searches that nobody else ends."""
        for journal in list(self.watched):
            if journal.exists:
                journal.end_unmanaged(self.owner)

    def _forget_delivered(self) -> None:
        keys = self._failures.keys
        if keys:
            waiting = [journal.due_among(keys) for journal in list(self._journals)]
            self._failures.keep_only(set().union(*waiting))

    def close(self) -> None:
        """Let the thread end after its present pass."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    # The thread

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._is_closed and (pause := self._pause()) > 0:
                    self._changed.wait(pause)
                if self._is_closed:
                    return
                self._due = math.inf
                self._is_in_pass = True
                own = {Inbox(journal.folder, self.owner) for journal in self.watched}
                inboxes = own | self._visits
                self._visits = set()
            try:
                self._make_pass(inboxes)
            except Exception as error:  # of the journal; the next pass may succeed
                self._note_error(reason_of(error))
            finally:  # whatever happens, those who wait must go on
                with self._changed, suppress(OSError):
                    self._forget_delivered()
                with self._changed:
                    # Failed runs of other inboxes are to be tried again, too.
                    if self._failures.keys:
                        self._visits |= inboxes
                    self._looked_at = time.monotonic()
                    self._n_passes += 1
                    self._is_in_pass = False
                    self._changed.notify_all()

    def _note_error(self, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            note(f"{reason}.")

    def _pause(self) -> float:
        """Return the seconds until the next pass, unless somebody calls `wake`."""
        if self._failures.outage is None:
            interval = (self._looked_at - self._active_at) / LOOKS_IN_IDLE_TIME
            at = self._looked_at + min(interval, MAX_SECONDS_BETWEEN_LOOKS)
        else:
            at = self._failures.retry_at
        at = max(at, self._looked_at + MIN_SECONDS_BETWEEN_LOOKS)
        return min(self._due, at) - time.monotonic()

    def _make_pass(self, inboxes: set[Inbox]) -> None:
        """Try each run that waits in some inboxes once."""
        for journal, owners in _by_journal(inboxes):
            try:
                if journal.exists:
                    self._deliver_from(journal, owners)
                    self._sweep(journal)
            except OSError:
                if journal.exists:  # otherwise somebody has just removed it
                    raise

    def _sweep(self, journal: Journal) -> None:
        if time.monotonic() - self._swept_at > SECONDS_BETWEEN_SWEEPS:
            journal.sweep()
            self._swept_at = time.monotonic()

    def _deliver_from(self, journal: Journal, deliverers: Collection[str]) -> None:
        journal.end_killed(deliverers)
        tried: set[str] = set()
        while self._deliver_some(journal, deliverers, tried):
            pass

    def _deliver_some(
        self, journal: Journal, deliverers: Collection[str], tried: set[str]
    ) -> bool:
        """Deliver the next batch of a journal, and return whether there was one."""
        n_due = journal.count_due(self.tracking_uri, deliverers)
        if self._failures.is_out_of_reach or not n_due:
            return False
        began_at = time.thread_time()
        runs = journal.claim(self.tracking_uri, deliverers, MAX_BATCH_SIZE, but=tried)
        if not runs:
            return False
        self._active_at = time.monotonic()
        tried |= {run.key for run in runs}
        run_ids: dict[str, str] = {}
        try:
            for run in runs:
                check_store(run.address, is_signed=run.is_signed)
            run_ids = self.delivery.deliver_together(runs)
        except Exception:
            # Trying them one by one raises it again. Until then, it is not known
            # whether they have arrived.
            runs = [replace(run, n_tries=run.n_tries + 1) for run in runs]
        delivered = [run for run in runs if run.key in run_ids]
        if delivered:
            journal.settle([(run, run_ids[run.key]) for run in delivered])
        for run in delivered:
            self._note_success(run)
        left = [run for run in runs if run.key not in run_ids]
        self._deliver_one_by_one(journal, left, run_ids)
        # After the rest, there may be newer runs, which come first.
        self._rest(time.thread_time() - began_at, journal, deliverers)
        return True

    def _deliver_one_by_one(
        self, journal: Journal, runs: list[WaitingRun], run_ids: dict[str, str]
    ) -> None:
        reasons: dict[str | None, Exception] = {}
        for i, run in enumerate(runs):
            if self._failures.is_out_of_reach:
                journal.release([left.key for left in runs[i:]])
                return
            try:
                self._try(journal, run, run_ids)
            except Exception as error:  # any error of a store
                if isinstance(error, WaitsForAboveError):
                    error = reasons.get(run.parent, error)
                reasons[run.key] = error
                self._note_failure(journal, run, error)
            else:
                self._note_success(run)

    def _try(self, journal: Journal, run: WaitingRun, run_ids: dict[str, str]) -> None:
        check_store(run.address, is_signed=run.is_signed)
        try:
            self.delivery.deliver(journal, run, run_ids)
        except Exception as error:
            if not _runs.may_be_hiccup(error):
                raise
            # The first attempt may have arrived.
            again = replace(run, n_tries=run.n_tries + 1)
            self.delivery.deliver(journal, again, run_ids)

    def _rest(
        self, seconds: float, journal: Journal, deliverers: Collection[str]
    ) -> None:
        """Leave the processor to the fits, unless somebody waits for the store."""
        end = time.monotonic() + REST * seconds
        while (
            not self._n_waiting
            and (pause := end - time.monotonic()) > 0
            and journal.count_due(self.tracking_uri, deliverers) <= MAX_WAITING
            and now() - journal.last_sign(self.tracking_uri, deliverers)
            < 1000 * SECONDS_UNTIL_NO_REST
        ):
            pause = min(pause, SECONDS_BETWEEN_CHECKS)
            with self._changed:
                self._changed.wait_for(lambda: self._n_waiting > 0, pause)

    def _note_success(self, run: WaitingRun) -> None:
        with self._changed:
            self._n_tried += 1
            self._failures.note_success(run.key)
            self._changed.notify_all()

    def _note_failure(
        self, journal: Journal, run: WaitingRun, reason: Exception
    ) -> None:
        with self._changed:
            self._n_tried += 1
            retry_after = self._failures.note_failure(run.key, reason)
            if not isinstance(reason, FilesAwayError):  # `deliver` has noted those
                next_try = now() + int(1000 * retry_after)
                journal.postpone(run.key, reason_of(reason), next_try)
            self._changed.notify_all()


def _by_journal(inboxes: Collection[Inbox]) -> list[tuple[Journal, set[str]]]:
    found: defaultdict[Journal, set[str]] = defaultdict(set)
    for inbox in inboxes:
        found[journal_in(inbox.journal)].add(inbox.owner)
    return list(found.items())
