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

# User attributes of the study: its run, ...
_RUN = "skperceptron.run"
# ... and, before it has one, the run that a process has proposed and will begin. For a
# second experiment or store, a hash of the place is added to these names.
_PROPOSAL = "skperceptron.proposal"
_SIGN_LENGTH = 8
# The lock for proposals is an empty study whose name ends like this. Databases store
# names of at most 512 characters.
_LOCK = " (about to be tracked)"
_MAX_NAME_LENGTH = 480
# Interval, in seconds, at which a process checks whether another has begun the run.
_SECONDS_BETWEEN_LOOKS = 0.2
# A process that has not begun the run after this many seconds is taken for dead.
_SECONDS_TO_BEGIN = 60.0


@dataclass(frozen=True)
class StudyIdentity:
    """The run of a study, as all its processes know it.

    Attributes
    ----------
    key : str
        Identity of the run.

    start_time : int
        Milliseconds since 1970.

    is_new : bool
        Whether this process has to begin and `announce` it.

    continues : str or None
        The key of the study's first run, if this is another one.

    details : dict
        What else is written down: its study, and where it goes.
    """

    key: str
    start_time: int
    is_new: bool
    continues: str | None
    details: dict[str, Any]

    def announce(self, study: Study) -> None:
        """Announce to waiting processes that the run exists."""
        name = _RUN if self.continues is None else _of_place(_RUN, self.details["goes"])
        details = {**self.details, "start_time": self.start_time}
        study.set_user_attr(name, json.dumps([self.key, details]))


def is_shared(study: Study) -> bool:
    """Return whether other processes may work on a study."""
    return not isinstance(study._storage, InMemoryStorage)


def is_of_agreement(attribute: str) -> bool:
    """Return whether an attribute of a study is written here, not by the user."""
    return attribute.startswith((_RUN, _PROPOSAL))


def agree_on_run(
    study: Study, address: dict[str, str | None] | None = None
) -> StudyIdentity:
    """Find the run of a study, or propose one that this process begins.

    The first process proposes a run and begins it; the others wait for that. If it does
    not begin it, another process begins the same run.

    A study has a run in each experiment to which its trials go. Attributes that were
    written for another study, of which this one is a copy, are ignored.

    Parameters
    ----------
    study : optuna.Study
        The study.

    address : dict or None, default=None
        Where the runs go. None takes MLflow's choice.
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
            if found["place"] != details["place"]:  # the study was moved
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
    """Lock a study against processes on all machines, and yield whether that was done.

    The lock is a study of another name: storages refuse nothing but a second study of
    the same name. With `breaks`, an existing lock is removed, whose owner was killed.
    """
    storage, name = study._storage, study.study_name[:_MAX_NAME_LENGTH] + _LOCK
    try:
        with _unmentioned(name):
            study_id = storage.create_new_study(study.directions, name)
    except DuplicatedStudyError:
        if breaks:
            with suppress(KeyError):  # another process has removed it
                storage.delete_study(storage.get_study_id_from_name(name))
        yield False
        return
    try:
        yield True
    finally:
        with suppress(KeyError):  # another process has removed it
            storage.delete_study(study_id)


@contextmanager
def _unmentioned(name: str) -> Iterator[None]:
    """Keep a study out of Optuna's log messages during the block."""
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
    """Propose to begin the run: that of an earlier proposal, if there is one."""
    key, start_time = uuid.uuid4().hex, now()
    if before is not None:
        key, start_time = before[0], before[1]["start_time"]
    # The last item distinguishes proposals of the same run.
    proposal = [key, {**details, "start_time": start_time}, uuid.uuid4().hex]
    study.set_user_attr(name, json.dumps(proposal))
    return key, start_time


def _valid(study: Study) -> dict[str, list[Any]]:
    """Read the attributes that were written for a study, not for an original of it."""
    written = {
        name: json.loads(value)
        for name, value in study.user_attrs.items()
        if is_of_agreement(name)
    }
    return {n: value for n, value in written.items() if is_for(study, value[1])}


def _of_place(name: str, sign: str) -> str:
    return f"{name}.{sign}"


def _sign_of(address: dict[str, str | None]) -> str:
    """Return a hash of the store and experiment to which runs go."""
    store = address["tracking_uri"] or address["working_directory"]
    experiment = address["experiment_id"] or address["experiment_name"]
    text = json.dumps([store, experiment])
    return hashlib.sha256(text.encode()).hexdigest()[:_SIGN_LENGTH]


def _goes_there(first: list[Any], sign: str, address: dict[str, str | None]) -> bool:
    """Return whether runs go to the experiment of the study's first run."""
    if first[1]["goes"] == sign:
        return True
    # Another process may know the same experiment by another name.
    with suppress(OSError):  # no process could look it up
        process = delivering_process()
        return process.ask("look_up", address=address, key=first[0]) is not None
    return False
