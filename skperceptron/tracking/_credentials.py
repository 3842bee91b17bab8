"""Addresses of stores without the user names and passwords in them.

Addresses that are written down or shown have none. This process remembers them, and
completes an address when it connects.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode

from skperceptron.tracking._local_stores import absolute_address

_SECRETS = ("pass", "token", "secret", "key", "pwd", "user", "odbc_connect")
# Complete addresses of stores with credentials, by the addresses without them.
_with_credentials: dict[str, str] = {}
# User and password of any address in a text, even of a store unknown to this process.
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s'\"]+(?=@)")
# User and password after the scheme of an address: of a server, and of a database as
# SQLAlchemy reads it, where the password may contain anything but "@".
_OF_SERVER = re.compile(r"(?:[^/?#@]*@)+")
_OF_DATABASE = re.compile(r"[^:/@]*(?::[^@]*)?@(?:[^/?@]*@)*")


def is_same_store(uri: str, other: str) -> bool:
    """Return whether two addresses are those of one store."""
    return portable_address(uri) == portable_address(other)


def portable_address(uri: str | None) -> str | None:
    """Return an address without credentials that holds in any working folder.

    A reused worker process may have another working folder.
    """
    return without_credentials(None if uri is None else absolute_address(uri))


def without_credentials(uri: str | None) -> str | None:
    """Remove user, password and similar parts from an address.

    In this process, `with_credentials` adds them again.
    """
    if uri is None or "://" not in uri:
        return uri
    scheme, user, path, query = _parts_of(uri)
    shown = [(k, v) for k, v in query if not any(s in k.lower() for s in _SECRETS)]
    if not user and shown == query:
        return uri
    # Not by `urlunsplit`, which drops a slash of sqlite:////path.
    bare = f"{scheme}://{path}" + (f"?{urlencode(shown)}" if shown else "")
    _with_credentials[bare] = uri
    return bare


def _parts_of(uri: str) -> tuple[str, str, str, list[tuple[str, str]]]:
    """Split an address into scheme, user with password, host with path, and query."""
    scheme, _, rest = uri.partition("://")
    is_server = scheme.lower() in ("http", "https")
    match = (_OF_SERVER if is_server else _OF_DATABASE).match(rest)
    user = match.group() if match else ""
    path, _, query = rest.removeprefix(user).partition("?")
    return scheme, user[:-1], path, parse_qsl(query, keep_blank_values=True)


def with_credentials(uri: str) -> str:
    """Return the address of a store with the credentials that this process knows."""
    return _with_credentials.get(uri, uri)


def all_known() -> dict[str, str]:
    """Return all addresses with credentials, by those without them, for `learn`."""
    return dict(_with_credentials)


def learn(known: dict[str, str]) -> None:
    """Take over what `all_known` has returned in another process of the user."""
    _with_credentials.update(known)


def hide_credentials(text: str) -> str:
    """Remove from a message the credentials of known stores and those in addresses."""
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
