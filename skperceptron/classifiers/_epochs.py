"""Mini-batch training: what happens in an epoch and after it."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning

from skperceptron.classifiers._blas_threads import threads_for
from skperceptron.classifiers._hold_out import hold_out
from skperceptron.classifiers._objectives import (
    Objective,
    check_first_value,
    scorer_objective,
)
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.network import OUTPUT_ACTIVATIONS, forward
from skperceptron.optim import Dropout, EpochLoop, RegularizedLoss, Solver

Array = NDArray[np.floating]

# What batch_size="auto" stands for, as in MLPClassifier.
AUTO_BATCH_SIZE = 200
NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large "
    "values and need to be preprocessed."
)


class EpochTrainer:
    """Trains an estimator epoch by epoch and keeps its curves up to date.

    It consumes random numbers in MLPClassifier's order (start weights, validation
    split, one shuffle per epoch), which is what makes equal seeds give equal weights.

    Parameters
    ----------
    estimator : BackpropMLP or BackpropMLPRegressor
        What is trained; its curves are updated.

    data : TrainingData
        What it is trained on.

    targets : ndarray of bool or float of shape (n_samples, n_outputs)
        Targets of the output units.

    params : ndarray of shape (n_params,)
        Moved in place.

    loss : RegularizedLoss
        What is minimised.

    solver : Solver
        How a gradient moves the parameters.

    rng : RandomState
        Source of the split and the shuffling.

    Attributes
    ----------
    threads : context manager
        Limits the threads of BLAS while an epoch is trained.

    has_converged : bool
        Whether the last epoch brought too little to go on.
    """

    def __init__(
        self,
        estimator: Any,
        data: TrainingData,
        targets: NDArray,
        params: Array,
        loss: RegularizedLoss,
        solver: Solver,
        rng: np.random.RandomState,
    ) -> None:
        self.estimator = estimator
        self.data = data
        self.targets = targets
        self.params = params
        self.loss = loss
        self.solver = solver
        self.rng = rng
        self.has_converged = False
        self.training_rows, self.validation = self._split()
        self._score = self._make_score()
        batch_size = self._check_batch_size(len(self.training_rows))
        self.threads = threads_for(batch_size, loss.layers)
        self._loop = EpochLoop(
            loss,
            solver,
            data.X,
            targets,
            data.sample_weight,
            batch_size=batch_size,
            max_grad_norm=estimator.max_grad_norm,
            dropout=self._make_dropout(),
        )
        self._order = self.training_rows.copy()
        self._best_params = params.copy()

    def epoch(self) -> bool:
        """Train one epoch.

        Returns
        -------
        bool
            Whether training is over.

        Raises
        ------
        ValueError
            When the weights overflow and none have been validated. The last finite ones
            are kept.
        """
        est = self.estimator
        before = self.params.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            value, grad_norms = self._loop.run(self.params, self._next_order())
        validation = None
        is_finite = math.isfinite(value) and bool(np.isfinite(self.params).all())
        if is_finite and est.early_stopping:
            validation = self._validate()
            is_finite = validation is not None
        has_overflowed = self.solver.has_overflowed or not is_finite
        if has_overflowed:
            self.params[...] = before
            del est._solver  # its state is of no use any more
            self._check_has_validated()
            validation = (math.nan, math.nan)
        est.n_iter_ += 1
        est.loss_ = value
        est.t_ += len(self.training_rows)
        est.loss_curve_.append(value)
        est._grad_norms.append(grad_norms)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {value:.8f}")
        self._judge(validation)
        self.solver.end_epoch(est.t_)
        self.has_converged = has_overflowed or self._has_stalled()
        return self.has_converged

    def _check_has_validated(self) -> None:
        """After an overflow, go on only where there are weights to go back to."""
        est = self.estimator
        reason = (
            f"{NON_FINITE} Or learning_rate_init={est.learning_rate_init!r} is too "
            "large."
        )
        if not (est.early_stopping and math.isfinite(est.best_validation_score_)):
            raise ValueError(f"{reason} The weights from before this epoch are kept.")
        warnings.warn(
            f"{reason} Training ends in epoch {est.n_iter_ + 1}, with the weights that "
            "validated best.",
            ConvergenceWarning,
            stacklevel=2,
        )

    def restore_best(self) -> None:
        """With early stopping, go back to the weights that validated best."""
        if self.estimator.early_stopping:
            self.params[...] = self._best_params

    def _split(self) -> tuple[NDArray[np.intp], TrainingData | None]:
        """Choose the rows to train on, and what to validate on."""
        est, data = self.estimator, self.data
        rows, validation = np.arange(len(data.y_true)), data.validation
        if est.early_stopping and validation is None:
            # As in MLPClassifier, only splits of two classes are stratified.
            has_two_classes = is_classifier(est) and self.targets.shape[1] == 1
            rows, held_out = hold_out(
                data,
                est.validation_fraction,
                self.rng,
                stratify=self.targets if has_two_classes else None,
            )
            validation = data.take(held_out)
        if validation is not None and len(validation.y) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or "
                "the size of your dataset, or of X_val."
            )
        return rows, validation

    def _make_score(self) -> Objective | None:
        """Make a function of the parameters of a scorer, if that is to be watched."""
        est = self.estimator
        if self.validation is None or est.scoring in (None, "loss"):
            return None
        score = scorer_objective(est, self.loss.layers, self.validation, "scoring")
        check_first_value(score(self.params), est, "scoring")
        return score

    def _check_batch_size(self, n_samples: int) -> int:
        batch_size = self.estimator.batch_size
        if batch_size == "auto":
            return min(AUTO_BATCH_SIZE, n_samples)
        if batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going "
                "to be clipped",
                stacklevel=2,
            )
        return min(int(batch_size), n_samples)  # an int8, say, could not count far

    def _make_dropout(self) -> Dropout | None:
        est, hidden = self.estimator, self.loss.layers.units[1:-1]
        rates = est._dropout_rates(len(hidden))
        if not (any(rates) or est.input_dropout > 0):
            return None
        # Each call of partial_fit starts with the same random numbers, but must not
        # drop the same units again.
        seed = [self.rng.randint(2**31 - 1), est.t_]
        return Dropout(
            np.repeat(rates, hidden), est.input_dropout, np.random.default_rng(seed)
        )

    def _next_order(self) -> NDArray[np.intp]:
        if self.estimator.shuffle:
            # Epoch upon epoch; the swaps are those of sklearn.utils.shuffle.
            self.rng.shuffle(self._order)
        return self._order

    def _judge(self, validation: tuple[float, float] | None) -> None:
        """Compare the epoch with the best so far."""
        est = self.estimator
        if validation is not None:
            score, loss = validation
            est.validation_scores_.append(score)
            est.validation_loss_curve_.append(loss)
            if est.verbose:
                print(f"Validation score: {score:f}")
            improved = not score < est.best_validation_score_ + est.tol
            if score > est.best_validation_score_:
                est.best_validation_score_ = score
                self._best_params[...] = self.params
        else:
            improved = not est.loss_ > est.best_loss_ - est.tol
            est.best_loss_ = min(est.best_loss_, est.loss_)
        est._no_improvement_count = 0 if improved else est._no_improvement_count + 1

    def _validate(self) -> tuple[float, float] | None:
        """Compute score and loss on the held-out samples; None if these overflow."""
        est, loss, data = self.estimator, self.loss, self.validation
        assert data is not None
        coefs, intercepts = est._get_weights()
        with np.errstate(over="ignore", invalid="ignore"):
            z = forward(data.X, coefs, intercepts, loss.layers.activations)
            outputs = OUTPUT_ACTIVATIONS[loss.out_activation](z)
        if not (np.isfinite(z).all() and np.isfinite(outputs).all()):
            return None
        value = loss.evaluate(est._targets(data.y), outputs, data.sample_weight)
        if est.scoring == "loss":
            return -value, value
        if self._score is not None:
            return self._score(self.params), value
        return est._measure(data.y, est._decide(z), data.sample_weight), value

    def _has_stalled(self) -> bool:
        est = self.estimator
        if est._no_improvement_count <= est.n_iter_no_change:
            return False
        what = (
            "Validation score did not improve"
            if est.early_stopping
            else "Training loss did not improve"
        )
        stop, reaction = self.solver.stalled()
        if est.verbose:
            print(
                f"{what} more than tol={est.tol:f} for {est.n_iter_no_change} "
                f"consecutive epochs. {reaction}"
            )
        if not stop:
            est._no_improvement_count = 0
        return stop
