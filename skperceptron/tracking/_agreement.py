"""How processes that share an Optuna study agree on one run of it."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna.storages import InMemoryStorage

from skperceptron.tracking._record import now

if TYPE_CHECKING:
    from optuna import Study

# Attributes of the study: the run that it has, ...
_RUN = "skperceptron.run"
# ... and, before it has one, who is to begin which.
_PROPOSAL = "skperceptron.proposal"
# After so many seconds, what another process may have written has arrived, ...
_SECONDS_TO_AGREE = 0.2
# ... or after so many times as long as a storage that is busy takes for an answer.
_ANSWERS_TO_AGREE = 10
# Who has not begun the run by then is gone, whatever has happened to it.
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
    """

    key: str
    start_time: int
    is_new: bool

    def announce(self, study: Study) -> None:
        """Tell the others, who wait for it, that the run is there."""
        study.set_user_attr(_RUN, json.dumps([self.key, self.start_time]))


def is_shared(study: Study) -> bool:
    """Tell whether other processes may work on a study."""
    return not isinstance(study._storage, InMemoryStorage)


def agree_on_run(study: Study) -> StudyIdentity:
    """Find the run of a study, or who begins it.

    Neither Optuna nor MLflow can store something only if it is not there yet. So each
    process that finds no proposal makes one, and waits until all that were made at the
    same time must have arrived. The last one counts: who has made it begins the run,
    for which the others wait.

    Parameters
    ----------
    study : optuna.Study
        The study.

    Returns
    -------
    StudyIdentity
    """
    own: str | None = None
    seen, seen_at = None, time.monotonic()
    while True:
        asked_at = time.monotonic()
        attributes = study.user_attrs
        if _RUN in attributes:
            key, start_time = json.loads(attributes[_RUN])
            return StudyIdentity(str(key), int(start_time), is_new=False)
        proposal = attributes.get(_PROPOSAL)
        if own is not None and proposal == own:
            key, start_time, _ = json.loads(own)
            return StudyIdentity(key, start_time, is_new=True)
        if proposal != seen:
            seen, seen_at = proposal, asked_at
        if proposal is None or asked_at - seen_at > _SECONDS_TO_BEGIN:
            own = _propose(study, proposal)
        if is_shared(study):
            seconds = time.monotonic() - asked_at
            time.sleep(max(_SECONDS_TO_AGREE, _ANSWERS_TO_AGREE * seconds))


def _propose(study: Study, before: str | None) -> str:
    """Propose to begin the run; the same one as somebody who has not managed to."""
    run = [uuid.uuid4().hex, now()] if before is None else json.loads(before)[:2]
    proposal = json.dumps([*run, uuid.uuid4().hex])
    study.set_user_attr(_PROPOSAL, proposal)
    return proposal
