"""The process that delivers the runs of this one: how it is started, and asked.

It has a lower priority, and lives as long as this process, and until all is delivered
that can be. Both speak in lines of JSON through two pipes. Nothing is lost if it is
killed: what it has not delivered waits in the journal, and it is started again.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing import spawn
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, TextIO

from skperceptron.tracking import _credentials
from skperceptron.tracking._notices import note, tell_notices
from skperceptron.tracking._warnings import TrackingWarning
from skperceptron.tracking.journal import _handover, _owners

# How often in a row, at most, it is started and ends before it is ready.
MAX_FAILURES = 3
# How long it may take until it is ready; longer than on the busiest machine.
SECONDS_TO_START = 120.0
# How often a question is asked, at most, that nobody has answered.
MAX_ATTEMPTS = 5
# How long this process waits at its end for that one to end, which has nothing left.
SECONDS_TO_END = 1.0
# It finds modules where this process does. What Python reads in the folder of the user,
# or in the environment, has had its effect on that.
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.stdin.readline())
from skperceptron.tracking.delivery.__main__ import main
main()
"""


class NoProcessError(OSError):
    """No process can be started that delivers."""

    def __init__(self) -> None:
        super().__init__("no process could be started that delivers runs")


class _EndedError(Exception):
    """The process has ended before it answered."""


