"""The stores that processes of the user have named themselves.

A file of the journal says where its run goes. Who could write such a file could choose
the store, and MLflow trusts a store: it creates its files, sends it the credentials of
the environment, and writes artifacts where it says. So nothing is delivered on the word
of a file alone. Which stores were named is written down outside the journal, for the
processes that deliver what others have left behind.
"""

from __future__ import annotations

import os
from contextlib import suppress

from skperceptron.tracking._destination import Destination
from skperceptron.tracking._notes import Notes
from skperceptron.tracking._temporary_state import import_mlflow

Address = dict[str, str | None]

_named = Notes("stores")


class UnnamedStoreError(Exception):
    """A run is to go to a store that no process of the user has named."""

    def __init__(self, address: Address) -> None:
        uri, folder = address["tracking_uri"], address["working_directory"]
        way = (
            f"call flush() in the folder {folder}"
            if uri is None
            else f"set the environment variable MLFLOW_TRACKING_URI to {uri}"
        )
        super().__init__(
            f"no fit of yours on this machine was logged to {_name(address)}, and a "
            f"file of the journal alone is not believed. If you trust it, {way}"
        )


def note_store(address: Address) -> None:
    """Note that this process sends runs to a store."""
    _named.add(_name(address))


def check_is_named(address: Address) -> None:
    """Refuse a store that is neither the one of this process nor noted.

    Raises
    ------
    UnnamedStoreError
        When only the journal knows of it.
    """
    if _name(address) not in _named and not _is_own(address):
        raise UnnamedStoreError(address)


def _name(address: Address) -> str:
    if address["tracking_uri"] is not None:
        return address["tracking_uri"]
    return f"MLflow's default store in {address['working_directory']}"


def _is_own(address: Address) -> bool:
    if address["tracking_uri"] is None:
        with suppress(OSError):  # this process' folder may have been removed
            return address["working_directory"] in (None, os.getcwd())
        return False
    import_mlflow()  # which then tells its default store, too
    return address["tracking_uri"] == Destination.current().tracking_uri
