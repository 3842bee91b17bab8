"""The place of a fit in the tree of tasks of scikit-learn's callbacks."""

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
# Number of fits that were begun, by task: an ensemble may make several in one task.
_n_fits: Counter[str] = Counter()
_MAX_COUNTED = 10_000


@dataclass(frozen=True)
class TaskPath:
    """The place of a fit in the tree of tasks.

    Attributes
    ----------
    root : str
        Id of the tree of tasks.

    ids : tuple of int
        The ids of the tasks from the root to that of the fit.

    role : {"single", "fold", "refit"}
        Which part of a search it is; "single" outside of one.

    search : ParentRun or None
        The run of that search.
    """

    root: str
    ids: TaskIds
    role: Literal["single", "fold", "refit"]
    search: ParentRun | None

    def new_key(self) -> str:
        """Return the key of one more run of this task.

        It does not depend on the process, so a repeated task gets the same keys.
        """
        task = key_of(self.root, self.ids)
        if len(_n_fits) > _MAX_COUNTED:
            _n_fits.clear()
        _n_fits[task] += 1
        return key_of(self.root, self.ids, f"fit {_n_fits[task]}")


def key_of(root: str, ids: TaskIds, what: str = "") -> str:
    """Return the key of a run of a task; `what` distinguishes runs of the same task."""
    return hashlib.sha256(f"{root}/{ids}/{what}".encode()).hexdigest()[:32]


def path_of(context: CallbackContext) -> list[CallbackContext]:
    """List the tasks from the root to a task."""
    path = [context]
    while path[-1].parent is not None:
        path.append(path[-1].parent)
    return path[::-1]


def ids_of(path: list[CallbackContext]) -> TaskIds:
    """Return the ids of the tasks of a path."""
    return tuple(context.task_id for context in path)


def find_task_path(context: CallbackContext) -> TaskPath:
    """Return the place of the fit whose root task is given."""
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
    """Return the run of the search at the end of a path.

    With `is_managed`, somebody will end it.
    """
    return ParentRun(
        key=key_of(root, ids_of(path), "search"),
        name=context.estimator_name,
        start_time=int(1000 * context.init_time.timestamp()),
        is_managed=is_managed,
    )
