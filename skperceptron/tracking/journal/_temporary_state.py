"""Where the state of a user is kept who has no other folder that can be written."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs


def usual_folder() -> Path | None:
    """Name the user's own folder; None where nobody can tell the user's home."""
    with suppress(RuntimeError, KeyError):  # a container's user may have no home
        return platformdirs.user_state_path("skperceptron")
    return None


def temporary_folders() -> list[Path]:
    """List the user's folders that stand in for the usual one, the first one first."""
    with suppress(OSError):  # there is no folder for temporary files
        parent, prefix = tempfile.gettempdir(), _name()
        names = sorted(n for n in os.listdir(parent) if n.startswith(prefix))
        return [path for name in names if _is_own(path := Path(parent, name))]
    return []


def make_temporary_folder() -> Path:
    """Find the folder that stands in for the usual one, or make it.

    Raises
    ------
    OSError
        When that cannot be written either.
    """
    path = Path(tempfile.gettempdir()) / _name()
    with suppress(OSError):
        path.mkdir(mode=0o700)
    if _is_own(path):
        return path
    # Somebody else has put something there.
    others = temporary_folders()
    return others[0] if others else Path(tempfile.mkdtemp(prefix=f"{_name()}-"))


def _name() -> str:
    return f"skperceptron-journal-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _is_own(path: Path) -> bool:
    """Tell whether nobody but the user can write into a folder."""
    try:
        status = path.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):  # a link, say
        return False
    is_private = not stat.S_IMODE(status.st_mode) & 0o077
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and is_private)
