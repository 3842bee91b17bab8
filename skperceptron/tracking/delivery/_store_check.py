"""Refuses stores that only the journal names: others might have written to it."""

from __future__ import annotations

import os
from contextlib import suppress

from skperceptron.tracking._credentials import portable_address
from skperceptron.tracking.delivery._mlflow_import import import_mlflow
from skperceptron.tracking.journal._record import Address


class UnsignedStoreError(Exception):
    """The journal names a store for which no process of the user has signed."""

    def __init__(self, address: Address) -> None:
        uri, folder = address["tracking_uri"], address["working_directory"]
        if uri is None:
            store = f"MLflow's default store in {folder}"
            way = f"call flush() in the folder {folder}"
        else:
            store = uri
            way = f"set the environment variable MLFLOW_TRACKING_URI to {uri}"
        super().__init__(
            f"no fit of yours on this machine was logged to {store}, "
            f"and a journal alone is not believed. If you trust it, {way}"
        )


def check_store(address: Address, *, is_signed: bool) -> None:
    """Refuse a store that is neither signed nor the one of this process.

    Raises
    ------
    UnsignedStoreError
        When it is refused.
    """
    if not is_signed and not _is_own(address):
        raise UnsignedStoreError(address)


def _is_own(address: Address) -> bool:
    if address["tracking_uri"] is None:
        with suppress(OSError):  # this process' folder may have been removed
            return address["working_directory"] in (None, os.getcwd())
        return False
    import_mlflow()
    import mlflow

    return address["tracking_uri"] == portable_address(mlflow.get_tracking_uri())
