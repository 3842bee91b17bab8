"""Addresses of stores without the users and passwords in them.

What is written down or shown has none. This process keeps them in mind, and completes
an address when it connects.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode

from skperceptron.tracking._local_stores import absolute_address

_SECRETS = ("pass", "token", "secret", "key", "pwd", "user", "odbc_connect")
# The stores whose addresses contain credentials, by the address without them.
_with_credentials: dict[str, str] = {}
# User and password of an address; a worker process need not know that of a store.
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s'\"]+(?=@)")
# The same where an address begins: of a server, and of a database as SQLAlchemy reads
# it, where the password may contain anything but "@".
_OF_SERVER = re.compile(r"(?:[^/?#@]*@)+")
_OF_DATABASE = re.compile(r"[^:/@]*(?::[^@]*)?@(?:[^/?@]*@)*")


def is_same_store(uri: str, other: str) -> bool:
    """Tell whether two addresses are those of one store."""
    return portable_address(uri) == portable_address(other)


def portable_address(uri: str | None) -> str | None:
    """Name a store by an address that holds in any folder, without credentials.

    A reused worker process may stand in another folder.
    """
    return without_credentials(None if uri is None else absolute_address(uri))


def without_credentials(uri: str | None) -> str | None:
    """Take user, password and the like out of an address.

    Parameters
    ----------
    uri : str or None
        Address of a store.

    Returns
    -------
    str or None
        The address to show and to write down. `with_credentials` knows the rest, in
        this process.
    """
    if uri is None or "://" not in uri:
        return uri
    scheme, user, path, query = _parts_of(uri)
    shown = [(k, v) for k, v in query if not any(s in k.lower() for s in _SECRETS)]
    if not user and shown == query:
        return uri
    # Not put together by `urlunsplit`, which drops a slash of sqlite:////path.
    bare = f"{scheme}://{path}" + (f"?{urlencode(shown)}" if shown else "")
    _with_credentials[bare] = uri
    return bare


def _parts_of(uri: str) -> tuple[str, str, str, list[tuple[str, str]]]:
    """Divide an address into scheme, user with password, host with path, and query."""
    scheme, _, rest = uri.partition("://")
    is_server = scheme.lower() in ("http", "https")
    match = (_OF_SERVER if is_server else _OF_DATABASE).match(rest)
    user = match.group() if match else ""
    path, _, query = rest.removeprefix(user).partition("?")
    return scheme, user[:-1], path, parse_qsl(query, keep_blank_values=True)


def with_credentials(uri: str) -> str:
    """Complete the address of a store with what this process knows of it."""
    return _with_credentials.get(uri, uri)


def all_known() -> dict[str, str]:
    """List the addresses with credentials, by those without; for `learn`."""
    return dict(_with_credentials)


def learn(known: dict[str, str]) -> None:
    """Take over what another process of the user knows."""
    _with_credentials.update(known)


def hide_credentials(text: str) -> str:
    """Take credentials out of a message: those of stores, and those in any address."""
    for bare, whole in _with_credentials.items():
        text = text.replace(whole, bare)
        for secret in _secrets_of(whole, bare):
            text = text.replace(secret, "***")
    return _IN_ADDRESS.sub("***", text)


def _secrets_of(whole: str, bare: str) -> list[str]:
    _, user, _, query = _parts_of(whole)
    shown = dict(_parts_of(bare)[3])
    hidden = [value for key, value in query if key not in shown]
    found = [user, user.partition(":")[2], *hidden]
    return [secret for secret in found if secret]
