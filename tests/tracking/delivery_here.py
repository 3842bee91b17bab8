"""Deliveries in the process of a test, so that what it patches reaches them."""

import multiprocessing
import os
import threading
import warnings
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing import spawn

import pytest

from skperceptron.tracking._reasons import reason_of
from skperceptron.tracking.delivery._limits import limits
from skperceptron.tracking.delivery._service import Service
from skperceptron.tracking.journal import _owners, _process


@contextmanager
def no_process():
    """Let fits only write in the block, and flush deliver in this process."""
    executable, processes = spawn.get_executable(), dict(_process._processes)
    multiprocessing.set_executable("/nothing")
    _process._processes.clear()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No process can be started that delivers")
            yield
    finally:
        multiprocessing.set_executable(executable)
        _process._processes.update(processes)


class DeliveryHere(_process.DeliveringProcess):
    """Does in this process what another one would do, for patches to reach it."""

    def __init__(self):
        super().__init__()
        self._has_answered.set()
        self._service = Service(_owners.this_process())

    def _send(self, verb, **arguments):
        answer = Future()

        def do():
            try:
                answer.set_result(getattr(self._service, verb)(**arguments))
            except Exception as error:
                answer.set_exception(OSError(reason_of(error)))

        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        return answer


@pytest.fixture
def delivery_here(monkeypatch):
    """Deliver in this process, so that what a test patches reaches who delivers."""
    process = DeliveryHere()
    monkeypatch.setitem(_process._processes, os.getpid(), process)
    for name, value in limits(os.environ).items():
        monkeypatch.setenv(name, value)
    yield process
    process._service.close()
