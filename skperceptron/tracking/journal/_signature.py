"""Signatures that show that a process of the user has chosen where a run goes.

Anybody who can write to a journal could choose the store of a run, and MLflow trusts a
store: it creates its files, sends it the credentials of the environment, and writes
artifacts where it says. So the address of a run is signed, with a secret that is kept
elsewhere.
"""

from __future__ import annotations

import hmac
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from skperceptron.tracking.journal._temporary_state import (
    make_temporary_folder,
    temporary_folders,
    usual_folder,
)

_N_BYTES = 32


def sign(text: str) -> str:
    """Sign a text. The signature is empty where no secret can be kept."""
    for find_folder in (usual_folder, make_temporary_folder):
        with suppress(OSError):  # it cannot be written
            if (folder := find_folder()) is not None:
                return _signature(text, _own_secret(folder))
    return ""


def is_signed(text: str, signature: object) -> bool:
    """Return whether this process or another one of the user has signed a text."""
    given = str(signature).encode("utf-8", "replace")
    return any(
        hmac.compare_digest(_signature(text, secret).encode(), given)
        for folder in _folders()
        for secret in _secrets(folder)
    )


def _folders() -> Iterator[Path]:
    """List where secrets may be kept, the usual folder first."""
    if (folder := usual_folder()) is not None:
        yield folder
    # Listed only if needed: the folder of temporary files may have thousands of files.
    yield from temporary_folders()


def _signature(text: str, secret: bytes) -> str:
    return hmac.digest(secret, text.encode("utf-8", "replace"), "sha256").hex()


@cache
def _own_secret(folder: Path) -> bytes:
    for secret in _secrets(folder):
        return secret
    secret = os.urandom(_N_BYTES)
    # Processes that do this at once may each make a secret. All of them are valid.
    file = folder / "secrets" / uuid.uuid4().hex
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
        new.write(secret)
    return secret


def _secrets(folder: Path) -> list[bytes]:
    """List the secrets in a folder, without those that are just being written."""
    found = []
    with suppress(OSError):
        found = [file.read_bytes() for file in sorted((folder / "secrets").iterdir())]
    return [secret for secret in found if len(secret) == _N_BYTES]
