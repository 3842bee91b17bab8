"""The folders for the user's state, and for users without a writable one."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs


def usual_folder() -> Path | None:
    """Return the user's own state folder; None where the user's home is unknown."""
    with suppress(RuntimeError, KeyError):  # a container's user may have no home
        return platformdirs.user_state_path("skperceptron")
    return None


def temporary_folders() -> list[Path]:
    """List the user's folders that replace the usual one, sorted by name."""
    with suppress(OSError):  # there is no folder for temporary files
        parent, prefix = tempfile.gettempdir(), _name()
        names = sorted(n for n in os.listdir(parent) if n.startswith(prefix))
        return [path for name in names if _is_own(path := Path(parent, name))]
    return []


def make_temporary_folder() -> Path:
    """Return the folder that replaces the usual one, and create it if need be.

    Raises
    ------
    OSError
        When it cannot be written either.
    """
    path = Path(tempfile.gettempdir()) / _name()
    with suppress(OSError):
        path.mkdir(mode=0o700)
    if _is_own(path):
        return path
    # Another user has taken that name.
    others = temporary_folders()
    return others[0] if others else Path(tempfile.mkdtemp(prefix=f"{_name()}-"))


def _name() -> str:
    return f"skperceptron-journal-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _is_own(path: Path) -> bool:
    """Return whether a path is a folder that only the user can use."""
    try:
        status = path.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):  # a link, say
        return False
    is_private = not stat.S_IMODE(status.st_mode) & 0o077
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and is_private)
