"""Trials of an Optuna study whose workers were killed."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.trial import TrialState

from skperceptron.tracking._warnings import tolerate
from skperceptron.tracking.journal import _owners
from skperceptron.tracking.journal._folders import Inbox
from skperceptron.tracking.journal._handover import SECONDS_TO_WAIT
from skperceptron.tracking.journal._journal import usable_journals
from skperceptron.tracking.journal._process import delivering_process
from skperceptron.tracking.journal._record import KEY_TAG
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._trial import (
    STATE_TAG,
    end_trial_run,
    key_of_trial,
    trial_run,
)

if TYPE_CHECKING:
    from optuna import Study

_UNCLEAR = (TrialState.RUNNING, TrialState.FAIL)


def end_lost_trials(study: Study, below: Destination, *, deliver: bool) -> None:
    """End trials whose workers were killed as failed, in Optuna and in MLflow.

    If the storage has heartbeats, Optuna finds these trials. Otherwise they are the
    trials of dead processes of this machine, and those whose runs were ended when
    somebody delivered what a dead process had left.

    Parameters
    ----------
    study : optuna.Study
        The study.

    below : Destination
        The place below its run.

    deliver : bool
        Whether to deliver what dead workers have left on this machine. This also ends
        the run of the study as killed, unless it has ended.
    """
    with tolerate("What became of trials of other processes is not known"):
        run_id = _run_id_of(below.parents[-1].key)
        if run_id is not None:  # otherwise the store cannot be reached
            _end_lost_trials(study, below, run_id, deliver=deliver)


def _end_lost_trials(
    study: Study, below: Destination, run_id: str, *, deliver: bool
) -> None:
    left = _left_by_the_dead(below.parents[-1].key)
    keys = set(left)
    if left and deliver:
        delivering_process().ask(
            "deliver_left",
            store=below.tracking_uri,
            left=[(str(inbox.journal), inbox.owner) for inbox in left.values()],
            patience=SECONDS_TO_WAIT,
        )
    if not study.get_trials(deepcopy=False, states=_UNCLEAR):
        return
    address = below.address()
    has_ended = keys | _untold(address, run_id, "FAILED")
    _fail(study, has_ended, below)
    unclear = has_ended | _untold(address, run_id, "RUNNING")
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        if key_of_trial(trial, below) in unclear:
            run = trial_run(trial, below, has_begun=True)
            end_trial_run(run, trial, TrialState.FAIL, None)


def _run_id_of(key: str) -> str | None:
    run_ids = [journal.run_id_of(key) for journal in usable_journals()]
    return next(filter(None, run_ids), None)


def _left_by_the_dead(study_key: str) -> dict[str, Inbox]:
    """Find the runs of trials that dead workers of this machine wrote."""
    # In a folder that hosts share, processes of other hosts may look dead. Their trials
    # must not be ended.
    return {
        row["key"]: Inbox(journal.folder, row["owner"])
        for journal in usable_journals()
        for row in journal.below(study_key)
        if _owners.is_of_this_host(row["owner"])
        and not _owners.is_alive(journal.folder, row["owner"])
    }


def _untold(address: dict[str, str | None], run_id: str, status: str) -> set[str]:
    """Find the keys of trials' runs of a status that lack the final state of Optuna."""
    return {
        tags[KEY_TAG]
        for tags in delivering_process().ask(
            "tags_below", address=address, run_id=run_id, status=status
        )
        if STATE_TAG not in tags and KEY_TAG in tags
    }


def _fail(study: Study, has_ended: set[str], below: Destination) -> None:
    """Mark trials as failed in Optuna."""
    if _has_heartbeats(study):
        # Left to Optuna, which may also retry the trials.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            fail_stale_trials(study)
        return
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if key_of_trial(trial, below) in has_ended:
            with suppress(UpdateFinishedTrialError):  # another process was faster
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def _has_heartbeats(study: Study) -> bool:
    interval = getattr(study._storage, "get_heartbeat_interval", lambda: None)
    return interval() is not None
