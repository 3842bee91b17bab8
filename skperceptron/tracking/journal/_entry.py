"""A file of the journal: what a run says, as lines of JSON.

The first line tells where the run goes; the others are appended while the fit goes on,
and by whoever delivers it. Any of them may be damaged, or made up by somebody else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, get_args

from skperceptron.tracking.journal._owners import renew_life, show_life, this_process
from skperceptron.tracking.journal._record import (
    Event,
    RunRecord,
    Status,
    as_event,
    now,
)

try:
    import fcntl
except ImportError:  # on Windows, where mypy does not look
    fcntl = None  # type: ignore[assignment]

# Written to every file, so that a later version knows what it reads.
FORMAT = 1
NAME = re.compile(r"(?P<key>[0-9a-f]{32})\.(?P<part>[0-9]{1,9})\.jsonl")
# What a file says of where its run goes.
_ADDRESS = (
    "tracking_uri",
    "working_directory",
    "experiment_id",
    "experiment_name",
    "parent_run_id",
    "environment_run_id",  # which earlier versions have not written
)
# What a damaged or malicious file says may not lead out of the journal.
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
# Integers of databases have 64 bits, and years four digits, both for MLflow's pages and
# for `time.localtime`.
_MAX_INTEGER = 2**63 - 1
_MAX_TIME = 253_000_000_000_000
# What a fit of millions of epochs writes, and what may be read into memory at once.
_MAX_BYTES = 2**28
# Runs above another one: a study, its trial, a search, its candidate, and so on.
_MAX_PARENTS = 100


@dataclass
class Contents:
    """What a file of the journal says.

    Attributes
    ----------
    record : RunRecord
        What is not delivered yet.

    destination : dict
        Where the run goes.

    parents : list of dict
        The runs above it, the outermost first: see `ParentRun`.

    writer : str
        The process that writes.

    continues : bool
        Whether the run was begun in another file.

    origin : str
        The process for which it was fitted; empty if that is not known.

    has_rivals : bool
        Whether processes of other machines may create the run, too.

    was_tried : bool
        Whether somebody has begun to deliver it.

    run_id : str or None
        The run in MLflow, if it is known.

    is_agreed : bool
        Whether no rival will create another one.

    position : int
        Size of what was read.

    is_done : bool
        Whether nothing more will be written to the file.

    n_damaged : int
        Lines that could not be read.

    lacks_files : bool
        Whether the run is stored without its files.

    status_if_killed : {"FINISHED", "FAILED", "KILLED"}
        How the run ends if its process ends before it.
    """

    record: RunRecord
    destination: dict[str, str | None] = field(default_factory=dict)
    parents: list[dict[str, Any]] = field(default_factory=list)
    writer: str = ""
    continues: bool = False
    origin: str = ""
    has_rivals: bool = False
    was_tried: bool = False
    run_id: str | None = None
    is_agreed: bool = False
    position: int = 0
    is_done: bool = False
    n_damaged: int = 0
    lacks_files: bool = False
    status_if_killed: Status = "KILLED"

    @property
    def may_be_stored(self) -> bool:
        """Whether the run may be in MLflow by now, or about to be."""
        return self.continues or self.was_tried


class UnreadableEntryError(ValueError):
    """A file that is not, or not yet, what a journal contains."""


class LaterFormatError(UnreadableEntryError):
    """A file that a later version of this package has written, and can read."""


# A file has its first line before another thread of this process appends one.
_writing = threading.Lock()


def _renew_lock() -> None:
    global _writing
    _writing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True)
class Entry:
    """A file of the journal: a run, or a part of one.

    Attributes
    ----------
    path : Path
        The file.
    """

    path: Path

    @property
    def key(self) -> str:
        """Identity of the run."""
        return self.path.name.partition(".")[0]

    @property
    def part(self) -> int:
        """0 for the file that begins the run."""
        return int(self.path.name.split(".")[1])

    @property
    def files(self) -> Path:
        """Folder of the run's artifacts; it need not exist."""
        return self.path.with_suffix(".files")

    def append(self, *events: Event, create: bool = False) -> None:
        """Write events, in one piece.

        Parameters
        ----------
        *events : dict
            What to write.

        create : bool, default=False
            Whether the file is a new one.

        Raises
        ------
        OSError
            When that is not possible. `FileExistsError` and `FileNotFoundError` tell
            that `create` was wrong.
        """
        text = "".join(json.dumps(event, default=str) + "\n" for event in events)
        if create:
            # Whoever reads that this process writes must see that it lives.
            with suppress(OSError):  # what matters is the file itself
                show_life(self.path.parent.parent, this_process())
        flags = os.O_RDWR | os.O_APPEND | _NO_LINKS
        with _writing:
            file = os.open(
                self.path, flags | (os.O_CREAT | os.O_EXCL if create else 0), 0o600
            )
            try:
                _write(file, text.encode())
                renew_life(self.path.parent.parent)
            except OSError:
                if create:  # a file without its first line is none
                    self.path.unlink(missing_ok=True)
                raise
            finally:
                os.close(file)

    def read(self) -> Contents:
        """Read what is not delivered yet.

        Returns
        -------
        Contents

        Raises
        ------
        FileNotFoundError
            When all of it has been delivered.

        UnreadableEntryError
            When the first line cannot be read.
        """
        with self._open() as file:
            status = os.fstat(file.fileno())
            if status.st_size > _MAX_BYTES:
                raise UnreadableEntryError(f"it is larger than {_MAX_BYTES} bytes")
            if status.st_nlink > 1:
                raise UnreadableEntryError("it is a file of another folder, too")
            lines = file.read().split(b"\n")
        rest = lines.pop()  # the writer was interrupted there, or is still writing
        contents = _parse_header(lines[0] if lines else b"")
        if self.key in [parent["key"] for parent in contents.parents]:
            raise UnreadableEntryError("it is below itself")
        contents.position = sum(map(len, lines)) + len(lines)
        contents.n_damaged = int(bool(rest))
        offset = len(lines[0]) + 1 if lines else 0
        events = []
        for line in lines[1:]:
            event = _parse(line)
            offset += len(line) + 1
            if event is None:
                contents.n_damaged += bool(line)
            else:
                events.append((offset, event))
        _read_progress(contents, [event for _, event in events])
        delivered = max(
            (e["position"] for _, e in events if e["kind"] == "delivered"), default=0
        )
        for offset, event in events:
            if offset > delivered:
                contents.record.take(event)
        return contents

    def read_head(self) -> Contents:
        """Read the first line only, which tells where the run goes.

        Raises
        ------
        FileNotFoundError, UnreadableEntryError
            As `read` does.
        """
        with self._open() as file:
            return _parse_header(file.readline(_MAX_BYTES))

    def _open(self) -> BinaryIO:
        return open(os.open(self.path, os.O_RDONLY | _NO_LINKS), "rb")

    def size(self) -> int:
        """Tell how many bytes the file has; 0 if it is gone."""
        with suppress(OSError):
            return self.path.stat().st_size
        return 0

    def written_at(self) -> int:
        """Tell when something was written last, in nanoseconds since 1970."""
        with suppress(OSError):
            return self.path.stat().st_mtime_ns
        return 0  # it has been delivered meanwhile

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Keep other deliverers out of the block.

        Yields
        ------
        bool
            Whether that worked: not where another one is at it, or has been.
        """
        try:
            # Network file systems lock only what is open for writing.
            file = os.open(self.path, os.O_RDWR | _NO_LINKS)
        except FileNotFoundError:
            yield False
            return
        try:
            yield _lock(file) and os.fstat(file).st_nlink > 0
        finally:
            _unlock(file)
            os.close(file)

    def remove(self) -> None:
        """Remove a run that MLflow has."""
        if self.files.is_dir() and not self.files.is_symlink():
            shutil.rmtree(self.files)
        else:
            self.files.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def place_aside(self, folder: Path) -> Path:
        """Name a place in a folder for the run's artifacts, beside earlier ones."""
        number, name = 0, self.path.stem
        while (path := folder / f"{name}{f'-{number}' if number else ''}").exists():
            number += 1
        return path

    def put_aside(self) -> Path:
        """Keep a file that cannot be read out of the way, beside earlier ones."""
        number = 0
        while (path := self.path.with_suffix(f".damaged{number or ''}")).exists():
            number += 1
        return self.path.rename(path)


