"""Starts the process that delivers the runs of this one, and asks it questions.

It has a lower priority. It lives as long as this process, and then until everything is
delivered that can be. The two exchange lines of JSON through two pipes. Nothing is lost
if it is killed: undelivered runs wait in the journal, and it is started again.
"""

from __future__ import annotations

import atexit

# MLflow uses its thread pools. Where it is only imported when this process ends, it
# would be too late for that module, which then cannot ask to be called at the end.
import concurrent.futures.thread  # noqa: F401
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

# It is not started again after it has ended this many times in a row before it was
# ready.
MAX_FAILURES = 3
# How long it may take until it is ready; more than on the busiest machine.
SECONDS_TO_START = 120.0
# A question without an answer is asked at most this many times.
MAX_ATTEMPTS = 5
# How long this process waits at its end for the delivering process to end.
SECONDS_TO_END = 1.0
# It gets the module search path of this process, which already contains what Python
# has read from the user's folder and environment.
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.stdin.readline())
from skperceptron.tracking.delivery.__main__ import main
main()
"""


class NoProcessError(OSError):
    """The delivering process cannot be started."""

    def __init__(self) -> None:
        super().__init__("no process could be started that delivers runs")


class _EndedError(Exception):
    """The delivering process has ended before it answered."""


class DeliveringProcess:
    """The process that delivers for this one.

    It is started when it is first needed, and again after it was killed.

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
        """Let it deliver from a journal from now on, and look there after some seconds.

        The store is an address without credentials.
        """
        self.watched.add((store, journal))
        with suppress(NoProcessError):  # waiting for a run raises it again
            self._send("watch", store=store, journal=str(journal), after=after)

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Call a method of its `delivery._service.Service`, and return the result.

        Parameters
        ----------
        verb : str
            Name of the method.

        **arguments
            Its arguments, in the types of JSON.

        Raises
        ------
        OSError
            When the method raises any error.

        NoProcessError
            When the process cannot be started, or always ends before it answers.
        """
        for _ in range(MAX_ATTEMPTS):
            answer = self._send(verb, **arguments)
            self._wait_until_ready()
            with suppress(_EndedError):
                return answer.result()
        raise NoProcessError

    def close(self) -> None:
        """Let it end as soon as everything is delivered that can be."""
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
            process.kill()  # it is not the program that was to be started

    def _send(self, verb: str, **arguments: Any) -> Future[Any]:
        with self._lock:
            self._start()
            number = next(self._numbers)
            future = self._answers[number] = Future()
            self._write({"id": number, "verb": verb, "arguments": arguments})
        return future

    def _start(self) -> None:
        """Start it, unless it is running."""
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
                # A program that reads this one's output must not wait for its end.
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                errors="surrogatepass",
                # Neither Ctrl-C nor the end of the terminal must end it.
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
        with suppress(OSError):  # it has ended, which `_read` notices
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()

    def _news(self) -> dict[str, Any]:
        """Return the surroundings of this process that have changed since last sent."""
        now: dict[str, Any] = {
            "environment": dict(os.environ),
            "credentials": _credentials.all_known(),
            "program": sys.argv[:1],
        }
        with suppress(OSError):  # the folder was removed
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
        """Read its answers until it ends."""
        is_ready = False
        with output, suppress(ValueError, OSError):  # it was killed while it wrote
            is_ready = output.readline() == f"{_handover.READY}\n"
            has_answered.set()
            while is_ready and (line := output.readline()):
                self._take(json.loads(line))
        process.kill()  # in case it is another program
        process.wait()
        has_answered.set()
        with self._lock:
            if self._process is process:
                self._process = None
                self._n_failures = 0 if is_ready else self._n_failures + 1
            if process.stdin is not None:
                with suppress(OSError):  # it has not read everything
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


# By process id: a forked process has its own.
_processes: dict[int, DeliveringProcess] = {}


def delivering_process() -> DeliveringProcess:
    """Return the process that delivers for this one, which may not be started yet."""
    process_id = os.getpid()
    if process_id not in _processes:
        _processes[process_id] = DeliveringProcess()
        atexit.register(_finish, process_id)
        # Child processes of multiprocessing end without calling atexit handlers.
        Finalize(None, _finish, args=[process_id], exitpriority=5)
    return _processes[process_id]


def ask_or_do(verb: str, **arguments: Any) -> Any:
    """Call `DeliveringProcess.ask`, or do it here if there can be no such process."""
    try:
        return delivering_process().ask(verb, **arguments)
    except NoProcessError:
        (deliver,) = _handover.deliver_here
        return deliver(verb, arguments)


def _finish(process_id: int) -> None:
    """Deliver what can be before this process ends. The rest stays in the journal."""
    process = _processes.get(process_id)
    if process is None or process_id != os.getpid():
        return
    for call in _handover.before_finish:
        with suppress(Exception):  # such as a warning that was made an error
            call()
    if process.watched:
        with suppress(OSError):
            for reason in ask_or_do("finish", seconds=_handover.SECONDS_TO_WAIT):
                note(reason)
    with suppress(TrackingWarning):
        tell_notices()
    _owners.remove_sign_of_life()
    process.close()
