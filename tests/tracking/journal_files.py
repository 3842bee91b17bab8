"""Runs in the journal as processes that are gone would have left them."""

import uuid

from skperceptron.tracking.journal._journal import journal_in
from skperceptron.tracking.journal._record import ParentRun, RunHead, RunRecord
from skperceptron.tracking.recording._destination import Destination

DEAD = "vm-1-dead"
START = 1_700_000_000_000


def new_key():
    return uuid.uuid4().hex


def parent_of(name, start_time=1, is_managed=True):
    return ParentRun(new_key(), name, start_time, is_managed)


def leave_run(
    folder,
    owner=DEAD,
    end_time=START + 1,
    key=None,
    parents=(),
    origin=None,
    status_if_killed="KILLED",
    name="a fit",
    writer=None,
    **changes,
):
    """Write down a run whose process has died, and give back its key."""
    record = RunRecord(name, START, end_time=end_time)
    address = {**Destination.current().address(), **changes}
    head = RunHead(
        key or new_key(),
        address,
        tuple(parents),
        deliverer=owner,
        origin=origin or owner,
        status_if_killed=status_if_killed,
    )
    journal_in(folder).write(head, record, owner=writer or owner)
    return head.key
