"""Runs that other processes have left behind, and what stands in their way."""

import json
import socket
import time
from collections import Counter

import pytest

from benchmarks._servers import free_port
from skperceptron.tracking import TrackingWarning, flush
from skperceptron.tracking.delivery import _all_stores, _failures
from skperceptron.tracking.journal import _known_runs
from skperceptron.tracking.journal._journal import Inbox
from skperceptron.tracking.recording._destination import Destination
from tests.tracking.faults import fake_server, leave_behind, new_key, within

DEAD = "vm-1-dead"
# More than any system counts processes.
NO_PROCESS = 2**30


@pytest.fixture
def inbox(journal, runs):
    """Of a process that was killed."""
    return Inbox(journal, DEAD)


def parent_of(name):
    return {"key": new_key(), "name": name, "start_time": 1, "is_managed": True}


class TestStoreThatIsAway:
    @pytest.fixture
    def uri(self, monkeypatch):
        monkeypatch.setattr(_failures, "FIRST_RETRY", 0.2)
        monkeypatch.setattr(_failures, "LAST_RETRY", 0.4)
        return f"http://127.0.0.1:{free_port()}"

    @pytest.fixture
    def deliverer(self, inbox, uri):
        leave_behind(inbox, tracking_uri=uri, experiment_id=None)
        with pytest.warns(TrackingWarning, match="could not be delivered"):
            assert flush() == 1
        return _all_stores.deliverer_for(uri)

    def test_is_tried_now_and_then_after_a_flush(self, deliverer):
        before = deliverer._n_passes
        time.sleep(2)
        assert 2 <= deliverer._n_passes - before <= 100

    def test_is_told_once_more_by_the_next_flush(self, deliverer):
        with pytest.warns(TrackingWarning, match="could not be delivered") as caught:
            assert flush() == 1
        assert len(caught) == 1


def test_run_that_another_process_is_delivering_is_looked_at_now_and_then(inbox):
    entry = leave_behind(inbox)
    deliverer = _all_stores.deliverer_for(Destination.current().tracking_uri)
    with entry.locked():
        with pytest.warns(TrackingWarning, match="another process"):
            assert flush(timeout=0.5) == 1
        before = deliverer._n_passes
        time.sleep(2)
        assert deliverer._n_passes - before <= 100
    # By itself, though nobody asks for it again.
    assert within(20, lambda: not entry.path.exists())


class TestUnreadableFileOfARunAbove:
    """Its process was killed between making the file and writing to it."""

    @pytest.fixture
    def candidate(self, inbox):
        return parent_of("candidate 0")

    @pytest.fixture
    def damaged(self, inbox, candidate):
        path = inbox.entry(candidate["key"]).path
        path.parent.mkdir(parents=True)
        path.touch()
        return path

    @pytest.fixture
    def folds(self, inbox, candidate, damaged):
        return [leave_behind(inbox, parents=[candidate]) for _ in range(3)]

    def test_is_put_aside_alone(self, damaged, folds, inbox, runs, monkeypatch):
        monkeypatch.setattr("skperceptron.tracking.delivery._loop.SECONDS_TO_WRITE", 0)
        with pytest.warns(TrackingWarning, match="was put aside") as caught:
            assert flush() == 0
        assert len(caught) == 1
        found = runs.at_once()
        (above,) = [run for run in found if run.name == "candidate 0"]
        below = [run for run in found if run is not above]
        assert [run.parent for run in below] == [above.run_id] * 3
        assert [run.status for run in below] == ["FINISHED"] * 3
        assert [path.name for path in inbox.folder.iterdir()] == [
            damaged.with_suffix(".damaged").name
        ]

    def test_that_is_still_being_written_keeps_them_waiting(
        self, damaged, folds, runs, journal, monkeypatch
    ):
        monkeypatch.setattr(
            "skperceptron.tracking.journal._owners.is_alive",
            lambda journal, process: True,
        )
        with pytest.warns(TrackingWarning, match="which is above it"):
            assert flush(timeout=1) == 3
        assert damaged.exists()
        assert runs.at_once() == []


def test_flush_does_not_wait_for_parts_of_a_run_that_is_refused(inbox):
    first = leave_behind(inbox, experiment_id=None, experiment_name="")
    leave_behind(inbox, part_of=first, experiment_id=None, experiment_name="")
    deliverer = _all_stores.deliverer_for(Destination.current().tracking_uri)
    before = deliverer._n_tried
    with pytest.warns(TrackingWarning, match="could not be delivered"):
        assert flush() == 1
    assert deliverer._n_tried - before <= 4


def test_too_little_time_is_no_fault_of_the_store(inbox, runs, monkeypatch):
    for _ in range(200):
        leave_behind(inbox)
    with pytest.warns(TrackingWarning, match="were not enough") as caught:
        n_waiting = flush(timeout=0.3)
    assert n_waiting > 0
    assert not any("no answer" in str(warning.message) for warning in caught)
    assert flush() == 0
    assert len(runs.at_once()) == 200


