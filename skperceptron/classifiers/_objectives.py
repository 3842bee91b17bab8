"""What a hill climb maximises.

Whatever of scikit-learn's scorers is used that is not public is in this module.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context, metrics
from sklearn.metrics import check_scoring, get_scorer, get_scorer_names
from sklearn.metrics._scorer import _BaseScorer, _Scorer

from skperceptron.classifiers._metrics import recognise
from skperceptron.classifiers._training_data import TrainingData
from skperceptron.classifiers._validation import fits_float, is_finite
from skperceptron.network import Layers, forward, log_likelihood
from skperceptron.optim import Metric, MetricOfSums, SignificanceTest

if TYPE_CHECKING:
    from skperceptron.classifiers._base import BaseNetwork

Array = NDArray[np.floating]
Objective = Callable[[Array], float]

# The objectives that compiled code knows.
BUILT_IN_OBJECTIVES = ("accuracy", "log_loss")
# What the names of all losses in sklearn.metrics end in, and of nothing else there.
_ENDINGS_OF_LOSSES = ("_loss", "_error", "_deviance")


def make_objective(
    estimator: BaseNetwork,
    layers: Layers,
    data: TrainingData,
    *,
    on_log_loss: bool = False,
) -> Objective:
    """Make the function of the flat parameter vector that a climb maximises.

    Parameters
    ----------
    estimator : classifier
        The classifier being fitted; its ``objective`` says what to compute and
        ``classes_`` must be set.

    layers : Layers
        Its network.

    data : TrainingData
        The data.

    on_log_loss : bool, default=False
        Whether it is the log loss, whatever `objective` says.

    Returns
    -------
    callable
        ``objective(params) -> float``. Parameters for which the network overflows
        are worth minus infinity.
    """
    X, y = data.X, data.y
    weight = objective_weight(data)
    objective: Any = "log_loss" if on_log_loss else estimator.objective
    metric = None
    if not on_log_loss:
        metric = find_metric(estimator, y, is_weighted=weight is not None)
    from_sums: Callable[[Array], float]
    if metric is not None and metric.kind not in BUILT_IN_OBJECTIVES:
        from_sums = MetricOfSums(metric, y, weight, layers.units[-1], X.dtype)
    elif metric is not None and metric.kind == "accuracy":
        from_sums = _accuracy(estimator, y, weight, metric.shift)
    elif objective == "log_loss":

        def from_sums(z: Array) -> float:
            return log_likelihood(z, y, weight)

    else:
        return literal_objective(estimator, layers, data)
    return objective_of_sums(X, layers, from_sums)


def objective_of_sums(
    X: Any, layers: Layers, from_sums: Callable[[Array], float]
) -> Objective:
    """Make an objective of a function of the sums of the output units.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        Samples.

    layers : Layers
        The network.

    from_sums : callable
        ``from_sums(z) -> float`` of finite sums, shape (n_samples, n_outputs).

    Returns
    -------
    callable
        As that of `make_objective`.
    """

    def evaluate(params: Array) -> float:
        z = finite_sums(X, layers, params)
        return -math.inf if z is None else from_sums(z)

    return evaluate


def literal_objective(
    estimator: BaseNetwork, layers: Layers, data: TrainingData
) -> Objective:
    """Make an objective of a scorer, or of a function of labels or numbers.

    Parameters are those of `make_objective`.
    """
    if isinstance(estimator.objective, (str, _BaseScorer)):
        return scorer_objective(estimator, layers, data, "objective")
    from_sums = _metric_objective(estimator, data.y_true, objective_weight(data))
    return objective_of_sums(data.X, layers, from_sums)


def find_metric(
    estimator: BaseNetwork, y: NDArray[np.intp], *, is_weighted: bool = False
) -> Metric | None:
    """Describe the objective for compiled code.

    Parameters
    ----------
    estimator : classifier
        The classifier being fitted.

    y : ndarray of int of shape (n_samples,)
        Index of the true class of each sample.

    is_weighted : bool, default=False
        Whether samples have weights.

    Returns
    -------
    Metric or None
        None for an objective that has to be evaluated as it is.
    """
    objective: Any = estimator.objective
    positive_at_zero = bool(estimator._decide(np.zeros((1, 1)))[0])
    if isinstance(objective, str) and objective in BUILT_IN_OBJECTIVES:
        return Metric(objective, positive_at_zero=positive_at_zero)
    classes = estimator.classes_
    # What scikit-learn's metrics do with a class that does not occur depends on what is
    # predicted.
    if len(classes) < 2 or np.bincount(y, minlength=len(classes)).min() == 0:
        return None
    function, sign, arguments, methods = take_apart(objective)
    method = next((name for name in methods if hasattr(estimator, name)), "")
    metric = recognise(function, arguments, method, classes, is_weighted=is_weighted)
    if metric is None:
        return None
    if metric.kind == "accuracy":
        # Minus the zero-one loss is the accuracy less 1.
        if (sign > 0) != (metric.shift == 0):
            return None
        sign = 1.0
    if metric.kind in ("clipped_log_loss", "brier", "top_k"):
        is_loss = metric.kind != "top_k"
        if is_loss == (sign > 0):
            return None
    return replace(metric, sign=sign, positive_at_zero=positive_at_zero)


class Parts(NamedTuple):
    """What an objective consists of.

    Attributes
    ----------
    function : callable or None
        What computes the metric. None for a scorer of another kind, and where arguments
        are given by their position.

    sign : float
        1, or -1 where it is negated.

    arguments : dict
        Keyword arguments that it is called with.

    methods : tuple of str
        The methods of an estimator whose result it may take, the first one first.
    """

    function: Any
    sign: float
    arguments: dict[str, Any]
    methods: tuple[str, ...]


def take_apart(objective: Any) -> Parts:
    """Take an objective apart.

    Parameters
    ----------
    objective : str, scorer or callable
        The parameter of that name.
    """
    scorer = get_scorer(objective) if isinstance(objective, str) else objective
    arguments: dict[str, Any] = {}
    sign, methods, function = 1.0, ("predict",), scorer
    if isinstance(scorer, _BaseScorer):
        if type(scorer) is not _Scorer:
            return Parts(None, sign, arguments, methods)
        sign, arguments = float(scorer._sign), dict(scorer._kwargs)
        function, names = scorer._score_func, scorer._response_method
        methods = (names,) if isinstance(names, str) else tuple(names)
    while isinstance(function, partial):
        if function.args:
            return Parts(None, sign, arguments, methods)
        arguments = {**function.keywords, **arguments}
        function = function.func
    return Parts(function, sign, arguments, methods)


def make_test(
    estimator: BaseNetwork, layers: Layers, data: TrainingData
) -> SignificanceTest | None:
    """Make the test that the gains of a climb on a metric have to pass.

    Returns
    -------
    SignificanceTest or None
        None for an objective of the user's own, which may have any scale.
    """
    weight = objective_weight(data)
    metric = find_metric(estimator, data.y, is_weighted=weight is not None)
    if metric is None:
        return None

    def predict(params: Array) -> NDArray:
        coefs, intercepts = layers.unpack(params)
        with np.errstate(over="ignore", invalid="ignore"):
            return forward(
                data.X, coefs, intercepts, layers.activations, estimator._decide
            )

    weight = np.ones(len(data.y)) if weight is None else weight
    return SignificanceTest(predict, weight, metric.scale)


def refuse_loss(objective: Any, estimator: BaseNetwork) -> None:
    """Refuse a loss of scikit-learn, whose smaller values are better, as an objective.

    Parameters
    ----------
    objective : str, scorer or callable
        The parameter of that name.

    estimator : classifier
        The classifier being fitted.

    Raises
    ------
    ValueError
        For a loss, also one with some of its arguments given, and a scorer of one that
        is said to be better when greater.
    """
    if isinstance(objective, _BaseScorer) and objective._sign < 0:
        return
    function = _function_of(objective)
    name = getattr(function, "__name__", "")
    if not name.endswith(_ENDINGS_OF_LOSSES):
        return
    public = getattr(metrics, name, None)
    # A function of the user may have the name, or wrap a loss to change its sign.
    if public is None or function not in (public, inspect.unwrap(public)):
        return
    remedy = f"make_scorer({name}, greater_is_better=False)"
    if (scorer := _scorer_of_loss(name)) is not None:
        if get_scorer(scorer)._sign < 0:
            remedy = repr(get_scorer(scorer))
        remedy = f"objective={scorer!r} or {remedy}"
        if "predict_proba" in remedy and not hasattr(estimator, "predict_proba"):
            remedy = f"HillClimbMLP, which has probabilities, with {remedy}"
    raise ValueError(
        f"An objective is maximised, but {name} is a loss, whose smaller values "
        f"are better. Use {remedy}."
    )


def _function_of(objective: Any) -> Any:
    """Find the function that a scorer calls, or some of whose arguments are given."""
    if isinstance(objective, _BaseScorer):
        objective = objective._score_func
    while isinstance(objective, partial):
        objective = objective.func
    return objective


def _scorer_of_loss(name: str) -> str | None:
    """Find the scikit-learn scorer that is greatest where a loss is smallest."""
    if name in ("zero_one_loss", "hamming_loss"):
        return "accuracy"
    named = (f"neg_{name}", f"neg_{name.removesuffix('_loss')}")
    return next((n for n in named if n in get_scorer_names()), None)


def objective_weight(data: TrainingData) -> NDArray[np.float64] | None:
    """Weights of the samples, as float64, so that whole numbers add up exactly."""
    return None if data.sample_weight is None else data.sample_weight.astype(float)


def check_first_value(value: Any, estimator: BaseNetwork, parameter: str) -> None:
    """Refuse an objective or a score whose first value is useless.

    Parameters
    ----------
    value : object
        What it returned for the start weights.

    estimator : estimator
        The estimator being fitted.

    parameter : {"objective", "scoring"}
        Its parameter that says what to compute.

    Raises
    ------
    ValueError
        When the value is not a finite number.
    """
    if isinstance(value, Real) and value == -math.inf:
        raise ValueError(
            "The network overflows already with its start weights. The input data may "
            "contain large values and need to be preprocessed."
        )
    if not is_finite(value):
        raise _useless(value, estimator, parameter)


def _checked(value: Any, estimator: BaseNetwork, parameter: str) -> float:
    """Refuse what cannot be compared. NaN can: it is never better."""
    if not (isinstance(value, Real) and fits_float(value)):
        raise _useless(value, estimator, parameter)
    return value  # type: ignore[return-value]


def _useless(value: Any, estimator: BaseNetwork, parameter: str) -> ValueError:
    return ValueError(
        f"{parameter}={getattr(estimator, parameter)!r} must return one finite number, "
        f"got {value!r}."
    )


def _accuracy(
    estimator: BaseNetwork, y: NDArray, weight: Array | None, shift: float
) -> Callable[[Array], float]:
    if weight is None:
        return lambda z: float(np.mean(estimator._decide(z) == y)) + shift
    total = weight.sum()
    return lambda z: float(weight @ (estimator._decide(z) == y) / total) + shift


def _metric_objective(
    estimator: BaseNetwork, labels: NDArray, weight: Array | None
) -> Callable[[Array], float]:
    metric = estimator.objective
    options = {} if weight is None else {"sample_weight": weight}

    def from_sums(z: Array) -> float:
        with _naming("objective", estimator):
            value = metric(labels, estimator._decode(z), **options)
        return _checked(value, estimator, "objective")

    return from_sums


def scorer_objective(
    estimator: BaseNetwork, layers: Layers, data: TrainingData, parameter: str
) -> Objective:
    """Make the function of the flat parameter vector that a scorer maximises.

    Parameters
    ----------
    estimator : estimator
        The estimator being fitted.

    layers : Layers
        Its network.

    data : TrainingData
        The data.

    parameter : {"objective", "scoring"}
        The parameter of the estimator that is the scorer, or its name.

    Returns
    -------
    callable
        As that of `make_objective`.
    """
    scorer = check_scoring(estimator, getattr(estimator, parameter))
    weight = objective_weight(data)
    options = {} if weight is None else {"sample_weight": weight}
    # A scorer wants a fitted estimator. This copy predicts with the candidate's
    # weights; it has seen no feature names, as `X` has none any more.
    view = copy.copy(estimator)
    if hasattr(view, "feature_names_in_"):
        del view.feature_names_in_

    def evaluate(params: Array) -> float:
        if finite_sums(data.X, layers, params) is None:
            return -math.inf
        view._set_weights(layers, params)
        with _naming(parameter, estimator):
            value = scorer(view, data.X, data.y_true, **options)
        return _checked(value, estimator, parameter)

    return evaluate


def finite_sums(X: Any, layers: Layers, params: Array) -> Array | None:
    """Compute the output sums; None if anything overflows."""
    # Saturating activations can hide infinite weights and sums behind finite outputs.
    if not np.isfinite(params).all():
        return None
    try:
        with np.errstate(over="raise", invalid="raise"):
            z = forward(X, *layers.unpack(params), layers.activations)
    except FloatingPointError:
        return None
    return z if np.isfinite(z).all() else None


@contextmanager
def _naming(parameter: str, estimator: BaseNetwork) -> Iterator[None]:
    """Say in errors that they come from a parameter."""
    try:
        # What `fit` calls by itself need not be checked again; this is the user's.
        with config_context(skip_parameter_validation=False):
            yield
    except Exception as error:
        raise ValueError(
            f"{parameter}={getattr(estimator, parameter)!r} cannot be evaluated: "
            f"{type(error).__name__}: {error}{_remedy(error, parameter, estimator)}"
        ) from error


def _remedy(error: Exception, parameter: str, estimator: BaseNetwork) -> str:
    """Say how to use a metric of two classes, one of which is the positive one."""
    objective: Any = getattr(estimator, parameter)
    metric = get_scorer(objective) if isinstance(objective, str) else objective
    name = getattr(_function_of(metric), "__name__", "metric")
    classes: Any = getattr(estimator, "classes_", ())
    if "pos_label" in str(error) and len(classes) == 2:
        label = classes[1].item() if hasattr(classes[1], "item") else classes[1]
        return (
            " The metric must be told which label is the positive one: use "
            f"{parameter}=make_scorer({name}, pos_label={label!r})."
        )
    if "average=" in str(error) and len(classes) > 2:
        return (
            " For more than two classes, the metric needs a way to combine them: use "
            f"{parameter}=make_scorer({name}, average='macro')."
        )
    return ""
