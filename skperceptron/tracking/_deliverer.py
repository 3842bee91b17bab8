"""Threads that bring what waits in the journal to MLflow.

One for each store, so that a server that hangs keeps up nobody else. A fit waits for
its own run, for a bounded time; whatever happens, the run stays in the journal until
MLflow has it.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from skperceptron.tracking import _delivery, _journal, _store
from skperceptron.tracking._destination import (
    Destination,
    ParentRun,
)
from skperceptron.tracking._election import Election
from skperceptron.tracking._journal import (
    Contents,
    Entry,
    Inbox,
    LaterFormatError,
    UnreadableEntryError,
)
from skperceptron.tracking._known_runs import (
    known_run,
    note_end_below,
    remember_run,
)
from skperceptron.tracking._named_stores import (
    UnnamedStoreError,
    check_is_named,
    note_store,
)
from skperceptron.tracking._record import RunRecord, Status, now
from skperceptron.tracking._tolerance import TrackingWarning

# While nobody waits, the thread rests so many times longer than it works.
REST = 19
# How long a fit, or the end of the process, waits for a store.
SECONDS_TO_WAIT = 10.0
# Worker processes say nothing when they have written: one has to look.
SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_BETWEEN_IDLE_LOOKS = 0.5
SECONDS_UNTIL_IDLE = 5.0
# A store that could not be reached is tried again after a while, then less often.
FIRST_RETRY = 5.0
LAST_RETRY = 60.0
# So is a run that a store refuses, though it takes others.
LAST_RETRY_OF_REFUSED = 600.0
# The run of a search that says nothing of its end, and below which nothing happens.
SECONDS_UNTIL_SEARCH_IS_OVER = 10.0
# Of a search on another machine, so many runs may wait here, where they would be lost
# with this one.
MOST_BEHIND = 10
# A file that is this old and still empty will stay so.
SECONDS_TO_WRITE = 60.0
# So much is said at once of what happened to files.
_MOST_NOTICES = 10

_deliverers: dict[str | None, Deliverer] = {}
_all_lock = threading.Lock()


class StoreDownError(Exception):
    """A store cannot be reached, and that has been said before."""


class BusyError(Exception):
    """Something has to come first, which another process may just be delivering."""


class UndecidedError(BusyError):
    """Several machines have just created a run, and it is open which is the one."""


@dataclass(frozen=True)
class Failure:
    """Why a run could not be delivered.

    Attributes
    ----------
    reason : Exception
        What the store said.

    n_times : int
        How often that happened.

    failed_at : float
        When that happened last, by the clock of `time.monotonic`.

    retry_after : float
        For so many seconds the run is left alone. 0 if that is up to the store, which
        seems to be out of reach.

    n_stored : int
        What had been stored by then.
    """

    reason: Exception
    n_times: int
    failed_at: float
    retry_after: float
    n_stored: int

    @property
    def retry_at(self) -> float:
        """When the run is to be tried again."""
        return self.failed_at + self.retry_after


class Deliverer:
    """Delivers what waits for one store.

    Parameters
    ----------
    tracking_uri : str or None
        Address of the store, without credentials.

    Attributes
    ----------
    is_expecting : bool
        Whether other processes may write to the inbox of this one.
    """

    def __init__(self, tracking_uri: str | None) -> None:
        self.tracking_uri = tracking_uri
        self.is_expecting = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._due = math.inf
        self._is_in_pass = False
        self._n_passes = self._n_tried = self._n_waiting = 0
        self._inboxes: set[Inbox] = set()
        self._visits: set[Inbox] = set()
        self._failures: dict[Path, Failure] = {}
        self._told: set[Path] = set()
        self._at_work: set[Path] = set()
        self._not_ours: set[Path] = set()
        self._notices: deque[str] = deque(maxlen=_MOST_NOTICES)
        self._n_stored = 0
        self._groups: dict[str, tuple[Entry, float]] = {}
        self._over: dict[str, int] = {}
        self._election = Election()
        self._active_at = self._looked_at = time.monotonic()
        self._retry_at = 0.0
        self._retry_after = FIRST_RETRY
        self._outage: Exception | None = None
        self._outage_is_told = False

    @property
    def inboxes(self) -> set[Inbox]:
        """Where it always delivers from."""
        with self._changed:
            return set(self._inboxes)

    def watch(self, inbox: Inbox) -> None:
        """Deliver from an inbox from now on."""
        with self._changed:
            self._inboxes.add(inbox)

    def wake(self, after: float = 0.0) -> None:
        """Let the thread look for something to do, at the latest in some seconds."""
        with self._changed:
            self._due = min(self._due, time.monotonic() + after)
            self._active_at = time.monotonic()
            self._changed.notify_all()
            if self._thread is None or not self._thread.is_alive():
                name = "skperceptron delivery"
                self._thread = threading.Thread(target=self._work, name=name)
                self._thread.daemon = True  # `finish` waits for it as long as is fair
                self._thread.start()

    def wait_for(self, entry: Entry, timeout: float = SECONDS_TO_WAIT) -> None:
        """Wait until a run that has ended is delivered.

        Parameters
        ----------
        entry : Entry
            Its file.

        timeout : float, default=10
            For so many seconds.

        Raises
        ------
        Exception
            Whatever prevented it; `StoreDownError` where that was so before. It will be
            tried again.
        """
        self.tell_notices()
        with self._changed:
            if self._outage is not None and self._outage_is_told:
                self.wake(max(self._retry_at - time.monotonic(), 0))
                raise StoreDownError from self._outage
            self._outage, self._retry_at = None, 0.0
            self._failures.pop(entry.path, None)
            n_stored = self._n_stored
            self.wake()
            has_answer = self._wait_until(
                lambda: (
                    self._outage is not None
                    or self._failure_of(entry) is not None
                    or not entry.path.exists()
                ),
                timeout,
            )
            if not has_answer and self._n_stored > n_stored:
                return  # its turn will come: so many others were waiting
            if not has_answer:
                self._note_silence(timeout)
            failure = self._failure_of(entry)
            if failure is not None:
                self._told.add(entry.path)
            if self._outage is not None:
                self._outage_is_told = True
                raise self._outage
            if failure is not None:
                raise failure.reason

    def _failure_of(self, entry: Entry) -> Failure | None:
        failure = self._failures.get(entry.path)
        is_busy = failure is not None and isinstance(failure.reason, BusyError)
        return None if is_busy else failure

    def catch_up(self, inbox: Inbox) -> None:
        """Wait while many runs are to be delivered, unless the store takes none.

        Parameters
        ----------
        inbox : Inbox
            Where they wait.
        """
        with self._changed:
            has_caught_up = self._wait_until(
                lambda: (
                    self._outage is not None
                    or len(inbox.entries()) - len(self._failures) <= MOST_BEHIND
                ),
                SECONDS_TO_WAIT,
            )
            if not has_caught_up:
                self._note_silence(SECONDS_TO_WAIT)

    def begin_to_drain(self, inboxes: set[Inbox]) -> int:
        """Try everything once.

        Parameters
        ----------
        inboxes : set of Inbox
            Where to look besides.

        Returns
        -------
        n_passes : int
            What to wait for.
        """
        with self._changed:
            self._visits |= inboxes
            self._try_everything()
            self.wake()
            return self._n_passes + 1 + self._is_in_pass

    def drain(
        self,
        n_passes: int,
        timeout: float | None = None,
        *,
        patience: float | None = None,
    ) -> None:
        """Wait until everything was tried once.

        Parameters
        ----------
        n_passes : int
            What `begin_to_drain` has told.

        timeout : float or None, default=None
            Seconds to wait in all.

        patience : float or None, default=None
            Seconds to wait for the next run to be delivered, or refused.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        longest = math.inf if patience is None else patience
        with self._changed:
            while self._n_passes < n_passes:
                has_moved = partial(self._has_moved, self._n_tried, n_passes)
                pause = min(longest, deadline - time.monotonic())
                if not self._wait_until(has_moved, pause):
                    if self._outage is None:
                        self._note_silence(pause)
                    return

    def drain_decided(self, n_passes: int, *, patience: float) -> None:
        """Drain, and wait until other machines agree which runs are the ones.

        Parameters
        ----------
        n_passes : int
            What `begin_to_drain` has told.

        patience : float
            Seconds to wait for the next run to be delivered, and for the others.
        """
        deadline = time.monotonic() + patience
        self.drain(n_passes, patience=patience)
        while self._is_undecided and time.monotonic() < deadline:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            self.drain(self.begin_to_drain(set()), patience=patience)

    @property
    def _is_undecided(self) -> bool:
        with self._changed:
            return any(
                isinstance(failure.reason, UndecidedError)
                for failure in self._failures.values()
            )

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Let the thread not rest in the block: there are no fits to leave time to."""
        with self._changed:
            self._n_waiting += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._n_waiting -= 1

    def _wait_until(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Wait for the thread, which then hurries."""
        with self.hurried():
            return self._changed.wait_for(
                is_so, seconds if seconds < math.inf else None
            )

    def _try_everything(self) -> None:
        self._outage, self._retry_at = None, 0.0
        self._failures = {
            path: replace(failure, retry_after=0.0)
            for path, failure in self._failures.items()
        }

    def _has_moved(self, n_tried: int, n_passes: int) -> bool:
        return self._n_tried > n_tried or self._n_passes >= n_passes

    def _note_silence(self, seconds: float) -> None:
        """Let nobody else wait for a store that says nothing."""
        self._outage = TimeoutError(f"no answer within {max(seconds, 0):.3g} s")
        self._outage_is_told = False

    def deliver_all(self, patience: float = SECONDS_TO_WAIT) -> Exception | None:
        """Deliver what waits, for as long as the store answers.

        Parameters
        ----------
        patience : float, default=10
            Seconds to wait for each answer.

        Returns
        -------
        Exception or None
            What has prevented it, unless that was said before.
        """
        self.tell_notices()
        with self._changed:
            if self._outage is not None and self._outage_is_told:
                return None
        self.drain_decided(self.begin_to_drain(set()), patience=patience)
        return next(iter(self.new_failures()), None)

    def new_failures(self) -> list[Exception]:
        """Tell what has prevented deliveries since somebody asked, if anything."""
        with self._changed:
            failures = [
                self._failures[path].reason
                for path in self._failures.keys() - self._told
                if not isinstance(self._failures[path].reason, BusyError)
            ]
            if self._outage is not None and not self._outage_is_told:
                failures.insert(0, self._outage)
            self._told = set(self._failures)
            self._outage_is_told = True
            return failures

    def failures(self) -> list[Exception]:
        """Tell what prevents deliveries now, each reason once."""
        with self._changed:
            reasons = [failure.reason for failure in self._failures.values()]
            if self._outage is not None:
                reasons.insert(0, self._outage)
            self._told = set(self._failures)
            self._outage_is_told = True
        return list({str(reason): reason for reason in reasons}.values())

    @property
    def is_kept_up(self) -> bool:
        """Whether another process is just delivering what this one wanted to."""
        with self._changed:
            return any(
                isinstance(failure.reason, BusyError)
                for failure in self._failures.values()
            )

    def tell_notices(self) -> None:
        """Say what the thread has seen; a warning in a thread reaches nobody."""
        while self._notices:
            warnings.warn(self._notices.popleft(), TrackingWarning, stacklevel=4)

    def end_groups(
        self, after: float = 0.0, only: str | None = None, at: int | None = None
    ) -> None:
        """End the runs of searches below which nothing has happened for a while.

        Parameters
        ----------
        after : float, default=0
            For so many seconds.

        only : str or None, default=None
            The key of the one to end.

        at : int or None, default=None
            When they have ended, in milliseconds since 1970. None means now.
        """
        if only is not None and known_run(only) is None:
            self._over[only] = now()  # it is not begun yet: the store may be down
        for key, (entry, since) in list(self._groups.items()):
            if time.monotonic() - since >= after and only in (None, key):
                end_time = now() if at is None else at
                end = {"kind": "end", "status": "FINISHED", "end_time": end_time}
                try:
                    entry.append(end)
                except FileNotFoundError:  # it has been ended
                    self._groups.pop(key, None)
                except OSError:  # the disk is full; later, then
                    continue
                else:
                    self._groups.pop(key, None)

    # The thread

    def _work(self) -> None:
        while True:
            with self._changed:
                while (pause := self._pause()) > 0:
                    self._changed.wait(pause if pause < math.inf else None)
                self._due = math.inf
                self._is_in_pass = True
                inboxes = self._inboxes | self._visits
                self._visits = set()
            try:
                _store.calm_down_warnings()
                self.end_groups(after=SECONDS_UNTIL_SEARCH_IS_OVER)
                self._deliver_from(inboxes)
            finally:  # whatever it is, those who wait go on, and begin another thread
                with self._changed:
                    self._forget_failures_of_removed()
                    self._looked_at = time.monotonic()
                    self._n_passes += 1
                    self._is_in_pass = False
                    self._changed.notify_all()

    def _forget_failures_of_removed(self) -> None:
        for path in [path for path in self._failures if not path.exists()]:
            del self._failures[path]
        if not self._failures:
            self._outage, self._retry_after = None, FIRST_RETRY

    def _pause(self) -> float:
        """How long to sleep, unless somebody calls."""
        at = self._due
        if self._outage is not None:
            return min(at, self._retry_at) - time.monotonic()
        if self._failures:
            at = min(at, *(failure.retry_at for failure in self._failures.values()))
        if self._groups or self.is_expecting:
            idle = self._looked_at - self._active_at > SECONDS_UNTIL_IDLE
            interval = SECONDS_BETWEEN_IDLE_LOOKS if idle else SECONDS_BETWEEN_LOOKS
            at = min(at, self._looked_at + interval)
        return at - time.monotonic()

    def _deliver_from(self, inboxes: set[Inbox]) -> None:
        tried: set[Path] = set()
        has_rested = True
        while has_rested:
            has_rested = False
            began_at = time.thread_time()
            for inbox, entry in self._in_order(inboxes):
                if self._outage is not None and time.monotonic() < self._retry_at:
                    return
                failure = self._failures.get(entry.path)
                is_early = failure is not None and time.monotonic() < failure.retry_at
                if is_early or entry.path in tried or entry.path in self._not_ours:
                    continue
                tried.add(entry.path)
                self._try(inbox, entry)
                has_rested = self._rest(time.thread_time() - began_at)
                if has_rested:
                    break  # there may be something newer
                began_at = time.thread_time()

    def _in_order(self, inboxes: set[Inbox]) -> list[tuple[Inbox, Entry]]:
        """List what waits: the newest first, so that one sees what goes on."""
        found = [(inbox, entry) for inbox in inboxes for entry in inbox.entries()]
        self._not_ours &= {entry.path for _, entry in found}
        newest: Counter[str] = Counter()
        for _, entry in found:
            newest[entry.key] = max(newest[entry.key], entry.written_at())
        # What has failed comes last, so that it keeps up nothing else.
        return sorted(
            found, key=lambda item: (self._failed_at(item[1]), -newest[item[1].key])
        )

    def _rest(self, seconds: float) -> bool:
        """Leave the processor to the fits, unless somebody waits for the store."""
        with self._changed:
            if self._n_waiting:
                return False
            self._changed.wait_for(lambda: self._n_waiting > 0, REST * seconds)
            return True

    def _failed_at(self, entry: Entry) -> float:
        failure = self._failures.get(entry.path)
        return -math.inf if failure is None else failure.failed_at

    def _try(self, inbox: Inbox, entry: Entry, *, again: bool = True) -> None:
        try:
            was_stored = self._is_ours(entry) and self._deliver_alone(inbox, entry)
        except UnreadableEntryError as error:
            self._complain(inbox, entry, error)
        except Exception as error:  # whatever a store may answer
            if not entry.path.exists():  # another process was faster
                return
            if again and _delivery.may_be_hiccup(error):
                self._try(inbox, entry, again=False)
            else:
                self._note_failure(entry, error)
        else:
            self._note_success(entry, was_stored)

    def _is_ours(self, entry: Entry) -> bool:
        # Not locked for that, which would turn the deliverer away whose it is.
        destination = entry.read_head().destination
        if destination["tracking_uri"] != self.tracking_uri:
            self._not_ours.add(entry.path)
            return False
        check_is_named(destination)
        return True

    def _deliver_alone(self, inbox: Inbox, entry: Entry) -> bool:
        if entry.path in self._at_work:
            raise UnreadableEntryError("a run that it is above is said to be above it")
        with entry.locked() as is_mine:
            if is_mine:
                self._at_work.add(entry.path)
                try:
                    return self._deliver(inbox, entry, entry.read())
                finally:
                    self._at_work.discard(entry.path)
        if entry.path.exists():
            raise BusyError(f"another process is delivering {entry.path.name}")
        return False

    def _note_success(self, entry: Entry, was_stored: bool) -> None:
        with self._changed:
            self._n_tried += 1
            self._failures.pop(entry.path, None)
            if was_stored:
                self._n_stored += 1
                self._outage, self._retry_after = None, FIRST_RETRY
            self._changed.notify_all()

    def _note_failure(self, entry: Entry, reason: Exception) -> None:
        with self._changed:
            self._n_tried += 1
            before = self._failures.get(entry.path)
            n_times = 1 if before is None else before.n_times + 1
            retry_after = 0.0
            if isinstance(reason, BusyError):
                retry_after = SECONDS_BETWEEN_IDLE_LOOKS
            elif (
                _delivery.is_refusal(reason)
                or isinstance(reason, UnnamedStoreError)
                or (
                    # The store has taken other runs since this one failed before.
                    before is not None and before.n_stored < self._n_stored
                )
            ):
                retry_after = min(
                    FIRST_RETRY * 2.0 ** min(n_times - 1, 10), LAST_RETRY_OF_REFUSED
                )
            else:
                self._note_outage(reason)
            at = time.monotonic()
            self._failures[entry.path] = Failure(
                reason, n_times, at, retry_after, self._n_stored
            )
            self._changed.notify_all()

    def _note_outage(self, reason: Exception) -> None:
        if self._outage is None:
            self._outage_is_told = False
        self._outage = reason
        self._retry_at = time.monotonic() + self._retry_after
        self._retry_after = min(2 * self._retry_after, LAST_RETRY)

    def _complain(
        self, inbox: Inbox, entry: Entry, error: UnreadableEntryError
    ) -> None:
        """Say, once, that a file cannot be read, and leave it where it can be found."""
        if isinstance(error, LaterFormatError):
            self._not_ours.add(entry.path)
            self._notices.append(
                f"A run waits in the journal, in {entry.path}, until that version "
                f"delivers it: {error}."
            )
            return
        with suppress(OSError):
            is_new = time.time() - entry.path.stat().st_mtime < SECONDS_TO_WRITE
            if is_new and _journal.is_alive(inbox.journal, inbox.owner):
                return  # still being written, perhaps
            path = entry.put_aside()
            self._notices.append(
                "A file of the journal cannot be read and was put aside as "
                f"{path}: {error}."
            )

    def _deliver(self, inbox: Inbox, entry: Entry, contents: Contents) -> bool:
        """Deliver what is new, and tell whether that was something."""
        record = contents.record
        was_killed = not contents.is_done and not _journal.is_alive(
            inbox.journal, contents.writer
        )
        if was_killed:
            record.take(_journal.end_of_the_dead(contents))
            contents.is_done = True
        self._keep_groups(contents)
        run_id = known_run(entry.key)
        if contents.is_agreed or not contents.has_rivals:
            run_id = contents.run_id or run_id
        is_new = run_id is None and not (contents.may_be_stored or contents.has_rivals)
        if run_id is not None and record.is_empty and not contents.is_done:
            remember_run(entry.key, run_id)  # another process may have created it
            return False
        self._active_at = time.monotonic()
        with ExitStack() as locks:
            parts = [entry, *self._later_parts(locks, inbox, entry, contents)]
            if run_id is None and contents.has_rivals:
                run_id, is_over = self._elect(inbox, entry, contents)
                if is_over and contents.is_done and entry.part == 0:
                    remember_run(entry.key, run_id)
                    for part in parts:
                        part.remove()
                    return False
            # Nobody else may have ended it, and nothing comes between.
            ends = contents.is_done and record.end_time is not None
            is_alone = not (was_killed or contents.has_rivals)
            has_files = any(part.files.exists() for part in parts)
            ends_at_once = ends and is_alone and not has_files
            run_id = self._store(inbox, entry, contents, run_id, ends=ends_at_once)
            remember_run(entry.key, run_id)
            if not contents.is_done:
                at = contents.position
                entry.append({"kind": "delivered", "run_id": run_id, "position": at})
                return True
            # What it was killed at may be half a model; its later parts are whole.
            for part in parts[1:] if was_killed else parts:
                left_out = _delivery.attach(
                    contents.destination,
                    run_id,
                    part.files,
                    record,
                    is_new=is_new and part is entry,
                )
                self._notices += [
                    f"The run {run_id} of {record.name} is logged without {reason}."
                    for reason in left_out
                ]
            if ends and not ends_at_once:
                self._end(inbox, contents, run_id, was_killed)
            if record.end_time is not None:
                for parent in contents.parents[-1:]:
                    note_end_below(parent["key"], record.end_time)
            for part in parts:
                part.remove()
        if contents.n_damaged:
            self._notices.append(
                f"The run {run_id} of {record.name} may lack something: "
                f"{contents.n_damaged} line(s) of its file in the journal could not be "
                "read. That is so if its process was killed while it wrote."
            )
        return True

    def _end(
        self, inbox: Inbox, contents: Contents, run_id: str, was_killed: bool
    ) -> None:
        record, is_foreign = contents.record, _is_foreign(contents, inbox)
        # What a dead process has not ended, another one may have; and what is fitted
        # for another machine, a third one.
        unless: tuple[Status, ...] = ()
        if is_foreign:
            unless = ("FINISHED", "FAILED")
        if was_killed and record.status == contents.status_if_killed:
            unless = ("FINISHED", "FAILED", "KILLED")
        _delivery.end_run(contents.destination, run_id, record, unless=unless)
        if contents.has_rivals and not is_foreign and record.status != "FINISHED":
            # Other machines have begun candidates that nobody else will end.
            _delivery.end_below(contents.destination, run_id, record)

    def _later_parts(
        self, locks: ExitStack, inbox: Inbox, entry: Entry, contents: Contents
    ) -> list[Entry]:
        """Add what else is known of a run by now: that saves calls of MLflow."""
        parts: list[Entry] = []
        while contents.is_done:
            part = Entry.of(inbox, entry.key, entry.part + len(parts) + 1)
            if not (part.path.exists() and locks.enter_context(part.locked())):
                break
            try:
                later = part.read()
            except (OSError, UnreadableEntryError):  # said when its own turn comes
                break
            if not later.is_done or later.n_damaged:
                break
            contents.record.merge(later.record)
            parts.append(part)
        return parts

    def _keep_groups(self, contents: Contents) -> None:
        """Note that something happens below the runs of searches."""
        for parent in contents.parents:
            if parent["key"] in self._groups:
                entry, _ = self._groups[parent["key"]]
                self._groups[parent["key"]] = (entry, time.monotonic())

    def _store(
        self,
        inbox: Inbox,
        entry: Entry,
        contents: Contents,
        run_id: str | None,
        *,
        ends: bool,
    ) -> str:
        """Write to the run, and create it if nobody has."""
        address = contents.destination
        store = partial(
            _delivery.deliver, contents.record, address, key=entry.key, ends=ends
        )
        if run_id is not None:
            return store(parent_run_id=None, run_id=run_id, created=_ignore)
        parent_run_id = self._parent(inbox, contents)

        def created(run_id: str) -> None:
            entry.append({"kind": "created", "run_id": run_id})

        if not contents.may_be_stored:
            entry.append({"kind": "delivering"})
            return store(parent_run_id=parent_run_id, run_id=None, created=created)
        # Somebody may have created it, or be about to. A first part that still waits is
        # created without asking: who delivers another part leaves that to it.
        if entry.part > 0 and (first := Entry.of(inbox, entry.key)).path.exists():
            raise BusyError(
                f"{first.path.name}, which comes first, is not delivered yet"
            )
        _store.client_of(address)  # which keeps others out by the same lock
        with _store.alone(_store.tracking_uri_of(address)):
            found = _delivery.find_run(address, entry.key)
            return store(parent_run_id=parent_run_id, run_id=found, created=created)

    def _elect(
        self, inbox: Inbox, entry: Entry, contents: Contents
    ) -> tuple[str, bool]:
        """Agree with other machines on the run, and create it if nobody has.

        Returns
        -------
        run_id : str
        is_over : bool
            Whether another machine has stored all of it.
        """
        address, record = contents.destination, contents.record
        if _is_foreign(contents, inbox):
            _store.require_store(address)
        parent_run_id = self._parent(inbox, contents)

        def create() -> str:
            return _delivery.deliver(
                RunRecord(record.name, record.start_time),
                address,
                key=entry.key,
                parent_run_id=parent_run_id,
                run_id=None,
                created=lambda i: entry.append({"kind": "created", "run_id": i}),
            )

        _store.client_of(address)  # which keeps others out by the same lock
        with _store.alone(_store.tracking_uri_of(address)):
            elected = self._election.elect(address, entry.key, contents.run_id, create)
        if elected is None:
            raise UndecidedError(f"another machine has just created {record.name}")
        record.tags[_delivery.SETTLED_TAG] = "true"
        return elected.run_id, elected.is_over

    def _parent(self, inbox: Inbox, contents: Contents) -> str | None:
        """Find the run above, and create it where that is still to be done."""
        above = contents.destination["parent_run_id"]
        grown: list[dict[str, Any]] = []
        for parent in contents.parents:
            key = parent["key"]
            if known_run(key) is None:
                self._begin(inbox, contents, ParentRun(**parent), list(grown))
            above = known_run(key)
            grown.append(parent)
        return above

    def _begin(
        self,
        inbox: Inbox,
        child: Contents,
        parent: ParentRun,
        above: list[dict[str, Any]],
    ) -> None:
        """Create a run that has only been heard of from those below it."""
        entry = Entry.of(inbox, parent.key)
        record = RunRecord(parent.name, parent.start_time)
        # The process whose inbox this is knows of every run that it has begun; another
        # one has to ask the store.
        is_own = inbox.owner == _journal.this_process()
        head = _journal.header(
            record,
            key=parent.key,
            destination=child.destination,
            parents=above,
            continues=not is_own,
            origin=child.origin,
            has_rivals=child.has_rivals,
        )
        # It lives and dies with the process that searches.
        head["writer"] = inbox.owner
        events = [head]
        if _is_foreign(child, inbox) and (parent.is_managed or not is_own):
            events.append({"kind": "done"})  # the machine that searches will end it
        with suppress(FileExistsError):
            entry.append(*events, create=True)
        # Another process may have begun it for this one; nobody ends it but the owner.
        if is_own and not parent.is_managed:
            self._groups[parent.key] = (entry, time.monotonic())
            if parent.key in self._over:
                end_time = self._over.pop(parent.key)
                self.end_groups(only=parent.key, at=end_time)
        self._deliver_alone(inbox, entry)
        if known_run(parent.key) is None:
            raise BusyError(f"another process has just delivered {entry.path.name}")


