"""From a file of the journal to a run of MLflow, with the runs above it."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from skperceptron.tracking._credentials import hide_credentials
from skperceptron.tracking._reasons import reason_of
from skperceptron.tracking.delivery import _runs, _store
from skperceptron.tracking.delivery._artifacts import (
    Missing,
    Places,
    cause_of,
    will_last,
)
from skperceptron.tracking.delivery._election import Election
from skperceptron.tracking.delivery._models import why_not_ours
from skperceptron.tracking.delivery._run_context import with_context
from skperceptron.tracking.delivery._transaction import (
    AfterCommit,
    has_transactions,
    one_transaction,
)
from skperceptron.tracking.journal import _owners
from skperceptron.tracking.journal._entry import (
    Contents,
    Entry,
    UnreadableEntryError,
    end_of_the_dead,
    header,
)
from skperceptron.tracking.journal._handover import FilesAwayError
from skperceptron.tracking.journal._journal import NOT_LOGGED, Inbox
from skperceptron.tracking.journal._known_runs import (
    known_run,
    last_end_below,
    note_end_below,
    remember_run,
)
from skperceptron.tracking.journal._origin import SOURCE_TAG
from skperceptron.tracking.journal._record import ParentRun, RunRecord, Status, now

# At most this many messages about files wait to be shown.
MAX_NOTICES = 10


class BusyError(Exception):
    """Something has to come first, which another process may just be delivering."""


class WaitsForAnotherError(BusyError):
    """Something has to come first, which waits in the journal for its own reasons."""


class UndecidedError(BusyError):
    """Several machines have just created a run, and it is open which is the one."""


class UnreadableParentError(WaitsForAnotherError):
    """A run cannot be delivered as long as the file of one above it is unreadable.

    Parameters
    ----------
    entry : Entry
        The file.

    reason : UnreadableEntryError
        What is wrong with it.
    """

    def __init__(self, entry: Entry, reason: UnreadableEntryError) -> None:
        super().__init__(f"{entry.path.name}, which is above it: {reason}")
        self.entry = entry
        self.reason = reason


class NotInBatchError(Exception):
    """A run cannot be delivered in one transaction with others."""


@dataclass(frozen=True)
class Batch:
    """What is delivered in one transaction.

    Attributes
    ----------
    locks : ExitStack
        The locks of all files, until the transaction is over: what it has created
        cannot be seen before, and nobody else may create it.

    after_commit : callable
        Takes what is to be done once the transaction is over.

    held : set of Path
        The files that are locked.

    delivered : set of Path
        Those of them that are done with.

    run_ids : dict of str
        The runs that are in the transaction, by their keys.
    """

    locks: ExitStack
    after_commit: AfterCommit
    held: set[Path]
    delivered: set[Path] = field(default_factory=set)
    run_ids: dict[str, str] = field(default_factory=dict)


class EntryDelivery:
    """Delivers files of the journal for one store, for one thread.

    Attributes
    ----------
    notices : deque of str
        What the user should know of files.

    active_at : float
        When it last had something to do, by the clock of `time.monotonic`.

    has_transactions : bool
        Whether several files can be delivered together, as far as is known.

    places : Places
        Where files go, as far as that is out of reach.

    groups : dict
        The runs of searches that end when nothing happens below them any more: their
        files, and when something last has, by key.

    has_left_open : bool
        Whether runs of dead processes were begun that are still to be ended.
    """

    def __init__(self) -> None:
        self.notices: deque[str] = deque(maxlen=MAX_NOTICES)
        self.active_at = time.monotonic()
        self.has_transactions = True
        self.places = Places()
        self.groups: dict[str, tuple[Entry, float]] = {}
        self.has_left_open = False
        self._over: dict[str, tuple[Status, int]] = {}
        self._told: set[object] = set()
        self._at_work: set[Path] = set()
        self._missing: set[str] = set()
        self._election = Election()
        self._batch: Batch | None = None

    def deliver(self, inbox: Inbox, entry: Entry, *, may_end: bool = True) -> bool:
        """Deliver what is new in a file.

        Parameters
        ----------
        inbox : Inbox
            Where the file is.

        entry : Entry
            The file. It is removed if nothing more will be written to it.

        may_end : bool, default=True
            Whether the run ends if its process is gone.

        Returns
        -------
        bool
            Whether there was something new.

        Raises
        ------
        BusyError
            When another process is just delivering it, or something that comes first.

        UnreadableEntryError
            When it is not what a journal contains.

        FilesAwayError
            When all is stored but the run's files, which are to be tried again.

        Exception
            Whatever the store says.
        """
        if entry.path in self._at_work:
            raise UnreadableEntryError("a run that it is above is said to be above it")
        with self._locked(entry) as is_mine:
            if is_mine:
                self._at_work.add(entry.path)
                try:
                    contents = entry.read()
                    return self._deliver(inbox, entry, contents, may_end=may_end)
                finally:
                    self._at_work.discard(entry.path)
        if entry.path.exists():
            raise BusyError(f"another process is delivering {entry.path.name}")
        return False

    def deliver_batch(self, items: list[tuple[Inbox, Entry]]) -> set[Path]:
        """Deliver those of several files in one transaction that are fit for it.

        These are finished runs without files that nobody else can have created.

        Parameters
        ----------
        items : list of (Inbox, Entry)
            The files, and where they are.

        Returns
        -------
        set of Path
            The files that are delivered. All others are as they were.

        Raises
        ------
        Exception
            When nothing is delivered: because of what the store says, or because one of
            them, or a run above it, proves not to be fit.
        """
        with ExitStack() as locks:
            fit = [
                (inbox, entry, contents)
                for inbox, entry in items
                if (contents := self._lock_if_fit(locks, inbox, entry)) is not None
            ]
            if len(fit) < 2:
                return set()
            client = _store.client_of(fit[0][2].destination)
            self.has_transactions = has_transactions(client)
            if not self.has_transactions:
                return set()
            held = {entry.path for _, entry, _ in fit}
            for *_, contents in fit:  # made before what may be undone
                _runs.experiment_of(client, contents.destination)
            try:
                with _store.bounded(), one_transaction(client) as after_commit:
                    self._batch = Batch(locks, after_commit, held)
                    for inbox, entry, contents in fit:
                        if entry.path not in self._batch.delivered:
                            self._deliver(inbox, entry, contents)
                    delivered = self._batch.delivered
            finally:
                self._batch = None
            return delivered

    def _lock_if_fit(
        self, locks: ExitStack, inbox: Inbox, entry: Entry
    ) -> Contents | None:
        with ExitStack() as lock:
            if not lock.enter_context(entry.locked()):
                return None
            try:
                contents = entry.read()
            except (OSError, UnreadableEntryError):  # said when it is tried alone
                return None
            is_own = inbox.owner == _owners.this_process()
            if (
                contents.is_done
                and _is_simple(contents, self._run_of(entry, contents))
                and not entry.files.exists()
                and (is_own or all(known_run(p["key"]) for p in contents.parents))
            ):
                locks.enter_context(lock.pop_all())
                return contents
        return None

    @contextmanager
    def _locked(self, entry: Entry) -> Iterator[bool]:
        """Keep other deliverers away in the block, or in a batch until it is over."""
        batch = self._batch
        if batch is None:
            with entry.locked() as is_mine:
                yield is_mine
            return
        is_mine = entry.path in batch.held
        if not is_mine and batch.locks.enter_context(entry.locked()):
            batch.held.add(entry.path)
            is_mine = True
        yield is_mine

    def _once_stored(self, call: Callable[[], None]) -> None:
        """Do something when what was stored is kept."""
        if self._batch is None:
            call()
        else:
            self._batch.after_commit(call)

    def _remember(self, key: str, run_id: str) -> None:
        if self._batch is not None:
            self._batch.run_ids[key] = run_id
        self._once_stored(partial(remember_run, key, run_id))

    def _known(self, key: str) -> str | None:
        created = {} if self._batch is None else self._batch.run_ids
        return created.get(key) or known_run(key)

    def _deliver(
        self, inbox: Inbox, entry: Entry, contents: Contents, *, may_end: bool = True
    ) -> bool:
        record = contents.record
        was_killed = may_end and _end_if_killed(inbox, entry, contents)
        self._keep_groups(contents)
        run_id = self._run_of(entry, contents)
        if run_id is not None and record.is_empty and not contents.is_done:
            self._remember(entry.key, run_id)  # another process may have created it
            return False
        self.active_at = time.monotonic()
        if _tells_its_origin(contents, run_id):
            record.tags = with_context(record.tags)
        with ExitStack() as locks:
            parts = [entry, *self._later_parts(locks, inbox, entry, contents)]
            has_files = any(part.files.exists() for part in parts)
            is_fit = _is_simple(contents, run_id) and not has_files
            if self._batch is not None and not is_fit:
                raise NotInBatchError(entry.path.name)
            is_new = _is_new(contents, run_id)
            if run_id is None and contents.has_rivals:
                run_id, is_over = self._elect(inbox, entry, contents)
                if is_over and contents.is_done and entry.part == 0:
                    self._close(entry, run_id, parts)
                    return False
            # Nobody else may have ended it, and nothing comes between.
            ends = contents.is_done and record.end_time is not None
            ends_at_once = ends and not (was_killed or contents.has_rivals or has_files)
            run_id = self._store(inbox, entry, contents, run_id, ends=ends_at_once)
            if not contents.is_done:
                self._remember(entry.key, run_id)
                at = contents.position
                note = {"kind": "delivered", "run_id": run_id, "position": at}
                self._once_stored(partial(entry.append, note))
                return True
            # What it was killed at may be half a model; its later parts are whole.
            whole = parts[1:] if was_killed else parts
            missing = self._attach(contents, run_id, whole, is_new)
            if ends and not ends_at_once:
                self._end(inbox, contents, run_id, was_killed)
            self._note_end(contents)
            if missing is not None:
                self._do_without(missing, inbox, contents, run_id, parts)
            elif contents.lacks_files:
                _runs.note_not_logged(contents.destination, run_id, "")
            self._close(entry, run_id, parts)
        if contents.n_damaged:
            self.notices.append(
                f"The run {run_id} of {record.name} may lack something: "
                f"{contents.n_damaged} line(s) of its file in the journal could not be "
                "read. That is so if its process was killed while it wrote."
            )
        return True

    def _run_of(self, entry: Entry, contents: Contents) -> str | None:
        run_id = self._known(entry.key)
        if contents.is_agreed or not contents.has_rivals:
            run_id = contents.run_id or run_id
        return run_id

    def _attach(
        self, contents: Contents, run_id: str, parts: list[Entry], is_new: bool
    ) -> Missing | None:
        """Log the files of a run, and tell which of them it lacks."""
        parts = [part for part in parts if part.files.exists()]
        if not parts:
            return None
        address = contents.destination
        experiment_id = _runs.experiment_of(_store.client_of(address), address)
        if (known := self.places.reason(experiment_id)) is not None:
            return Missing(parts, experiment_id, known, None)
        began_at = time.monotonic()
        for i, part in enumerate(parts):
            try:
                self._attach_part(contents, run_id, part, is_new and part.part == 0)
            except Exception as error:  # whatever a place for files may say
                seconds = time.monotonic() - began_at
                return Missing(parts[i:], experiment_id, error, seconds)
        self.places.note_success(experiment_id)
        return None

    def _attach_part(
        self, contents: Contents, run_id: str, part: Entry, is_new: bool
    ) -> None:
        address, record = contents.destination, contents.record
        try:
            left_out = _runs.attach(address, run_id, part.files, record, is_new=is_new)
        except Exception as error:
            if not _runs.may_be_hiccup(error):
                raise
            left_out = _runs.attach(address, run_id, part.files, record)
        self.notices += [
            f"The run {run_id} of {record.name} is logged without {reason}."
            for reason in left_out
        ]

    def _do_without(
        self,
        missing: Missing,
        inbox: Inbox,
        contents: Contents,
        run_id: str,
        parts: list[Entry],
    ) -> None:
        """See to files that are not logged: they wait, or are put aside.

        Raises
        ------
        FilesAwayError
            When they wait. Nothing else of the run does.
        """
        address, error = contents.destination, missing.error
        name, location = _runs.place_of_files(address)
        location, reason = hide_credentials(location), reason_of(error)
        cause = (missing.experiment_id, *cause_of(error))
        if will_last(error, address):
            folder = inbox.journal / NOT_LOGGED
            moves = [(part, part.place_aside(folder)) for part in missing.parts]
            where = ", ".join(str(path) for _, path in moves)
            text = f"{missing.names}: {reason}. They are in {where}"
            _runs.note_not_logged(address, run_id, text, for_good=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            for part, path in moves:
                self._remove_model_of_others(part, run_id)
                part.files.rename(path)
            if cause not in self._told:
                self._told.add(cause)
                self.notices.append(
                    f"Runs of the experiment {name} are logged without their files, "
                    f"such as models, which {location} does not take: {reason}. They "
                    f"are kept in {folder}; the tag {_runs.NOT_LOGGED_TAG} of a "
                    "run tells where. mlflow.MlflowClient().log_artifacts(run_id, "
                    "folder) logs them once that is mended."
                )
            return
        if missing.seconds is not None:
            self.places.note(missing.experiment_id, error, missing.seconds)
        if not contents.lacks_files:
            text = f"{missing.names}: {reason}. They will be tried again"
            _runs.note_not_logged(address, run_id, text)
        was_stored = not contents.record.is_empty
        self._leave_files(missing.parts, contents, run_id)
        self._close(parts[0], run_id, [p for p in parts if p not in missing.parts])
        raise FilesAwayError(
            f"Files of runs of the experiment {name}, such as models, could not be "
            f"logged to {location}: {reason}. The runs are there without them. They "
            f"wait in the journal {inbox.journal} and will be tried again",
            cause=cause,
            retry_after=self.places.retry_after(missing.experiment_id),
            was_stored=was_stored,
        )

    def _remove_model_of_others(self, part: Entry, run_id: str) -> None:
        """Let nobody find a model among what is put aside that no fit has saved."""
        model = part.files / _runs.MODEL
        if model.exists() and (reason := why_not_ours(model)):
            shutil.rmtree(model)
            self.notices.append(
                f"The model of the run {run_id} is removed: it {reason}."
            )

    def _leave_files(self, parts: list[Entry], contents: Contents, run_id: str) -> None:
        """Note in the journal that the store has all of a run but its files."""
        record = RunRecord(contents.record.name, contents.record.start_time)
        for part in parts:
            note = {"kind": "delivered", "run_id": run_id, "position": part.size()}
            part.append(note, {"kind": "lacks_files"})
        # It has no model yet that could be registered.
        record.registered_model_name = contents.record.registered_model_name
        parts[0].append(*record.events())

    def _note_end(self, contents: Contents) -> None:
        end_time = contents.record.end_time
        if end_time is not None:
            for parent in contents.parents[-1:]:
                self._once_stored(partial(note_end_below, parent["key"], end_time))

    def _close(self, entry: Entry, run_id: str, parts: list[Entry]) -> None:
        """Remove files of which the store has everything."""
        self._remember(entry.key, run_id)
        for part in parts:
            self._once_stored(part.remove)
        if self._batch is not None:
            self._batch.delivered.update(part.path for part in parts)

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
        _runs.end_run(
            contents.destination, run_id, record, unless=unless, prolongs=was_killed
        )
        if contents.has_rivals and not is_foreign and record.status != "FINISHED":
            # Other machines have begun candidates that nobody else will end.
            _runs.end_below(contents.destination, run_id, record)

    def _later_parts(
        self, locks: ExitStack, inbox: Inbox, entry: Entry, contents: Contents
    ) -> list[Entry]:
        """Add what else is known of a run by now: that saves calls of MLflow."""
        parts: list[Entry] = []
        while contents.is_done:
            part = inbox.entry(entry.key, entry.part + len(parts) + 1)
            if not part.path.exists() or not locks.enter_context(self._locked(part)):
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
        for key in [parent["key"] for parent in contents.parents]:
            if (group := self.groups.get(key)) is not None:
                self.groups[key] = (group[0], time.monotonic())

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
            _runs.deliver, contents.record, address, key=entry.key, ends=ends
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
        if entry.part > 0 and (first := inbox.entry(entry.key)).path.exists():
            raise WaitsForAnotherError(
                f"{first.path.name}, which comes first, is not delivered yet"
            )
        _store.client_of(address)  # which keeps others out by the same lock
        with _store.store_lock(_store.tracking_uri_of(address)):
            found = _runs.find_run(address, entry.key)
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
        if _is_foreign(contents, inbox) and not _owners.is_of_this_host(
            contents.origin
        ):
            _store.require_store(address)
        parent_run_id = self._parent(inbox, contents)

        def create() -> str:
            return _runs.deliver(
                RunRecord(record.name, record.start_time),
                address,
                key=entry.key,
                parent_run_id=parent_run_id,
                run_id=None,
                created=lambda i: entry.append({"kind": "created", "run_id": i}),
            )

        _store.client_of(address)  # which keeps others out by the same lock
        with _store.store_lock(_store.tracking_uri_of(address)):
            elected = self._election.elect(address, entry.key, contents.run_id, create)
        if elected is None:
            raise UndecidedError(f"another machine has just created {record.name}")
        record.tags[_runs.SETTLED_TAG] = "true"
        return elected.run_id, elected.is_over

    def _parent(self, inbox: Inbox, contents: Contents) -> str | None:
        """Find the run above, and create it where that is still to be done."""
        above = contents.destination["parent_run_id"] or self._environment_run(
            contents.destination
        )
        grown: list[dict[str, Any]] = []
        for parent in contents.parents:
            key = parent["key"]
            if self._known(key) is None:
                self._begin(inbox, contents, ParentRun(**parent), list(grown))
            above = self._known(key)
            grown.append(parent)
        return above

    def _environment_run(self, address: dict[str, str | None]) -> str | None:
        """Find the run that the environment has named, if the store has it."""
        run_id = address.get("environment_run_id")
        if run_id is None:
            return None
        client = _store.client_of(address)
        if _runs.experiment_of_environment_run(client, address) is not None:
            return run_id
        if run_id not in self._missing:
            self._missing.add(run_id)
            self.notices.append(
                f"MLFLOW_RUN_ID names the run {run_id}, which the store does not have, "
                "or no longer. Runs are logged below no other run. Set it to a run of "
                "mlflow.get_tracking_uri(), or remove it from the environment."
            )
        return None

    def _begin(
        self,
        inbox: Inbox,
        child: Contents,
        parent: ParentRun,
        above: list[dict[str, Any]],
    ) -> None:
        """Create a run that has only been heard of from those below it."""
        entry = inbox.entry(parent.key)
        record = RunRecord(parent.name, parent.start_time)
        # The process whose inbox this is knows of every run that it has begun; another
        # one has to ask the store.
        is_own = inbox.owner == _owners.this_process()
        head = header(
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
        is_elsewhere = _is_foreign(child, inbox) and (parent.is_managed or not is_own)
        if is_elsewhere and not _owners.has_died(inbox.journal, child.origin):
            events.append({"kind": "done"})  # the process that searches will end it
        with suppress(FileExistsError):
            entry.append(*events, create=True)
        # Another process may have begun it for this one; nobody ends it but the owner.
        if is_own and not parent.is_managed:
            self.groups[parent.key] = (entry, time.monotonic())
            if parent.key in self._over:
                self._end_group(parent.key, entry, *self._over.pop(parent.key))
        try:
            # Those below it come first: it does not end before them.
            with suppress(FilesAwayError):  # which its own turn tells
                self.deliver(inbox, entry, may_end=False)
        except UnreadableEntryError as error:
            raise UnreadableParentError(entry, error) from error
        self.has_left_open |= not _owners.is_alive(inbox.journal, inbox.owner)
        if self._known(parent.key) is None:
            raise BusyError(f"another process has just delivered {entry.path.name}")

    def end_groups(
        self,
        after: float = 0.0,
        only: str | None = None,
        status: Status = "FINISHED",
    ) -> bool:
        """End the runs of searches below which nothing has happened for a while.

        Parameters
        ----------
        after : float, default=0
            Seconds for which nothing has happened.

        only : str or None, default=None
            The key of the one to end.

        status : {"FINISHED", "FAILED", "KILLED"}, default="FINISHED"
            How they end.

        Returns
        -------
        bool
            Whether any was.
        """
        if only is not None and only not in self.groups and known_run(only) is None:
            self._over[only] = (
                status,
                now(),
            )  # it is not begun yet: the store may be down
        due = [
            (key, entry)
            for key, (entry, since) in list(self.groups.items())
            if time.monotonic() - since >= after and only in (None, key)
        ]
        for key, entry in due:
            self._end_group(key, entry, status, now())
        return bool(due)

    def end_groups_below(self, key: str) -> None:
        """End the runs of searches that are below a run.

        Parameters
        ----------
        key : str
            The key of the run above them.
        """
        for group, (entry, _) in list(self.groups.items()):
            with suppress(OSError, UnreadableEntryError):
                if key in [parent["key"] for parent in entry.read_head().parents]:
                    self._end_group(group, entry, "FINISHED", now())

    def _end_group(self, key: str, entry: Entry, status: Status, end_time: int) -> None:
        try:
            entry.append({"kind": "end", "status": status, "end_time": end_time})
        except FileNotFoundError:  # it has been ended
            pass
        except OSError:  # the disk is full; later, then
            return
        self.groups.pop(key, None)


def _tells_its_origin(contents: Contents, run_id: str | None) -> bool:
    """Tell whether it is now that a run says where it comes from: from this process.

    Runs that come by the hundred leave that to the one above them.
    """
    if contents.origin != _owners.this_process():
        return False
    is_topmost = run_id is None and not contents.parents
    return is_topmost or SOURCE_TAG in contents.record.tags


def _is_foreign(contents: Contents, inbox: Inbox) -> bool:
    """Tell whether a run is part of what another process does, or has done."""
    return contents.origin not in ("", inbox.owner)


def _ignore(run_id: str) -> None:
    """Take no note of a run that is known."""


def _end_if_killed(inbox: Inbox, entry: Entry, contents: Contents) -> bool:
    """Add the end of a run whose process is gone, and tell whether that is so."""
    if contents.is_done or _owners.is_alive(inbox.journal, contents.writer):
        return False
    signs = (
        _owners.last_sign(inbox.journal, contents.writer),
        last_end_below(entry.key),
    )
    contents.record.take(end_of_the_dead(contents, *signs))
    contents.is_done = True
    return True


def _is_new(contents: Contents, run_id: str | None) -> bool:
    """Tell whether nobody can have created a run."""
    return run_id is None and not (contents.may_be_stored or contents.has_rivals)


def _is_simple(contents: Contents, run_id: str | None) -> bool:
    """Tell whether nobody need be asked who has created a run."""
    return not contents.has_rivals and (
        run_id is not None or not contents.may_be_stored
    )
