"""Runs of other processes in the journal, and what becomes of those above them."""

import socket
from collections import Counter

import pytest

from skperceptron.tracking import TrackingWarning, flush, pending
from skperceptron.tracking.journal._journal import journal_in
from skperceptron.tracking.journal._owners import this_process
from tests.tracking.faults import fit
from tests.tracking.journal_files import DEAD, START, leave_run, new_key, parent_of

# More than any system counts processes.
NO_PROCESS = 2**30
CLIENT = f"{socket.gethostname()}-{NO_PROCESS}-1"
WORKER = f"{socket.gethostname()}-{NO_PROCESS}-2"


def test_parts_of_a_run_that_is_refused_are_tried_once(journal, runs):
    key = leave_run(journal, experiment_id=None, experiment_name="")
    leave_run(journal, key=key, experiment_id=None, experiment_name="")
    with pytest.warns(TrackingWarning, match="could not be delivered") as caught:
        assert flush() == 1
    assert len(caught) == 1


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_run_of_a_killed_process_ends_as_it_has_said(status, journal, runs):
    leave_run(journal, end_time=None, status_if_killed=status)
    assert [run.status for run in runs()] == [status]


def test_run_of_a_killed_worker_ends_while_its_search_goes_on(journal, runs):
    leave_run(journal, owner=this_process(), writer=DEAD, end_time=None)
    assert [run.status for run in runs()] == ["KILLED"]


def test_run_that_cannot_be_read_keeps_up_no_other(journal, runs):
    key = leave_run(journal)
    leave_run(journal)
    with journal_in(journal).database._transaction("BEGIN IMMEDIATE") as db:
        db.execute("UPDATE event SET body = 'nonsense' WHERE key = ?", [key])
    with pytest.warns(TrackingWarning, match=f"{key}.* cannot be read") as caught:
        assert flush() == 0
    assert len(caught) == 1
    assert len(runs()) == 1


def test_runs_are_below_one_that_cannot_be_read(journal, runs):
    above = parent_of("a search")
    leave_run(journal, parents=[above])
    with journal_in(journal).database._transaction("BEGIN IMMEDIATE") as db:
        db.execute("UPDATE run SET address = '[]' WHERE key = ?", [above.key])
    with (
        pytest.warns(TrackingWarning, match="is not there"),
        pytest.warns(TrackingWarning, match=f"{above.key}.* cannot be read"),
    ):
        flush()
    assert pending() == 1  # rather than in the wrong place


class TestKilledSearch:
    """The process of a search is gone, and so is a worker that has outlived it."""

    @pytest.fixture
    def parents(self):
        return [parent_of(name, START - 10**6) for name in ("a search", "candidate 0")]

    def fold_of_worker(self, journal, parents, end_time=START + 1):
        leave_run(
            journal,
            owner=WORKER,
            origin=CLIENT,
            parents=parents,
            end_time=end_time,
        )

    def test_leaves_nothing_running_above_the_fold_of_a_worker(
        self, parents, journal, runs
    ):
        self.fold_of_worker(journal, parents)
        assert flush() == 0
        statuses = {run.name: run.status for run in runs.at_once()}
        assert statuses == {
            "a search": "KILLED",
            "candidate 0": "KILLED",
            "a fit": "FINISHED",
        }

    def test_ends_with_the_last_of_its_folds(self, parents, journal, runs):
        for number in range(3):
            leave_run(journal, CLIENT, parents=parents, end_time=START + number)
        assert flush() == 0
        above = [run for run in runs.at_once() if run.name != "a fit"]
        assert [(run.status, run.end_time) for run in above] == [
            ("KILLED", START + 2)
        ] * 2

    def test_that_had_begun_itself_ends_with_the_last_of_its_folds(
        self, parents, journal, runs
    ):
        """Nobody has heard of the candidate yet but from its fold."""
        search = parents[0]
        leave_run(journal, CLIENT, key=search.key, end_time=None)
        leave_run(journal, CLIENT, parents=parents, end_time=START + 9000)
        assert flush() == 0
        found = runs.at_once()
        assert Counter(run.status for run in found) == {"KILLED": 2, "FINISHED": 1}
        assert {run.end_time for run in found} == {START + 9000}

    def test_ends_later_when_a_worker_has_outlived_it(self, parents, journal, runs):
        leave_run(journal, CLIENT, parents=parents[:1])
        assert flush() == 0
        self.fold_of_worker(journal, parents, end_time=START + 9000)
        assert flush() == 0
        above = [run for run in runs.at_once() if run.name != "a fit"]
        assert [(run.status, run.end_time) for run in above] == [
            ("KILLED", START + 9000)
        ] * 2


def test_late_child_of_a_dead_process_leaves_its_search_as_it_ended(journal, runs):
    above = parent_of("a search")
    leave_run(journal, key=above.key)
    assert flush() == 0
    leave_run(journal, parents=[above])
    assert flush() == 0
    assert [run.status for run in runs.at_once()] == ["FINISHED"] * 2


def test_fit_is_not_kept_up_by_what_others_have_left(journal, runs):
    leave_run(journal, key=new_key(), experiment_id=None, experiment_name="")
    fit()
    assert len(runs.at_once()) == 1
    assert pending() == 1