def _is_foreign(contents: Contents, inbox: Inbox) -> bool:
    """Tell whether a run is part of what another process does, or has done."""
    return contents.origin not in ("", inbox.owner)


def _ignore(run_id: str) -> None:
    """Take no note of a run that is known."""


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


def expect_entries(destination: Destination) -> None:
    """Get ready for what other processes may write for this one to deliver."""
    with suppress(OSError):  # they will find that out, too, and help themselves
        note_store(destination.address())
        destination.inbox.open()
        deliverer = deliverer_for(destination.tracking_uri)
        deliverer.watch(destination.inbox)
        deliverer.is_expecting = True
        deliverer.wake()


def _register_finish(process_id: int) -> None:
    if process_id not in _registered:
        _registered.add(process_id)
        atexit.register(finish)
        # Child processes of multiprocessing end without the handlers of atexit.
        Finalize(None, finish, exitpriority=5)


_registered: set[int] = set()
# What else there is to do when the process ends, and before a flush.
before_finish: list[Callable[[], None]] = []
before_flush: list[Callable[[], None]] = []


def finish() -> None:
    """Deliver what can be, before the process ends; the rest stays in the journal."""
    for call in before_finish:
        with suppress(Exception):  # a warning, say, that was made an error
            call()
    deadline = time.monotonic() + SECONDS_TO_WAIT
    begun = []
    for deliverer in list(_deliverers.values()):
        deliverer.end_groups()
        if deliverer._thread is not None and deliverer._outage is None:
            begun.append((deliverer, deliverer.begin_to_drain(set())))
    for deliverer, n_passes in begun:
        left = max(deadline - time.monotonic(), 0)
        deliverer.drain_decided(n_passes, patience=left)
    for deliverer in list(_deliverers.values()):
        with suppress(TrackingWarning):
            deliverer.tell_notices()
        for inbox in deliverer._inboxes:
            inbox.close()
    _journal.remove_sign_of_life()


def _start_anew() -> None:
    """In a forked child: threads and what waits are the parent's."""
    global _all_lock
    _all_lock = threading.Lock()
    _deliverers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
