"""Strategies for samples, labels and weights, good ones and bad ones.

Numbers come from seeds, so that little is drawn for large data; what is unusual about
them is drawn on top, so that it disappears when a failing example is made smaller.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

SEEDS = st.integers(0, 2**16)

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
