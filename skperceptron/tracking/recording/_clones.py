"""Clones of our estimators carry the destination of their runs.

A fit in the user's own thread reads it from MLflow and the configuration. A search,
however, fits clones in worker processes and threads, which know neither the caller's
tracking URI and experiment nor its active run and configuration. scikit-learn makes
these clones in the caller's thread, or from clones made there, so a clone remembers the
destination. In `cross_validate`, the caller's thread makes only the first clones, and
joblib's threads make the others. These use the destination seen for the first.

All fits of one scikit-learn call, such as `cross_validate`, have the same parent run.
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

# The destination that was seen when an estimator was last cloned, by that estimator.
_seen_at_clone: weakref.WeakKeyDictionary[Any, Destination] = (
    weakref.WeakKeyDictionary()
)
# The destination with which an estimator was sent and fitted: it may be fitted again.
_taken: weakref.WeakKeyDictionary[Any, Destination] = weakref.WeakKeyDictionary()


def remember_destination(clone: Any, original: Any) -> None:
    """Let a new clone remember where its run will go.

    An original that was itself cloned elsewhere passes on its own destination.
    """
    with suppress(Exception):  # the fit will report the error
        # Clones that a fold's estimator makes in its turn, such as the members of an
        # ensemble, are not folds themselves.
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
    """Return whether the call in which a destination was seen, if any, goes on."""
    if witness.call_key is None:
        return True
    return is_open(witness.call_key)


def prepare_to_send(state: dict[str, Any], estimator: Any) -> None:
    """Prepare the pickled state of an estimator to be fitted by another process.

    The destination of its runs is added to the state, and this process begins to
    deliver what the other one writes. Some ensembles send the estimator itself, and
    clone it only there.
    """
    with suppress(Exception):  # the fit will report the error
        if DESTINATION_ATTRIBUTE not in state and find_waiting_call(estimator):
            state[DESTINATION_ATTRIBUTE] = seen_from_here(estimator)
        if DESTINATION_ATTRIBUTE in state:
            expect_runs_of_others(state[DESTINATION_ATTRIBUTE])


def expect_runs_of_others(destination: Destination) -> None:
    """Begin to deliver what other processes write for this one.

    This has to be called before they get the destination. Nothing happens if that is of
    another process, or if tracking is off.
    """
    if destination.enabled and destination.is_of_this_process:
        with suppress(OSError):  # the others find that out, and use another journal
            journal = journal_in(destination.inbox.journal)
            journal.prepare()
            if destination.is_spread and destination.parents:
                journal.note_spread(destination.parents[-1].key)
            delivering_process().watch(destination.tracking_uri, journal.folder)


def take_destination(estimator: Any) -> Destination:
    """Return the destination of a fit that begins now.

    The estimator forgets it, because it may be stored and later fitted elsewhere. This
    module remembers it, because `permutation_test_score` fits one clone several times.
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
    """Return where the runs of an estimator go, as seen from this thread.

    If a scikit-learn call makes this fit and others, it is below the run of the call.
    """
    here = Destination.current()
    if not here.enabled:
        return here
    if here.parents and not here.is_spread:
        return here  # fits in a trial are right below its run
    call = find_call() or find_waiting_call(estimator)
    # In a trial, only a search needs a run of its own: other machines do not create it.
    if call is None or (here.parents and call.search_task is None):
        return here
    parent = run_of(call, here)
    # Joblib's threads work for the thread that has made the call.
    return replace(here.below(parent), call_key=parent.key, thread_id=call.thread_id)
