"""Fits that report to an Optuna trial and are given up when it is pruned."""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple

from optuna.exceptions import TrialPruned
from optuna.study import StudyDirection
from optuna.trial import BaseTrial
from sklearn.callback import CallbackContext

from skperceptron._names import did_you_mean
from skperceptron.classifiers._base import BaseNetwork
from skperceptron.classifiers._callbacks import add_callback, remove_callback
from skperceptron.classifiers._climber import iterations_per_report
from skperceptron.classifiers._find_networks import find_networks
from skperceptron.classifiers._hill_climb import BaseHillClimb
from skperceptron.tracking.recording._sklearn_internals import are_errors_caught
from skperceptron.tuning._arguments import check_trial


class _Monitor(NamedTuple):
    """Which attribute holds the values, and whether larger ones are better."""

    attribute: str
    direction: StudyDirection


_MONITORS = {
    "validation_score": _Monitor("validation_scores_", StudyDirection.MAXIMIZE),
    "validation_loss": _Monitor("validation_loss_curve_", StudyDirection.MINIMIZE),
    "objective": _Monitor("objective_curve_", StudyDirection.MAXIMIZE),
    "loss": _Monitor("loss_curve_", StudyDirection.MINIMIZE),
}


class PruningCallback:
    """Report each epoch of a fit to an Optuna trial, and end the fit if it is pruned.

    A scikit-learn callback for one trial. Set it on an estimator of this package, or on
    a pipeline or any other estimator that has one in it, and fit once, or once for each
    fold of a cross-validation that is run in the same process with
    ``error_score="raise"``.

    Parameters
    ----------
    trial : optuna.trial.BaseTrial
        The trial, of a study with one objective. A `optuna.trial.FixedTrial` is never
        pruned.

    monitor : str, default="validation_score"
        What is reported. It must have the study's direction.

        - "validation_score" (maximised): that on the data which `early_stopping` holds
          out, as in ``validation_scores_``.
        - "validation_loss" (minimised): the loss of `BackpropMLP` on these data.
        - "objective" (maximised): that of a hill climb on its training data.
        - "loss" (minimised): that of `BackpropMLP` on its training data.

    Raises
    ------
    TypeError
        When `trial` is not an Optuna trial. By a fit: when the estimator contains none
        of these estimators.

    ValueError
        When `monitor` is none of these, or has not the study's direction, or the study
        has several objectives. By a fit: when it does not produce what is monitored;
        when it is a call of `partial_fit`; when it is made in another process or thread
        than the callback; when a cross-validation around it catches the exception that
        ends a pruned trial.

    optuna.TrialPruned
        By a fit: when the pruner wants the trial to end.

    See Also
    --------
    suggest_params : Parameters for a trial.

    Notes
    -----
    The step of a report is ``fold * max_iter + n`` after `n` epochs (or iterations of
    "lbfgs") of a fit; the first fold is 0. A hill climb reports after every
    ``ceil(max_iter / 100)`` iterations and at its end, and its `n` counts iterations.
    What a pruner calls steps or resources are these steps.

    `OptunaSearchCV` needs no callback. With ``enable_pruning=True`` it prunes by itself
    between calls of `partial_fit`, which a pipeline does not have.

    Examples
    --------
    >>> import optuna
    >>> from sklearn.datasets import load_iris
    >>> from skperceptron import HillClimbMLP
    >>> from skperceptron.tuning import PruningCallback, suggest_params
    >>> X, y = load_iris(return_X_y=True)
    >>> def objective(trial):
    ...     clf = HillClimbMLP(max_iter=500, early_stopping=True, random_state=0)
    ...     clf.set_params(**suggest_params(trial, clf))
    ...     clf.set_callbacks(PruningCallback(trial)).fit(X, y)
    ...     return clf.best_validation_score_
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(direction="maximize")
    >>> study.optimize(objective, n_trials=3)
    """

    def __init__(self, trial: BaseTrial, monitor: str = "validation_score") -> None:
        check_trial(trial)
        if monitor not in _MONITORS:
            raise ValueError(
                f"monitor must be one of {sorted(_MONITORS)}, got {monitor!r}."
                f"{did_you_mean(monitor, _MONITORS)}"
            )
        _check_direction(trial, monitor)
        self.trial: Any = trial
        self.monitor = monitor
        self._home = _here()
        self._is_pruned = False
        # Steps of the fits before the present one, and with it.
        self._first_step = self._next_first_step = 0
        self._last_step = 0
        self._fit: CallbackContext | None = None
        self._followed: list[BaseNetwork] = []

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Check that the fit can be pruned, or follow the estimators in it."""
        if isinstance(estimator, BaseNetwork):
            self._check_fit(estimator, context)
            self._fit = context
            self._last_step = 0
            self._first_step = self._next_first_step
            self._next_first_step += estimator.max_iter
        else:
            self._followed = [
                network
                for network in find_networks(estimator).values()
                if add_callback(network, self)
            ]

    def on_fit_task_begin(self, estimator: Any, context: CallbackContext) -> None:
        """Check that the fit will have what is to be monitored."""
        if context is self._fit:
            _check_monitor(estimator, self.monitor)

    def on_fit_task_end(self, estimator: Any, context: CallbackContext) -> None:
        """Report a step, and end the fit if the trial should be pruned."""
        is_step = isinstance(estimator, BaseNetwork) and context is not self._fit
        # Of several climbs, the one that is best may have ended before the others.
        if not is_step or not estimator.n_iter_ > self._last_step:
            return
        if _is_report(estimator):
            self._last_step = estimator.n_iter_
            self._report(estimator)

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """Leave the estimator as it was."""
        if isinstance(estimator, BaseNetwork):
            self._fit = None
            return
        for network in self._followed:
            remove_callback(network, self)

    def __getstate__(self) -> dict[str, Any]:
        # Whatever a copy reported would be lost.
        return {**vars(self), "trial": None, "_fit": None, "_followed": []}

    def _report(self, estimator: Any) -> None:
        value = float(getattr(estimator, _MONITORS[self.monitor].attribute)[-1])
        step = self._first_step + self._last_step
        self.trial.report(value, step)
        if self.trial.should_prune():
            self._is_pruned = True
            raise TrialPruned(f"Pruned at step {step}: {self.monitor} is {value:.6g}.")

    def _check_fit(self, estimator: Any, context: CallbackContext) -> None:
        if self.trial is None or self._home != _here():
            raise ValueError(
                "A PruningCallback reports to its trial only in the process and the "
                "thread in which it was made, and no copy of it does. Fit there: leave "
                "n_jobs at None or 1 in whatever is around the estimator."
            )
        if context.task_name == "partial-fit":
            raise ValueError(
                "PruningCallback follows fit, not partial_fit. Call fit, or call "
                "trial.report and trial.should_prune between the calls of partial_fit."
            )
        if self._is_pruned or are_errors_caught():
            raise ValueError(
                "Something around this fit catches the exception that ends a pruned "
                "trial. Where there is a parameter error_score, set it to 'raise', for "
                "example cross_val_score(..., error_score='raise')."
            )


def _check_direction(trial: BaseTrial, monitor: str) -> None:
    study = getattr(trial, "study", None)
    if study is None:  # not every trial has one, and those are never pruned
        return
    if len(study.directions) > 1:
        raise ValueError(
            "Optuna prunes only the trials of studies with one objective, and this one "
            f"has {len(study.directions)}. Leave out the PruningCallback."
        )
    wanted = _MONITORS[monitor].direction
    if study.direction != wanted:
        fitting = [name for name, m in _MONITORS.items() if m.direction != wanted]
        raise ValueError(
            f"monitor={monitor!r} cannot be compared in a study that wants to "
            f"{study.direction.name.lower()}. Create the study with "
            f"direction={wanted.name.lower()!r}, or monitor one of {fitting}."
        )


def _check_monitor(estimator: Any, monitor: str) -> None:
    """Refuse a monitor of which the fit that has just begun will have no values."""
    produced = [
        name
        for name, (attribute, _) in _MONITORS.items()
        if getattr(estimator, attribute, None) is not None
    ]
    if monitor in produced:
        return
    advice = ""
    if monitor.startswith("validation"):
        advice = " There are validation data with early_stopping=True"
        advice += " and a solver other than 'lbfgs'." if _is_lbfgs(estimator) else "."
    raise ValueError(
        f"This fit of {type(estimator).__name__} has no {monitor!r} to monitor, but "
        f"{produced}.{advice}"
    )


def _is_lbfgs(estimator: Any) -> bool:
    return getattr(estimator, "solver", None) == "lbfgs"


def _is_report(estimator: Any) -> bool:
    """Tell whether other fits, on a faster machine, stop here too."""
    if not isinstance(estimator, BaseHillClimb):
        return True
    interval = iterations_per_report(estimator.max_iter)
    return estimator.n_iter_ % interval == 0 or estimator.n_iter_ == estimator.max_iter


def _here() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()
