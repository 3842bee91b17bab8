"""All uses of undocumented internals of scikit-learn, joblib and Optuna.

- Which call makes several fits, and how it has ended. `cross_validate` and similar
  functions, selectors and ensembles do not announce that their fits belong together,
  but the stack shows it. If a new version looks different, each fit gets a run alone.
- In which order a search fits its folds, and what it knows of them. For which fold
  `cross_validate` and similar functions clone an estimator, and that `OptunaSearchCV`
  clones one for its refit.
- How the HTML of an estimator is put together.
- Where estimators and tasks keep their callbacks, and how copies of a callback in
  other processes send it messages.

New releases of these packages can break this module only.
"""

from __future__ import annotations

import dis
import os
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from types import FrameType
from typing import Any

import numpy as np
from joblib.parallel import (
    LokyBackend,
    MultiprocessingBackend,
    Parallel,
    SequentialBackend,
    ThreadingBackend,
    get_active_backend,
)
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.callback import CallbackContext
from sklearn.callback._transport import can_reuse_listener, open_listener, send
from sklearn.model_selection import _search, _validation
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = [
    "can_reuse_listener",
    "check_sample_weight",
    "open_listener",
    "safe_indexing",
    "send",
]

# Names that scikit-learn's searches give their tasks.
SEARCH_TASK = "search"
FOLD_TASK = "candidate-split-evaluation"
_ITERATION_TASK = "halving-iteration"
REFIT_TASK = "refit-with-best-params"
# The ids of the tasks from the root to that in which a search evaluates candidates.
SEARCH_IDS = (0, 0)
# Variables of the function that fits a fold, with the kind of scores in each.
_SCORES = {"test_scores": "test", "train_scores": "train"}
# Its variable, and the key in that, with the printed traceback of the fit's error.
_RESULT, _ERROR = "result", "fit_error"

_VALIDATION = _validation.__name__
# The modules that pass folds to joblib, with a clone for each.
_MAKERS_OF_FOLDS = (_VALIDATION, _search.__name__)
_FIT_AND_SCORE = "_fit_and_score"
# The functions that score a clone on the test part of a split.
_SCORERS_OF_SPLITS = {
    (_VALIDATION, _FIT_AND_SCORE),
    (_VALIDATION, "_incremental_fit_estimator"),
    (_VALIDATION, "_permutation_test_score"),
    ("sklearn.feature_selection._rfe", "_rfe_single_fit"),
}
_FUNCTIONS = (
    "cross_validate",
    "cross_val_score",
    "cross_val_predict",
    "permutation_test_score",
    "learning_curve",
    "validation_curve",
)
# Classes whose last fit is that of `estimator_`, with which they predict.
_SELECTORS_AND_TUNERS = {
    "RFE",
    "RFECV",
    "SelectFromModel",
    "TunedThresholdClassifierCV",
}
_ONE_FIT = "FixedThresholdClassifier"
_KINDS = ("train", "test")
# Attributes of an estimator: the root task of the present fit, the callbacks that are
# called at its end, and all callbacks.
_TASK = "_callback_fit_ctx"
_TO_TEARDOWN = "_skl_callbacks_to_teardown"
_CALLBACKS = "_skl_callbacks"
ATTRIBUTES_OF_FIT = (_TASK, _TO_TEARDOWN)
# Prefixes of all attributes for callbacks and metadata routing.
ATTRIBUTES_NOT_LEARNED = (
    _CALLBACKS,
    "_parent_callback_ctx",
    _TASK,
    "_metadata_request",
)
# Backends of joblib that use one machine only. Derived classes do not count, as those
# for clusters, such as Ray's, are derived from them.
_OF_ONE_MACHINE = (
    LokyBackend,
    MultiprocessingBackend,
    SequentialBackend,
    ThreadingBackend,
)
# Packages that call many fits, ...
_CALLERS = ("sklearn", "joblib", "optuna", "optuna_integration", "concurrent", "dask")
# ... and their modules that are around every fit, or only pass it on.
_AROUND_A_FIT = ("sklearn.base", "sklearn.callback", "sklearn.pipeline")
# A generator that another thread is just leaving hides its callers for a moment, so the
# stack is read this many times.
_LOOKS = 3
_SECONDS_BETWEEN_LOOKS = 0.001

# The metrics of a call: points of step and value.
Points = list[tuple[int, float]]
# Calls of the process from which this one was forked.
_inherited: set[FrameType] = set()
# For each `Parallel` at work, the last fold that was passed to it: the rows on which it
# is scored, and its number.
_newest_folds: weakref.WeakKeyDictionary[Parallel, tuple[Any, int]] = (
    weakref.WeakKeyDictionary()
)


