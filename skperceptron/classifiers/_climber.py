"""Training of the hill climbers: what happens between two reports."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from skperceptron.classifiers._objectives import check_first_value, make_objective
from skperceptron.network import Layers
from skperceptron.optim import Climb

if TYPE_CHECKING:
    from skperceptron.classifiers._base import TrainingData

Array = NDArray[np.floating]

# A fit reports to its callbacks about this often: each report costs some microseconds,
# an iteration may cost less.
REPORTS_PER_FIT = 100


class ClimbTrainer:
    """Lets a classifier climb, report by report, and keeps its curves up to date.

    Parameters
    ----------
    estimator : HillClimbPerceptron or HillClimbMLP
        The classifier; its curves are updated.

    layers : Layers
        Its network.

    params : ndarray of shape (n_params,)
        Where the climb starts.

    data : TrainingData
        What it is trained on.

    random_state : RandomState
        Source of the validation split.

    n_iter : int
        Iterations to make in all.

    Raises
    ------
    ValueError
        When the objective is of no use at the start.
    """

    def __init__(
        self,
        estimator: Any,
        layers: Layers,
        params: Array,
        data: TrainingData,
        random_state: np.random.RandomState,
        *,
        n_iter: int,
    ) -> None:
        self.estimator = estimator
        self.layers = layers
        self.remaining = n_iter
        self.chunk = iterations_per_report(estimator.max_iter)
        training, validation = self._split(data, random_state)
        self._validate = (
            None
            if validation is None
            else make_objective(estimator, layers, data, validation)
        )
        self._climb = self._start(params, data, training)
        if self._validate is not None:
            check_first_value(self._validate(params), estimator.objective)
        self._best = (params, self._climb.value)
        self._no_improvement_count = 0

    @property
    def n_reports(self) -> int:
        """Number of steps to come."""
        return math.ceil(self.remaining / self.chunk) if self.remaining else 0

    def start_curves(self) -> None:
        """Begin the curves of a new fit with the value at the start."""
        est = self.estimator
        est.n_iter_ = est.n_accepted_ = est.n_evaluations_ = 0
        est.objective_ = self._climb.value
        est.objective_curve_ = np.array([self._climb.value])
        est.validation_scores_ = None if self._validate is None else []
        est.best_validation_score_ = None if self._validate is None else -math.inf

    def step(self) -> bool:
        """Climb until the next report.

        Returns
        -------
        bool
            Whether early stopping ends the climb.
        """
        est, climb = self.estimator, self._climb
        n_iter = min(self.chunk, self.remaining)
        n_accepted, n_evaluations = climb.n_accepted, climb.n_evaluations
        values = climb.run(n_iter)
        self.remaining -= n_iter
        est._set_weights(self.layers, climb.params)
        est._step_size = climb.step_size.copy()
        est.n_iter_ += n_iter
        est.n_accepted_ += climb.n_accepted - n_accepted
        est.n_evaluations_ += climb.n_evaluations - n_evaluations
        est.objective_ = climb.value
        est.objective_curve_ = np.append(est.objective_curve_, values)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, objective = {climb.value:.8f}")
        return self._validate is not None and self._judge()

    def finish(self) -> None:
        """End the climb; with early stopping, return to what validated best."""
        self._climb.rewind()
        if self._validate is not None:
            params, self.estimator.objective_ = self._best
            self.estimator._set_weights(self.layers, params)

    def _split(
        self, data: TrainingData, random_state: np.random.RandomState
    ) -> tuple[NDArray[np.intp] | slice, NDArray[np.intp] | None]:
        if not self.estimator.early_stopping:
            return slice(None), None
        training, validation = train_test_split(
            np.arange(len(data.y)),
            random_state=random_state,
            test_size=self.estimator.validation_fraction,
            stratify=data.y,
        )
        return training, validation

    def _start(
        self, params: Array, data: TrainingData, rows: NDArray[np.intp] | slice
    ) -> Climb:
        est = self.estimator
        groups = self.layers.unit_groups() if est.mutation == "unit" else None
        adapt = est.step_schedule == "one_fifth"
        step_size = est.step_size
        n_steps = 1 if groups is None else len(groups)
        if adapt and np.size(est._step_size) == n_steps:
            step_size = est._step_size
        climb = est._make_climb(
            params,
            self.layers,
            data,
            rows,
            n_iter=self.remaining,
            steps={"step_size": step_size, "rng": est._rng, "adapt": adapt},
            mutation={
                "share": None if isinstance(est.mutation, str) else float(est.mutation),
                "groups": groups,
            },
        )
        check_first_value(climb.value, est.objective)
        return climb

    def _judge(self) -> bool:
        """Compare with the best validation score so far; tell whether to stop."""
        est = self.estimator
        assert self._validate is not None
        score = float(self._validate(self._climb.params))
        est.validation_scores_.append(score)
        if est.verbose:
            print(f"Validation score: {score:f}")
        improved = not score < est.best_validation_score_ + est.tol
        if score > est.best_validation_score_:
            est.best_validation_score_ = score
            self._best = (self._climb.params, self._climb.value)
        self._no_improvement_count = 0 if improved else self._no_improvement_count + 1
        return self._no_improvement_count > est.n_iter_no_change


def iterations_per_report(max_iter: int) -> int:
    """Count the iterations between two reports, and of one call of `partial_fit`."""
    return math.ceil(max_iter / REPORTS_PER_FIT)
