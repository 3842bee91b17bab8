"""The folders of journals."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skperceptron.tracking.journal._temporary_state import (
    make_temporary_folder,
    temporary_folders,
    usual_folder,
)

ENVIRONMENT_VARIABLE = "SKPERCEPTRON_JOURNAL"
# A folder that cannot be created, for want even of a folder for temporary files.
_NOWHERE = Path(os.devnull) / "journal"


@dataclass(frozen=True)
class Inbox:
    """The part of a journal that the delivering process of one owner delivers."""

    journal: Path
    owner: str


def default_folder() -> Path:
    """Return the folder of this process's journal, which need not exist.

    It is the one that the environment variable ``SKPERCEPTRON_JOURNAL`` names, or a
    folder of the user's own, or a temporary folder for a user without a home.
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
    """Return the folder of the journal that replaces one that cannot be written.

    Raises
    ------
    OSError
        When there is no writable folder for temporary files.
    """
    return make_temporary_folder() / _temporary_name()


def journals() -> list[Path]:
    """List the folders of journals in which runs of this user may wait."""
    return list(dict.fromkeys([default_folder(), *_temporary_journals()]))


def where_runs_wait() -> str:
    """Name the existing journals, for a message."""
    there = [str(journal) for journal in journals() if os.path.isdir(journal)]
    return " and ".join(there) or str(default_folder())


def _temporary_journals() -> list[Path]:
    return [folder / _temporary_name() for folder in temporary_folders()]


def _temporary_name() -> str:
    """Return the name of the journal that replaces the usual one, in its folder."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if not named:  # independent of the user's home, which may change
        return "default"
    path = os.fsencode(Path(named).absolute())
    return hashlib.sha256(path).hexdigest()[:16]