class DeliveringProcess:
    """The process that delivers for this one.

    It is started when it is first needed, and again when it was killed.

    Attributes
    ----------
    watched : set of (str or None, Path)
        The stores to which it delivers, and the journals in which the runs wait.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._has_answered = threading.Event()
        self._n_failures = 0
        self._numbers = itertools.count()
        self._answers: dict[int, Future[Any]] = {}
        self._said: dict[str, Any] = {}
        self.watched: set[tuple[str | None, Path]] = set()

    def watch(self, store: str | None, journal: Path, after: float = 0.0) -> None:
        """Let it deliver from a journal from now on, and look there in some seconds.

        The store is an address without credentials.
        """
        self.watched.add((store, journal))
        with suppress(NoProcessError):  # whoever waits for a run is told
            self._send("watch", store=store, journal=str(journal), after=after)

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Ask it, and wait for the answer.

        Parameters
        ----------
        verb : str
            A method of `delivery._service.Service`.

        **arguments
            What it takes, in the types of JSON.

        Returns
        -------
        object
            What it returns, in the types of JSON.

        Raises
        ------
        OSError
            When it could not do what was asked; `NoProcessError` when it cannot be
            started, or ends each time before it has answered.
        """
        for _ in range(MAX_ATTEMPTS):
            answer = self._send(verb, **arguments)
            self._wait_until_ready()
            with suppress(_EndedError):
                return answer.result()
        raise NoProcessError

    def close(self) -> None:
        """Let it end as soon as all is delivered that can be."""
        with self._lock:
            self.watched = set()
            process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            if self._reader is not None:
                self._reader.join(SECONDS_TO_END)

    def _wait_until_ready(self) -> None:
        process = self._process
        if not self._has_answered.wait(SECONDS_TO_START) and process is not None:
            process.kill()  # it is something else

    def _send(self, verb: str, **arguments: Any) -> Future[Any]:
        with self._lock:
            self._start()
            number = next(self._numbers)
            future = self._answers[number] = Future()
            self._write({"id": number, "verb": verb, "arguments": arguments})
        return future

    def _start(self) -> None:
        """Start it, unless it runs."""
        if self._process is not None:
            return
        program = spawn.get_executable()
        if (
            not program
            or getattr(sys, "frozen", False)
            or self._n_failures >= MAX_FAILURES
        ):
            raise NoProcessError
        try:
            self._process = subprocess.Popen(
                [os.fsdecode(program), "-I", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Whoever reads what this process says need not wait for that one.
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                errors="surrogatepass",
                # Neither Ctrl-C nor the end of a terminal is meant for it.
                start_new_session=True,
            )
            self._has_answered = threading.Event()
            self._reader = threading.Thread(
                target=self._read,
                args=[self._process, self._process.stdout, self._has_answered],
                name="skperceptron answers",
                daemon=True,
            )
            self._reader.start()
        except (OSError, RuntimeError) as error:
            self._n_failures = MAX_FAILURES
            raise NoProcessError from error
        self._said = {}
        self._write([path for path in sys.path if isinstance(path, str)])
        self._write({"owner": _owners.this_process(), "process_id": os.getpid()})
        for store, journal in list(self.watched):
            arguments = {"store": store, "journal": str(journal), "after": 0.0}
            self._write({"id": None, "verb": "watch", "arguments": arguments})

    def _write(self, message: Any) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        if isinstance(message, dict):
            message["surroundings"] = self._news()
        with suppress(OSError):  # it has ended; who reads its answers finds that out
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()

    def _news(self) -> dict[str, Any]:
        """Find what has changed around this process since that one was told."""
        now: dict[str, Any] = {
            "environment": dict(os.environ),
            "credentials": _credentials.all_known(),
            "program": sys.argv[:1],
        }
        with suppress(OSError):  # somebody has removed it
            now["folder"] = os.getcwd()
        news = {
            key: value for key, value in now.items() if value != self._said.get(key)
        }
        self._said |= news
        return news

    def _read(
        self,
        process: subprocess.Popen[str],
        output: TextIO,
        has_answered: threading.Event,
    ) -> None:
        """Take its answers, until it ends."""
        is_ready = False
        with output, suppress(ValueError, OSError):  # it was killed while it wrote
            is_ready = output.readline() == f"{_handover.READY}\n"
            has_answered.set()
            while is_ready and (line := output.readline()):
                self._take(json.loads(line))
        process.kill()  # if it is something else
        process.wait()
        has_answered.set()
        with self._lock:
            if self._process is process:
                self._process = None
                self._n_failures = 0 if is_ready else self._n_failures + 1
            if process.stdin is not None:
                with suppress(OSError):  # of what it has not read
                    process.stdin.close()
            answers, self._answers = self._answers, {}
        for answer in answers.values():
            answer.set_exception(_EndedError())
        if self.watched:
            with suppress(NoProcessError), self._lock:
                self._start()

    def _take(self, answer: dict[str, Any]) -> None:
        for message in answer["notices"]:
            note(message)
        future = self._answers.pop(answer["id"], None)
        if future is None:
            return
        if "error" in answer:
            future.set_exception(OSError(answer["error"]))
        else:
            future.set_result(answer["value"])


# One for each process: one that was forked has its own.
_processes: dict[int, DeliveringProcess] = {}


def delivering_process() -> DeliveringProcess:
    """Get the process that delivers for this one; it need not have been started."""
    process_id = os.getpid()
    if process_id not in _processes:
        _processes[process_id] = DeliveringProcess()
        atexit.register(_finish, process_id)
        # Child processes of multiprocessing end without the handlers of atexit.
        Finalize(None, _finish, args=[process_id], exitpriority=5)
    return _processes[process_id]


def ask_or_do(verb: str, **arguments: Any) -> Any:
    """Ask the process that delivers; deliver in this one if there can be none.

    Parameters
    ----------
    verb, **arguments
        As for `DeliveringProcess.ask`.
    """
    try:
        return delivering_process().ask(verb, **arguments)
    except NoProcessError:
        (deliver,) = _handover.deliver_here
        return deliver(verb, arguments)


def _finish(process_id: int) -> None:
    """Deliver what can be, before this process ends; the rest stays in the journal."""
    process = _processes.get(process_id)
    if process is None or process_id != os.getpid():
        return
    for call in _handover.before_finish:
        with suppress(Exception):  # a warning, say, that was made an error
            call()
    if process.watched:
        with suppress(OSError):
            for reason in ask_or_do("finish", seconds=_handover.SECONDS_TO_WAIT):
                note(reason)
    with suppress(TrackingWarning):
        tell_notices()
    _owners.remove_sign_of_life()
    process.close()
