"""Multilayer perceptrons trained by hill climbing."""

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
from skperceptron.classifiers._mlp_classifier import MLPClassifierMixin
from skperceptron.network import ACTIVATIONS, ActivationLike, Layers

Array = NDArray[np.floating]


class HillClimbMLP(MLPClassifierMixin, BaseHillClimb, BaseMLP):
    """Multilayer perceptron trained by stochastic hill climbing.

    Each iteration adds normal noise to the weights, and keeps this candidate if its
    objective is not worse. No gradient is needed: the objective can be any metric, and
    activations can be flat or discontinuous.

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
        Maximum number of iterations of a climb on the log loss before the climb on the
        objective, unless a fit continues an earlier one. A metric that changes in steps
        hardly guides a climb that starts from random weights. The climb on the
        objective starts from the final weights of the first climb, keeps only
        improvements, and for some metrics only significant ones, see Notes. 0 skips the
        first climb; "auto" is 20 000 with ``step_schedule="one_fifth"`` and 0 with a
        constant step size. Without effect if the objective is "log_loss".

    alpha : float, default=3.0
        Strength of the L2 penalty on the weights in a climb on the log loss, whether
        that is the objective or comes before it: candidates are compared by that loss
        plus ``alpha / 2`` times the sum of the squared weights, divided by the number
        of samples (or their total weight), as in `MLPClassifier`; 1 is the penalty of
        `LogisticRegression`. `objective_` is the objective alone.

    noise_sign : {"random", "descent"}, default="descent"
        Whether noise is added as it is drawn, or with the sign that lowers the log
        loss, to first order in the sums of the output units: "descent" is for climbs
        on the log loss, with ``mutation="unit"``. The change of these sums is computed
        exactly, so that no gradient goes through the network, and hard thresholds can
        be trained.

    step_size : float, default=0.1
        Standard deviation of the noise, at the start if `step_schedule` adapts it.

    objective : str, scorer or callable, default="log_loss"
        What is maximised: "accuracy", "log_loss" (negated), the name of a scikit-learn
        scorer, a scorer object, or a function ``(y_true, y_pred, *,
        sample_weight=None) -> float`` of class labels. `sample_weight` is passed only
        when the fit has sample or class weights.

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

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the objective: ``{label: weight}`` (1 for labels left
        out), inversely proportional to their frequency, or all 1. Labels that do not
        occur are ignored, as in a fold without them, but at least one has to occur.

    random_state : int, RandomState instance or None, default=None
        Source of the start weights, the noise and the validation split. An int makes
        fits reproducible.

    warm_start : bool, default=False
        Whether a second `fit` continues the climb, with its weights, its step size and
        its random numbers. Like `partial_fit`, it continues the climb that was kept, or
        all climbs that are averaged; then `n_restarts` must not change.

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
        Share of the training data held out, stratified by class, unless `fit` gets
        `X_val` and `y_val`.

    n_iter_no_change : int, default=10
        With early stopping: reports (there are about a hundred in a fit) in a row
        without an improvement of `tol` after which the climb stops.

    tol : float, default=1e-4
        With early stopping: the smallest improvement that counts.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer.

    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer.

    n_layers_ : int
        Number of layers, input and output included.

    n_outputs_ : int
        Number of output units.

    out_activation_ : {"logistic", "softmax"}
        Activation of the output layer.

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
        without those of their average and without those of the climb on the log loss
        that comes first.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` has names that are all strings.

    run_id_ : str or None
        MLflow run of this fit; None when it is not tracked.

    See Also
    --------
    HillClimbPerceptron : The same search for a network without hidden layers.
    BackpropMLP : The same network trained by gradients.

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

    After a climb on the log loss, a climb on the accuracy, or on another metric that is
    compiled, makes 50 iterations at a time. Their result is kept if it gains more than
    three standard errors of the difference between two equally good networks,
    ``sqrt(m) / n`` if their predictions differ for m of n samples (McNemar, 1947).
    Otherwise, the next 50 iterations start from the same weights. The curve shows what
    is kept. Other objectives can have any scale; their gains are all kept. The climb on
    the log loss ends before `surrogate_iter` if 500 iterations move the weights by no
    more than a hundredth of their length.

    References
    ----------
    Q. McNemar, "Note on the sampling error of the difference between correlated
    proportions or percentages", Psychometrika 12, 1947.

    I. Rechenberg, "Evolutionsstrategie", Frommann-Holzboog, 1973 (the one-fifth rule).

    S. Kern et al., "Learning probability distributions in continuous evolutionary
    algorithms - a comparative review", Natural Computing 3, 2004 (its present form).

    Examples
    --------
    A network of hard thresholds, which no gradient can train:

    >>> import skperceptron
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = skperceptron.HillClimbMLP(activation="step", random_state=0)
    >>> with skperceptron.config_context(tracking=False):
    ...     clf.fit((X - X.mean(axis=0)) / X.std(axis=0), y).objective_ > -0.2
    True
    """

    _counterpart = "HillClimbMLPRegressor"
    _activation_names = tuple(ACTIVATIONS)
    _takes_functions = True

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseMLP._parameter_constraints,
        **MLPClassifierMixin._parameter_constraints,
        **BaseHillClimb._parameter_constraints,
        "activation": [StrOptions(set(ACTIVATIONS)), callable, list, tuple],
        "noise_sign": [StrOptions({"random", "descent"})],
        "objective": [StrOptions({"log_loss", *get_scorer_names()}), callable],
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
        objective: str | Callable[..., float] = "log_loss",
        step_schedule: Literal["constant", "one_fifth"] = "one_fifth",
        mutation: Literal["all", "unit"] | float = "unit",
        init: Literal["uniform", "glorot", "normal"] = "glorot",
        n_restarts: int = 0,
        combine: Literal["best", "average"] = "best",
        n_jobs: int | None = None,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
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
        self.class_weight = class_weight
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol

    def _network(self, n_features: int, n_outputs: int, *, fresh: bool) -> Layers:
        present = None if fresh else self._climb_layers
        layers = self._check_layers(n_features, n_outputs, present=present)
        self.n_outputs_ = n_outputs
        self.out_activation_ = "logistic" if n_outputs == 1 else "softmax"
        return layers

    def _combine(self, layers: Layers, networks: Sequence[Array]) -> Array:
        return side_by_side(layers, networks)

    @property
    def _descends(self) -> bool:
        return self.noise_sign == "descent"
