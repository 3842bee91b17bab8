"""Worker processes that end when the process is gone that they work for.

A process that is killed cannot tell its workers. Those of joblib would go on with what
they have been given, and then wait for minutes for more, those of the standard library
for ever; nobody receives their results.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from types import FrameType

SECONDS_BETWEEN_LOOKS = 0.2
# Where the main thread of a worker waits for work.
_LOOPS = {
    ("concurrent.futures.process", "_process_worker"),
    ("joblib.externals.loky.process_executor", "_process_worker"),
    ("loky.process_executor", "_process_worker"),
    ("multiprocessing.pool", "worker"),
}
# What is below it in the stack of a forked process is its parent's.
_BEGIN = ("multiprocessing.process", "_bootstrap")

# The processes that have looked whether they are workers.
_known: set[int] = set()


def end_with_parent() -> None:
    """Let this process end as soon as its parent is gone, if it is a worker.

    A worker is a process of a pool, of joblib's or of the standard library's. Other
    processes may well outlive their parents.
    """
    if os.getpid() in _known:
        return
    _known.add(os.getpid())
    parent = multiprocessing.parent_process()
    if parent is not None and _is_worker():
        name = "skperceptron parent watch"
        threading.Thread(target=_watch, args=(parent,), name=name, daemon=True).start()


def _is_worker() -> bool:
    frame: FrameType | None = sys._current_frames().get(
        threading.main_thread().ident or 0
    )
    while frame is not None:
        place = (frame.f_globals.get("__name__"), frame.f_code.co_name)
        if place in _LOOPS:
            return True
        if place == _BEGIN:
            return False
        frame = frame.f_back
    return False


def _watch(parent: BaseProcess) -> None:
    if os.name == "posix" and os.getppid() == parent.pid:
        while os.getppid() == parent.pid:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    else:
        # It was started by a server of forks, or on Windows, or its parent is gone
        # already: what joblib has started then knows nothing to wait for.
        with suppress(ValueError):
            parent.join()
    # Nothing that takes time: other threads end as if killed with the parent.
    os._exit(1)
