"""Nothing is delivered to a store on the word of the journal alone."""

from __future__ import annotations

import os
from contextlib import suppress

from skperceptron.tracking._credentials import portable_address
from skperceptron.tracking.delivery._mlflow_import import import_mlflow
from skperceptron.tracking.journal._named_stores import is_noted, name_of_store
from skperceptron.tracking.journal._record import Address


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
            f"no fit of yours on this machine was logged to {name_of_store(address)}, "
            f"and a journal alone is not believed. If you trust it, {way}"
        )


def check_is_named(address: Address) -> None:
    """Refuse a store that is neither the one of this process nor noted.

    Raises
    ------
    UnnamedStoreError
        When only the journal knows of it.
    """
    if not is_noted(address) and not _is_own(address):
        raise UnnamedStoreError(address)


def _is_own(address: Address) -> bool:
    if address["tracking_uri"] is None:
        with suppress(OSError):  # this process' folder may have been removed
            return address["working_directory"] in (None, os.getcwd())
        return False
    import_mlflow()
    import mlflow

    return address["tracking_uri"] == portable_address(mlflow.get_tracking_uri())
