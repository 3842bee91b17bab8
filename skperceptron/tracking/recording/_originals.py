"""Distinguishes Optuna studies from their copies.

`optuna.copy_study` also copies the attributes that are written to a study here, and so
do a pickle and `copy.deepcopy` of a study in memory. A study is a copy if the one for
which its attributes were written still exists elsewhere. If that does not exist or
cannot be seen from here, the study was moved, or has another name on this machine.
"""

from __future__ import annotations

import os
import uuid
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages import InMemoryStorage, RDBStorage
from sqlalchemy.engine import make_url

from skperceptron.tracking.journal import _owners
from skperceptron.tracking.journal._folders import default_folder

if TYPE_CHECKING:
    from optuna import Study

_MEMORY, _FILE = "memory", "file"
# The names of the storages in the memory of this process.
_in_memory: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def describe_study(study: Study) -> dict[str, Any]:
    """Return what identifies a study, for `is_for`."""
    # With the id, as names may be used again.
    return {
        "study": [study._study_id, study.study_name],
        "place": _place_of(study._storage),
    }


def is_for(study: Study, description: dict[str, Any]) -> bool:
    """Return whether a study is the described one, not a copy of it."""
    own = describe_study(study)
    if description["study"] != own["study"]:
        return False
    kind, *where = description["place"]
    if description["place"] == own["place"]:
        return True
    if kind == _MEMORY:
        return not _is_in_memory(*where)
    if kind == _FILE:
        return not _is_another_file(where[0], own["place"])
    return False


def _place_of(storage: Any) -> list[str]:
    """Return the place of a storage, which is the same on all machines if possible."""
    backend = storage
    while not isinstance(backend, RDBStorage) and hasattr(backend, "_backend"):
        backend = backend._backend
    if isinstance(backend, RDBStorage):
        url = make_url(backend.url)
        dialect = url.get_backend_name()
        if dialect != "sqlite":
            return [dialect, url.database or ""]
        if url.database not in (None, "", ":memory:"):
            return [_FILE, str(Path(url.database).absolute())]
    elif hasattr(backend, "_file_path"):
        return [_FILE, str(Path(backend._file_path).absolute())]
    elif not isinstance(backend, InMemoryStorage):
        return [type(backend).__name__]
    name = _in_memory.setdefault(backend, uuid.uuid4().hex)
    return [_MEMORY, _owners.this_process(), name]


def _is_in_memory(process: str, name: str) -> bool:
    if process == _owners.this_process():
        return name in _in_memory.values()
    return _owners.is_alive(default_folder(), process)


def _is_another_file(path: str, own: list[str]) -> bool:
    if not os.path.exists(path):
        return False
    with suppress(OSError):
        return own[0] != _FILE or not os.path.samefile(path, own[1])
    return False
