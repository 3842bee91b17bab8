"""Logs the results of a finished search, and the runs of its candidates."""

from __future__ import annotations

import csv
import io
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.callback import CallbackContext

from skperceptron._functions import text_of
from skperceptron.tracking._warnings import tolerate
from skperceptron.tracking.journal._record import (
    DESCRIPTION_TAG,
    ParentRun,
    RunRecord,
    now,
)
from skperceptron.tracking.recording._descriptions import param_value
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._figures import as_png, new_figure
from skperceptron.tracking.recording._fit_run import FitRun, TrackedRun
from skperceptron.tracking.recording._names import name_candidate, told_apart
from skperceptron.tracking.recording._sklearn_internals import (
    SEARCH_IDS,
    are_scores_known,
    candidate_and_row_of_fold,
    id_of_fold,
    ids_of_first_folds,
    params_of_fold,
    tasks_of_rows,
    tells_of_folds,
)
from skperceptron.tracking.recording._summaries import summarize_search
from skperceptron.tracking.recording._task_path import TaskIds, ids_of, key_of, path_of

if TYPE_CHECKING:
    from skperceptron.plotting import SearchHeatmapDisplay

Results = dict[str, Any]
# Tag of the run of a candidate: its row in `cv_results_`.
CANDIDATE_TAG = "candidate"
# MLflow's own tag, which renames an existing run.
_NAME_TAG = "mlflow.runName"


def log_search(
    run: FitRun,
    search: Any,
    below: Destination,
    root: str,
    begun: dict[str, ParentRun],
    log_folds: bool,
) -> None:
    """Log the results of a search, its candidates and their folds.

    Parameters
    ----------
    run : FitRun
        The run of the search.

    search : estimator
        The fitted search.

    below : Destination
        Where the runs below that of the search go.

    root : str
        Id of the tree of tasks.

    begun : dict of ParentRun
        The candidates whose start time is known, by key.

    log_folds : bool
        Whether the folds have runs.
    """
    results = search.cv_results_
    _log_best(run, search)
    with tolerate("A search cannot be described"):
        has_model = hasattr(search, "best_estimator_") and below.log_models != "none"
        text = summarize_search(search, has_model=has_model)
        run.record.tags.setdefault(DESCRIPTION_TAG, text)
    run.keep_file("cv_results.csv", _as_csv(results))
    are_new = not tells_of_folds(search)
    names = _names_of_candidates(search)
    lack_scores = log_folds and (are_new or not are_scores_known())
    for row, (ids, index) in enumerate(tasks_of_rows(search)):
        candidate = _candidate_run(root, ids, index, names[row])
        candidate = begun.get(candidate.key, candidate)
        ends = [fold["end_time"] for fold in run.journal.below(candidate.key)]
        last_end = max((end for end in ends if end is not None), default=None)
        _log_candidate(search, row, candidate, names[row], below, last_end)
        for split in range(search.n_splits_ if lack_scores else 0):
            key = key_of(root, (*ids, id_of_fold(search, index, split)), "task")
            record = _record_of_fold(search, row, split)
            place = below.below(candidate)
            fold = TrackedRun(record, place, key, is_addition=not are_new)
            if are_new:
                fold.end()
            fold.deliver(wait=False)


def begin_candidates(
    search: Any, task: CallbackContext, below: Destination, root: str
) -> None:
    """Begin the runs of the candidates that other machines evaluate in a task.

    Parameters
    ----------
    search : estimator
        The search, being fitted.

    task : CallbackContext
        The task.

    below : Destination
        Where the runs below that of the search go.

    root : str
        Id of the tree of tasks.
    """
    ids = ids_of(path_of(task))
    for task_id in ids_of_first_folds(search, task):
        candidate = candidate_of_fold(search, root, (*ids, task_id))
        record = RunRecord(candidate.name, candidate.start_time)
        run = TrackedRun(record, below, candidate.key)
        run.is_spread = True
        run.deliver(wait=False)


def candidate_of_fold(search: Any, root: str, ids: TaskIds) -> ParentRun:
    """Return the run of the candidate to which the fold at `ids` belongs."""
    index, row = candidate_and_row_of_fold(search, ids)
    iteration = ids[-2] if len(ids) > len(SEARCH_IDS) + 1 else None
    name = name_candidate(search, params_of_fold(), row, iteration)
    return _candidate_run(root, ids[:-1], index, name)


def _candidate_run(root: str, ids: TaskIds, index: int, name: str) -> ParentRun:
    """Return the run of a candidate; `index` is its number within its task."""
    key = key_of(root, ids, f"candidate {index}")
    return ParentRun(key, name, now(), is_managed=True)


