"""The Pareto front of an Optuna study of several objectives."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from optuna.study import StudyDirection
from optuna.trial import TrialState

from skperceptron.tracking._warnings import tolerate
from skperceptron.tracking.recording._figures import as_png, new_figure
from skperceptron.tracking.recording._fit_run import TrackedRun
from skperceptron.tracking.recording._trial import value_names

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


def log_pareto_front(run: TrackedRun, study: Study, step: int) -> None:
    """Log the trials of a study that no other one beats in all objectives.

    Their number and the best value of each objective become metrics at `step`. The
    trials become a table and, with two objectives, a figure.
    """
    front = sorted(study.best_trials, key=lambda trial: trial.number)
    names = value_names(study.metric_names, len(study.directions))
    run.record.add_metric("n_trials_on_pareto_front", len(front), step)
    if not front:
        return
    for i, (name, direction) in enumerate(zip(names, study.directions, strict=True)):
        best = min if direction == StudyDirection.MINIMIZE else max
        value = best(trial.values[i] for trial in front)
        run.record.add_metric(f"best_{name}", value, step)
    run.keep_file("pareto_front.csv", _as_csv(front, names))
    if len(names) == 2:
        with tolerate("The Pareto front of a study cannot be drawn"):
            run.keep_file("pareto_front.png", _draw(run, study, front, names))


def _as_csv(front: list[FrozenTrial], names: list[str]) -> bytes:
    params = list(dict.fromkeys(name for trial in front for name in trial.params))
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["trial", *names, *params])
    for trial in front:
        values: list[Any] = [*trial.values, *(trial.params.get(n, "") for n in params)]
        writer.writerow([trial.number, *values])
    return table.getvalue().encode(errors="backslashreplace")


def _draw(
    run: TrackedRun, study: Study, front: list[FrozenTrial], names: list[str]
) -> bytes:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    figure = new_figure(6, 5)
    ax = figure.subplots()
    for trials, color, label in [
        (complete, "C0", "trials"),
        (front, "C1", "Pareto front"),
    ]:
        x, y = zip(*[trial.values for trial in trials], strict=True)
        ax.plot(x, y, "o", color=color, alpha=0.6, label=label)
    ax.set(xlabel=names[0], ylabel=names[1], title=run.record.name)
    ax.legend()
    return as_png(figure)