def _write(file: int, text: bytes) -> None:
    """Append lines, whatever the last writer was interrupted at."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        text = b"\n" + text  # an empty line does no harm
    data = memoryview(text)
    while data:
        data = data[os.write(file, data) :]


def _lock(file: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # another one has it
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _unlock(file: int) -> None:
    # Not left to the closing of the file, which a child has open as well that was
    # forked meanwhile.
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_UN)


def header(
    record: RunRecord,
    *,
    key: str,
    destination: dict[str, str | None],
    parents: list[dict[str, Any]],
    continues: bool = False,
    status_if_killed: Status = "KILLED",
    origin: str = "",
    has_rivals: bool = False,
) -> Event:
    """Make the first line of a file.

    Parameters
    ----------
    record : RunRecord
        Of which this is the name and the start.

    key : str
        Identity of the run.

    destination : dict
        Where it goes.

    parents : list of dict
        The runs above it.

    continues : bool, default=False
        Whether the run was begun in another file.

    status_if_killed : {"FINISHED", "FAILED", "KILLED"}, default="KILLED"
        How it ends if this process ends before it.
    origin : str, default=""
        The process for which it is fitted.

    has_rivals : bool, default=False
        Whether processes of other machines may create the run, too.
    """
    return {
        "kind": "run",
        "format": FORMAT,
        "key": key,
        "name": record.name,
        "start_time": record.start_time,
        "destination": destination,
        "parents": parents,
        "writer": this_process(),
        "continues": continues,
        "status_if_killed": status_if_killed,
        "origin": origin,
        "has_rivals": has_rivals,
    }


# What comes of reading anything as if it were a line of ours.
_NONSENSE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)


def _parse(line: bytes) -> Event | None:
    try:
        event = as_event(json.loads(line))
        for _, _, step, timestamp in event.get("metrics", ()):
            _as_integer(step), _as_integer(timestamp)
        if dataset := event.get("dataset"):
            _as_integer(dataset["n_samples"]), _as_integer(dataset["n_features"])
        if event["kind"] == "end":
            _as_time(event["end_time"])
    except _NONSENSE:
        return None
    return event


def _parse_header(line: bytes) -> Contents:
    try:
        head = json.loads(line)
        if not isinstance(head, dict):
            raise UnreadableEntryError("its first line is none")
        if int(head["format"]) > FORMAT:
            raise LaterFormatError("a later version of skperceptron has written it")
        if head["kind"] != "run":
            raise UnreadableEntryError("its first line is none")
        if len(head["parents"]) > _MAX_PARENTS:
            raise UnreadableEntryError(f"more than {_MAX_PARENTS} runs are above it")
        destination = {name: head["destination"].get(name) for name in _ADDRESS}
        if not all(v is None or isinstance(v, str) for v in destination.values()):
            raise TypeError("a destination is made of text")
        status_if_killed = head.get("status_if_killed", "KILLED")  # as of old
        if status_if_killed not in get_args(Status):
            raise ValueError(f"{status_if_killed!r} is no status")
        return Contents(
            RunRecord(str(head["name"]), _as_time(head["start_time"])),
            destination=destination,
            parents=[_as_parent(parent) for parent in head["parents"]],
            writer=Path(str(head["writer"])).name,
            continues=bool(head["continues"]),
            status_if_killed=status_if_killed,
            # Earlier versions have not written these.
            origin=str(head.get("origin", "")),
            has_rivals=bool(head.get("has_rivals", False)),
        )
    except UnreadableEntryError:
        raise
    except _NONSENSE as error:
        raise UnreadableEntryError(f"{type(error).__name__}: {error}") from error


def _as_integer(value: Any) -> int:
    if abs(int(value)) > _MAX_INTEGER:
        raise ValueError(f"{value} is too large")
    return int(value)


def _as_time(value: Any) -> int:
    if not 0 <= int(value) <= _MAX_TIME:
        raise ValueError(f"{value} is no time")
    return int(value)


def _as_parent(parent: dict[str, Any]) -> dict[str, Any]:
    key = str(parent["key"])
    if not NAME.fullmatch(f"{key}.0.jsonl"):
        raise ValueError(f"{key!r} is no identity of a run")
    return {
        "key": key,
        "name": str(parent["name"]),
        "start_time": _as_time(parent["start_time"]),
        "is_managed": bool(parent["is_managed"]),
    }


def _read_progress(contents: Contents, events: list[Event]) -> None:
    for event in events:
        if event["kind"] == "delivering":
            contents.was_tried = True
        elif event["kind"] in ("created", "delivered"):
            contents.run_id = event["run_id"]
            contents.is_agreed |= event["kind"] == "delivered"
        elif event["kind"] == "lacks_files":
            contents.lacks_files = True
        elif event["kind"] in ("end", "done"):
            contents.is_done = True


def end_of_the_dead(contents: Contents, *signs: int | None) -> Event:
    """Make the end of a run whose process has ended before it.

    Parameters
    ----------
    contents : Contents
        What the run says.

    *signs : int or None
        Milliseconds since 1970 at which the run was still going on; None if there is
        no such sign. The latest one is the end.
    """
    times = [metric.timestamp for metric in contents.record.metrics]
    times += [sign for sign in signs if sign is not None]
    end_time = max([contents.record.start_time, *times])
    status = contents.status_if_killed
    return {"kind": "end", "status": status, "end_time": min(end_time, now())}
