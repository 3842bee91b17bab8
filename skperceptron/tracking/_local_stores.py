"""Stores in files and folders: from their addresses to paths, and back.

Whether a percent sign in an address is quoting depends on the kind of store and on the
version of SQLAlchemy. These functions follow MLflow and SQLAlchemy, so that all find
the same file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

_RELATIVE_DATABASE = re.compile(
    r"(sqlite(?:\+\w+)?:///)(?!/|%2F|:memory:|file:|$)", re.I
)
_RELATIVE_FOLDER = re.compile(r"file:(?!/)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.I)
# Addresses that MLflow takes for servers, though they look like names of folders.
_NO_FOLDERS = ("", "databricks", "databricks-uc", "uc")


def absolute_address(uri: str) -> str:
    """Return an address of the same store that does not depend on the working folder.

    The argument is an address as MLflow takes it.
    """
    if match := _RELATIVE_DATABASE.match(uri):
        folder = _quoted_for_database(str(Path.cwd()))
        return uri if folder is None else f"{match[1]}{folder}/{uri[match.end() :]}"
    if match := _RELATIVE_FOLDER.match(uri):
        return f"file://{quote(str(Path.cwd()))}/{uri[match.end() :]}"
    if uri in _NO_FOLDERS or uri.startswith("/") or _SCHEME.match(uri):
        return uri
    # The path stays as it is: MLflow takes paths for quoted ones.
    return f"file://{quote(str(Path.cwd()))}/{uri}"


def _quoted_for_database(path: str) -> str | None:
    """Quote a path for the address of a database; None where that is impossible."""
    if "%" not in path and "?" not in path:  # without importing SQLAlchemy
        return path
    if _database_name("sqlite:///%25") == "%":
        return path.replace("%", "%25").replace("?", "%3F")
    return None if "?" in path else path  # SQLAlchemy before 2.1 has no quoting


def _database_name(uri: str) -> str | None:
    from sqlalchemy.engine import make_url

    url = make_url(uri)
    return None if url.query else url.database


def database_of(uri: str) -> Path | None:
    """Return the SQLite file of the store at an address.

    It is None for any other store, and on Windows, where files that MLflow has open can
    be neither renamed nor removed.
    """
    if not uri.startswith("sqlite") or os.name != "posix":
        return None
    name = _database_name(uri)
    if not name or name.startswith((":memory:", "file:")):
        return None
    return Path(name)


def default_store_in(folder: Path) -> str:
    """Return the address of MLflow's default store for processes in a folder.

    For the folder of this process, MLflow itself can be asked.
    """
    if any((folder / "mlruns").glob("[0-9]*/meta.yaml")):  # of older versions of MLflow
        return (folder / "mlruns").as_uri()
    return f"sqlite:///{quote(str(folder / 'mlflow.db'))}"
