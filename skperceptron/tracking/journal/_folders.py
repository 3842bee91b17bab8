"""Where journals are."""

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
# What nobody can make, where there is no folder for temporary files either.
_NOWHERE = Path(os.devnull) / "journal"


@dataclass(frozen=True)
class Inbox:
    """The part of a journal that one process delivers.

    Attributes
    ----------
    journal : Path
        Folder of the journal.

    owner : str
        The process.
    """

    journal: Path
    owner: str


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
