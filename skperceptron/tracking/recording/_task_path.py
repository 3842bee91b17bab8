"""Where a fit stands in the tree of tasks of scikit-learn's callbacks."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from sklearn.callback import CallbackContext

from skperceptron.tracking.journal._record import ParentRun
from skperceptron.tracking.recording._sklearn_internals import REFIT_TASK, SEARCH_TASK

TaskIds = tuple[int, ...]
# Fits that were begun, by task: an ensemble may make several in one.
_n_fits: Counter[str] = Counter()
_MAX_COUNTED = 10_000


@dataclass(frozen=True)
class TaskPath:
    """Where a fit stands.

    Attributes
    ----------
    root : str
        What all tasks of the tree have in common, and no others.

    ids : tuple of int
        The way from the root to the task of the fit.

    role : {"single", "fold", "refit"}
        Whether it is part of a search, and which.

    search : ParentRun or None
        That search.
    """

    root: str
    ids: TaskIds
    role: Literal["single", "fold", "refit"]
    search: ParentRun | None

    def new_key(self) -> str:
        """Make the identity of one more run of this task.

        It is the same wherever and however often the task is run.
        """
        task = key_of(self.root, self.ids)
        if len(_n_fits) > _MAX_COUNTED:
            _n_fits.clear()
        _n_fits[task] += 1
        return key_of(self.root, self.ids, f"fit {_n_fits[task]}")


def key_of(root: str, ids: TaskIds, what: str = "") -> str:
    """Make the identity of a run.

    Parameters
    ----------
    root : str
        What all tasks of the tree have in common.

    ids : tuple of int
        The way from the root to the task.

    what : str, default=""
        Tells runs of the same task apart.
    """
    return hashlib.sha256(f"{root}/{ids}/{what}".encode()).hexdigest()[:32]


def path_of(context: CallbackContext) -> list[CallbackContext]:
    """List the tasks from the root down to one."""
    path = [context]
    while path[-1].parent is not None:
        path.append(path[-1].parent)
    return path[::-1]


def ids_of(path: list[CallbackContext]) -> TaskIds:
    """Name the way to the last task of a path."""
    return tuple(context.task_id for context in path)


def find_task_path(context: CallbackContext) -> TaskPath:
    """Tell where the fit of a task stands.

    Parameters
    ----------
    context : CallbackContext
        The root task of the fit.
    """
    path = path_of(context)
    root = str(context.root_uuid)
    for depth, (above, task) in enumerate(pairwise(path), start=1):
        is_refit = REFIT_TASK in (task.task_name, task.source_task_name)
        if is_refit or task.task_name == SEARCH_TASK:
            role: Literal["fold", "refit"] = "refit" if is_refit else "fold"
            search = search_run(root, path[:depth], above)
            return TaskPath(root, ids_of(path), role, search)
    return TaskPath(root, ids_of(path), "single", None)


def search_run(
    root: str,
    path: list[CallbackContext],
    context: CallbackContext,
    *,
    is_managed: bool = False,
) -> ParentRun:
    """Name the run of a search.

    Parameters
    ----------
    root : str
        What all tasks of the tree have in common.

    path : list of CallbackContext
        From the root to the search.

    context : CallbackContext
        The task of the search.

    is_managed : bool, default=False
        Whether somebody will tell when it ends.
    """
    return ParentRun(
        key=key_of(root, ids_of(path), "search"),
        name=context.estimator_name,
        start_time=int(1000 * context.init_time.timestamp()),
        is_managed=is_managed,
    )
