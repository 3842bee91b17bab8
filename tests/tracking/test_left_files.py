"""Files of other processes in the journal, and what stands in their way."""

import json
import os
import signal
import socket
import time
from collections import Counter

import pytest

from skperceptron.tracking import TrackingWarning, flush
from skperceptron.tracking.delivery import _all_stores
from skperceptron.tracking.journal import _known_runs
from skperceptron.tracking.journal._journal import Inbox
from skperceptron.tracking.recording._destination import Destination
from tests.tracking.faults import die, fit, in_child, warned_once, within
from tests.tracking.journal_files import leave_entry, new_key

DEAD = "vm-1-dead"
# More than any system counts processes.
NO_PROCESS = 2**30


@pytest.fixture
def inbox(journal, runs):
    """Of a process that was killed."""
    return Inbox(journal, DEAD)


def parent_of(name):
    return {"key": new_key(), "name": name, "start_time": 1, "is_managed": True}


def test_run_that_another_process_is_delivering_is_looked_at_now_and_then(inbox):
    entry = leave_entry(inbox)
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
        return [leave_entry(inbox, parents=[candidate]) for _ in range(3)]

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
    first = leave_entry(inbox, experiment_id=None, experiment_name="")
    leave_entry(inbox, part_of=first, experiment_id=None, experiment_name="")
    deliverer = _all_stores.deliverer_for(Destination.current().tracking_uri)
    before = deliverer._n_tried
    with pytest.warns(TrackingWarning, match="could not be delivered"):
        assert flush() == 1
    assert deliverer._n_tried - before <= 4


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
        entry = leave_entry(Inbox(journal, worker), parents=parents)
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
            leave_entry(inbox, parents=[search, candidate])
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
        above = leave_entry(inbox, is_ended=False)
        fold = leave_entry(inbox, parents=[{**search, "key": above.key}, candidate])
        end = {"kind": "end", "status": "FINISHED", "end_time": 1_700_000_009_000}
        fold.append(end)
        assert flush() == 0
        found = runs.at_once()
        assert Counter(run.status for run in found) == {"KILLED": 2, "FINISHED": 1}
        assert {run.end_time for run in found} == {1_700_000_009_000}

    def test_ends_later_when_a_worker_has_outlived_it(
        self, search, candidate, inbox, journal, runs
    ):
        leave_entry(inbox, parents=[search])
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


def test_late_child_of_a_dead_process_leaves_its_search_as_it_ended(journal, runs):
    inbox = Inbox(journal, "vm-1-dead")
    search = leave_entry(inbox)
    assert flush() == 0
    _known_runs._run_ids.clear()  # as in another process
    parent = {"name": "a search", "start_time": 1, "is_managed": True}
    leave_entry(inbox, parents=[{**parent, "key": search.key}])
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2


def test_half_a_line_of_a_killed_process_is_reported(runs, journal):
    def fit_half():
        write = os.write

        def write_half(file, data):
            if b'"metrics"' in bytes(data):
                write(file, bytes(data[: len(data) // 2]))
                die()
            return write(file, data)

        os.write = write_half
        fit()

    assert in_child(fit_half) == signal.SIGKILL
    with warned_once("may lack something"):
        assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["KILLED"]


def test_run_whose_first_part_another_process_is_delivering_is_not_doubled(
    runs, journal
):
    fit()
    inbox = Inbox(journal, "vm-1-dead")
    first = leave_entry(inbox)
    leave_entry(inbox, part_of=first)
    with first.locked():
        with pytest.warns(TrackingWarning) as caught:
            assert flush(timeout=2) == 1
        assert len(runs.at_once()) == 1
    assert any("another process" in str(warning.message) for warning in caught)
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2
