"""Strategies for classifiers, samples, labels and weights, good ones and bad ones.

Numbers come from seeds, so that little is drawn for large data; what is unusual about
them is drawn on top, so that it disappears when a failing example is made smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import accuracy_score, f1_score, get_scorer_names, make_scorer

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.network import ACTIVATIONS, DIFFERENTIABLE

SEEDS = st.integers(0, 2**16)


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
    params: dict[str, Any] = {}
    if cls is BackpropMLP:
        params |= draw(layers(DIFFERENTIABLE))
        options = _COMMON | _BACKPROP
    else:
        options = _COMMON | _CLIMB | {"objective": objectives}
        if cls is HillClimbMLP:
            params |= draw(layers(tuple(ACTIVATIONS)))
            options["objective"] |= st.just("log_loss")
    options["class_weight"] = class_weights(labels)
    names = draw(st.sets(st.sampled_from(sorted(options)), max_size=12))
    names |= {"random_state", "max_iter"}
    params |= {name: draw(options[name]) for name in sorted(names)}
    return cls(**params)


def class_weights(labels: Any) -> st.SearchStrategy[Any]:
    weight = st.sampled_from([1.0, 2, 0, 0.5, Fraction(1, 3), 1e300, 1e-300])
    known = st.dictionaries(st.sampled_from(list(labels)), weight, max_size=3)
    return st.sampled_from([None, "balanced"]) | known


# Samples

N_ROWS = st.sampled_from([12, 1, 2, 3, 5, 30, 60, 300])
N_FEATURES = st.sampled_from([2, 1, 3, 5, 12])


@st.composite
def numbers(draw: st.DrawFn, n_rows: int, n_features: int) -> np.ndarray:
    """Float64 samples of ordinary size, some of them with ties."""
    rng = np.random.default_rng(draw(SEEDS))
    X = rng.normal(size=(n_rows, n_features))
    style = draw(st.sampled_from(["plain", "rounded", "constant", "repeated"]))
    if style == "rounded":
        return X.round()
    if style == "constant":
        X[:, :1] = 1.5
    if style == "repeated":
        return X[rng.integers(max(1, n_rows // 3), size=n_rows)]
    return X


def as_read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def as_dataframe(X):
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])


def with_stored_zeros(X):
    """Sparse, with every number stored, also zeros, and columns out of order."""
    stored = sparse.csr_matrix(np.ones(X.shape))
    stored.data = np.ascontiguousarray(X[:, ::-1]).ravel()
    stored.indices = np.tile(np.arange(X.shape[1])[::-1], len(X)).astype(np.int64)
    stored.has_sorted_indices = False
    return stored


DENSE_FORMS = [
    np.asfortranarray,
    as_read_only,
    np.ndarray.tolist,
    as_dataframe,
    lambda X: X[::-1, ::-1],
    lambda X: np.ma.masked_array(X, mask=False),
    lambda X: pd.DataFrame(X, dtype="Float64"),
    lambda X: X.astype(object),
    lambda X: X.astype(np.longdouble),
    lambda X: X.astype(np.float16),
    lambda X: X.astype(np.int8),
    lambda X: X.astype(bool),
    lambda X: np.round(X).astype(int).astype(str),
]
SPARSE_FORMS = [
    sparse.csr_matrix,
    sparse.csr_array,
    sparse.csc_array,
    sparse.coo_matrix,
    sparse.lil_matrix,
    with_stored_zeros,
]
_SIZES_OF_NUMBERS = [1e-320, 1e-30, 1e3, 1e18, 1e30, 1e37, 1e150, 1e300]
_ODD_CELLS = [0.0, -0.0, 5e-324, -1e-310, 1e30, 3e38, -1e200, 1.7e308]


@st.composite
def good_samples(draw: st.DrawFn, n_rows: int, n_features: int) -> Any:
    """Samples that are unusual in some way, but numbers."""
    X = draw(numbers(n_rows, n_features))
    kind = draw(st.sampled_from(["plain", "scaled", "odd", "form", "sparse"]))
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    if kind == "scaled":
        X *= draw(st.sampled_from(_SIZES_OF_NUMBERS))
    if kind == "odd":
        X.flat[draw(st.integers(0, X.size - 1))] = draw(st.sampled_from(_ODD_CELLS))
    if kind == "form":
        return draw(st.sampled_from(DENSE_FORMS))(X)
    with np.errstate(over="ignore"):
        X = X.astype(dtype)
    if kind == "sparse" or draw(st.integers(0, 4)) == 4:
        X = np.where(draw(st.sampled_from([0.0, -1.0, 1e30])) < X, X, 0)
        return draw(st.sampled_from(SPARSE_FORMS))(X)
    return X


def spoil(X, value):
    X[0, -1] = value
    return X


BAD_SAMPLES = [
    lambda X: spoil(X, np.nan),
    lambda X: spoil(X, np.inf),
    lambda X: sparse.csr_array(spoil(X, np.nan)),
    lambda X: sparse.lil_matrix(spoil(X, -np.inf)),
    lambda X: X[:0],
    lambda X: X[:, :0],
    lambda X: X[:0, :0],
    lambda X: X[:-1],
    lambda X: X[0],
    lambda X: X[np.newaxis],
    lambda X: X.astype(complex),
    lambda X: sparse.csr_array(X.astype(complex)),
    lambda X: X.astype("M8[s]"),
    lambda X: np.full(X.shape, "text"),
    lambda X: spoil(X.astype(object), None),
    lambda X: spoil(X.astype(object), "text"),
    lambda X: spoil(X.astype(object), [1, 2]),
    lambda X: np.ma.masked_array(X, mask=X > 0),
    lambda X: pd.DataFrame(X, dtype="Float64").mask(X > 0),
    lambda X: [*X.tolist(), [1.0]],
    lambda X: list(map(str, X)),
    lambda X: {"x": X},
    lambda X: "text",
    lambda X: None,
    lambda X: 3.0,
]

# Labels

# Names of up to four classes, in ascending order.
NAMES: dict[str, list[Any]] = {
    "integers": [0, 1, 2, 3],
    "gaps": [-7, 0, 3, 2**40],
    "strings": ["", "a", "b", "Ω"],
    "booleans": [False, True],
    "floats": [-1.0, 0.0, 2.0, 1e9],
    "objects": ["class a", "class b", "class c", "class d"],
    "small integers": [0, 1, 2, 3],
    "unsigned integers": [0, 1, 2, 2**63 + 1],
}
_LABEL_DTYPES = {
    "objects": object,
    "small integers": np.int8,
    "unsigned integers": np.uint64,
}
KINDS_OF_NAMES = st.sampled_from(sorted(NAMES))


def name_classes(codes: np.ndarray, kind: str) -> np.ndarray:
    """Give the classes 0, 1, ... the names of a kind."""
    return np.array(NAMES[kind], dtype=_LABEL_DTYPES.get(kind))[codes]


@st.composite
def codes(draw: st.DrawFn, n_rows: int, *, most: int = 4, least: int = 2) -> np.ndarray:
    """Class indices without gaps, of as many classes as there are rows for."""
    n_classes = min(draw(st.integers(least, most)), n_rows)
    drawn = np.random.default_rng(draw(SEEDS)).integers(n_classes, size=n_rows)
    drawn[:n_classes] = np.arange(n_classes)
    return drawn


LABEL_FORMS = [
    np.asarray,
    list,
    pd.Series,
    pd.Categorical,
    lambda y: y.reshape(-1, 1),
]
INDICATOR_FORMS = [
    np.asarray,
    np.ndarray.tolist,
    pd.DataFrame,
    lambda Y: Y.astype(bool),
    lambda Y: Y.astype(float),
    lambda Y: Y[:, :2],
    np.zeros_like,
]


def indicators(codes: np.ndarray) -> np.ndarray:
    """Turn class indices into indicators of three labels."""
    return (codes[:, np.newaxis] >= np.arange(3)).astype(int)


@st.composite
def good_labels(draw: st.DrawFn, n_rows: int) -> tuple[Any, list[Any]]:
    """Labels of all kinds, and the names of the classes that occur."""
    kind = draw(KINDS_OF_NAMES)
    y = draw(codes(n_rows, most=len(NAMES[kind])))
    if draw(st.integers(0, 5)) == 5 and n_rows > 1:
        return draw(st.sampled_from(INDICATOR_FORMS))(indicators(y)), [0, 1, 2]
    names = NAMES[kind][: y.max() + 1]
    return draw(st.sampled_from(LABEL_FORMS))(name_classes(y, kind)), names


def _second(y, value):
    y = y.astype(object)
    y[1:2] = value
    return y


BAD_LABELS = [
    np.zeros_like,
    lambda y: y.astype("S"),
    lambda y: y.astype(object),
    lambda y: y.reshape(1, -1),
    lambda y: np.column_stack([y, y[::-1]]),
    lambda y: y[:-1],
    lambda y: y[:0],
    lambda y: np.append(y, 1),
    lambda y: _second(y, "text"),
    lambda y: _second(y, None),
    lambda y: _second(y, np.nan),
    lambda y: _second(y, 0.5),
    lambda y: [{"label": value} for value in y],
    lambda y: np.where(y > 0, y, np.nan),
    lambda y: np.where(y > 0, y, np.inf),
    lambda y: y / 7,
    lambda y: y.astype("M8[s]"),
    lambda y: y * 1j,
    lambda y: np.ma.masked_array(y, mask=y > 0),
    lambda y: pd.Series(y, dtype="Int64").mask(y > 0),
    lambda y: pd.Series(y > 0, dtype="boolean"),
    lambda y: sparse.csr_matrix(indicators(y)),
    lambda y: indicators(y)[:, :0],
    lambda y: indicators(y)[:-1],
    lambda y: indicators(y) - 1,
    lambda y: indicators(y)[:, :, np.newaxis],
    lambda y: indicators(y) * np.nan,
    lambda y: None,
    lambda y: "labels",
    lambda y: 1,
]

# Weights


@st.composite
def good_weights(draw: st.DrawFn, n_rows: int) -> Any:
    """Sample weights that add up to a positive number."""
    weight = np.random.default_rng(draw(SEEDS)).exponential(size=n_rows)
    forms = [
        lambda w: w,
        lambda w: w.astype(np.float32),
        np.ndarray.tolist,
        pd.Series,
        np.ceil,
        lambda w: np.ceil(w).astype(int),
        lambda w: w >= w.max(),
        lambda w: w * (w >= np.median(w)),
        lambda w: w * 1e-310,
        lambda w: w * 1e-40,
        lambda w: w * 1e35,
        lambda w: w * 1e300,
    ]
    return draw(st.sampled_from(forms))(weight)


BAD_WEIGHTS = [
    lambda n: np.zeros(n),
    lambda n: -np.ones(n),
    lambda n: np.full(n, np.nan),
    lambda n: np.full(n, np.inf),
    lambda n: np.full(n, 1e308),
    lambda n: np.ones(n - 1),
    lambda n: np.ones((n, 1)),
    lambda n: np.full(n, "heavy"),
    lambda n: np.full(n, 1j),
    lambda n: [None] * n,
    lambda n: 2.5,
    lambda n: "balanced",
    lambda n: {},
]

# All together


@dataclass
class Task:
    """A classifier and what it is to learn."""

    classifier: Any
    X: Any
    y: Any
    sample_weight: Any


@st.composite
def tasks(draw: st.DrawFn, *, may_be_bad: bool = True) -> Task:
    """Classifiers with valid parameters, and data of which one part may be unusable."""
    n_rows, n_features = draw(N_ROWS), draw(N_FEATURES)
    y, names = draw(good_labels(n_rows))
    sample_weight = draw(st.none() | good_weights(n_rows))
    X = draw(good_samples(n_rows, n_features))
    bad = draw(st.sampled_from([None, None, None, "X", "y", "sample_weight"]))
    if may_be_bad and bad == "X":
        X = draw(st.sampled_from(BAD_SAMPLES))(draw(numbers(n_rows, n_features)))
    elif may_be_bad and bad == "y":
        y = draw(st.sampled_from(BAD_LABELS))(draw(codes(n_rows)))
    elif may_be_bad and bad == "sample_weight":
        sample_weight = draw(st.sampled_from(BAD_WEIGHTS))(n_rows)
    return Task(draw(classifiers(names)), X, y, sample_weight)


@dataclass
class Step:
    """A call of a classifier that is trained step by step."""

    method: str
    rows: np.ndarray
    params: dict[str, Any]


@dataclass
class Course:
    """A classifier, data, and calls that take parts of it."""

    classifier: Any
    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None
    classes: np.ndarray
    steps: list[Step]


@st.composite
def steps(draw: st.DrawFn, n_rows: int, cls: type) -> Step:
    """Calls of `fit` and `partial_fit`, before which some parameters may change."""
    rows = np.arange(draw(st.integers(0, n_rows - 1)), n_rows)
    options = _COMMON | (_BACKPROP if cls is BackpropMLP else _CLIMB)
    names = draw(st.sets(st.sampled_from(sorted(options)), max_size=2))
    params = {name: draw(options[name]) for name in sorted(names)}
    method = draw(st.sampled_from(["partial_fit", "fit"]))
    return Step(method, draw(st.sampled_from([rows, np.arange(n_rows)])), params)


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """Classifiers that are trained in several steps, and the data for it."""
    n_rows, n_features = draw(N_ROWS), draw(N_FEATURES)
    kind = draw(KINDS_OF_NAMES)
    y = draw(codes(n_rows, most=len(NAMES[kind])))
    n_classes = draw(st.integers(y.max() + 1, len(NAMES[kind])))
    classes = name_classes(np.arange(n_classes), kind)
    classifier = draw(classifiers(classes.tolist()))
    calls = st.lists(steps(n_rows, type(classifier)), min_size=2, max_size=4)
    y = indicators(y) if draw(st.integers(0, 9)) == 9 else name_classes(y, kind)
    X = draw(numbers(n_rows, n_features))
    weight = draw(st.none() | good_weights(n_rows).map(np.asarray))
    return Course(classifier, X, y, weight, classes, draw(calls))
