"""Multilayer perceptrons for numbers, trained by hill climbing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import StrOptions

from skperceptron.classifiers._combine import side_by_side
from skperceptron.classifiers._hill_climb import BaseHillClimb
from skperceptron.classifiers._mlp import BaseMLP
from skperceptron.classifiers._objectives import Objective, objective_weight
from skperceptron.classifiers._regression_metrics import needs_positive
from skperceptron.classifiers._regression_objectives import (
    find_regression_metric,
    in_columns,
    make_regression_objective,
    moments,
    surrogate,
)
from skperceptron.classifiers._regressor import NetworkRegressorMixin
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.network import ACTIVATIONS, ActivationLike, Layers
from skperceptron.optim import RegressionMetric

Array = NDArray[np.floating]


class HillClimbMLPRegressor(NetworkRegressorMixin, BaseHillClimb, BaseMLP):
    """Multilayer perceptron for numbers, trained by stochastic hill climbing.

    Each iteration adds normal noise to the weights, and keeps this candidate if its
    objective is not worse. No gradient is needed: the objective can be any metric, and
    activations can be flat or discontinuous.

    Target values are scaled inside, so that steps of the same size suit targets of any
    size: the network learns them less their mean, divided by their standard deviation.
    If the objective needs positive predictions, as deviances do, its outputs are
    instead the logarithms of predictions divided by the mean. Predictions and
    objective are in the unit of `y`.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer of a climb.

    activation : str, callable or sequence of them, default="relu"
        Activation of the hidden layers, or one for each of them: "identity",
        "logistic", "tanh", "relu", "leaky_relu" (slope 0.01), "elu" (alpha 1),
        "softplus", "silu", "gelu", "step" (1 from 0 on, else 0), "sign"; or a function
        ``(z) -> outputs`` of NumPy arrays, such as a ufunc or one that numba compiles.
        `z` has the sums of some samples, shape (n, n_units), in the precision of `X`;
        the outputs must be floats of the same shape. The function may overwrite `z`,
        and must give equal outputs for equal rows. It need not be smooth. Training is
        slower than with a name.

    max_iter : int, default=20000
        Number of iterations. 0 keeps the random start weights.

    surrogate_iter : int or "auto", default="auto"
        Maximum number of iterations of a climb on another loss before the climb on the
        objective, unless a fit continues an earlier one. That is the squared error of
        the scaled targets, the absolute error for the median of absolute errors, or
        the Poisson deviance if predictions are positive. The climb on the objective
        starts from the final weights of the first climb and keeps only improvements. 0
        skips the first climb; "auto" is 20 000 with ``step_schedule="one_fifth"`` and 0
        with a constant step size. Without effect on objectives that are convex in the
        predictions and compiled, see `objective`.

    alpha : float, default=3.0
        Strength of the L2 penalty on the weights in a climb on a compiled objective
        other than the median, or on what comes before: candidates are compared by the
        loss of the scaled targets plus ``alpha / 2`` times the sum of the squared
        weights, divided by the number of samples (or their total weight). That loss
        is a sum over the outputs, of half the squared error or deviance, as in
        `MLPRegressor`. `objective_` is the objective alone.

    noise_sign : {"random", "descent"}, default="descent"
        Whether noise is added as it is drawn, or with the sign that lowers the loss, to
        first order in the sums of the output units: "descent" is for climbs with a
        penalty, see `alpha`, with ``mutation="unit"``. The change of these sums is
        computed exactly, so that no gradient goes through the network, and hard
        thresholds can be trained.

    step_size : float, default=0.1
        Standard deviation of the noise, at the start if `step_schedule` adapts it.

    objective : str, scorer or callable, default="r2"
        What is maximised: the name of a scikit-learn scorer, a scorer object, or a
        function ``(y_true, y_pred, *, sample_weight=None) -> float`` of target values.
        `sample_weight` is passed only when the fit has sample weights. With
        ``mutation="unit"``, these are compiled, as scorers by name or made of the
        functions in :mod:`sklearn.metrics`:

        - R2 and the explained variance;
        - the mean squared error, its root, the mean absolute error, the mean absolute
          percentage error and the pinball loss;
        - the Poisson and the gamma deviance, of one output;
        - without sample weights, the median absolute error.

        The others are computed in Python, and each iteration takes as long as that: set
        `max_iter` accordingly.

    step_schedule : {"constant", "one_fifth"}, default="one_fifth"
        Whether the step size stays as it is, or grows after a kept candidate and
        shrinks after a rejected one so that about one in five is kept.

    mutation : {"all", "unit"} or float in (0, 1], default="unit"
        What a candidate changes: every weight; the weights into and out of one random
        unit, and its bias (each unit then has a step size of its own); or each weight
        with this probability.

    init : {"uniform", "glorot", "normal"}, default="glorot"
        Start weights: U[0, 1); uniform with the limits of Glorot and Bengio and biases
        0; or N(0, 1) and biases 0.01.

    n_restarts : int, default=0
        Number of additional climbs, each with its own start weights and noise.
        `combine` says how to combine them. `partial_fit` makes them only if they are
        averaged.

    combine : {"best", "average"}, default="best"
        How to combine the ``1 + n_restarts`` climbs. "best" keeps the best one, with
        early stopping the one that is best on the held-out data. "average" makes one
        network of all climbs, whose output sums are the means of theirs. It has their
        hidden layers side by side, so that each layer has ``1 + n_restarts`` times as
        many units as `hidden_layer_sizes` says.

    n_jobs : int or None, default=None
        Threads in which the climbs run: -1 for one per processor, None for one unless
        a `joblib.parallel_config` says otherwise. It does not change the result.
        Objectives and activations written in Python take turns.

    random_state : int, RandomState instance or None, default=None
        Source of the start weights, the noise and the validation split. An int makes
        fits reproducible.

    warm_start : bool, default=False
        Whether a second `fit` continues the climb, with its weights, its step size, its
        random numbers and the scale of the first targets. Like `partial_fit`, it
        continues the climb that was kept, or all climbs that are averaged; then
        `n_restarts` must not change.

    verbose : bool or int, default=False
        Whether to print the objective about ten times; with 2, a hundred times.

    early_stopping : bool, default=False
        Whether to hold out a part of the training data, to stop when the objective on
        it stops improving, and to keep the weights that were best on it.

    scoring : str, callable or None, default=None
        What early stopping watches: the name of a scorer of scikit-learn or a scorer
        ``(estimator, X, y) -> score``, which is better when greater; or None for the
        objective. Sample weights are passed on to it.

    validation_fraction : float in [0, 1), default=0.1
        Share of the training data held out, unless `fit` gets `X_val` and `y_val`.

    n_iter_no_change : int, default=10
        With early stopping: reports (there are about a hundred in a fit) in a row
        without an improvement of `tol` after which the climb stops.

    tol : float, default=1e-4
        With early stopping: the smallest improvement that counts.

    Attributes
    ----------
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        How targets are scaled: predictions are ``target_mean_ + target_scale_ * z``
        where z are the outputs of the network. They are mean and standard deviation (1
        for constant targets) of the target values of the first fit or `partial_fit`,
        weighted by the sample weights; 0 and the mean where predictions are positive.

    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer. The last one gives scaled targets.

    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer.

    n_layers_ : int
        Number of layers, input and output included.

    n_outputs_ : int
        Number of outputs.

    out_activation_ : {"identity", "exp"}
        Activation of the output layer: "exp" if the objective needs positive
        predictions, such as a Poisson, gamma or Tweedie deviance or a squared
        logarithmic error, and no target value of the first fit is negative.

    objective_ : float
        Objective of these weights on the training data. While climbs that are averaged
        go on, weights and objective are updated about a hundred times.

    objective_curve_ : ndarray of shape (`n_iter_` + 1,)
        Objective of the current weights at the start and after each iteration; of
        several climbs that are averaged, the mean of their objectives, which is not the
        objective of the average.

    validation_scores_ : list of float or None
        Objective on the validation data at each report, or the value of `scoring`. None
        without early stopping.

    best_validation_score_ : float or None
        The best of them; None without early stopping.

    n_iter_ : int
        Iterations done.

    n_accepted_ : int
        Number of candidates that were kept, by the climb that was kept or by all climbs
        that are averaged.

    n_evaluations_ : int
        Number of evaluations of the objective on the training data, in all restarts,
        without those of their average and without those of the climb that comes first.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` has names that are all strings.

    run_id_ : str or None
        MLflow run of this fit; None when it is not tracked.

    See Also
    --------
    HillClimbMLP : The same search for class labels.
    BackpropMLPRegressor : The same network trained by gradients.

    Notes
    -----
    An int as `random_state` always gives the same fit, to the bit on one machine,
    whatever `n_jobs` is. The random numbers are those of
    ``noise = numpy.random.default_rng(seed)``, where the seed is
    ``RandomState(random_state).randint(2**31 - 1)``, and of
    ``choice = noise.spawn(1)[0]``. From `noise` come the start weights, layer by layer,
    and then, for each candidate, one standard normal per parameter that it may move, in
    the precision of `X`. From `choice` comes the unit that it moves, or, for a share,
    one uniform number per parameter, which is moved if its number is below the share.
    The parameters are all weight matrices, row by row, and then all biases; those of a
    unit are the weights into it, its bias, and the weights out of it. A restart has a
    child of `noise` in its place, from ``noise.spawn(n_restarts)``.

    All losses of compiled objectives but the median are convex in the outputs of the
    network: most candidates that are worse are found out by the slope of the loss,
    before the loss is computed.

    After a climb on another loss, all gains are kept. That climb ends before
    `surrogate_iter` if 500 iterations move the weights by no more than a hundredth of
    their length.

    R2 is not defined for a single sample, and the explained variance does not depend on
    a constant that is added to all predictions.

    References
    ----------
    I. Rechenberg, "Evolutionsstrategie", Frommann-Holzboog, 1973 (the one-fifth rule).

    S. Kern et al., "Learning probability distributions in continuous evolutionary
    algorithms - a comparative review", Natural Computing 3, 2004 (its present form).

    Examples
    --------
    A network of hard thresholds, which no gradient can train:

    >>> import skperceptron
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = skperceptron.HillClimbMLPRegressor(activation="step", random_state=0)
    >>> with skperceptron.config_context(tracking=False):
    ...     reg.fit((X - X.mean(axis=0)) / X.std(axis=0), y).objective_ > 0.4
    True
    """

    _counterpart = "HillClimbMLP"
    _activation_names = tuple(ACTIVATIONS)
    _takes_functions = True

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseMLP._parameter_constraints,
        **BaseHillClimb._parameter_constraints,
        "activation": [StrOptions(set(ACTIVATIONS)), callable, list, tuple],
        "noise_sign": [StrOptions({"random", "descent"})],
        "objective": [StrOptions(set(get_scorer_names())), callable],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: ActivationLike | Sequence[ActivationLike] = "relu",
        *,
        max_iter: int = 20_000,
        surrogate_iter: int | Literal["auto"] = "auto",
        alpha: float = 3.0,
        noise_sign: Literal["random", "descent"] = "descent",
        step_size: float = 0.1,
        objective: str | Callable[..., float] = "r2",
        step_schedule: Literal["constant", "one_fifth"] = "one_fifth",
        mutation: Literal["all", "unit"] | float = "unit",
        init: Literal["uniform", "glorot", "normal"] = "glorot",
        n_restarts: int = 0,
        combine: Literal["best", "average"] = "best",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: bool | int = False,
        early_stopping: bool = False,
        scoring: str | Callable[..., float] | None = None,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.max_iter = max_iter
        self.surrogate_iter = surrogate_iter
        self.alpha = alpha
        self.noise_sign = noise_sign
        self.step_size = step_size
        self.objective = objective
        self.step_schedule = step_schedule
        self.mutation = mutation
        self.init = init
        self.n_restarts = n_restarts
        self.combine = combine
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol

    def _train(self, data: TrainingData, *, fresh: bool, incremental: bool) -> None:
        if fresh:
            self._learn_scale(data)
        else:
            self._check_scale(data)
        super()._train(data, fresh=fresh, incremental=incremental)

    def _learn_scale(self, data: TrainingData) -> None:
        """Choose how the outputs of the network become predictions."""
        with np.errstate(over="ignore", invalid="ignore"):  # infinity is refused
            mean, variance = moments(in_columns(data.y_true), objective_weight(data))
        if not np.isfinite(variance).all():
            raise ValueError(
                "y is scaled by its standard deviation, so that the squares of its "
                "distances from the mean must be within the range of float64. Divide y "
                "by a constant."
            )
        self.out_activation_ = self._output_activation(data)
        if self.out_activation_ == "exp":
            self.target_mean_, scale = np.zeros(len(mean)), mean
        else:
            self.target_mean_, scale = mean, np.sqrt(variance)
        self.target_scale_ = np.where(scale > 0, scale, 1.0)

    def _check_scale(self, data: TrainingData) -> None:
        """Refuse to go on with what the outputs do not fit to."""
        n_outputs, n_columns = len(self.target_mean_), in_columns(data.y_true).shape[1]
        if n_columns != n_outputs:
            raise ValueError(
                "Training can only be continued with as many outputs as it began with, "
                f"{n_outputs}, but y has {n_columns}."
            )
        if needs_positive(self.objective) != (self.out_activation_ == "exp"):
            raise ValueError(
                f"Training cannot be continued with objective={self.objective!r}: the "
                "outputs of the network "
                + (
                    "are logarithms of predictions, for an objective that needs "
                    "positive ones"
                    if self.out_activation_ == "exp"
                    else "can be negative predictions, which it has no value for"
                )
                + ". Call fit with warm_start=False to start over."
            )

    def _output_activation(self, data: TrainingData) -> str:
        is_positive = needs_positive(self.objective) and data.y_true.min() >= 0
        return "exp" if is_positive else "identity"

    def _network(self, n_features: int, n_outputs: int, *, fresh: bool) -> Layers:
        present = None if fresh else self._climb_layers
        layers = self._check_layers(n_features, n_outputs, present=present)
        self.n_outputs_ = n_outputs
        return layers

    def _combine(self, layers: Layers, networks: Sequence[Array]) -> Array:
        return side_by_side(layers, networks)

    @property
    def _descends(self) -> bool:
        return self.noise_sign == "descent"

    def _in_unit_of_targets(self, values: Array) -> Array:
        scaled = self.target_mean_ + self.target_scale_ * values
        return scaled.astype(values.dtype, copy=False)

    # The objective

    def _count_outputs(self, data: TrainingData) -> int:
        return len(self.target_mean_)

    def _codes(self, data: TrainingData) -> NDArray[np.intp]:
        return np.zeros(len(data.y_true), np.intp)  # there are no classes

    def _find_metric(
        self, data: TrainingData, *, on_surrogate: bool
    ) -> RegressionMetric | None:
        find = surrogate if on_surrogate else find_regression_metric
        return find(self, data)

    def _make_objective(
        self, layers: Layers, data: TrainingData, *, on_surrogate: bool = False
    ) -> Objective:
        return make_regression_objective(self, layers, data, on_surrogate=on_surrogate)

    def _make_test(self, layers: Layers, data: TrainingData) -> None:
        return None
