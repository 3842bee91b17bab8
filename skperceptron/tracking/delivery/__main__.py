"""The process that delivers the runs of another process, its owner, to MLflow.

It reads questions from its standard input and writes answers to its standard output,
each a line of JSON. When its owner has ended or was killed, it delivers what it can and
then ends.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
from contextlib import suppress
from typing import Any, TextIO

from skperceptron.tracking import _credentials
from skperceptron.tracking._notices import take_notices
from skperceptron.tracking._reasons import reason_of
from skperceptron.tracking.delivery._limits import limits
from skperceptron.tracking.delivery._run_context import with_context
from skperceptron.tracking.delivery._service import Service
from skperceptron.tracking.journal import _owners
from skperceptron.tracking.journal._handover import READY, SECONDS_TO_WAIT

# Fits have a higher priority than the delivery of their runs.
NICENESS = 5
SECONDS_BETWEEN_LOOKS = 0.5


def main() -> None:
    """Serve the owner as long as it lives."""
    if hasattr(os, "nice"):  # not on Windows
        os.nice(NICENESS)
    questions, answers = sys.stdin, _take_over_output()
    hello = json.loads(questions.readline())
    _adopt(hello["surroundings"])
    print(READY, file=answers, flush=True)
    server = _Server(Service(hello["owner"]), questions, answers)
    _get_ready()
    server.serve(hello["process_id"])
    with suppress(OSError):
        server.finish()
    _owners.remove_sign_of_life()
    os._exit(0)  # threads may still be waiting for stores


class _Server:
    """Answers each question in a thread of its own by calling a service.

    Questions are read as soon as they arrive, even while MLflow is being imported, so
    that the owner can always write.
    """

    def __init__(self, service: Service, questions: TextIO, answers: TextIO) -> None:
        self._service = service
        self._answers = answers
        self._lock = threading.Lock()
        self._is_finished = False
        # None stands for the end.
        self._read: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._take, args=[questions], daemon=True).start()

    def serve(self, owner: int) -> None:
        """Answer until the pipe is closed, or the process of the id `owner` is gone."""
        while _is_parent(owner):  # a forked child of it may keep the pipe open
            with suppress(queue.Empty):
                line = self._read.get(timeout=SECONDS_BETWEEN_LOOKS)
                if line is None:
                    return
                self._begin_to_answer(line)

    def finish(self) -> None:
        """Deliver what the owner has left, unless it has asked for that itself."""
        if not self._is_finished:  # the owner was killed
            self._service.finish(SECONDS_TO_WAIT)

    def _take(self, questions: TextIO) -> None:
        for line in questions:
            self._read.put(line)
        self._read.put(None)

    def _begin_to_answer(self, line: str) -> None:
        with suppress(ValueError):  # the owner was killed while it wrote
            question = json.loads(line)
            self._is_finished = False
            _adopt(question["surroundings"])
            threading.Thread(target=self._answer, args=[question], daemon=True).start()

    def _answer(self, question: dict[str, Any]) -> None:
        answer = {"id": question["id"], "value": None}
        try:
            verb = getattr(self._service, question["verb"])
            answer["value"] = verb(**question["arguments"])
        except Exception as error:  # any error of a store or a disk
            answer["error"] = reason_of(error)
        else:
            self._is_finished = question["verb"] == "finish"
        answer["notices"] = list(take_notices())
        with self._lock, suppress(OSError):  # the owner is gone
            self._answers.write(json.dumps(answer) + "\n")
            self._answers.flush()


def _get_ready() -> None:
    """Import MLflow before anybody waits for a store."""
    gc.disable()  # collecting would take a sixth of the time and find nothing
    with suppress(Exception):  # the first delivery reports the same error
        with_context({})
    gc.freeze()
    gc.enable()


def _take_over_output() -> TextIO:
    """Reserve the standard output for answers; what libraries print is discarded."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    return answers


def _adopt(surroundings: dict[str, Any]) -> None:
    """Take over changes of the owner's surroundings that MLflow depends on."""
    if "environment" in surroundings:
        changed = surroundings["environment"]
        changed |= limits(changed)
        for name in set(os.environ) - set(changed):
            del os.environ[name]
        os.environ.update(changed)
    if "folder" in surroundings:
        with suppress(OSError):  # the folder was removed
            os.chdir(surroundings["folder"])
    if "program" in surroundings:
        sys.argv[:] = surroundings["program"]
    _credentials.learn(surroundings.get("credentials", {}))


def _is_parent(process_id: int) -> bool:
    return os.name != "posix" or os.getppid() == process_id


if __name__ == "__main__":
    main()
