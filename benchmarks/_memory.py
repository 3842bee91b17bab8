"""How much memory a piece of work takes, beside the files that are mapped into it."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from typing import Self

_SECONDS_BETWEEN_LOOKS = 0.002


def anonymous_bytes() -> int:
    """Read this process's memory that no file stands behind, from Linux.

    Pages of memory-mapped files do not count: the system takes them back when it needs
    the memory.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise OSError("This system does not tell which memory is anonymous.")


class MemoryWatch:
    """Looks, in a thread, how far the anonymous memory rises in a ``with`` block.

    Attributes
    ----------
    growth : int
        Bytes at the peak, beyond those at the start.
    """

    growth = 0

    def __enter__(self) -> Self:
        gc.collect()
        self._start = anonymous_bytes()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._is_over.is_set():
            self._look()
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _look(self) -> None:
        self.growth = max(self.growth, anonymous_bytes() - self._start)
