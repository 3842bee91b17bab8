"""What processes of the user have said themselves, noted outside the journal.

A file of the journal is not believed in what could do harm: where its run goes, and
what may be in its model. Whether the user has said so is noted here, for the processes
that deliver what others have left behind.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import platformdirs


class Notes:
    """Texts of one kind that were noted by this process or another one.

    Parameters
    ----------
    kind : str
        Folder of the notes.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._known: set[str] = set()

    def add(self, text: str) -> None:
        """Note a text."""
        if text in self._known:
            return
        self._known.add(text)
        with suppress(OSError):  # then only this process knows
            note = self._file(text)
            note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            note.touch(mode=0o600)

    def __contains__(self, text: str) -> bool:
        if text not in self._known and self._file(text).is_file():
            self._known.add(text)
        return text in self._known

    def _file(self, text: str) -> Path:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return platformdirs.user_state_path("skperceptron") / self.kind / digest[:32]
