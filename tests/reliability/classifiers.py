"""Strategies for classifiers: all their parameters, up to the ends of their ranges."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, get_scorer_names, make_scorer

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.network import ACTIVATIONS, DIFFERENTIABLE
from tests.reliability.data import SEEDS


def odd_floats(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of an interval; its ends are likely."""
    return st.one_of(st.floats(low, high), st.sampled_from([low, high]))


# Objectives


def accuracy_without_weights(y_true, y_pred):
    return accuracy_score(y_true, y_pred)


def integer_metric(y_true, y_pred, *, sample_weight=None):
    return int(np.sum(y_true == y_pred))


def undefined_metric(y_true, y_pred, *, sample_weight=None):
    return np.nan


def textual_metric(y_true, y_pred, *, sample_weight=None):
    return "good"


def several_metrics(y_true, y_pred, *, sample_weight=None):
    return np.ones(2)


def broken_metric(y_true, y_pred, *, sample_weight=None):
    return {}["no such key"]


OBJECTIVES = st.one_of(
    st.just("accuracy"),
    st.sampled_from(get_scorer_names()),
    st.sampled_from(
        [
            accuracy_score,
            accuracy_without_weights,
            integer_metric,
            undefined_metric,
            textual_metric,
            several_metrics,
            broken_metric,
            make_scorer(f1_score, average="macro"),
        ]
    ),
)

# Parameters

_SIZES = st.integers(1, 4)
_COMMON = {
    "random_state": st.integers(0, 2**32 - 1) | st.builds(np.random.RandomState, SEEDS),
    "warm_start": st.booleans(),
    "verbose": st.sampled_from([False, True, 0, 2]),
    "early_stopping": st.booleans(),
    "validation_fraction": st.sampled_from([0.1, 0.25, 0.5, 0, 1e-3, 0.999]),
    "n_iter_no_change": st.sampled_from([10, 1, np.inf, np.int64(2)]),
    "tol": st.sampled_from([1e-4, 0, 0.1, 1e9, 1e308, 5e-324]),
}
_CLIMB = {
    "max_iter": st.sampled_from([20, 0, 1, 120, np.int32(7), True]),
    "step_size": st.sampled_from([0.3, 1, 1e-3, np.float32(0.1)])
    | odd_floats(5e-324, 1e308),
    "step_schedule": st.sampled_from(["constant", "one_fifth"]),
    "mutation": st.sampled_from(["all", "unit", 1, 0.5, 1e-9, np.float32(0.3)]),
    "init": st.sampled_from(["uniform", "glorot", "normal"]),
    "n_restarts": st.integers(0, 2),
    "combine": st.sampled_from(["best", "average"]),
    "n_jobs": st.sampled_from([None, 1, 2, -1]),
}
_RATES = st.sampled_from([0.0, 0.1, 0.5, 0, 0.999])
_DECAY = odd_floats(0, np.nextafter(1, 0))
_BACKPROP = {
    "solver": st.sampled_from(["adam", "sgd", "lbfgs", "adamw", "rmsprop"]),
    "alpha": st.sampled_from([1e-4, 0, 1, np.float32(0.1), 1e300, 5e-324]),
    "batch_size": st.sampled_from(["auto", 1, 3, 7, 10_000, np.int64(5)]),
    "learning_rate": st.sampled_from(["constant", "invscaling", "adaptive"]),
    "learning_rate_init": st.sampled_from([1e-3, 0.1, 1, np.float32(0.01)])
    | odd_floats(5e-324, 1e308),
    "power_t": st.sampled_from([0.5, 0, 1, 1e3, 1e308]),
    "max_iter": st.sampled_from([5, 1, 30, np.int32(7), True]),
    "shuffle": st.booleans(),
    "init": st.sampled_from(
        [
            "auto",
            "glorot_uniform",
            "glorot_normal",
            "he_uniform",
            "he_normal",
            "normal",
        ]
    ),
    "dropout": _RATES,
    "input_dropout": _RATES,
    "loss": st.sampled_from(["log_loss", "squared_error"]),
    "max_grad_norm": st.sampled_from([None, 1.0, 1e-3, 5e-324, 1e308]),
    "momentum": odd_floats(0, 1),
    "nesterovs_momentum": st.booleans(),
    "beta_1": _DECAY,
    "beta_2": _DECAY,
    "epsilon": st.sampled_from([1e-8, 1.0, 5e-324, 1e308]),
    "max_fun": st.sampled_from([15_000, 1, 3]),
}
# Each of them is wrong for most parameters.
ODD_VALUES = [
    *(None, True, 0, -1, 1.5, -1.5, np.nan, np.inf, -np.inf, 1j, Decimal("0.5")),
    *("no such thing", "1", b"", {}, {0: 1.0}, {"a": {}}, object(), len),
    *([], (), [1], [1.5], ["relu"], [["relu"]], [[1, 2]], [None], range(2)),
    *(np.array([]), np.array(1.5), np.array(["relu"]), np.array([[0.5]])),
]


@st.composite
def layers(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, Any]:
    """Parameters of the hidden layers."""
    sizes = draw(st.lists(_SIZES, max_size=3))
    name = st.sampled_from(names)
    container = draw(st.sampled_from([list, tuple, np.array]))
    forms = [container(sizes) if sizes or container is not np.array else ()]
    if len(sizes) == 1:
        forms += [sizes[0], np.int64(sizes[0])]
    one_each = st.lists(name, min_size=len(sizes), max_size=len(sizes))
    params = {"hidden_layer_sizes": draw(st.sampled_from(forms))}
    if draw(st.booleans()):
        params["activation"] = draw(name | one_each | one_each.map(tuple))
    return params


@st.composite
def classifiers(
    draw: st.DrawFn, labels: Any = (0, 1), *, objectives: Any = OBJECTIVES
) -> Any:
    """Classifiers with valid parameters."""
    cls = draw(st.sampled_from([HillClimbPerceptron, HillClimbMLP, BackpropMLP]))
    options = options_of(cls) | {"class_weight": class_weights(labels)}
    params = {"random_state": draw(SEEDS), "max_iter": draw(options["max_iter"])}
    if cls is BackpropMLP:
        params |= draw(layers(DIFFERENTIABLE))
    else:
        options["objective"] = objectives
    if cls is HillClimbMLP:
        params |= draw(layers(tuple(ACTIVATIONS)))
        options["objective"] |= st.just("log_loss")
    return cls(**params | draw(some_params(options, 12)))


def options_of(cls: type) -> dict[str, st.SearchStrategy[Any]]:
    """List the parameters that mean the same for any data and network."""
    return _COMMON | (_BACKPROP if cls is BackpropMLP else _CLIMB)


@st.composite
def some_params(
    draw: st.DrawFn, options: dict[str, st.SearchStrategy[Any]], most: int
) -> dict[str, Any]:
    """Values of up to `most` of the parameters."""
    names = draw(st.sets(st.sampled_from(sorted(options)), max_size=most))
    return {name: draw(options[name]) for name in sorted(names)}


def class_weights(labels: Any) -> st.SearchStrategy[Any]:
    weight = st.sampled_from([1.0, 2, 0, 0.5, Fraction(1, 3), 1e300, 1e-300])
    known = st.dictionaries(st.sampled_from(list(labels)), weight, max_size=3)
    return st.sampled_from([None, "balanced"]) | known
