"""What is to be logged, on disk until it is logged.

A journal is a folder that only its owner can read. Each process that has something to
log has a folder in it, and each run one file there: lines of JSON, appended to while
the fit goes on and removed once MLflow has everything. Nothing here knows MLflow.

::

    journal/
      processes/<process>          locked by a living process, so that others know
      <process>/<run>.<part>.jsonl what the run says, and how far it is delivered
      <process>/<run>.<part>.files/ its artifacts
      not_logged/<run>.<part>/     artifacts that no store takes, for the user
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skperceptron.tracking.journal._entry import NAME, Entry, UnreadableEntryError
from skperceptron.tracking.journal._owners import (
    PROCESSES,
    forget_dead,
    is_alive,
    show_life,
)
from skperceptron.tracking.journal._temporary_state import (
    make_temporary_folder,
    temporary_folders,
    usual_folder,
)

# Folder of the files that no store takes.
NOT_LOGGED = "not_logged"
ENVIRONMENT_VARIABLE = "SKPERCEPTRON_JOURNAL"
# A model is saved before its run is written; nobody takes that long for it.
_SECONDS_UNTIL_ORPHANED = 3600
# What nobody can make, where there is no folder for temporary files either.
_NOWHERE = Path(os.devnull) / "journal"
# Bytes that a run and its model may need.
_MIN_FREE = 1_000_000
_NO_INBOXES = (PROCESSES, NOT_LOGGED)


def default_folder() -> Path:
    """Tell where this process keeps its journal.

    Returns
    -------
    Path
        What the environment variable ``SKPERCEPTRON_JOURNAL`` names, or a folder of
        the user's own. Of a user without a home, a temporary folder, which need not
        exist.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named).absolute()
    usual = usual_folder()
    if usual is not None:
        return usual / "journal"
    with suppress(OSError):
        return make_temporary_journal()
    return _NOWHERE


def make_temporary_journal() -> Path:
    """Find the journal that stands in for one that cannot be written, or make it.

    Raises
    ------
    OSError
        When there is no folder for temporary files that can be written.
    """
    return make_temporary_folder() / _temporary_name()


def journals() -> list[Path]:
    """List the journals in which runs of this user may wait."""
    return list(dict.fromkeys([default_folder(), *_temporary_journals()]))


def where_runs_wait() -> str:
    """Name the journals that there are, for a message."""
    there = [str(journal) for journal in journals() if os.path.isdir(journal)]
    return " and ".join(there) or str(default_folder())


def _temporary_journals() -> list[Path]:
    return [folder / _temporary_name() for folder in temporary_folders()]


def _temporary_name() -> str:
    """Name the journal that stands in for the usual one, in its folder."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if not named:  # whatever the user's home is, now or later
        return "default"
    path = os.fsencode(Path(named).absolute())
    return hashlib.sha256(path).hexdigest()[:16]


@dataclass(frozen=True)
class Inbox:
    """The part of a journal that one process delivers from.

    Attributes
    ----------
    journal : Path
        The journal.

    owner : str
        The process.
    """

    journal: Path
    owner: str

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.journal / self.owner

    def open(self) -> None:
        """Create what is missing; for the owner to call.

        Raises
        ------
        OSError
            When the folder cannot be written, or its disk is full.
        """
        for folder in (self.journal, self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_full(self.folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
        show_life(self.journal, self.owner)

    def entry(self, key: str, part: int = 0) -> Entry:
        """Name the file of a run; it need not exist."""
        return Entry(self.folder / f"{key}.{part}.jsonl")

    def entries(self) -> list[Entry]:
        """List the files of the runs that wait here, the parts of a run in order."""
        found = []
        with suppress(OSError):
            for item in os.scandir(self.folder):
                # Opening a pipe would block, and a link may lead anywhere.
                if NAME.fullmatch(item.name) and item.is_file(follow_symlinks=False):
                    found.append(Entry(Path(item.path)))
        return sorted(found, key=lambda entry: (entry.key, entry.part))

    def parents(self) -> list[dict[str, Any]]:
        """List the runs above those that wait here, each with its earliest start."""
        found: dict[str, dict[str, Any]] = {}
        for entry in self.entries():
            with suppress(OSError, UnreadableEntryError):
                for parent in entry.read().parents:
                    known = found.setdefault(parent["key"], parent)
                    if parent["start_time"] < known["start_time"]:
                        found[parent["key"]] = parent
        return list(found.values())

    def ends_below(self) -> dict[str, int]:
        """Tell when the last run below each other one has ended, of those that wait."""
        ends: dict[str, int] = {}
        for entry in self.entries():
            with suppress(OSError, UnreadableEntryError):
                contents = entry.read()
                if contents.parents and contents.record.end_time is not None:
                    key = contents.parents[-1]["key"]
                    ends[key] = max(ends.get(key, 0), contents.record.end_time)
        return ends

    def writers(self) -> set[str]:
        """List the processes that have written what waits here."""
        found = set()
        for entry in self.entries():
            with suppress(OSError, UnreadableEntryError):
                found.add(entry.read_head().writer)
        return found

    def remove_orphans(self) -> None:
        """Remove artifacts of fits that were killed before their runs had a file."""
        with suppress(OSError):
            for item in os.scandir(self.folder):
                path = Path(item.path)
                is_folder = item.is_dir(follow_symlinks=False)
                if not is_folder or not NAME.fullmatch(f"{path.stem}.jsonl"):
                    continue
                age = time.time() - item.stat(follow_symlinks=False).st_mtime
                others = set(self.folder.glob(f"{path.stem}.*")) - {path}
                if age > _SECONDS_UNTIL_ORPHANED and not others:
                    shutil.rmtree(path)

    def close(self) -> None:
        """Remove the folder if nothing waits there; never more than that."""
        with suppress(OSError):
            self.folder.rmdir()


def _is_full(folder: Path) -> bool:
    if not hasattr(os, "statvfs"):  # on Windows
        return False
    disk = os.statvfs(folder)
    # Some file systems do not know their size.
    return disk.f_blocks > 0 and disk.f_bavail * disk.f_frsize < _MIN_FREE


def inboxes(journal: Path) -> list[Inbox]:
    """List the inboxes of a journal."""
    with suppress(OSError):
        return [
            Inbox(journal, item.name)
            for item in sorted(os.scandir(journal), key=lambda item: item.name)
            if item.is_dir(follow_symlinks=False) and item.name not in _NO_INBOXES
        ]
    return []


def sweep(journal: Path) -> None:
    """Remove what processes have left behind of which nothing waits any more."""
    writers = set()
    for inbox in inboxes(journal):
        if not is_alive(journal, inbox.owner):
            inbox.remove_orphans()
            inbox.close()
        writers |= inbox.writers()
    forget_dead(journal, but=writers)
