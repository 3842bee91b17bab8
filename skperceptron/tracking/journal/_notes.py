"""What processes of the user have said themselves, noted outside the journal.

A file of the journal is not believed in what could do harm: where its run goes. Whether
the user has said so is noted here, for the processes that deliver what others have left
behind.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from skperceptron.tracking.journal._temporary_state import (
    make_temporary_folder,
    temporary_folders,
    usual_folder,
)


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
        usual = usual_folder()
        if usual is None or not self._write(usual, text):
            with suppress(OSError):  # then only this process knows
                self._write(make_temporary_folder(), text)

    def __contains__(self, text: str) -> bool:
        if text not in self._known and self._is_written(text):
            self._known.add(text)
        return text in self._known

    def _is_written(self, text: str) -> bool:
        usual = usual_folder()
        if usual is not None and self._file(usual, text).is_file():
            return True
        return any(self._file(place, text).is_file() for place in temporary_folders())

    def _write(self, folder: Path, text: str) -> bool:
        with suppress(OSError):
            note = self._file(folder, text)
            note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            note.touch(mode=0o600)
            return True
        return False

    def _file(self, folder: Path, text: str) -> Path:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return folder / self.kind / digest[:32]