@dataclass(frozen=True, eq=False)
class SklearnCall:
    """A call that makes several fits.

    Attributes
    ----------
    frame : FrameType
        Its stack frame.

    thread_id : int
        The thread in which it runs.

    name : str
        Name of the function, or of the class whose `fit` it is.

    estimator : estimator or None
        The estimator whose `fit` it is.

    earlier_error : BaseException or None
        The exception that was being handled when it was called.
    """

    frame: FrameType
    thread_id: int
    name: str
    estimator: Any
    earlier_error: BaseException | None

    @property
    def search_task(self) -> CallbackContext | None:
        """The task of the call if it is a search. The fits in it know the same task."""
        task: CallbackContext | None = None
        if is_search(self.estimator):
            task = getattr(self.estimator, _TASK, None)
        return task


@dataclass(frozen=True)
class Outcome:
    """How a call has ended.

    Attributes
    ----------
    has_returned : bool
        Whether it has returned, not raised an exception.

    error : BaseException or None
        The exception, if it can still be found.
    """

    has_returned: bool
    error: BaseException | None = None


class ShowsMoreMixin:
    """Mixin for estimators whose HTML shows more than scikit-learn's.

    It also shows more where the estimator is part of a pipeline or a search.
    """

    def _more_as_html(self) -> str:
        """Return the HTML below the attributes of a fitted estimator."""
        raise NotImplementedError

    def _doc_address(self) -> str:
        """Return the address of the estimator's documentation; empty without one."""
        raise NotImplementedError

    def _get_doc_link(self) -> str:
        return self._doc_address()

    def _get_fitted_attr_html(self, doc_link: str = "") -> Any:
        attributes = super()._get_fitted_attr_html(doc_link)  # type: ignore[misc]
        as_html = attributes._html_repr
        attributes._html_repr = lambda: as_html() + self._more_as_html()
        return attributes


def find_call() -> SklearnCall | None:
    """Find the outermost call of several fits in which this thread is."""
    return _outermost_call(sys._getframe(), threading.get_ident())


def find_waiting_call(part: Any) -> SklearnCall | None:
    """Find the call of another thread for which this thread of joblib works.

    The estimator `part` must be a parameter of it. Some ensembles clone it in joblib's
    threads only, or send it to other processes without cloning it.
    """
    if not works_for_joblib():
        return None
    others = sys._current_frames()
    del others[threading.get_ident()]
    for thread_id, frame in others.items():
        if _is_joblib_in(frame):
            call = _outermost_call(frame, thread_id)
            if call is not None and _contains(call, part):
                return call
    return None


def waits_for_joblib(thread_id: int) -> bool:
    """Return whether a thread is in a function of joblib."""
    return _is_joblib_in(sys._current_frames().get(thread_id))


def works_for_joblib() -> bool:
    """Return whether this thread executes a task of joblib."""
    # Without this function's own frame: its variable would refer to itself, and keep
    # the variables of all callers alive until the next garbage collection.
    for frame in reversed(list(_callers(sys._getframe(1)))):
        if _is_call(frame):
            return False
        if _is_of_joblib(frame):
            return True
    return False


def purpose_of_clone() -> str | None:
    """Name the fit for which a clone is being made: a fold, or Optuna's refit.

    Searches number their folds. Those of `cross_validate` and similar functions are
    counted here. `learning_curve` and `validation_curve` make several fits for each.
    """
    maker = None
    for frame in _callers(sys._getframe()):
        if maker is None:
            if _makes_folds(frame):
                maker = frame.f_locals
                if "split_idx" in maker:
                    return f"fold {maker['split_idx']}"
            elif _is_refit_of_optuna(frame):
                return "refit"
        elif isinstance(engine := _self_of(frame), Parallel):
            test, number = _newest_folds.get(engine, (None, -1))
            if test is not maker["test"]:
                number += 1
                _newest_folds[engine] = (maker["test"], number)
            return f"fold {number}"
    return None


def is_last_fit(estimator: Any) -> bool:
    """Return whether a selector or tuner keeps the estimator of the present fit."""
    call = find_call()
    if call is None:
        return False
    kinds = {cls.__name__ for cls in type(call.estimator).__mro__}
    if _ONE_FIT in kinds:
        return True
    kept = getattr(call.estimator, "estimator_", None)
    if not kinds & _SELECTORS_AND_TUNERS or kept is None:
        return False
    return kept is estimator or any(
        frame.f_code.co_name == "fit" and _self_of(frame) is kept
        for frame in _callers(sys._getframe())
    )


