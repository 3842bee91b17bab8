"""Errors of stores, in one sentence for the user."""

from __future__ import annotations

import re

from skperceptron.tracking._credentials import hide_credentials

# Longer messages are cut.
_MAX_CHARACTERS = 2000
# What SQLAlchemy adds before and after a message: the statement and its parameters.
_PREFACES = ("(raised as a result of ", "(Background on this error at")
_STATEMENT = re.compile(r"\s*(\[SQL: |\[parameters: |\(Background on this error at).*")
# A page of HTML with which a server, or a proxy in front of it, has answered.
_PAGE = re.compile(
    r"[.,:]?\s*Response (body|text): '?\s*<.*|\s*<(!doctype|html)\b.*", re.IGNORECASE
)
# The representation of an object, with its address in memory.
_OBJECT = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>:?\s*")
_TRACEBACK = "Traceback (most recent call last)"


def reason_of(error: BaseException) -> str:
    """Return the type of an error and the first meaningful line of its message.

    SQL statements, tracebacks, pages of HTML and credentials are left out.
    """
    message = _first_line(hide_credentials(str(error))).rstrip(".")
    if len(message) > _MAX_CHARACTERS:
        message = f"{message[:_MAX_CHARACTERS]}..."
    name = type(error).__name__
    return f"{name}: {message}" if message else name


def _first_line(text: str) -> str:
    before, _, traceback = text.partition(_TRACEBACK)
    lines = [_shortened(line) for line in before.splitlines()]
    if not any(lines):  # the last line of a traceback is the error
        lines = [_shortened(line) for line in reversed(traceback.splitlines())]
    return next((line for line in lines if line), "")


def _shortened(line: str) -> str:
    if line.lstrip().startswith(_PREFACES):
        return ""
    for pattern in (_STATEMENT, _PAGE, _OBJECT):
        line = pattern.sub("", line)
    return line.strip()
