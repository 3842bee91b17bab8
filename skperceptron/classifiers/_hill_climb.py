"""The classifiers trained by stochastic hill climbing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.callback import CallbackContext
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from skperceptron.classifiers._activations import check_start
from skperceptron.classifiers._base import BaseNetworkClassifier, TrainingData
from skperceptron.classifiers._callbacks import begin_fit, has_listeners, run_steps
from skperceptron.classifiers._climber import (
    ClimbTrainer,
    count_climbs,
    iterations_per_report,
)
from skperceptron.classifiers._combine import mean_direction, side_by_side, widen
from skperceptron.classifiers._mlp import BaseMLP
from skperceptron.classifiers._objectives import (
    find_metric,
    make_objective,
    objective_weight,
    refuse_loss,
)
from skperceptron.classifiers._validation import check_memory
from skperceptron.network import ACTIVATIONS, ActivationLike, Layers
from skperceptron.optim import (
    Climb,
    Descent,
    HillClimb,
    Metric,
    Mutation,
    StreamingClimb,
    find_climb,
)

Array = NDArray[np.floating]

# What a climb on an objective that is no smooth function of the weights begins with.
SURROGATE = Metric("log_loss")


class BaseHillClimb(BaseNetworkClassifier):
    """Training by hill climbing, whatever the network."""

    _parameter_constraints: dict[str, list[Any]] = {
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "surrogate_iter": [Interval(Integral, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "step_size": [Interval(Real, 0, None, closed="neither")],
        "step_schedule": [StrOptions({"constant", "one_fifth"})],
        "mutation": [StrOptions({"all", "unit"}), Interval(Real, 0, 1, closed="right")],
        "init": [StrOptions({"uniform", "glorot", "normal"})],
        "n_restarts": [Interval(Integral, 0, None, closed="left")],
        "combine": [StrOptions({"best", "average"})],
        "n_jobs": [Integral, None],
    }

    def _validate_params(self) -> None:
        super()._validate_params()
        refuse_loss(self.objective, self)

    def _meant_instead(self, message: str) -> str:
        if self.objective == "log_loss" and message.startswith("The 'objective'"):
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
        self._climb(trainer, context, data.hook_args)

    def _climb(
        self,
        trainer: ClimbTrainer,
        context: CallbackContext,
        hook_args: dict[str, Any],
    ) -> None:
        trainer.is_observed = bool(
            self.verbose or self.early_stopping or has_listeners(context)
        )
        begin_fit(self, context, hook_args)
        with trainer.threads, trainer.parallel() as parallel:
            run_steps(
                self,
                context,
                lambda: trainer.step(parallel),
                "iterations",
                hook_args,
                n_steps=trainer.n_steps,
            )
        trainer.finish()
        context.call_on_fit_task_end(estimator=self, **hook_args)

    @property
    def _has_surrogate(self) -> bool:
        """Whether a climb on the log loss comes before that on the objective."""
        return self.surrogate_iter > 0 and self.objective != "log_loss"

    # Whether the output units are thresholds.
    _has_thresholds = False

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
        n_iter: int,
        sibling: Any = None,
        **steps: Any,
    ) -> Climb:
        """Prepare a climb.

        `steps` are the parameters of `Climb` that concern the step size, `n_iter` is
        what is planned, and `sibling` a climb on the same data and the same objective,
        or None. That is the log loss if `on_surrogate`.
        """
        weight = objective_weight(data)
        metric: Metric | None = SURROGATE
        if not on_surrogate:
            metric = find_metric(self, data.y, is_weighted=weight is not None)
        is_log_loss = metric is not None and metric.kind == "log_loss"
        alpha = float(self.alpha) if is_log_loss else 0.0
        turns = is_log_loss and self._descends and mutation.by_group
        # After the surrogate, wandering among equals only leads away from it.
        steps["keeps_ties"] = is_log_loss or not self._has_surrogate
        is_custom = any(map(callable, layers.activations))
        if is_custom:
            check_start(data.X, layers, params)
        climb = None
        if metric is not None and not is_custom:  # compiled code knows names only
            thresholds = self._has_thresholds
            climb = find_climb(metric, mutation, layers, data.X, thresholds=thresholds)
        if climb is None:
            objective = make_objective(self, layers, data, on_log_loss=is_log_loss)
            penalty = _penalty(layers, alpha, data.y, weight) if alpha else None
            turn = Descent(layers, data.X, data.y, weight, alpha) if turns else None
            return HillClimb(
                params, mutation, objective, penalty=penalty, turn=turn, **steps
            )
        if turns and climb is not StreamingClimb:
            steps["descends"] = True
        problem = layers, data.X, data.y, weight, metric
        options = {"n_iter": n_iter, "sibling": sibling, "alpha": alpha}
        return climb(params, mutation, *problem, **options, **steps)

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


class HillClimbPerceptron(BaseHillClimb):
    """Linear threshold units trained by stochastic hill climbing.

    One unit decides between two classes (``classes_[1]`` where its sum is at least 0);
    for more classes there is one unit each, and the largest sum wins. In every
    iteration normal noise is added to the weights, and the candidate is kept when its
    objective is not worse. No gradient is needed, so the accuracy itself, or any other
    metric, can be the objective.

    Parameters
    ----------
    max_iter : int, default=5000
        Iterations. 0 gives the network with its random start weights.

    surrogate_iter : int, default=0
        Iterations of a climb on the log loss that comes first when a fit begins anew,
        as a metric that changes in steps tells a random network little about where to
        go. The climb on the objective begins where that one ends, and from then on
        keeps only candidates that are better, not those that are as good. 0 begins at
        random weights.

    alpha : float, default=0.0
        Strength of the L2 penalty on the weights in the climb on the log loss:
        candidates are compared by that loss plus ``alpha / 2`` times the sum of the
        squared weights, divided by the number of samples (or their total weight), as
        in `MLPClassifier`; 1 is the penalty of `LogisticRegression`. `objective_` is
        the objective alone.

    step_size : float, default=0.3
        Standard deviation of the noise, at the start if `step_schedule` adapts it.

    objective : str, scorer or callable, default="accuracy"
        What is maximised: "accuracy", the name of a scikit-learn scorer, a scorer
        object, or a function ``(y_true, y_pred, *, sample_weight=None) -> float`` of
        class labels. `sample_weight` is passed only when the fit has sample or class
        weights.

    step_schedule : {"constant", "one_fifth"}, default="constant"
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
        How many more climbs to make, from other start weights and with other noise.
        `combine` says what becomes of them. `partial_fit` makes them only if they are
        averaged.

    combine : {"best", "average"}, default="best"
        What becomes of the ``1 + n_restarts`` climbs. "best": at each report the
        classifier is the climb that is best by then, on the held-out data with early
        stopping. "average": it is one perceptron made of all climbs, whose weights are
        the mean of theirs, with the weights and biases of each climb scaled to unit
        length together. One climb stays as it is.

    n_jobs : int or None, default=None
        Threads in which the climbs run: -1 for one per processor, None for one unless
        a `joblib.parallel_config` says otherwise. It does not change the result.
        Objectives written in Python take turns.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the objective: ``{label: weight}`` (1 for labels left
        out), inversely proportional to their frequency, or all alike. Labels that do
        not occur are ignored, as in a fold without them, but not if none does.

    random_state : int, RandomState instance or None, default=None
        Source of the start weights, the noise and the validation split. An int makes
        fits reproducible.

    warm_start : bool, default=False
        Whether a second `fit` continues the climb, with its weights, its step size and
        its random numbers. Like `partial_fit`, it continues the climb that was kept, or
        all climbs that are averaged; of these there must be as many as before.

    verbose : bool or int, default=False
        Whether to print the objective about a hundred times.

    early_stopping : bool, default=False
        Whether to hold out a part of the training data, to stop when the objective on
        it does not improve any more, and to keep the weights that were best on it.

    validation_fraction : float in [0, 1), default=0.1
        Share of the training data held out, stratified by class.

    n_iter_no_change : int, default=10
        With early stopping: reports (there are about a hundred in a fit) in a row
        without an improvement of `tol` after which the climb stops.

    tol : float, default=1e-4
        With early stopping: the smallest improvement that counts.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights of the units.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Biases of the units.

    objective_ : float
        Objective of these weights on the training data. While several climbs that are
        averaged go on, weights and objective are renewed about a hundred times.

    objective_curve_ : ndarray of shape (`n_iter_` + 1,)
        Objective of the current weights at the start and after each iteration; of
        several climbs that are averaged, the mean of their objectives, which is not the
        objective of the average.

    validation_scores_ : list of float or None
        Objective on the held-out data at each report; None without early stopping.

    best_validation_score_ : float or None
        The best of them; None without early stopping.

    n_iter_ : int
        Iterations done.

    n_accepted_ : int
        Candidates kept, by the climb that was kept or by all that are averaged.

    n_evaluations_ : int
        Evaluations of the objective on the training data, those of all restarts
        included, those of their average not, nor those of the log loss that comes
        first.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has names that are all strings.

    run_id_ : str or None
        MLflow run of this fit; None when it is not tracked.

    See Also
    --------
    HillClimbMLP : The same search for networks with hidden layers.

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
    The parameters are the weights, one row per feature, and then the biases; those of a
    unit are its weights and its bias. A restart has a child of `noise` in its place,
    from ``noise.spawn(n_restarts)``.

    References
    ----------
    R. Herbrich, T. Graepel, C. Campbell, "Bayes point machines", Journal of Machine
    Learning Research 1, 2001 (the average of perceptrons).

    I. Rechenberg, "Evolutionsstrategie", Frommann-Holzboog, 1973 (the one-fifth rule).

    S. Kern et al., "Learning probability distributions in continuous evolutionary
    algorithms - a comparative review", Natural Computing 3, 2004 (its present form).

    Examples
    --------
    >>> import skperceptron
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(
    ...     n_samples=1000, n_features=5, n_redundant=1, random_state=1
    ... )
    >>> clf = skperceptron.HillClimbPerceptron(
    ...     objective="f1", max_iter=500, random_state=0
    ... )
    >>> with skperceptron.config_context(tracking=False):
    ...     clf.fit(X, y).score(X, y) > 0.8
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseNetworkClassifier._parameter_constraints,
        **BaseHillClimb._parameter_constraints,
        "objective": [StrOptions(set(get_scorer_names())), callable],
    }

    def __init__(
        self,
        *,
        max_iter: int = 5000,
        surrogate_iter: int = 0,
        alpha: float = 0.0,
        step_size: float = 0.3,
        objective: str | Callable[..., float] = "accuracy",
        step_schedule: Literal["constant", "one_fifth"] = "constant",
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
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
    ) -> None:
        self.max_iter = max_iter
        self.surrogate_iter = surrogate_iter
        self.alpha = alpha
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
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol

    def _network(self, n_features: int, n_outputs: int, *, fresh: bool) -> Layers:
        return Layers(units=(n_features, n_outputs))

    def _combine(self, layers: Layers, networks: Sequence[Array]) -> Array:
        return mean_direction(networks)

    def _get_weights(self) -> tuple[Sequence[Array], Sequence[Array]]:
        return [self.coef_.T], [self.intercept_]

    def _set_weights(self, layers: Layers, params: Array) -> None:
        self._layers = layers
        (coef,), (self.intercept_,) = layers.unpack(params)
        self.coef_ = coef.T

    _has_thresholds = True

    def _decide(self, z: Array) -> NDArray[np.intp]:
        if z.shape[1] == 1:
            return (z[:, 0] >= 0).astype(np.intp)
        return z.argmax(axis=1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Not for the score, which is fine: scikit-learn expects that a class of next to
        # no weight is hardly ever predicted. Who maximises the weighted accuracy
        # itself still gets such samples right wherever that costs nothing.
        tags.classifier_tags.poor_score = True
        return tags


def _penalty(
    layers: Layers,
    alpha: float,
    y: NDArray[np.intp],
    weight: NDArray[np.float64] | None,
) -> Callable[[Array], float]:
    """Make the penalty of weights, see `BlockClimb`."""
    factor = alpha / (2 * (len(y) if weight is None else weight.sum()))

    def penalty(params: Array) -> float:
        weights = params[: layers.n_coefs]
        return float(factor * (weights @ weights))

    return penalty


class HillClimbMLP(BaseHillClimb, BaseMLP):
    """Multilayer perceptron trained by stochastic hill climbing.

    In every iteration normal noise is added to the weights, and the candidate is kept
    when its objective is not worse. No gradient is needed: the objective may be any
    metric, and the activations may be flat or discontinuous.

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
        Iterations. 0 gives the network with its random start weights.

    surrogate_iter : int, default=0
        Iterations of a climb on the log loss that comes first when a fit begins anew,
        as a metric that changes in steps tells a random network little about where to
        go. The climb on the objective begins where that one ends, and from then on
        keeps only candidates that are better, not those that are as good. 0 begins at
        random weights. Without effect where the
        objective is "log_loss" itself.

    alpha : float, default=3.0
        Strength of the L2 penalty on the weights in a climb on the log loss, be it the
        objective or what comes before it:
        candidates are compared by that loss plus ``alpha / 2`` times the sum of the
        squared weights, divided by the number of samples (or their total weight), as
        in `MLPClassifier`; 1 is the penalty of `LogisticRegression`. `objective_` is
        the objective alone.

    noise_sign : {"random", "descent"}, default="descent"
        Whether noise is added as it is drawn, or with the sign with which the log loss
        falls, to first order in the sums of the output units: "descent" is for climbs
        on the log loss, with ``mutation="unit"``. The change of these sums is computed
        as it is, so that no gradient goes through the network, and hard thresholds can
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
        How many more climbs to make, from other start weights and with other noise.
        `combine` says what becomes of them. `partial_fit` makes them only if they are
        averaged.

    combine : {"best", "average"}, default="best"
        What becomes of the ``1 + n_restarts`` climbs. "best": at each report the
        classifier is the climb that is best by then, on the held-out data with early
        stopping. "average": it is one network made of all climbs, whose output sums are
        the means of theirs. Their hidden layers stand side by side in it, so that each
        layer has ``1 + n_restarts`` times as many units as `hidden_layer_sizes` says.

    n_jobs : int or None, default=None
        Threads in which the climbs run: -1 for one per processor, None for one unless
        a `joblib.parallel_config` says otherwise. It does not change the result.
        Objectives and activations written in Python take turns.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the objective: ``{label: weight}`` (1 for labels left
        out), inversely proportional to their frequency, or all alike. Labels that do
        not occur are ignored, as in a fold without them, but not if none does.

    random_state : int, RandomState instance or None, default=None
        Source of the start weights, the noise and the validation split. An int makes
        fits reproducible.

    warm_start : bool, default=False
        Whether a second `fit` continues the climb, with its weights, its step size and
        its random numbers. Like `partial_fit`, it continues the climb that was kept, or
        all climbs that are averaged; of these there must be as many as before.

    verbose : bool or int, default=False
        Whether to print the objective about a hundred times.

    early_stopping : bool, default=False
        Whether to hold out a part of the training data, to stop when the objective on
        it does not improve any more, and to keep the weights that were best on it.

    validation_fraction : float in [0, 1), default=0.1
        Share of the training data held out, stratified by class.

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
        Objective of these weights on the training data. While several climbs that are
        averaged go on, weights and objective are renewed about a hundred times.

    objective_curve_ : ndarray of shape (`n_iter_` + 1,)
        Objective of the current weights at the start and after each iteration; of
        several climbs that are averaged, the mean of their objectives, which is not the
        objective of the average.

    validation_scores_ : list of float or None
        Objective on the held-out data at each report; None without early stopping.

    best_validation_score_ : float or None
        The best of them; None without early stopping.

    n_iter_ : int
        Iterations done.

    n_accepted_ : int
        Candidates kept, by the climb that was kept or by all that are averaged.

    n_evaluations_ : int
        Evaluations of the objective on the training data, those of all restarts
        included, those of their average not, nor those of the log loss that comes
        first.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has names that are all strings.

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

    References
    ----------
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

    _activation_names = tuple(ACTIVATIONS)
    _takes_functions = True

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseMLP._parameter_constraints,
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
        surrogate_iter: int = 0,
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
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol

    def _network(self, n_features: int, n_outputs: int, *, fresh: bool) -> Layers:
        present = None if fresh else self._climb_layers
        layers = self._check_layers(n_features, n_outputs, present=present)
        self._set_output(n_outputs, multilabel=False)
        return layers

    def _combine(self, layers: Layers, networks: Sequence[Array]) -> Array:
        return side_by_side(layers, networks)

    @property
    def _descends(self) -> bool:
        return self.noise_sign == "descent"
