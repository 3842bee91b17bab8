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
    Objective,
    find_metric,
    make_objective,
    make_test,
    objective_weight,
    refuse_loss,
)
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.classifiers._validation import check_memory
from skperceptron.network import Layers
from skperceptron.optim import (
    Climb,
    Metric,
    Mutation,
    Problem,
    RegressionMetric,
    SignificanceTest,
    make_climb,
)

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

    @abstractmethod
    def _network(self, n_features: int, n_outputs: int, *, fresh: bool) -> Layers:
        """Describe the network that the parameters ask for."""

    @abstractmethod
    def _combine(self, layers: Layers, networks: Sequence[Array]) -> Array:
        """Make one network of those of several climbs."""

    def _train(self, data: TrainingData, *, fresh: bool, incremental: bool) -> None:
        n_outputs = self._count_outputs(data)
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

    def _n_surrogate_iter(self, data: TrainingData) -> int:
        """Maximum iterations of a climb on another objective that comes first."""
        metric = self._find_metric(data, on_surrogate=False)
        if metric is not None and metric.has_slope:
            return 0
        if self.surrogate_iter != "auto":
            return int(self.surrogate_iter)
        # Steps that stay as long as they are do not get near a minimum.
        return MAX_SURROGATE_ITER if self.step_schedule == "one_fifth" else 0

    # What of it depends on whether classes or numbers are learned; here classes.

    def _count_outputs(self, data: TrainingData) -> int:
        n_classes = len(self.classes_)
        return 1 if n_classes == 2 else n_classes

    def _codes(self, data: TrainingData) -> NDArray[np.intp]:
        """Index of the true class of each sample."""
        return data.y

    def _find_metric(
        self, data: TrainingData, *, on_surrogate: bool
    ) -> Metric | RegressionMetric | None:
        """Describe what is maximised for compiled code; None if it does not know it."""
        if on_surrogate:
            return SURROGATE
        return find_metric(self, data.y, is_weighted=data.sample_weight is not None)

    def _make_objective(
        self, layers: Layers, data: TrainingData, *, on_surrogate: bool = False
    ) -> Objective:
        """Make the function of the flat parameter vector that is maximised."""
        return make_objective(self, layers, data, on_log_loss=on_surrogate)

    def _make_test(self, layers: Layers, data: TrainingData) -> SignificanceTest | None:
        """Make the test that the gains of a climb on a metric have to pass."""
        return make_test(self, layers, data)

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
        metric = self._find_metric(data, on_surrogate=on_surrogate)
        problem = Problem(
            layers,
            data.X,
            self._codes(data),
            sample_weight=weight,
            metric=metric,
            alpha=float(self.alpha),
            descends=self._descends,
        )
        # After the surrogate, wandering among equals only leads away from it.
        keeps_ties = problem.has_slope or not self._n_surrogate_iter(data)
        if any(map(callable, layers.activations)):
            check_start(data.X, layers, params)

        def objective() -> Callable[[Array], float]:
            return self._make_objective(layers, data, on_surrogate=on_surrogate)

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
