"""A fork does not come in the middle of what is written to SQLite."""

import os
import threading
from contextlib import ExitStack, contextmanager

import pytest

from skperceptron.tracking.delivery import _forks, _store
from skperceptron.tracking.delivery._forks import no_fork

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process.*is multi-threaded:DeprecationWarning"
)


@pytest.fixture
def writing():
    """A thread in the block; set the event to let it out."""
    is_inside, may_go = threading.Event(), threading.Event()

    def write():
        with no_fork():
            is_inside.set()
            may_go.wait(60)

    thread = threading.Thread(target=write)
    thread.start()
    assert is_inside.wait(60)
    yield may_go
    may_go.set()
    thread.join()


def fork(child=lambda: None):
    """Fork, and give back how the child has ended."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_fork_waits_until_a_thread_has_written(writing):
    timer = threading.Timer(0.3, writing.set)
    timer.start()
    assert fork() == 0
    assert writing.is_set()


def test_fork_does_not_wait_forever(writing, monkeypatch):
    monkeypatch.setattr(_forks, "SECONDS_TO_WAIT", 0.1)
    assert fork() == 0
    assert not writing.is_set()


def test_child_has_nothing_to_wait_for(writing, monkeypatch):
    monkeypatch.setattr(_forks, "SECONDS_TO_WAIT", 0.1)

    def write_and_fork():
        monkeypatch.setattr(_forks, "SECONDS_TO_WAIT", 3600)
        with no_fork(), no_fork():
            pass
        assert fork() == 0

    assert fork(write_and_fork) == 0


def test_thread_may_fork_while_it_writes_itself():
    with no_fork():
        assert fork() == 0


@contextmanager
def forked_child():
    """Have a child in the block that only waits, with all that is open."""
    end, parents_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(parents_end)
        os.read(end, 1)
        os._exit(0)
    os.close(end)
    try:
        yield
    finally:
        os.close(parents_end)
        os.waitpid(pid, 0)


# A lock of the file system belongs to all processes that have the file open.


def test_child_that_was_forked_amid_a_delivery_does_not_keep_its_store(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    has_entered = threading.Event()

    def enter():
        with _store.store_lock(uri):
            has_entered.set()

    with ExitStack() as stack:
        with _store.store_lock(uri):
            stack.enter_context(forked_child())
        threading.Thread(target=enter).start()
        assert has_entered.wait(30)