def is_scored_next() -> bool:
    """Return whether the present fit is in a function that scores its result."""
    return any(
        frame.f_code.co_name == _FIT_AND_SCORE
        and frame.f_globals.get("__name__") == _VALIDATION
        for frame in _callers(sys._getframe())
    )


def is_scored_on_split() -> bool:
    """Return whether the score being computed is one of a cross-validation."""
    return any(
        (frame.f_globals.get("__name__"), frame.f_code.co_name) in _SCORERS_OF_SPLITS
        for frame in _callers(sys._getframe())
    )


def is_called_by_user(estimator: Any) -> bool:
    """Return whether the user has called the present fit of an estimator.

    The user may have called it through a pipeline. Otherwise a search, an ensemble, a
    study or the like has, and would go on with the next fit.
    """
    for frame in _callers(sys._getframe()):
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] in _CALLERS and not _is_in(module, _AROUND_A_FIT):
            return False
        owner = _self_of(frame)
        is_around = isinstance(owner, BaseEstimator) and owner is not estimator
        if is_around and not isinstance(owner, Pipeline):
            return False
    return True


def are_errors_caught() -> bool:
    """Return whether a cross-validation around the present fit catches its errors.

    A callback could only find out later, when the next fold begins.
    """
    return any(
        frame.f_locals.get("error_score", "raise") != "raise"
        for frame in _callers(sys._getframe())
        if frame.f_code.co_name == _FIT_AND_SCORE
    )


def is_work_spread() -> bool:
    """Return whether joblib uses a backend that may use other machines."""
    backend, _ = get_active_backend()
    return type(backend) not in _OF_ONE_MACHINE


# Searches


def is_search(estimator: Any) -> bool:
    """Return whether an estimator is a search."""
    return hasattr(estimator, "_run_search")


def tells_of_folds(search: Any) -> bool:
    """Return whether a search calls callbacks for its folds, as not all classes do."""
    return "callback_ctx" in signature(search._run_search).parameters


def tasks_of_rows(search: Any) -> list[tuple[tuple[int, ...], int]]:
    """List for each row of `cv_results_` the task that contained its folds.

    Returns
    -------
    list of (tuple of int, int)
        The ids from the root to the task, and the candidate's index in the task.
    """
    n_candidates = getattr(search, "n_candidates_", None)
    if n_candidates is None:
        return [(SEARCH_IDS, row) for row in range(len(search.cv_results_["params"]))]
    # Halving searches have a task for each iteration.
    return [
        ((*SEARCH_IDS, iteration), index)
        for iteration, n in enumerate(n_candidates)
        for index in range(n)
    ]


def ids_of_first_folds(search: Any, task: CallbackContext) -> range:
    """Return the ids of the first fold of each candidate that a task evaluates.

    The range is empty for a task of the search that evaluates none.
    """
    is_search = task.task_name == SEARCH_TASK and not hasattr(search, "n_candidates_")
    if not (is_search or task.task_name == _ITERATION_TASK):
        return range(0)
    return range(0, task.max_subtasks or 0, search.n_splits_)


def candidate_and_row_of_fold(search: Any, ids: tuple[int, ...]) -> tuple[int, int]:
    """Return the index of a fold's candidate in its task, and its row in the results.

    `ids` are those from the root to the task of the fold.
    """
    index = ids[-1] // search.n_splits_
    is_halving = len(ids) > len(SEARCH_IDS) + 1
    n_before = sum(search.n_candidates_[: ids[-2]]) if is_halving else 0
    return index, n_before + index


def split_of_fold(search: Any, ids: tuple[int, ...]) -> int:
    """Return the number of a fold's split, from the ids of its tasks."""
    split: int = ids[-1] % search.n_splits_
    return split


def id_of_fold(search: Any, index: int, split: int) -> int:
    """Return the id of a fold's task among those of one iteration of a search."""
    task_id: int = index * search.n_splits_ + split
    return task_id


def params_of_fold() -> dict[str, Any] | None:
    """Find the parameters of the candidate whose fold begins, if possible."""
    for frame in _callers(sys._getframe()):
        if frame.f_code.co_name == _FIT_AND_SCORE:
            params: dict[str, Any] | None = frame.f_locals.get("parameters")
            return params
    return None


