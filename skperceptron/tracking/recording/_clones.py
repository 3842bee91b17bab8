"""Clones of our estimators take along where their runs go.

A fit in the user's own thread asks MLflow and the configuration at once. A search,
however, fits clones in worker processes and threads, which know neither the caller's
tracking URI and experiment nor its active run and switches. scikit-learn makes these
clones in the caller's thread (or from clones made there), so a clone remembers the
destination and takes it along. Where the caller's thread makes only the first clones
and joblib's threads make the rest, as in `cross_validate`, the first are the witnesses.

Fits that one call of scikit-learn's makes, such as `cross_validate`, have one run above
them.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from dataclasses import replace
from typing import Any

from skperceptron.tracking.journal._journal import journal_in
from skperceptron.tracking.journal._process import delivering_process
from skperceptron.tracking.recording._attributes import DESTINATION_ATTRIBUTE
from skperceptron.tracking.recording._call_runs import is_open, run_of
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._sklearn_internals import (
    find_call,
    find_waiting_call,
    purpose_of_clone,
)

# What the thread saw that cloned an estimator last.
_seen_at_clone: weakref.WeakKeyDictionary[Any, Destination] = (
    weakref.WeakKeyDictionary()
)
# Where an estimator was fitted that somebody else has sent: it may be fitted again.
_taken: weakref.WeakKeyDictionary[Any, Destination] = weakref.WeakKeyDictionary()


def remember_destination(clone: Any, original: Any) -> None:
    """Let a clone know where its run will go.

    Parameters
    ----------
    clone : estimator
        The clone just made.

    original : estimator
        What it is a clone of. When that was itself cloned elsewhere, its destination
        counts.
    """
    with suppress(Exception):  # the fit will say what is wrong
        # What a fold's estimator clones in its turn, such as an ensemble's members, is
        # no fold itself.
        seen = _destination_for_clone_of(original)
        seen = replace(seen, purpose=purpose_of_clone())
        setattr(clone, DESTINATION_ATTRIBUTE, seen)


def _destination_for_clone_of(original: Any) -> Destination:
    witness = _seen_at_clone.get(original)
    if witness is not None and witness.speaks_for_this_thread and _is_fresh(witness):
        return witness
    destination = _seen_at_clone[original] = _destination_of(original)
    return destination


def _is_fresh(witness: Destination) -> bool:
    """Tell whether the call is not over of which something was seen, if any was."""
    if witness.call_key is None:
        return True
    return is_open(witness.call_key)


def prepare_to_send(state: dict[str, Any], estimator: Any) -> None:
    """Get ready for an estimator to be fitted by another process.

    It is told where its runs will go, and this process begins to deliver what the other
    one writes. Some ensembles make their clones there, and send the estimator itself.

    Parameters
    ----------
    state : dict
        What is sent.

    estimator : estimator
        Of what.
    """
    with suppress(Exception):  # the fit will say what is wrong
        if DESTINATION_ATTRIBUTE not in state and find_waiting_call(estimator):
            state[DESTINATION_ATTRIBUTE] = seen_from_here(estimator)
        if DESTINATION_ATTRIBUTE in state:
            expect_runs_of_others(state[DESTINATION_ATTRIBUTE])


def expect_runs_of_others(destination: Destination) -> None:
    """Begin to deliver what other processes write for this one.

    To be called before they are told the destination.

    Parameters
    ----------
    destination : Destination
        Where the runs go. Nothing happens if another process has looked, or if nothing
        is tracked.
    """
    if destination.enabled and destination.is_of_this_process:
        with suppress(OSError):  # they will find that out, too, and help themselves
            journal = journal_in(destination.inbox.journal)
            journal.prepare()
            if destination.is_spread and destination.parents:
                journal.note_spread(destination.parents[-1].key)
            delivering_process().watch(destination.tracking_uri, journal.folder)


def take_destination(estimator: Any) -> Destination:
    """Tell where the fit that begins now is to be logged.

    The estimator forgets it, because it may be stored and fitted again in another
    place, another day. In this process it is known: `permutation_test_score` fits one
    clone several times.

    Parameters
    ----------
    estimator : estimator
        The estimator about to be fitted.

    Returns
    -------
    Destination
    """
    destination = _destination_of(estimator)
    remembered: Destination | None = vars(estimator).pop(DESTINATION_ATTRIBUTE, None)
    if remembered is destination:
        _taken[estimator] = destination
    if remembered is None:
        return destination
    return replace(destination, purpose=remembered.purpose)  # known when it was cloned


def _destination_of(estimator: Any) -> Destination:
    remembered: Destination | None = vars(estimator).get(DESTINATION_ATTRIBUTE)
    remembered = remembered or _taken.get(estimator)
    if remembered is not None and remembered.speaks_for_this_thread:
        return remembered
    return seen_from_here(estimator)


def seen_from_here(estimator: Any) -> Destination:
    """Tell where the runs of an estimator go, as this thread sees it.

    Parameters
    ----------
    estimator : estimator
        What is to be fitted.

    Returns
    -------
    Destination
        Below the run of the call of scikit-learn's that makes the fit, if it is one of
        several.
    """
    here = Destination.current()
    if not here.enabled:
        return here
    if here.parents and not here.is_spread:
        return here  # a study's trial is the run of all that is fitted in it, ...
    call = find_call() or find_waiting_call(estimator)
    # ... but that of a search, which other machines do not create.
    if call is None or (here.parents and call.search_task is None):
        return here
    parent = run_of(call, here)
    # The thread that has made the call is the one to wait for.
    return replace(here.below(parent), call_key=parent.key, thread_id=call.thread_id)
