"""What the multilayer perceptrons trained by backpropagation share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.optimize import _check_optimize_result

from skperceptron.classifiers._blas_threads import threads_for
from skperceptron.classifiers._callbacks import begin_fit, run_step, run_steps
from skperceptron.classifiers._epochs import NON_FINITE, EpochTrainer
from skperceptron.classifiers._mlp import BaseMLP
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.classifiers._validation import check_memory
from skperceptron.network import DIFFERENTIABLE, initialize
from skperceptron.optim import (
    ROWS_TOGETHER,
    RegularizedLoss,
    make_solver,
    minimize_lbfgs,
)

Array = NDArray[np.floating]


class BaseBackprop(BaseMLP):
    """Training by backpropagation, whatever is learned."""

    _activation_names = DIFFERENTIABLE

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseMLP._parameter_constraints,
        "activation": [StrOptions(set(DIFFERENTIABLE)), list, tuple],
        "solver": [StrOptions({"lbfgs", "sgd", "adam", "adamw", "rmsprop"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "init": [
            StrOptions(
                {
                    "auto",
                    "glorot_uniform",
                    "glorot_normal",
                    "he_uniform",
                    "he_normal",
                    "normal",
                }
            )
        ],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
    }

    def _train(self, data: TrainingData, *, fresh: bool, incremental: bool) -> None:
        y = self._targets(data.y)
        present = None if fresh else self._layers
        layers = self._check_layers(data.X.shape[1], y.shape[1], present=present)
        self._check_dropout(len(layers.activations))
        check_memory(layers.n_params, data.X.dtype.itemsize)
        rng = check_random_state(self.random_state)
        starts_over = fresh or self._curves_watch != self._watched
        if starts_over:
            self._reset_curves()
        if starts_over or not incremental:
            self._reset_progress()
        out_activation = self._output_activation(data.y, y.shape[1])
        if fresh:
            output_activation = self.activation if not layers.activations else "relu"
            self.n_outputs_ = y.shape[1]
            self.out_activation_ = out_activation
            params = initialize(
                layers, self.init, rng, data.X.dtype, str(output_activation)
            )
        elif out_activation == self.out_activation_:
            params = layers.pack(*self._get_weights())
        else:
            raise ValueError(
                "Training can only be continued with the output activation it began "
                f"with, {self.out_activation_!r}, but loss={self.loss!r} goes with "
                f"{out_activation!r}. Call fit with warm_start=False to start over."
            )
        self._set_weights(layers, params)
        # The weights of "adamw" shrink by themselves.
        alpha = 0.0 if self.solver == "adamw" else self.alpha
        loss = RegularizedLoss(
            layers, self.out_activation_, alpha, self.loss, self._loss_parameter
        )
        if self.solver == "lbfgs":
            self._train_lbfgs(data, y, params, loss)
        else:
            self._train_stochastic(data, y, params, loss, rng, incremental=incremental)

    @abstractmethod
    def _targets(self, y: NDArray) -> NDArray:
        """Targets of the output units, one column each: bool, or else float."""

    @abstractmethod
    def _output_activation(self, y: NDArray, n_outputs: int) -> str:
        """Choose the activation of the output units."""

    @property
    def _loss_parameter(self) -> float | None:
        """What some losses depend on beside targets and outputs."""
        return None

    def _check_dropout(self, n_hidden: int) -> None:
        rates = self._dropout_rates(n_hidden)
        if len(rates) != n_hidden:
            raise ValueError(
                "dropout must be one number or one per hidden layer, got "
                f"{len(rates)} numbers for {n_hidden} hidden layers."
            )
        if not all(isinstance(rate, Real) and 0 <= rate < 1 for rate in rates):
            raise ValueError(
                "Every dropout must be a number in [0, 1): at least 0, below 1; got "
                f"{self.dropout!r}."
            )
        if self.solver != "lbfgs":
            return
        unused = {
            "dropout": any(rates),
            "input_dropout": self.input_dropout > 0,
            "max_grad_norm": self.max_grad_norm is not None,
        }
        for name, is_set in unused.items():
            if is_set:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} cannot be used with "
                    "solver='lbfgs', which takes the loss to be the same at each "
                    "evaluation. Leave it out, or choose one of the solvers 'sgd', "
                    "'adam', 'adamw' and 'rmsprop'."
                )

    def _dropout_rates(self, n_hidden: int) -> list[float]:
        """Dropout of each hidden layer."""
        rates: Any = self.dropout
        return [rates] * n_hidden if np.ndim(rates) == 0 else list(rates)

    @property
    def _validates(self) -> bool:
        """Whether a part of the data is held out; as in MLPClassifier not for lbfgs."""
        return bool(self.early_stopping) and self.solver != "lbfgs"

    @property
    def _watched(self) -> str | None:
        """What early stopping looks at: curves of one score do not go on with another.

        Text, so that a stored model holds no scorer.
        """
        return repr(self.scoring) if self._validates else None

    def _reset_curves(self) -> None:
        self._curves_watch = self._watched
        self.n_iter_ = 0
        self.t_ = 0
        self.loss_curve_: list[float] = []
        self._grad_norms: list[Array] = []
        validates = self._validates
        self.validation_scores_: list[float] | None = [] if validates else None
        self.validation_loss_curve_: list[float] | None = [] if validates else None

    def _reset_progress(self) -> None:
        """Forget what the next epoch would be compared with.

        What other data, or the end of an earlier fit, have set as a mark would end a
        warm start before it has learned anything.
        """
        self._no_improvement_count = 0
        validates = self._validates
        self.best_validation_score_: float | None = -np.inf if validates else None
        self.best_loss_: float | None = None if validates else np.inf

    @property
    def grad_norms_(self) -> Array:
        """Mean norm of each layer's gradient in each epoch."""
        return np.array(self._grad_norms).reshape(-1, self.n_layers_ - 1)

    def _curves(self, after: int) -> dict[str, list[tuple[int, float]]]:
        first = max(after, 0)
        curves = {
            "loss": self.loss_curve_,
            "validation_score": self.validation_scores_ or [],
            "validation_loss": self.validation_loss_curve_ or [],
        }
        return {
            name: list(enumerate(curve[first:], start=first + 1))
            for name, curve in curves.items()
        }

    @property
    def _last_step(self) -> int:
        return len(self.loss_curve_)

    # Mini-batches

    def _train_stochastic(
        self,
        data: TrainingData,
        y: NDArray,
        params: Array,
        loss: RegularizedLoss,
        rng: np.random.RandomState,
        *,
        incremental: bool,
    ) -> None:
        if not incremental or not hasattr(self, "_solver"):
            self._solver = make_solver(params, vars(self))
        trainer = EpochTrainer(self, data, y, params, loss, self._solver, rng)
        n_epochs = 1 if incremental else self.max_iter
        self.n_iter_ = 0
        context = self._open_fit(n_epochs, incremental)
        begin_fit(self, context, data)
        with trainer.threads:
            run_steps(
                self,
                context,
                trainer.epoch,
                "epoch",
                data.hook_args,
                n_steps=n_epochs,
            )
        if self.n_iter_ == self.max_iter and not (incremental or trainer.has_converged):
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached "
                "and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )
        trainer.restore_best()
        context.call_on_fit_task_end(estimator=self, **data.hook_args)

    # L-BFGS

    def _train_lbfgs(
        self, data: TrainingData, y: NDArray, params: Array, loss: RegularizedLoss
    ) -> None:
        layers, dtype = loss.layers, params.dtype
        context = self._open_fit(self.max_iter, incremental=False)
        begin_fit(self, context, data)
        stopped = False

        def on_iteration(x: Array, value: float, gradient: Array) -> None:
            nonlocal stopped

            def record() -> bool:
                self._set_weights(layers, x.astype(dtype))
                self.n_iter_ += 1
                self.loss_ = value
                self.loss_curve_.append(value)
                self.best_loss_ = min(self.loss_curve_[-self.n_iter_ :])
                self._grad_norms.append(layers.norms(gradient))
                if self.verbose:
                    print(f"Iteration {self.n_iter_}, loss = {value:.8f}")
                return False

            # scipy only reports an iteration once it is over.
            stopped = run_step(self, context, record, "lbfgs-iter", data.hook_args)
            if stopped:
                raise StopIteration

        self.n_iter_ = 0
        with threads_for(min(len(y), ROWS_TOGETHER), layers):
            result = minimize_lbfgs(
                params,
                loss,
                data.X,
                y,
                data.sample_weight,
                max_iter=self.max_iter,
                max_fun=self.max_fun,
                tol=self.tol,
                on_iteration=on_iteration,
            )
        self._set_weights(layers, result.x.astype(dtype))
        self.loss_ = float(result.fun)
        if not stopped:
            self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        if not (np.isfinite(result.fun) and np.isfinite(result.x).all()):
            self._set_weights(layers, params)
            raise ValueError(NON_FINITE + " The start weights are kept.")
        context.call_on_fit_task_end(estimator=self, **data.hook_args)


def is_stochastic(estimator: BaseBackprop) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. "
            f"{estimator.solver} is not stochastic."
        )
    return True