def _names_of_candidates(search: Any) -> list[str]:
    results = search.cv_results_
    iterations = results.get("iter", [None] * len(results["params"]))
    rows = enumerate(zip(results["params"], iterations, strict=True))
    return told_apart(
        [name_candidate(search, params, row, i) for row, (params, i) in rows]
    )


def draw_search(run: FitRun, search: Any) -> None:
    """Plot the two most influential hyperparameters of a search to its run."""
    results = search.cv_results_
    if len({str(params) for params in results["params"]}) < 2:
        return
    scoring = None
    prefix = "mean_test_"
    names = [name for name in results if name.startswith(prefix)]
    if not any(np.isfinite(results[name]).any() for name in names):
        return  # every fit failed
    from skperceptron.plotting import SearchHeatmapDisplay

    if search.multimetric_ and not isinstance(search.refit, str):
        scoring = names[0].removeprefix(prefix)
    display = SearchHeatmapDisplay._of_search(search, scoring=scoring)
    # In a worker process, which is idle now: matplotlib takes 30 MB.
    (image,) = Parallel(n_jobs=search.n_jobs)([delayed(_draw)(display)])
    run.keep_file("cv_results.png", image)


def _draw(display: SearchHeatmapDisplay) -> bytes:
    figure = new_figure(6, 4.5)
    display.plot(figure.subplots())
    return as_png(figure)


def _log_best(run: FitRun, search: Any) -> None:
    # MLflow's UI shows them in this order, so the score comes first.
    names = ("best_score_", "refit_time_")
    run.summary = {
        **{n.rstrip("_"): getattr(search, n) for n in names if hasattr(search, n)},
        **run.summary,
    }
    # As tags, because MLflow's UI draws a chart of each metric.
    run.record.tags["n_candidates"] = str(len(search.cv_results_["params"]))
    run.record.tags["n_splits"] = str(search.n_splits_)
    if hasattr(search, "best_index_"):
        run.record.tags["best_index"] = str(search.best_index_)
    for name, value in getattr(search, "best_params_", {}).items():
        run.record.params[f"best_{name}"] = param_value(value)


def _log_candidate(
    search: Any,
    row: int,
    candidate: ParentRun,
    name: str,
    below: Destination,
    end_time: int | None,
) -> None:
    results = search.cv_results_
    record = RunRecord(name, candidate.start_time, tags={CANDIDATE_TAG: str(row)})
    if name != candidate.name:
        record.tags[_NAME_TAG] = name
    run = TrackedRun(record, below, candidate.key)
    run.is_spread = below.is_spread
    params = results["params"][row]
    record.params = {name: param_value(value) for name, value in params.items()}
    for name in _scores_first(results):
        if isinstance(results[name][row], Real):
            record.add_metric(name, float(results[name][row]))
    if _has_failed(search, row):
        run.status = "FAILED"
    run.end()
    if end_time is not None:
        record.end_time = end_time  # that of its last fold, not of the search
    run.deliver(wait=False)


def _scores_first(results: Results) -> list[str]:
    """List the columns that are logged of a candidate, the scores first.

    When MLflow's UI compares runs, it begins with the first metric that they share.
    """
    names = [name for name in results if not name.startswith(("split", "param"))]
    return sorted(names, key=lambda name: name.endswith("_time"))


def _record_of_fold(search: Any, row: int, split: int) -> RunRecord:
    prefix = f"split{split}_"
    record = RunRecord(f"fold {split}")
    for name, column in search.cv_results_.items():
        if name.startswith(prefix):
            name = f"split_{name.removeprefix(prefix)}"
            record.add_metric(name, float(column[row]))
    return record


def _has_failed(search: Any, row: int) -> bool:
    """Return whether no fold of a candidate could be fitted and scored."""
    results, error_score = search.cv_results_, search.error_score
    if error_score == "raise" or results["mean_score_time"][row] > 0:
        return False
    scores = [v[row] for name, v in results.items() if name.startswith("split")]
    return np.array_equal(scores, [error_score] * len(scores), equal_nan=True)


def _cell(value: Any) -> Any:
    if value is np.ma.masked:
        return ""
    # The CSV writer itself writes all digits of numbers, and nothing for None.
    return value if value is None or isinstance(value, Real) else text_of(value)


def _as_csv(results: Results) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(results)
    for row in zip(*results.values(), strict=True):
        # Parameters that a candidate does not set are masked.
        writer.writerow([_cell(value) for value in row])
    # Names of scores may contain characters that UTF-8 lacks, such as lone surrogates.
    return text.getvalue().encode(errors="backslashreplace")
