"""What the estimators trained by stochastic hill climbing share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.callback import CallbackContext
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from skperceptron.classifiers._activations import check_start
from skperceptron.classifiers._base import BaseNetwork
from skperceptron.classifiers._callbacks import begin_fit, has_listeners, run_steps
from skperceptron.classifiers._climber import (
    ClimbTrainer,
    count_climbs,
    iterations_per_report,
)
from skperceptron.classifiers._combine import widen
from skperceptron.classifiers._objectives import (
    find_metric,
    make_objective,
    objective_weight,
    refuse_loss,
)
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.classifiers._validation import check_memory
from skperceptron.network import Layers
from skperceptron.optim import Climb, Metric, Mutation, Problem, make_climb

Array = NDArray[np.floating]

# What a climb on an objective that is no smooth function of the weights begins with.
SURROGATE = Metric("log_loss")
MAX_SURROGATE_ITER = 20_000


class BaseHillClimb(BaseNetwork):
    """Training by hill climbing, whatever the network."""

    _parameter_constraints: dict[str, list[Any]] = {
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "surrogate_iter": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "step_size": [Interval(Real, 0, None, closed="neither")],
        "step_schedule": [StrOptions({"constant", "one_fifth"})],
        "mutation": [StrOptions({"all", "unit"}), Interval(Real, 0, 1, closed="right")],
        "init": [StrOptions({"uniform", "glorot", "normal"})],
        "n_restarts": [Interval(Integral, 0, None, closed="left")],
        "combine": [StrOptions({"best", "average"})],
        "n_jobs": [Integral, None],
    }

    # Which climb is taken; `ClimbTrace` takes one that shows its candidates.
    _choose_climb: Callable[..., Climb] = staticmethod(make_climb)

    def _validate_params(self) -> None:
        super()._validate_params()
        refuse_loss(self.objective, self)

    def _meant_instead(self, message: str) -> str:
        given, is_objective = self.objective, message.startswith("The 'objective'")
        if is_objective and isinstance(given, str) and given == "log_loss":
            return (
                " The log loss needs probabilities, which HillClimbPerceptron does not "
                "have: use HillClimbMLP(objective='log_loss')."
            )
        return super()._meant_instead(message)

    @abstractmethod
    def _network(self, n_features: int, n_outputs: int, *, fresh: bool) -> Layers:
        """Describe the network that the parameters ask for."""

    @abstractmethod
    def _combine(self, layers: Layers, networks: Sequence[Array]) -> Array:
        """Make one network of those of several climbs."""

    def _train(self, data: TrainingData, *, fresh: bool, incremental: bool) -> None:
        n_classes = len(self.classes_)
        n_outputs = 1 if n_classes == 2 else n_classes
        layers = self._network(data.X.shape[1], n_outputs, fresh=fresh)
        n_iter = int(self.max_iter)  # which may also be a bool
        if incremental:
            n_iter = min(iterations_per_report(n_iter), n_iter)
        n_climbs = count_climbs(self, fresh=fresh, incremental=incremental)
        averages = self.combine == "average" and n_climbs > 1
        check_memory(
            layers.n_params,
            data.X.dtype.itemsize,
            n_climbs,
            n_combined=widen(layers, n_climbs).n_params if averages else 0,
        )
        # Before the objective is evaluated, which may log to the run of the fit.
        context = self._open_fit(n_iter, incremental)
        trainer = ClimbTrainer(
            self,
            layers,
            data,
            check_random_state(self.random_state),
            fresh=fresh,
            n_iter=n_iter,
            n_climbs=n_climbs,
        )
        if not incremental:
            trainer.start_curves()
        context.max_subtasks = trainer.n_steps
        self._climb(trainer, context, data)

    def _climb(
        self,
        trainer: ClimbTrainer,
        context: CallbackContext,
        data: TrainingData,
    ) -> None:
        trainer.is_observed = bool(
            self.verbose or self.early_stopping or has_listeners(context)
        )
        begin_fit(self, context, data)
        with trainer.threads, trainer.parallel() as parallel:
            run_steps(
                self,
                context,
                lambda: trainer.step(parallel),
                "iterations",
                data.hook_args,
                n_steps=trainer.n_steps,
            )
        trainer.finish()
        context.call_on_fit_task_end(estimator=self, **data.hook_args)

    @property
    def _n_surrogate_iter(self) -> int:
        """Maximum iterations of a climb on the log loss that comes first."""
        if self.objective == "log_loss":
            return 0
        if self.surrogate_iter != "auto":
            return int(self.surrogate_iter)
        # Steps that stay as long as they are do not get near a minimum.
        return MAX_SURROGATE_ITER if self.step_schedule == "one_fifth" else 0

    @property
    def _descends(self) -> bool:
        """Whether noise is turned to where the log loss falls."""
        return True

    def _make_climb(
        self,
        params: Array,
        mutation: Mutation,
        layers: Layers,
        data: TrainingData,
        *,
        on_surrogate: bool = False,
        **options: Any,
    ) -> Climb:
        """Prepare a climb on the objective, or on the log loss.

        `options` are those of `make_climb`.
        """
        weight = objective_weight(data)
        metric: Metric | None = SURROGATE
        if not on_surrogate:
            metric = find_metric(self, data.y, is_weighted=weight is not None)
        problem = Problem(
            layers,
            data.X,
            data.y,
            sample_weight=weight,
            metric=metric,
            alpha=float(self.alpha),
            descends=self._descends,
        )
        # After the surrogate, wandering among equals only leads away from it.
        keeps_ties = problem.is_log_loss or not self._n_surrogate_iter
        if any(map(callable, layers.activations)):
            check_start(data.X, layers, params)

        def objective() -> Callable[[Array], float]:
            return make_objective(self, layers, data, on_log_loss=problem.is_log_loss)

        return self._choose_climb(
            params, mutation, problem, objective, keeps_ties=keeps_ties, **options
        )

    def _curves(self, after: int) -> dict[str, list[tuple[int, float]]]:
        interval = iterations_per_report(self.max_iter)
        reports = [*range(0, self.n_iter_, interval), self.n_iter_]
        curves = {
            "objective": list(
                zip(reports, self.objective_curve_[reports], strict=True)
            ),
            # The start is not validated.
            "validation_score": list(
                zip(reports[1:], self.validation_scores_ or [], strict=False)
            ),
        }
        return {
            name: [point for point in curve if point[0] > after]
            for name, curve in curves.items()
        }

    @property
    def _last_step(self) -> int:
        return self.n_iter_