def find_fold() -> tuple[str | None, dict[str, float]] | None:
    """Find error and scores of the fold whose end the present callback follows.

    Returns
    -------
    report : str or None
        The printed traceback of the fit's error.

    scores : dict of float
        Its scores, by their names in `cv_results_` without the number of the split.
    """
    for frame in _callers(sys._getframe()):
        if frame.f_code.co_name == _FIT_AND_SCORE:
            known = frame.f_locals
            return known.get(_RESULT, {}).get(_ERROR), _scores_among(known)
    return None


def are_scores_known() -> bool:
    """Return whether `find_fold` finds scores in this version of scikit-learn."""
    caller = getattr(_validation, _FIT_AND_SCORE, None)
    return caller is not None and set(_SCORES) <= set(caller.__code__.co_varnames)


def _scores_among(variables: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for variable, kind in _SCORES.items():
        scores = variables.get(variable, {})
        by_name = scores if isinstance(scores, dict) else {"score": scores}
        found |= {
            f"split_{kind}_{name}": float(score) for name, score in by_name.items()
        }
    return found


# Callbacks


def make_root_task(
    estimator: Any, *, task_name: str, max_subtasks: int
) -> CallbackContext:
    """Make the root task of a fit."""
    context: CallbackContext = estimator._init_callback_context(
        task_name=task_name, max_subtasks=max_subtasks
    )
    return context


def add_to_fit(estimator: Any, context: CallbackContext, callback: Any) -> None:
    """Let a callback follow one fit. It is called at the end before all others.

    If it were set on the estimator, clones would have it as well.
    """
    context._callbacks = [*context._callbacks, callback]
    getattr(estimator, _TO_TEARDOWN).insert(0, callback)


def callbacks_of_fit(context: CallbackContext) -> list[Any]:
    """List the callbacks that follow a fit."""
    callbacks: list[Any] = context._callbacks
    return callbacks


def callbacks_of(estimator: Any) -> list[Any]:
    """List the callbacks that are set on an estimator."""
    callbacks: list[Any] = getattr(estimator, _CALLBACKS, [])
    return callbacks


def task_of_fit(attributes: Mapping[str, Any]) -> CallbackContext | None:
    """Return the root task of the present fit from the estimator's attributes."""
    return attributes.get(_TASK)


# The end of a call


def outcome_of(call: SklearnCall) -> Outcome | None:
    """Return how a call has ended; None while it goes on."""
    if _is_going_on(call.frame, call.thread_id):
        return None
    if not _has_returned(call.frame):
        return Outcome(False, _error_through(call.frame, call.thread_id))
    return Outcome(True)


def error_inside(call: SklearnCall) -> BaseException | None:
    """Return the exception that is being handled in a call, such as an interrupt."""
    error = _error_in(call.thread_id)
    return None if error is call.earlier_error else error


def metrics_of(call: SklearnCall) -> dict[str, Points]:
    """Collect the scores of a call that has returned."""
    known = call.frame.f_locals
    if call.name in ("cross_validate", "cross_val_score"):
        found = known.get("ret" if call.name == "cross_validate" else "cv_results")
        return _of_folds(found if isinstance(found, Mapping) else {})
    if call.name == "permutation_test_score":
        return _of_permutations(known)
    if call.name == "learning_curve":
        return _of_learning_curve(known.get("ret"))
    if call.name == "validation_curve":
        return _of_curve({f"{k}_score": known.get(f"{k}_scores") for k in _KINDS}, None)
    return {} if call.estimator is None else _of_estimator(call.estimator, known)


def _outermost_call(innermost: FrameType, thread_id: int) -> SklearnCall | None:
    found = None
    for frame in _callers(innermost):
        if _is_call(frame) and frame not in _inherited:
            found = frame
    if found is None:
        return None
    estimator = _self_of(found)
    is_function = found.f_code.co_name in _FUNCTIONS
    name = found.f_code.co_name if is_function else type(estimator).__name__
    return SklearnCall(found, thread_id, name, estimator, _error_in(thread_id))


def _is_call(frame: FrameType) -> bool:
    module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
    if function != "fit" or not module.startswith("sklearn."):
        return module == _VALIDATION and function in _FUNCTIONS
    estimator = _self_of(frame)
    is_known = not is_search(estimator) or hasattr(estimator, _TASK)
    return isinstance(estimator, MetaEstimatorMixin) and is_known


def _makes_folds(frame: FrameType) -> bool:
    return (
        frame.f_code.co_name == "<genexpr>"
        and frame.f_globals.get("__name__") in _MAKERS_OF_FOLDS
        and "test" in frame.f_locals
    )


def _is_refit_of_optuna(frame: FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return frame.f_code.co_name == "_refit" and _is_in(module, ("optuna_integration",))


def _callers(innermost: FrameType | None) -> Iterator[FrameType]:
    while innermost is not None:
        yield innermost
        innermost = innermost.f_back


def _self_of(frame: FrameType) -> Any:
    return frame.f_locals.get("self")


def _is_joblib_in(innermost: FrameType | None) -> bool:
    return any(map(_is_of_joblib, _callers(innermost)))


def _is_of_joblib(frame: FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return module.startswith("joblib.")


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def _contains(call: SklearnCall, part: Any) -> bool:
    if call.estimator is None:
        return False
    return any(value is part for value in call.estimator.get_params().values())


def _is_going_on(frame: FrameType, thread_id: int) -> bool:
    for _ in range(_LOOKS):
        innermost = sys._current_frames().get(thread_id)
        if any(caller is frame for caller in _callers(innermost)):
            return True
        if _has_returned(frame):
            return False
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return False


def _has_returned(frame: FrameType) -> bool:
    """Return whether the last instruction that was executed is a return."""
    instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    return instruction.startswith("RETURN_")


def _error_through(frame: FrameType, thread_id: int) -> BaseException | None:
    """Find the exception with which a frame was left, if it is handled or was shown."""
    for error in (_error_in(thread_id), getattr(sys, "last_value", None)):
        if error is not None and any(
            passed is frame for passed, _ in traceback.walk_tb(error.__traceback__)
        ):
            return error
    return None


def _error_in(thread_id: int) -> BaseException | None:
    error: Any = sys._current_exceptions().get(thread_id)
    if isinstance(error, tuple):  # before Python 3.12
        error = error[1]
    return error


# The scores of a call


def _of_folds(results: Mapping[str, Any]) -> dict[str, Points]:
    """Summarize the scores and times of folds, by the names of `cv_results_`."""
    found: dict[str, Points] = {}
    for name, values in results.items():
        if name.startswith(("test_", "train_")) or name.endswith("_time"):
            found |= _mean_and_std(name, [values], [0])
    return found


def _of_permutations(known: Mapping[str, Any]) -> dict[str, Points]:
    names = ("score", "permutation_scores", "pvalue")
    if any(known.get(name) is None for name in names):
        return {}
    return {
        "mean_test_score": [(0, float(known["score"]))],
        **_mean_and_std("permutation_score", [known["permutation_scores"]], [0]),
        "pvalue": [(0, float(known["pvalue"]))],
    }


def _of_learning_curve(result: Any) -> dict[str, Points]:
    if not isinstance(result, tuple):
        return {}
    sizes, *scores = result
    names = ("train_score", "test_score", "fit_time", "score_time")
    return _of_curve(dict(zip(names, scores, strict=False)), sizes)


def _of_curve(scores: Mapping[str, Any], steps: Any) -> dict[str, Points]:
    """Summarize the scores of each row, at one step of a curve."""
    found: dict[str, Points] = {}
    for name, rows in scores.items():
        if rows is not None:
            at = range(len(rows)) if steps is None else steps
            found |= _mean_and_std(name, rows, at)
    return found


def _mean_and_std(name: str, rows: Any, steps: Any) -> dict[str, Points]:
    with np.errstate(all="ignore"):  # of scores that are infinite
        means, stds = np.mean(rows, axis=1), np.std(rows, axis=1)
    return {
        f"mean_{name}": _points(means, steps),
        f"std_{name}": _points(stds, steps),
    }


def _points(values: Any, steps: Any) -> Points:
    return [(int(s), float(v)) for s, v in zip(steps, values, strict=True)]


def _of_estimator(estimator: Any, known: Mapping[str, Any]) -> dict[str, Points]:
    """Collect the scores that selectors and tuners keep."""
    fitted = vars(estimator)
    found = {
        name: [(0, float(fitted[f"{name}_"]))]
        for name in ("best_score", "best_threshold", "n_features")
        if f"{name}_" in fitted
    }
    results = fitted.get("cv_results_", {})
    if "n_features" in results:
        steps = results["n_features"]
        for name in ("mean_test_score", "std_test_score"):
            found[name] = _points(results[name], steps)
        best = list(steps).index(fitted["n_features_"])
        found["best_score"] = [(0, float(results["mean_test_score"][best]))]
    elif hasattr(estimator, "n_features_to_select_") and "old_score" in known:
        found["best_score"] = [(0, float(known["old_score"]))]
        found["n_features"] = [(0, float(estimator.n_features_to_select_))]
    return found


def _inherit() -> None:
    """Note in a forked child that the calls on the stack are the parent's."""
    _inherited.update(filter(_is_call, _callers(sys._getframe())))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inherit)
