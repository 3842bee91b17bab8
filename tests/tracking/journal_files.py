"""Files of the journal as processes that are gone would have left them."""

import uuid

from skperceptron.tracking.journal._entry import header
from skperceptron.tracking.journal._named_stores import note_store
from skperceptron.tracking.journal._record import RunRecord
from skperceptron.tracking.recording._destination import Destination


def new_key():
    return uuid.uuid4().hex


def leave_entry(inbox, is_ended=True, parents=(), part_of=None, **changes):
    """Write down a run, or a later part of one, whose process has died."""
    inbox.folder.mkdir(parents=True, exist_ok=True)
    entry = inbox.entry(part_of.key, 1) if part_of else inbox.entry(new_key())
    record = RunRecord("a fit", 1_700_000_000_000)
    record.end_time = record.start_time + 1 if is_ended else None
    destination = {**Destination.current().address(), **changes}
    note_store(destination)  # as its fit has
    head = header(
        record,
        key=entry.key,
        destination=destination,
        parents=list(parents),
        continues=part_of is not None,
    )
    head["writer"] = inbox.owner
    entry.append(head, *record.events(), create=True)
    return entry
