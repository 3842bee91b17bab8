"""Stores in files and folders: from their addresses to paths, and back.

In which of them a percent sign stands for itself is not the same everywhere. What
MLflow and SQLAlchemy make of an address counts: everybody has to find the same file.
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
# What MLflow takes for a server, though it looks like the name of a folder.
_NO_FOLDERS = ("", "databricks", "databricks-uc", "uc")


def absolute_address(uri: str) -> str:
    """Name a store so that it is the same one in any folder.

    Parameters
    ----------
    uri : str
        Address of a store, as MLflow takes it.

    Returns
    -------
    str
        The same, if it depends on no folder.
    """
    if match := _RELATIVE_DATABASE.match(uri):
        folder = _quoted_for_database(str(Path.cwd()))
        return uri if folder is None else f"{match[1]}{folder}/{uri[match.end() :]}"
    if match := _RELATIVE_FOLDER.match(uri):
        return f"file://{quote(str(Path.cwd()))}/{uri[match.end() :]}"
    if uri in _NO_FOLDERS or uri.startswith("/") or _SCHEME.match(uri):
        return uri
    # MLflow takes a path for a quoted one as well.
    return f"file://{quote(str(Path.cwd()))}/{uri}"


def _quoted_for_database(path: str) -> str | None:
    """Write a path into the address of a database; None where that cannot be done."""
    if "%" not in path and "?" not in path:  # where SQLAlchemy need not be imported
        return path
    if _database_name("sqlite:///%25") == "%":
        return path.replace("%", "%25").replace("?", "%3F")
    return None if "?" in path else path  # before SQLAlchemy 2.1, nothing is quoted


def _database_name(uri: str) -> str | None:
    from sqlalchemy.engine import make_url

    url = make_url(uri)
    return None if url.query else url.database


def database_of(uri: str) -> Path | None:
    """Tell in which file of its own SQLite keeps a store.

    Parameters
    ----------
    uri : str
        Address of a store.

    Returns
    -------
    Path or None
        None for any other store, and on Windows, which would neither rename nor remove
        what MLflow has open.
    """
    if not uri.startswith("sqlite") or os.name != "posix":
        return None
    name = _database_name(uri)
    if not name or name.startswith((":memory:", "file:")):
        return None
    return Path(name)


def default_store_in(folder: Path) -> str:
    """Tell the address that MLflow's default store has for whoever is in a folder.

    Parameters
    ----------
    folder : Path
        Not the one of this process: there MLflow can be asked.
    """
    if any((folder / "mlruns").glob("[0-9]*/meta.yaml")):  # of early versions
        return (folder / "mlruns").as_uri()
    return f"sqlite:///{quote(str(folder / 'mlflow.db'))}"
