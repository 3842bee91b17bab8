"""The stores that processes of the user have named themselves.

A file of the journal says where its run goes. Somebody who can write such a file could
choose the store, and MLflow trusts a store: it creates its files, sends it the
credentials of the environment, and writes artifacts where it says. So nothing is
delivered on the word of a file alone. Which stores were named is written down outside
the journal, for the processes that deliver what others have left behind.
"""

from __future__ import annotations

from skperceptron.tracking.journal._notes import Notes
from skperceptron.tracking.journal._record import Address

_named = Notes("stores")


def note_store(address: Address) -> None:
    """Note that this process sends runs to a store."""
    _named.add(name_of_store(address))


def is_noted(address: Address) -> bool:
    """Tell whether this process, or another one of the user's, has noted a store."""
    return name_of_store(address) in _named


def name_of_store(address: Address) -> str:
    """Name a store: the default one by its folder."""
    if address["tracking_uri"] is not None:
        return address["tracking_uri"]
    return f"MLflow's default store in {address['working_directory']}"