class TestFlushWithATimeout:
    """What becomes of a server that starts meanwhile is in test_server.py."""

    def test_tries_a_store_that_is_away_until_the_time_is_over(self, inbox):
        uri = f"http://127.0.0.1:{free_port()}"
        leave_behind(inbox, tracking_uri=uri, experiment_id=None)
        begun_at = time.monotonic()
        with pytest.warns(TrackingWarning, match="could not be delivered") as caught:
            assert flush(timeout=1.5) == 1
        assert 1.4 < time.monotonic() - begun_at < 30
        assert len(caught) == 1

    def test_and_none_tries_it_once(self, inbox):
        uri = f"http://127.0.0.1:{free_port()}"
        leave_behind(inbox, tracking_uri=uri, experiment_id=None)
        before = _all_stores.deliverer_for(uri)._n_passes
        with pytest.warns(TrackingWarning, match="could not be delivered"):
            assert flush() == 1
        assert _all_stores.deliverer_for(uri)._n_passes - before <= 3

    def test_keeps_no_other_store_waiting(self, inbox, runs):
        uri = f"http://127.0.0.1:{free_port()}"
        leave_behind(inbox, tracking_uri=uri, experiment_id=None)
        leave_behind(inbox)
        with pytest.warns(TrackingWarning, match="could not be delivered"):
            assert flush(timeout=1) == 1
        assert len(runs.at_once()) == 1

    def test_does_not_try_again_what_a_store_refuses(self, inbox):
        leave_behind(inbox, experiment_id=None, experiment_name="")
        begun_at = time.monotonic()
        with pytest.warns(TrackingWarning, match="could not be delivered"):
            assert flush(timeout=300) == 1
        assert time.monotonic() - begun_at < 200


def test_silence_of_the_store_is_told(inbox):
    with fake_server(health=None, api=None) as server:
        leave_behind(inbox, tracking_uri=server.uri, experiment_id=None)
        with pytest.warns(TrackingWarning, match=r"no answer within [\d.]+ s"):
            assert flush(timeout=1) == 1


class TestKilledSearch:
    """The process of a search is gone, and so is a worker that has outlived it."""

    @pytest.fixture
    def search(self):
        return {**parent_of("a search"), "start_time": 1_600_000_000_000}

    @pytest.fixture
    def candidate(self):
        return {**parent_of("candidate 0"), "start_time": 1_600_000_000_000}

    def fold_of_worker(self, journal, inbox, parents):
        worker = f"{socket.gethostname()}-{NO_PROCESS}-2"
        entry = leave_behind(Inbox(journal, worker), parents=parents)
        head, rest = entry.path.read_text().split("\n", 1)
        searches = {"origin": inbox.owner, "has_rivals": True}
        entry.path.write_text(json.dumps(json.loads(head) | searches) + "\n" + rest)
        return entry

    @pytest.fixture
    def inbox(self, journal, runs):
        return Inbox(journal, f"{socket.gethostname()}-{NO_PROCESS}-1")

    def test_leaves_nothing_running_above_the_fold_of_a_worker(
        self, search, candidate, inbox, journal, runs
    ):
        self.fold_of_worker(journal, inbox, [search, candidate])
        assert flush() == 0
        statuses = {run.name: run.status for run in runs.at_once()}
        assert statuses == {
            "a search": "KILLED",
            "candidate 0": "KILLED",
            "a fit": "FINISHED",
        }

    def test_ends_with_the_last_of_its_folds(self, search, candidate, inbox, runs):
        for _ in range(3):
            leave_behind(inbox, parents=[search, candidate])
        assert flush() == 0
        found = runs.at_once()
        ends = [run.end_time for run in found if run.name == "a fit"]
        above = [run for run in found if run.name != "a fit"]
        assert [run.status for run in above] == ["KILLED"] * 2
        assert [run.end_time for run in above] == [max(ends)] * 2

    def test_that_had_begun_itself_ends_with_the_last_of_its_folds(
        self, search, candidate, inbox, runs
    ):
        """Nobody has heard of the candidate yet but from its fold."""
        above = leave_behind(inbox, is_ended=False)
        fold = leave_behind(inbox, parents=[{**search, "key": above.key}, candidate])
        end = {"kind": "end", "status": "FINISHED", "end_time": 1_700_000_009_000}
        fold.append(end)
        assert flush() == 0
        found = runs.at_once()
        assert Counter(run.status for run in found) == {"KILLED": 2, "FINISHED": 1}
        assert {run.end_time for run in found} == {1_700_000_009_000}

    def test_ends_later_when_a_worker_has_outlived_it(
        self, search, candidate, inbox, journal, runs
    ):
        leave_behind(inbox, parents=[search])
        assert flush() == 0
        _known_runs._run_ids.clear()  # as in another process
        _known_runs._last_ends.clear()
        fold = self.fold_of_worker(journal, inbox, [search, candidate])
        end = {"kind": "end", "status": "FINISHED", "end_time": 1_700_000_009_000}
        fold.append(end)
        assert flush() == 0
        above = [run for run in runs.at_once() if run.name != "a fit"]
        assert [(run.status, run.end_time) for run in above] == [
            ("KILLED", 1_700_000_009_000)
        ] * 2
