"""No fork in the middle of what is written to a file of SQLite.

A child drops what the other threads of its parent were at, and with it their
connections. SQLite then undoes the transaction that the parent is in, in the parent's
file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# A fork waits at most this long; what takes longer waits for another process itself,
# and has not begun to write.
SECONDS_TO_WAIT = 10.0

_changed = threading.Condition()
_n_writing = 0
_of_thread = threading.local()


@contextmanager
def no_fork() -> Iterator[None]:
    """Let other threads fork before the block, or after it."""
    global _n_writing
    own = getattr(_of_thread, "depth", 0)
    if own:
        yield
        return
    with _changed:
        _n_writing += 1
    _of_thread.depth = 1
    try:
        yield
    finally:
        _of_thread.depth = 0
        with _changed:
            _n_writing -= 1
            _changed.notify_all()


def _wait_for_writers() -> None:
    _changed.acquire()
    own = getattr(_of_thread, "depth", 0)
    _changed.wait_for(lambda: _n_writing <= own, SECONDS_TO_WAIT)


def _go_on() -> None:
    _changed.release()


def _start_anew() -> None:
    global _changed, _n_writing
    _changed = threading.Condition()
    _n_writing = 0
    _of_thread.depth = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_wait_for_writers, after_in_parent=_go_on, after_in_child=_start_anew
    )
