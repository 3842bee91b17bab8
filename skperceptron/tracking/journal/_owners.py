"""Processes that use a journal: their names, and whether they still run."""

from __future__ import annotations

import errno
import os
import socket
import threading
import uuid
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows, where mypy does not look
    fcntl = None  # type: ignore[assignment]

# Folder of a journal in which each live process keeps a file locked.
PROCESSES = "processes"
# Links that somebody has put there must not lead out of the journal.
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


@lru_cache
def _name_of_process(process_id: int) -> str:
    return f"{socket.gethostname()}-{process_id}-{uuid.uuid4().hex[:8]}"


def this_process() -> str:
    """Return a name of this process that is unique among all hosts."""
    return _name_of_process(os.getpid())


def is_of_this_host(process: str) -> bool:
    """Return whether a process runs or has run on this host."""
    return process.startswith(f"{socket.gethostname()}-")


# Signs of life: files that a process keeps locked, by process id and journal.
_signs: dict[tuple[int, Path], int] = {}
_showing = threading.Lock()


def show_life(journal: Path, process: str) -> None:
    """Let other processes see that this one is alive and uses a journal.

    Raises
    ------
    OSError
        When the journal cannot be written.
    """
    key = os.getpid(), journal
    path = journal / PROCESSES / process
    with _showing:
        if fcntl is None or (key in _signs and _is_open_as(_signs[key], path)):
            return
        # Locked before it gets its name, so that it never looks like that of a dead
        # process.
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.parent.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "is a link", str(path.parent))
        new = path.with_name(f"{process}.new")
        new.unlink(missing_ok=True)
        sign = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | _NO_LINKS, 0o600)
        try:
            fcntl.flock(sign, fcntl.LOCK_EX)
            new.rename(path)
        except OSError:
            os.close(sign)
            raise
        if key in _signs:  # in a journal that somebody has removed since
            os.close(_signs[key])
        _signs[key] = sign


def _is_open_as(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except OSError:
        return False


def is_alive(journal: Path, process: str) -> bool:
    """Return whether a process that used a journal is still running."""
    path = journal / PROCESSES / process
    if process == this_process():
        return True
    # A link that somebody has put there may lead anywhere.
    if path.parent.is_symlink() or Path(process).name != process:
        return False
    try:
        sign = os.open(path, os.O_RDWR | _NO_LINKS)
    except (OSError, ValueError):  # ValueError if it cannot be a file name
        return False
    try:
        if fcntl is None:
            return True
        # A shared lock, so that several callers at once do not see each other's.
        fcntl.flock(sign, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(sign)


def has_died(journal: Path, process: str) -> bool:
    """Return whether a process is known to have ended.

    A live process may have no sign here, because it uses another journal.
    """
    if not is_of_this_host(process) or is_alive(journal, process):
        return False
    has_left_sign = os.path.lexists(journal / PROCESSES / process)
    return has_left_sign or not _is_running(process)


def _is_running(process: str) -> bool:
    if os.name != "posix":  # on Windows, `os.kill` would end the process
        return True
    try:
        os.kill(int(process.rsplit("-", 2)[1]), 0)
    except (ProcessLookupError, ValueError, IndexError, OverflowError):
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def remove_sign_of_life() -> None:
    """Let other processes see that this one has ended."""
    for (process_id, journal), sign in list(_signs.items()):
        if process_id == os.getpid():
            del _signs[process_id, journal]
            with suppress(OSError):
                (journal / PROCESSES / this_process()).unlink()
            os.close(sign)


def forget_dead(journal: Path, *, but: Collection[str]) -> None:
    """Remove the signs of life of processes that have ended, except those in `but`."""
    folder = journal / PROCESSES
    with suppress(OSError):
        for process in set(os.listdir(folder)).difference(but):
            if not folder.is_symlink() and not is_alive(journal, process):
                (folder / process).unlink(missing_ok=True)


def _let_go() -> None:
    """Close the parent's signs in a forked child, so that they end with the parent."""
    global _showing
    _showing = threading.Lock()
    for sign in _signs.values():
        with suppress(OSError):
            os.close(sign)
    _signs.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
