"""How processes that share an Optuna study agree on one run of it."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import InMemoryStorage

from skperceptron.tracking.journal._process import delivering_process
from skperceptron.tracking.journal._record import now
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._originals import describe_study, is_for

if TYPE_CHECKING:
    from optuna import Study

# Attributes of the study: the run that it has, ...
_RUN = "skperceptron.run"
# ... and, before it has one, who is to begin which. Where its runs go to several
# experiments or stores, the names of all but the first go on with a sign of theirs.
_PROPOSAL = "skperceptron.proposal"
_SIGN_LENGTH = 8
# An empty study is there while a process proposes, whose name ends like this. Names in
# databases have 512 characters at most.
_LOCK = " (about to be tracked)"
_MAX_NAME_LENGTH = 480
# While another process begins the run, this one looks again after this many seconds.
_SECONDS_BETWEEN_LOOKS = 0.2
# A process that has not begun the run by then is taken for dead.
_SECONDS_TO_BEGIN = 60.0


@dataclass(frozen=True)
class StudyIdentity:
    """By which all processes know the run of a study.

    Attributes
    ----------
    key : str
        Identity of the run.

    start_time : int
        Milliseconds since 1970.

    is_new : bool
        Whether it is this process that begins it, and is to `announce` it.

    continues : str or None
        The key of the study's first run, if this is another one.

    details : dict
        What else is written down: for which study it is, and where it goes.
    """

    key: str
    start_time: int
    is_new: bool
    continues: str | None
    details: dict[str, Any]

    def announce(self, study: Study) -> None:
        """Tell the others, who wait for it, that the run is there."""
        name = _RUN if self.continues is None else _of_place(_RUN, self.details["goes"])
        details = {**self.details, "start_time": self.start_time}
        study.set_user_attr(name, json.dumps([self.key, details]))


def is_shared(study: Study) -> bool:
    """Tell whether other processes may work on a study."""
    return not isinstance(study._storage, InMemoryStorage)


def is_of_agreement(attribute: str) -> bool:
    """Tell attributes of a study that are written here from those of the user."""
    return attribute.startswith((_RUN, _PROPOSAL))


def agree_on_run(
    study: Study, address: dict[str, str | None] | None = None
) -> StudyIdentity:
    """Find the run of a study, or who begins it.

    The first process proposes which run it is, and begins it; the others wait for that.
    If it does not, another one begins the same run.

    A study has a run in each experiment to which its trials go. What is written for
    another study, of which this one is a copy, does not count.

    Parameters
    ----------
    study : optuna.Study
        The study.

    address : dict or None, default=None
        Where the runs go. None takes MLflow's choice.

    Returns
    -------
    StudyIdentity
    """
    if address is None:
        address = Destination.current().address()
    details = {**describe_study(study), "goes": _sign_of(address)}
    seen, seen_at = None, time.monotonic()
    while True:
        attributes = _valid(study)
        first = attributes.get(_RUN) or attributes.get(_PROPOSAL)
        run, proposal_name, continues = _RUN, _PROPOSAL, None
        if first is not None and not _goes_there(first, details["goes"], address):
            continues = first[0]
            run = _of_place(_RUN, details["goes"])
            proposal_name = _of_place(_PROPOSAL, details["goes"])
        if run in attributes:
            key, found, *_ = attributes[run]
            identity = StudyIdentity(
                key, found["start_time"], False, continues, details
            )
            if found["place"] != details["place"]:  # it has been moved
                identity.announce(study)
            return identity
        proposal = attributes.get(proposal_name)
        if proposal != seen:
            seen, seen_at = proposal, time.monotonic()
        is_overdue = time.monotonic() - seen_at > _SECONDS_TO_BEGIN
        if proposal is None or is_overdue:
            with _lock(study, breaks=is_overdue) as is_locked:
                if is_locked and _valid(study).get(proposal_name) == proposal:
                    key, start_time = _propose(study, proposal_name, proposal, details)
                    return StudyIdentity(key, start_time, True, continues, details)
        time.sleep(_SECONDS_BETWEEN_LOOKS)


@contextmanager
def _lock(study: Study, *, breaks: bool) -> Iterator[bool]:
    """Keep other processes, on all machines, out of the block.

    The only thing that storages refuse is a second study of one name.

    Parameters
    ----------
    study : optuna.Study
        The study.

    breaks : bool
        Whether to remove a lock that is there: who had it was killed.

    Yields
    ------
    bool
        False if another process is in it.
    """
    storage, name = study._storage, study.study_name[:_MAX_NAME_LENGTH] + _LOCK
    try:
        with _unmentioned(name):
            study_id = storage.create_new_study(study.directions, name)
    except DuplicatedStudyError:
        if breaks:
            with suppress(KeyError):  # somebody else has removed it
                storage.delete_study(storage.get_study_id_from_name(name))
        yield False
        return
    try:
        yield True
    finally:
        with suppress(KeyError):  # somebody has removed it
            storage.delete_study(study_id)


@contextmanager
def _unmentioned(name: str) -> Iterator[None]:
    """Let Optuna not tell the user of a study in the block."""
    modules = [module for module in sys.modules if module.startswith("optuna.storages")]
    loggers = [logging.getLogger(module) for module in modules]

    def is_of_another(record: logging.LogRecord) -> bool:
        return name not in record.getMessage()

    for logger in loggers:
        logger.addFilter(is_of_another)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_of_another)


def _propose(
    study: Study, name: str, before: list[Any] | None, details: dict[str, Any]
) -> tuple[str, int]:
    """Propose to begin the run; the same one as somebody who has not managed to."""
    key, start_time = uuid.uuid4().hex, now()
    if before is not None:
        key, start_time = before[0], before[1]["start_time"]
    # The last item makes each proposal a new one.
    proposal = [key, {**details, "start_time": start_time}, uuid.uuid4().hex]
    study.set_user_attr(name, json.dumps(proposal))
    return key, start_time


def _valid(study: Study) -> dict[str, list[Any]]:
    """Read what is written for a study, not for one of which it is a copy."""
    written = {
        name: json.loads(value)
        for name, value in study.user_attrs.items()
        if is_of_agreement(name)
    }
    return {n: value for n, value in written.items() if is_for(study, value[1])}


def _of_place(name: str, sign: str) -> str:
    return f"{name}.{sign}"


def _sign_of(address: dict[str, str | None]) -> str:
    """Make a short name of where runs go."""
    store = address["tracking_uri"] or address["working_directory"]
    experiment = address["experiment_id"] or address["experiment_name"]
    text = json.dumps([store, experiment])
    return hashlib.sha256(text.encode()).hexdigest()[:_SIGN_LENGTH]


def _goes_there(first: list[Any], sign: str, address: dict[str, str | None]) -> bool:
    """Tell whether the first run of a study is where runs go now."""
    if first[1]["goes"] == sign:
        return True
    # Another process may know the same place by another name.
    with suppress(OSError):  # there is nobody to ask
        process = delivering_process()
        return process.ask("look_up", address=address, key=first[0]) is not None
    return False
