"""A thread that brings what waits in the journal to MLflow.

A fit waits for its own run, for a bounded time; whatever happens, the run stays in the
journal until MLflow has it.
"""

from __future__ import annotations

# MLflow needs it, maybe not before the process ends; then it cannot be imported anew.
import concurrent.futures.thread  # noqa: F401
import math
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from itertools import islice
from pathlib import Path

from skperceptron.tracking._warnings import TrackingWarning
from skperceptron.tracking.delivery import _runs, _store
from skperceptron.tracking.delivery._entries import (
    BusyError,
    EntryDelivery,
    UndecidedError,
    UnreadableParentError,
    WaitsForAnotherError,
)
from skperceptron.tracking.delivery._failures import Failures
from skperceptron.tracking.delivery._forks import no_fork
from skperceptron.tracking.delivery._store_check import check_is_named
from skperceptron.tracking.journal import _handover, _owners
from skperceptron.tracking.journal._entry import (
    Entry,
    LaterFormatError,
    UnreadableEntryError,
)
from skperceptron.tracking.journal._journal import Inbox

# While nobody waits, the thread rests this many times longer than it works: where all
# processors are at fits, they lose some three times as much as it takes ...
REST = 99
# ... but not when nothing was written for this time: then there are no fits beside it,
# or such long ones that what they write is soon delivered.
SECONDS_UNTIL_NO_REST = 1.0
# ... or when this many runs wait: to store them takes some ten seconds, in which
# nothing else goes on in the end.
MAX_WAITING = 1000
# How much longer while MLflow is being imported or a store made, on a busy machine.
SECONDS_TO_GET_READY = 120.0
# Whoever waits no longer than this cannot tell whether a store answers.
MIN_SILENCE = 0.25
# Worker processes say nothing when they have written: one has to look.
SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_BETWEEN_IDLE_LOOKS = 0.5
SECONDS_UNTIL_IDLE = 5.0
# The run of a search that says nothing of its end, and below which nothing happens.
SECONDS_UNTIL_SEARCH_IS_OVER = 10.0
# Of a search on another machine, at most this many runs may wait here, where they would
# be lost with this one.
MAX_BEHIND = 10
# A file that is this old and still empty will stay so.
SECONDS_TO_WRITE = 60.0
# At most this many runs are stored in one transaction.
MAX_BATCH_SIZE = 10


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

    entries : EntryDelivery
        What delivers a file.
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
        self._failures = Failures()
        self._not_ours: set[Path] = set()
        self.entries = EntryDelivery()
        self._looked_at = time.monotonic()

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
            self.entries.active_at = time.monotonic()
            self._changed.notify_all()
            if self._thread is None or not self._thread.is_alive():
                name = "skperceptron delivery"
                self._thread = threading.Thread(target=self._work, name=name)
                self._thread.daemon = True  # `finish` waits for it as long as is fair
                self._thread.start()

    def wait_for(
        self, entry: Entry, *, until: Callable[[], bool] | None = None
    ) -> None:
        """Wait until a run is delivered, at most `SECONDS_TO_WAIT`.

        Parameters
        ----------
        entry : Entry
            Its file.

        until : callable or None, default=None
            Tells whether it is. None waits for a run that has ended until its file is
            removed.

        Raises
        ------
        Exception
            Whatever prevented it; `StoreDownError` where that was so before. It will be
            tried again.
        """
        is_delivered = until or (lambda: not entry.path.exists())
        self.tell_notices()
        with self._changed:
            if self._failures.outage_is_told:
                self.wake(max(self._failures.retry_at - time.monotonic(), 0))
                raise _handover.StoreDownError from self._failures.outage
            self._failures.allow(entry)
            n_stored = self._failures.n_stored
            self.wake()
            has_answer = self._wait_patiently(
                lambda: self._failures.prevents(entry) is not None or is_delivered(),
                _handover.SECONDS_TO_WAIT,
            )
            if not has_answer and self._failures.n_stored > n_stored:
                return  # its turn will come: so many others were waiting
            if not has_answer:
                self._note_silence(_handover.SECONDS_TO_WAIT)
            reason = self._failures.tell(entry)
        self.tell_notices()
        if reason is not None:
            raise reason

    def catch_up(self, inbox: Inbox) -> None:
        """Wait while many runs are to be delivered, unless the store takes none.

        Parameters
        ----------
        inbox : Inbox
            Where they wait.
        """
        with self._changed:
            has_caught_up = self._wait_patiently(
                lambda: (
                    self._failures.outage is not None
                    or self._n_behind(inbox) <= MAX_BEHIND
                ),
                _handover.SECONDS_TO_WAIT,
            )
            if not has_caught_up:
                self._note_silence(_handover.SECONDS_TO_WAIT)

    def _n_behind(self, inbox: Inbox) -> int:
        """Count the runs for this store that wait for nothing but their delivery."""
        entries = [
            entry
            for entry in inbox.entries()
            if entry.path not in self._not_ours and self._failures.is_due(entry)
        ]
        if len(entries) <= MAX_BEHIND:
            return len(entries)
        return sum(map(_has_to_be_delivered, entries))

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
            self._failures.allow_all()
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
            n_tried = self._n_tried
            while self._n_passes < n_passes:
                has_moved = partial(self._has_moved, self._n_tried, n_passes)
                pause = min(longest, deadline - time.monotonic())
                is_patient = pause == longest
                wait = self._wait_patiently if is_patient else self._wait_until
                if not wait(has_moved, pause):
                    # When the time in all is up, the store may still be answering.
                    is_silent = is_patient or (
                        self._n_tried == n_tried and pause > MIN_SILENCE
                    )
                    if self._failures.outage is None and is_silent:
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
            return self._failures.has(UndecidedError)

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

    def _wait_patiently(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Wait for a store, and longer while MLflow is imported or the store made."""
        if self._wait_until(is_so, seconds) or not self._is_getting_ready:
            return is_so()
        limit = time.monotonic() + SECONDS_TO_GET_READY
        while self._is_getting_ready and time.monotonic() < limit:
            if self._wait_until(is_so, SECONDS_BETWEEN_IDLE_LOOKS):
                return True
        return self._wait_until(is_so, seconds)

    @property
    def _is_getting_ready(self) -> bool:
        return _store.is_getting_ready(self._thread)

    def _note_silence(self, seconds: float) -> None:
        what = "MLflow was not ready" if self._is_getting_ready else "no answer"
        self._failures.note_silence(f"{what} within {max(seconds, 0):.3g} s")

    def _has_moved(self, n_tried: int, n_passes: int) -> bool:
        return self._n_tried > n_tried or self._n_passes >= n_passes

    def deliver_all(
        self, patience: float = _handover.SECONDS_TO_WAIT
    ) -> Exception | None:
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
            if self._failures.outage_is_told:
                return None
        self.drain_decided(self.begin_to_drain(set()), patience=patience)
        self.tell_notices()
        return next(iter(self.new_failures()), None)

    def new_failures(self) -> list[Exception]:
        """Tell what has prevented deliveries since somebody asked, if anything."""
        with self._changed:
            return self._failures.tell_new()

    def failures(self) -> list[Exception]:
        """Tell what prevents deliveries now, each reason once."""
        with self._changed:
            return self._failures.tell_all()

    @property
    def can_deliver(self) -> bool:
        """Whether it has begun, and its store has not been out of reach since."""
        with self._changed:
            return self._thread is not None and self._failures.outage is None

    @property
    def is_held_up(self) -> bool:
        """Whether another process is just delivering what this one wanted to."""
        with self._changed:
            return self._failures.has(BusyError, but=(WaitsForAnotherError,))

    @property
    def is_away(self) -> bool:
        """Whether the store cannot be reached."""
        with self._changed:
            return self._failures.outage is not None

    def tell_notices(self) -> None:
        """Say what the thread has seen; a warning in a thread reaches nobody."""
        with suppress(IndexError):  # all are told, by other threads as well
            while True:
                message = self.entries.notices.popleft()
                warnings.warn(message, TrackingWarning, stacklevel=4)

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
                self._deliver_from(inboxes)
                self._end_groups(inboxes)
            finally:  # whatever it is, those who wait go on, and begin another thread
                with self._changed:
                    self._failures.forget_removed()
                    # What waits elsewhere and has failed is to be tried again, too.
                    self._visits |= {
                        i for i in inboxes if self._failures.are_in(i.folder)
                    }
                    self._looked_at = time.monotonic()
                    self._n_passes += 1
                    self._is_in_pass = False
                    self._changed.notify_all()

    def _pause(self) -> float:
        """How long to sleep, unless somebody calls."""
        at = min(self._due, self._failures.retry_at)
        is_looking = self.entries.groups or self.is_expecting
        if is_looking and self._failures.outage is None:
            idle = self._looked_at - self.entries.active_at > SECONDS_UNTIL_IDLE
            interval = SECONDS_BETWEEN_IDLE_LOOKS if idle else SECONDS_BETWEEN_LOOKS
            at = min(at, self._looked_at + interval)
        return at - time.monotonic()

    def _end_groups(self, inboxes: set[Inbox]) -> None:
        """End the runs of searches that are over, as far as can be told.

        While the store is away nothing happens below them, though fits may go on.
        """
        if self._failures.outage is None and self.entries.end_groups(
            after=SECONDS_UNTIL_SEARCH_IS_OVER
        ):
            self._deliver_from(inboxes)

    def _deliver_from(self, inboxes: set[Inbox]) -> None:
        tried: set[Path] = set()
        alone: set[Path] = set()
        has_rested = has_more = True
        while has_rested or has_more or self.entries.has_left_open:
            has_rested = self.entries.has_left_open = False
            began_at = time.thread_time()
            next_ones, has_more = self._next_in_order(inboxes, tried)
            waiting = deque(next_ones)
            while waiting and not has_rested:
                if self._failures.is_out_of_reach:
                    return
                if not self._try_batch(waiting, alone):
                    inbox, entry = waiting.popleft()
                    tried.add(entry.path)
                    self._try(inbox, entry)
                # Afterwards there may be something newer.
                if len(waiting) <= MAX_WAITING:
                    has_rested = self._rest(time.thread_time() - began_at, inboxes)
                began_at = time.thread_time()

    def _try_batch(self, waiting: deque[tuple[Inbox, Entry]], alone: set[Path]) -> bool:
        """Deliver some of what comes next in one transaction, if that can be.

        Parameters
        ----------
        waiting : deque of (Inbox, Entry)
            What is to be delivered; what is delivered is taken out.

        alone : set of Path
            What is to be tried alone; what could not be delivered here is added.

        Returns
        -------
        bool
            Whether something was delivered.
        """
        if not self.entries.has_transactions:
            return False
        next_ones = list(islice(waiting, MAX_BATCH_SIZE))
        some = [item for item in next_ones if item[1].path not in alone]
        if len(some) < 2 or some[0] is not next_ones[0]:
            return False
        delivered: set[Path] = set()
        # Whatever that says, it is said again when they are tried one by one.
        with suppress(Exception):
            ours = [item for item in some if self._is_ours(item[1])]
            with self._undisturbed():
                delivered = self.entries.deliver_batch(ours)
        for item in next_ones:
            waiting.popleft()
            if item[1].path in delivered:
                self._note_success(item[1], was_stored=True)
        left = [item for item in next_ones if item[1].path not in delivered]
        alone.update(entry.path for _, entry in left)
        waiting.extendleft(reversed(left))
        return bool(delivered)

    def _next_in_order(
        self, inboxes: set[Inbox], tried: set[Path]
    ) -> tuple[list[tuple[Inbox, Entry]], bool]:
        """List what is due: the newest first, so that one sees what goes on.

        Of what other processes left behind, only those come that are below most others:
        what was killed has gone on for as long as they have.

        Returns
        -------
        items : list of (Inbox, Entry)
        has_more : bool
            Whether others are to follow.
        """
        found = [(inbox, entry) for inbox in inboxes for entry in inbox.entries()]
        self._not_ours &= {entry.path for _, entry in found}
        newest: Counter[str] = Counter()
        for _, entry in found:
            newest[entry.key] = max(newest[entry.key], entry.written_at())
        left_out = tried | self._not_ours
        due = [
            (inbox, entry)
            for inbox, entry in found
            if entry.path not in left_out and self._failures.is_due(entry)
        ]
        # What has failed comes last, so that it keeps up nothing else.
        failed_at = self._failures.failed_at

        depths = {entry.path: _depth(inbox, entry) for inbox, entry in due}
        deepest = max(depths.values(), default=0)
        items = [item for item in due if depths[item[1].path] == deepest]
        items.sort(key=lambda item: (failed_at(item[1]), -newest[item[1].key]))
        return items, len(items) < len(due)

    def _rest(self, seconds: float, inboxes: set[Inbox]) -> bool:
        """Leave the processor to the fits, unless somebody waits for the store."""
        end = time.monotonic() + REST * seconds
        has_rested = False
        while (
            not self._n_waiting
            and (pause := end - time.monotonic()) > 0
            and _is_written_to(inboxes)
        ):
            pause = min(pause, SECONDS_UNTIL_NO_REST)
            with self._changed:
                self._changed.wait_for(lambda: self._n_waiting > 0, pause)
            has_rested = True
        return has_rested

    def _try(self, inbox: Inbox, entry: Entry, *, again: bool = True) -> None:
        try:
            with self._undisturbed():
                was_stored = self._is_ours(entry) and self.entries.deliver(inbox, entry)
        except UnreadableEntryError as error:
            self._complain(inbox, entry, error)
        except UnreadableParentError as error:
            self._complain(inbox, error.entry, error.reason)
            is_put_aside = not error.entry.path.exists()
            if again and is_put_aside:
                self._try(inbox, entry, again=False)
            else:
                self._note_failure(entry, error)
        except Exception as error:  # whatever a store may answer
            if not entry.path.exists():  # another process was faster
                return
            if again and _runs.may_be_hiccup(error):
                self._try(inbox, entry, again=False)
            else:
                self._note_failure(entry, error)
        else:
            self._note_success(entry, was_stored)

    def _undisturbed(self) -> AbstractContextManager[None]:
        """Let nothing be forked in the block that would spoil the store."""
        is_sqlite = self.tracking_uri is None or self.tracking_uri.startswith("sqlite")
        return no_fork() if is_sqlite else nullcontext()

    def _is_ours(self, entry: Entry) -> bool:
        # Not locked for that, which would turn the deliverer away whose it is.
        destination = entry.read_head().destination
        if destination["tracking_uri"] != self.tracking_uri:
            self._not_ours.add(entry.path)
            return False
        check_is_named(destination)
        return True

    def _note_success(self, entry: Entry, was_stored: bool) -> None:
        with self._changed:
            self._n_tried += 1
            self._failures.note_success(entry, was_stored=was_stored)
            self._changed.notify_all()

    def _note_failure(self, entry: Entry, reason: Exception) -> None:
        with self._changed:
            self._n_tried += 1
            self._failures.note_failure(entry, reason)
            self._changed.notify_all()

    def _complain(
        self, inbox: Inbox, entry: Entry, error: UnreadableEntryError
    ) -> None:
        """Say, once, that a file cannot be read, and leave it where it can be found."""
        if isinstance(error, LaterFormatError):
            if entry.path in self._not_ours:
                return
            self._not_ours.add(entry.path)
            self.entries.notices.append(
                f"A run waits in the journal, in {entry.path}, until that version "
                f"delivers it: {error}."
            )
            return
        with suppress(OSError):
            is_new = time.time() - entry.path.stat().st_mtime < SECONDS_TO_WRITE
            if is_new and _owners.is_alive(inbox.journal, inbox.owner):
                return  # still being written, perhaps
            path = entry.put_aside()
            self.entries.notices.append(
                "A file of the journal cannot be read and was put aside as "
                f"{path}: {error}."
            )


def _has_to_be_delivered(entry: Entry) -> bool:
    """Tell whether there is something new in a file, or it is to be removed."""
    try:
        contents = entry.read()
    except (OSError, UnreadableEntryError):
        return False
    return contents.is_done or not contents.record.is_empty


def _depth(inbox: Inbox, entry: Entry) -> int:
    """Count the runs above one that another process has left behind."""
    if inbox.owner == _owners.this_process():
        return 0
    try:
        return len(entry.read_head().parents)
    except (OSError, UnreadableEntryError):  # said when its turn comes
        return 0


def _is_written_to(inboxes: set[Inbox]) -> bool:
    entries = [entry for inbox in inboxes for entry in inbox.entries()]
    newest = max((entry.written_at() for entry in entries), default=0)
    return time.time() - newest / 1e9 < SECONDS_UNTIL_NO_REST
