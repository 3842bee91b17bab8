"""Machines that create the same run at the same moment agree on one."""

import itertools
import threading
from types import SimpleNamespace

import pytest

from skperceptron.tracking.delivery import _election, _runs
from skperceptron.tracking.delivery._election import MIN_GRACE, Election

KEY = "0123456789abcdef" * 2


class Store:
    """A store in which one call comes after the other, in an order that is given.

    Parameters
    ----------
    order : sequence of int
        Whose call is the next; after that, they come as they come.
    """

    def __init__(self, order=()):
        self.runs = {}
        self.deleted = set()
        self._changed = threading.Condition()
        self.begin_round(order)

    def begin_round(self, order):
        self._order, self._gone = list(order), set()

    def leave(self, machine):
        """Note that a machine makes no more calls."""
        with self._changed:
            self._gone.add(machine)
            self._changed.notify_all()

    def turn(self, machine, call):
        with self._changed:
            self._changed.wait_for(lambda: self._is_turn_of(machine))
            result = call()
            self._changed.notify_all()
            return result

    def _is_turn_of(self, machine):
        while self._order and self._order[0] in self._gone:
            self._order.pop(0)
        if self._order and self._order[0] != machine:
            return False
        if self._order:
            self._order.pop(0)
        return True


class Machine:
    """One that wants to store a run, and may be about to create it."""

    def __init__(self, number, store):
        self.number, self.store = number, store
        self.election = Election()
        self.own = self.elected = None

    def try_once(self):
        found = self.election.elect(self, KEY, self.own, self.create)
        if found is not None:
            self.elected = found.run_id
            self.call(lambda: self.store.runs[found.run_id].update(settled=True))
        self.store.leave(self.number)

    def call(self, what):
        return self.store.turn(self.number, what)

    def create(self):
        # The second machine's run has the smaller id.
        self.own = f"run {-self.number % 10}"
        self.call(lambda: self.store.runs.update({self.own: {"settled": False}}))
        return self.own

    def look(self):
        return self.call(
            lambda: [
                as_run(run_id, **run)
                for run_id, run in self.store.runs.items()
                if run_id not in self.store.deleted
            ]
        )

    def discard(self, run_id):
        assert run_id == self.own  # never that of somebody else
        self.call(lambda: self.store.deleted.add(run_id))


def as_run(run_id, settled=False, status="RUNNING"):
    end_time = None if status == "RUNNING" else 1
    tags = {_runs.SETTLED_TAG: "true"} if settled else {}
    return SimpleNamespace(
        info=SimpleNamespace(run_id=run_id, status=status, end_time=end_time),
        data=SimpleNamespace(tags=tags),
    )


@pytest.fixture
def clock(monkeypatch):
    """Time goes by when the test says so."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_election.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(_runs, "runs_of_key", lambda machine, key: machine.look())
    monkeypatch.setattr(_runs, "discard_run", lambda machine, i: machine.discard(i))
    return clock


def run_together(machines):
    threads = [threading.Thread(target=m.try_once, daemon=True) for m in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()


# Each looks, creates, looks again and settles.
ORDERS = sorted(set(itertools.permutations([0] * 4 + [1] * 4)))


@pytest.mark.parametrize("second_order", [(0, 0, 0, 1, 1, 1), (1, 0, 1, 0, 1, 0)])
def test_two_machines_agree_in_whatever_order_their_calls_come(second_order, clock):
    for order in ORDERS:
        store = Store(order)
        machines = [Machine(number, store) for number in (0, 1)]
        run_together(machines)
        clock.now += MIN_GRACE + 1
        store.begin_round(second_order)
        for m in machines:
            if m.elected is not None:
                store.leave(m.number)
        run_together([m for m in machines if m.elected is None])
        assert machines[0].elected == machines[1].elected, order
        assert store.runs.keys() - store.deleted == {machines[0].elected}, order


def test_run_whose_creator_has_died_is_taken_over_after_a_while(clock):
    store = Store()
    store.runs["run of a dead machine"] = {}
    machine = Machine(0, store)
    machine.try_once()
    assert machine.elected is None
    clock.now += MIN_GRACE + 1
    machine.try_once()
    assert machine.elected == "run of a dead machine"
    assert machine.own is None


@pytest.mark.parametrize(
    ("status", "is_over"), [("FINISHED", True), ("FAILED", True), ("KILLED", False)]
)
def test_run_that_has_ended_is_the_one_and_complete_unless_killed(
    status, is_over, clock
):
    store = Store()
    store.runs["ended"] = {"status": status}
    machine = Machine(0, store)
    found = machine.election.elect(machine, KEY, None, machine.create)
    assert (found.run_id, found.is_over) == ("ended", is_over)
