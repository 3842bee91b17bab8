"""Inputs that nobody should give, as data: small tables, and where each is put.

A case is a value of one table in one position of one method. To add one, add a line to
a table: it then meets every classifier and every method that takes such a value. What
must come of it is the same for all, and is checked in `outcome`.
"""

from __future__ import annotations

import array
import decimal
import fractions
import inspect
import itertools
import math
import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from scipy import sparse
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skperceptron
from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbMLPRegressor,
    HillClimbPerceptron,
    _config,
)

CLASSIFIERS = (HillClimbPerceptron, HillClimbMLP, BackpropMLP)
# Those of numbers take class labels that are numbers, too.
ESTIMATORS = (*CLASSIFIERS, HillClimbMLPRegressor, BackpropMLPRegressor)
N, D = 24, 4
X = np.random.default_rng(0).normal(size=(N, D))
y = np.arange(N) % 3
y2 = np.arange(N) % 2
# What Python itself says when something is not what the code takes it for.
_OF_PYTHON = re.compile(
    "object has no attribute|unsupported operand|object is not (subscriptable|iterable)"
    "|not supported between instances|cannot unpack|truth value of"
)
DOCUMENTED = (ValueError, TypeError, NotFittedError, AttributeError)


@dataclass(frozen=True)
class Case:
    """One bad thing in one place.

    Attributes
    ----------
    name : str
        Says what is where.

    run : callable
        Does it, and gives back nothing, or what was computed: arrays that must not be
        NaN.

    errors : tuple of type
        What may be raised.
    """

    name: str
    run: Callable[[], Any]
    errors: tuple[type[BaseException], ...] = field(default=DOCUMENTED)


def outcome(case: Case) -> str:
    """Run a case; say what is wrong with what came of it, if anything."""
    try:
        computed = case.run()
    except case.errors as error:
        return _weakness(error)
    except BaseException as error:
        return f"raises {type(error).__name__}: {str(error)[:300]}"
    for values in computed or ():
        # Minus infinity is the logarithm of no probability at all.
        if np.isnan(values).any() or np.isposinf(values).any():
            return f"computes NaN or infinity: {np.asarray(values).ravel()[:5]}"
    return ""


def _weakness(error: BaseException) -> str:
    """Say what an error message lacks."""
    text = str(error)
    if isinstance(error, UnicodeError) or "numba" in type(error).__module__:
        return (
            f"raises {type(error).__qualname__}, which is about our code: {text[:99]}"
        )
    # Two words and a number of characters: enough to say what is wrong with what.
    if len(text) < 15 or len(text.split()) < 3:
        return f"raises {type(error).__name__} that says only {text!r}"
    if _OF_PYTHON.search(text) and not _is_of_sklearn(error):
        return f"raises {type(error).__name__} that nobody has thought of: {text[:99]}"
    return ""


def _is_of_sklearn(error: BaseException) -> bool:
    """Tell whether it was scikit-learn that called what raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages = [f.f_globals.get("__name__", "").partition(".")[0] for f in frames]
    ours = [package for package in packages if package in ("sklearn", "skperceptron")]
    return ours[-1:] == ["sklearn"]


# Values


class BadArray:
    """An object that promises to be an array."""

    def __init__(self, convert):
        self.convert = convert

    def __array__(self, dtype=None, copy=None):
        return self.convert()


def raise_runtime_error(*args, **kwargs):
    raise RuntimeError("this object does not do what it promises")


class Unprintable:
    def __repr__(self):
        raise RuntimeError("this object cannot be printed")


class Text(str):
    """A subclass of str."""


class Number(int):
    """A subclass of int."""


def damaged_csr(**parts):
    """A CSR matrix of which something was exchanged after it was made."""
    matrix = sparse.csr_matrix(X)
    for name, values in parts.items():
        setattr(matrix, name, values)
    return matrix


def wide_csr(matrix):
    """The same with 64-bit indices."""
    matrix.indices = matrix.indices.astype(np.int64)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def unsorted_csr():
    matrix = sparse.csr_matrix(X)
    for start, stop in zip(matrix.indptr, matrix.indptr[1:], strict=False):
        matrix.indices[start:stop] = matrix.indices[start:stop][::-1]
        matrix.data[start:stop] = matrix.data[start:stop][::-1]
    matrix.has_sorted_indices = False
    return matrix


def duplicated_csr():
    rows, columns = np.tile(np.arange(N), 2), np.zeros(2 * N, int)
    indptr = np.arange(0, 2 * N + 1, 2)
    return sparse.csr_matrix((rows.astype(float), columns, indptr), shape=(N, D))


def with_value(value, dtype=float):
    spoiled = X.astype(dtype)
    spoiled[3, 2] = value
    return spoiled


def frozen(values):
    values = np.array(values)
    values.setflags(write=False)
    return values


def columns_of(names, values=None):
    return pd.DataFrame(X if values is None else values, columns=names)


FULL = sparse.csr_matrix(X)
# Called, so that each case has its own.
SAMPLES: dict[str, Callable[[], Any]] = {
    # Types of numbers
    "bool": lambda: X > 0,
    "int8": lambda: (10 * X).astype(np.int8),
    "uint64 at its end": lambda: np.full((N, D), 2**64 - 1, np.uint64),
    "int64 at its end": lambda: np.full((N, D), -(2**63)),
    "float16": lambda: X.astype(np.float16),
    "float16 that is large": lambda: np.full((N, D), 65504, np.float16),
    "longdouble": lambda: X.astype(np.longdouble),
    "longdouble beyond float64": lambda: np.full((N, D), np.longdouble("1e4000")),
    "float64 of other byte order": lambda: X.astype(X.dtype.newbyteorder()),
    "float32 of other byte order": lambda: X.astype(np.dtype("f4").newbyteorder()),
    "int32 of other byte order": lambda: X.astype(np.dtype("i4").newbyteorder()),
    "complex64": lambda: X.astype(np.complex64),
    "complex128": lambda: X + 1j,
    "datetime64": lambda: np.full((N, D), np.datetime64("2020-01-01")),
    "datetime64 NaT": lambda: np.full((N, D), np.datetime64("NaT", "D")),
    "timedelta64": lambda: np.full((N, D), np.timedelta64(3, "s")),
    "texts of numbers": lambda: X.astype(str),
    "texts": lambda: np.full((N, D), "word"),
    "bytes": lambda: np.full((N, D), b"word"),
    "bytes of numbers": lambda: X.astype(bytes),
    "variable-width texts": lambda: np.full((N, D), "w", np.dtypes.StringDType()),
    "void": lambda: np.zeros((N, D), "V8"),
    "structured": lambda: np.zeros(N, [("a", float), ("b", int)]),
    "record array": lambda: np.rec.fromarrays([X[:, 0], X[:, 1]], names="a,b"),
    # Objects
    "objects that are floats": lambda: X.astype(object),
    "objects with None": lambda: with_value(None, object),
    "objects with NaN": lambda: with_value(math.nan, object),
    "objects with pandas.NA": lambda: with_value(pd.NA, object),
    "objects with text": lambda: with_value("7.5", object),
    "objects with a word": lambda: with_value("word", object),
    "objects with a list": lambda: with_value([1, 2], object),
    "objects with a dict": lambda: with_value({}, object),
    "objects with a huge integer": lambda: with_value(10**400, object),
    "objects with an integer of 70 bits": lambda: with_value(2**70, object),
    "objects with a Decimal": lambda: with_value(decimal.Decimal("1.5"), object),
    "objects with a Decimal NaN": lambda: with_value(decimal.Decimal("NaN"), object),
    "objects with a Fraction": lambda: with_value(fractions.Fraction(1, 3), object),
    "objects with a complex number": lambda: with_value(1j, object),
    "objects with an array": lambda: with_value(np.zeros(3), object),
    "objects that cannot be printed": lambda: with_value(Unprintable(), object),
    # Values
    "NaN": lambda: with_value(np.nan),
    "only NaN": lambda: np.full((N, D), np.nan),
    "infinity": lambda: with_value(np.inf),
    "minus infinity": lambda: with_value(-np.inf),
    "float32 NaN": lambda: with_value(np.nan, np.float32),
    "float32 infinity": lambda: with_value(np.inf, np.float32),
    "largest floats": lambda: np.full((N, D), np.finfo(float).max),
    "largest floats of both signs": lambda: np.sign(X) * np.finfo(float).max,
    "one largest float": lambda: with_value(np.finfo(float).max),
    "floats of 1e200": lambda: X * 1e200,
    "largest float32": lambda: np.sign(X).astype("f4") * np.finfo("f4").max,
    "one largest float32": lambda: with_value(np.finfo("f4").max, np.float32),
    "float32 of 1e30": lambda: (X * 1e30).astype("f4"),
    "denormal floats": lambda: np.sign(X) * 5e-324,
    "denormal float32": lambda: (np.sign(X) * 1e-45).astype("f4"),
    "huge and denormal": lambda: np.where(X > 0, 1e300, 5e-324),
    "zeros": lambda: np.zeros((N, D)),
    "minus zeros": lambda: -np.zeros((N, D)),
    "equal rows": lambda: np.repeat(X[:1], N, axis=0),
    # Layout
    "read-only": lambda: frozen(X),
    "Fortran order": lambda: np.asfortranarray(X),
    "every other column": lambda: np.repeat(X, 2, axis=1)[:, ::2],
    "every other row": lambda: np.repeat(X, 2, axis=0)[::2],
    "negative strides": lambda: X[::-1, ::-1],
    "strides of zero": lambda: np.broadcast_to(X[0], (N, D)),
    "unaligned": lambda: np.frombuffer(b"x" + X.tobytes(), float, offset=1).reshape(
        N, D
    ),
    "masked": lambda: np.ma.masked_array(X, X > 1),
    "masked in full": lambda: np.ma.masked_all((N, D)),
    "matrix": lambda: np.asmatrix(X),
    "memoryview": lambda: memoryview(X),
    "array.array": lambda: array.array("d", X[0]),
    # Shapes
    "no dimensions": lambda: np.array(3.0),
    "one dimension": lambda: X[:, 0],
    "one dimension of objects": lambda: np.array([None, X], object),
    "three dimensions": lambda: X[:, :, None],
    "thirty-two dimensions": lambda: np.zeros((1,) * 32),
    "no rows": lambda: X[:0],
    "no columns": lambda: X[:, :0],
    "nothing": lambda: np.zeros((0, 0)),
    "one row": lambda: X[:1],
    "two rows": lambda: X[:2],
    "one column": lambda: X[:, :1],
    "one column less": lambda: X[:, :-1],
    "one column more": lambda: np.c_[X, X[:, 0]],
    "one row less": lambda: X[:-1],
    "many columns": lambda: np.ones((N, 5000)),
    # Containers
    "list": lambda: X.tolist(),
    "tuple": lambda: tuple(map(tuple, X)),
    "list of arrays": lambda: list(X),
    "ragged list": lambda: [[1.0, 2.0], [3.0]] * (N // 2),
    "ragged and nested": lambda: [[1.0, [2.0]], [3.0, 4.0]] * (N // 2),
    "list of None": lambda: [None] * N,
    "list of lists of None": lambda: [[None] * D] * N,
    "list of texts": lambda: ["a"] * N,
    "list of dicts": lambda: [{"a": 1}] * N,
    "list of sparse rows": lambda: [FULL[i] for i in range(N)],
    "empty list": list,
    "list of empty lists": lambda: [[]] * N,
    "deeply nested list": lambda: nested(100),
    "very deeply nested list": lambda: nested(5000),
    "list that contains itself": lambda: self_containing(),
    "list with huge integers": lambda: [[10**400] * D] * N,
    "generator": lambda: (row for row in X),
    "iterator": lambda: iter(X),
    "range": lambda: range(N),
    "dict": lambda: {"a": X},
    "set": lambda: {1, 2, 3},
    "text": lambda: "text",
    "bytes object": lambda: b"bytes",
    "None": lambda: None,
    "Ellipsis": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
    "number": lambda: 7,
    "NaN alone": lambda: math.nan,
    "function": lambda: raise_runtime_error,
    "class": lambda: dict,
    "module": lambda: math,
    "object": object,
    "estimator": lambda: BackpropMLP(),
    "array-like that raises": lambda: BadArray(raise_value_error),
    "array-like that is no array": lambda: BadArray(lambda: "no array"),
    "array-like that is fine": lambda: BadArray(lambda: X.copy()),
    # Sparse
    "CSR": lambda: FULL.copy(),
    "CSC": lambda: FULL.tocsc(),
    "COO": lambda: FULL.tocoo(),
    "LIL": lambda: FULL.tolil(),
    "DOK": lambda: FULL.todok(),
    "BSR": lambda: FULL.tobsr(blocksize=(2, 2)),
    "DIA": lambda: FULL.todia(),
    "CSR array": lambda: sparse.csr_array(X),
    "COO array of one dimension": lambda: sparse.coo_array(X[:, 0]),
    "CSR with 64-bit indices": lambda: wide_csr(FULL.copy()),
    "CSR without order": lambda: unsorted_csr(),
    "CSR with duplicates": lambda: duplicated_csr(),
    "CSR with stored zeros": lambda: damaged_csr(data=np.zeros(N * D)),
    "CSR of nothing": lambda: sparse.csr_matrix((N, D)),
    "CSR without rows": lambda: sparse.csr_matrix((0, D)),
    "CSR without columns": lambda: sparse.csr_matrix((N, 0)),
    "CSR with NaN": lambda: sparse.csr_matrix(with_value(np.nan)),
    "CSR with infinity": lambda: sparse.csr_matrix(with_value(np.inf)),
    "CSR of largest floats": lambda: FULL.sign() * np.finfo(float).max,
    "CSR of bool": lambda: sparse.csr_matrix(X > 0),
    "CSR of int8": lambda: sparse.csr_matrix((10 * X).astype(np.int8)),
    "CSR of complex numbers": lambda: sparse.csr_matrix(X + 1j),
    "CSR of longdouble": lambda: sparse.csr_matrix(X.astype(np.longdouble)),
    "CSR of other byte order": lambda: damaged_csr(
        data=FULL.data.astype(FULL.dtype.newbyteorder())
    ),
    "CSR that is read-only": lambda: damaged_csr(data=frozen(FULL.data)),
    "CSR with an index that is too large": lambda: damaged_csr(
        indices=FULL.indices + D
    ),
    "CSR with an index that is far too large": lambda: damaged_csr(
        indices=FULL.indices + 2**30
    ),
    "CSR with a negative index": lambda: damaged_csr(indices=FULL.indices - 2**30),
    "CSR with 64-bit indices that are too large": lambda: wide_csr(
        damaged_csr(indices=FULL.indices.astype(np.int64) + 2**40)
    ),
    "CSR with too few indices": lambda: damaged_csr(indices=FULL.indices[:5]),
    "CSR with too few values": lambda: damaged_csr(data=FULL.data[:5]),
    "CSR with row ends that are too large": lambda: damaged_csr(
        indptr=FULL.indptr + 2**20
    ),
    "CSR with row ends in no order": lambda: damaged_csr(indptr=FULL.indptr[::-1]),
    "CSR with negative row ends": lambda: damaged_csr(indptr=-FULL.indptr),
    "CSR with too few row ends": lambda: damaged_csr(indptr=FULL.indptr[:5]),
    "CSC with an index that is too large": lambda: damaged_csc(),
    "COO with an index that is too large": lambda: damaged_coo(),
    # Dataframes
    "dataframe": lambda: columns_of(list("abcd")),
    "dataframe with a name twice": lambda: columns_of(list("abca")),
    "dataframe with names of several types": lambda: columns_of(["a", 1, 2.5, None]),
    "dataframe with names in Unicode": lambda: columns_of(
        ["ä", "日本", "\u202e", "💥"]
    ),
    "dataframe with half a character": lambda: columns_of(
        pd.Index(["\ud800", "b", "c", "d"], dtype=object)
    ),
    "dataframe with empty names": lambda: columns_of(["", " ", "\0", "\n"]),
    "dataframe with long names": lambda: columns_of([c * 10**6 for c in "abcd"]),
    "dataframe with other names": lambda: columns_of(list("efgh")),
    "dataframe with names in another order": lambda: columns_of(list("dcba")),
    "dataframe with numbers for names": lambda: columns_of(range(D)),
    "dataframe with nested names": lambda: columns_of(
        pd.MultiIndex.from_product([["a", "b"], ["c", "d"]])
    ),
    "dataframe with NaN for names": lambda: columns_of([np.nan] * D),
    "dataframe without columns": lambda: columns_of(list("abcd"))[[]],
    "dataframe without rows": lambda: columns_of(list("abcd"))[:0],
    "dataframe with a repeated index": lambda: columns_of(list("abcd")).set_index(
        pd.Index([0] * N)
    ),
    "dataframe of Int64 with NA": lambda: (
        columns_of(list("abcd"), with_value(pd.NA, object))
        .map(lambda v: v if v is pd.NA else int(v))
        .astype("Int64")
    ),
    "dataframe of Int64": lambda: columns_of(list("abcd"), (10 * X).astype(int)).astype(
        "Int64"
    ),
    "dataframe of Float64 with NA": lambda: (
        columns_of(list("abcd")).astype("Float64").mask(X > 1)
    ),
    "dataframe of boolean with NA": lambda: (
        columns_of(list("abcd"), X > 0).astype("boolean").mask(X > 1)
    ),
    "dataframe of strings": lambda: columns_of(list("abcd")).astype("string"),
    "dataframe of categories": lambda: columns_of(
        list("abcd"), np.full((N, D), "word")
    ).astype("category"),
    "dataframe of categories that are numbers": lambda: columns_of(
        list("abcd"), (X > 0).astype(int)
    ).astype("category"),
    "dataframe of dates": lambda: columns_of(
        list("abcd"), np.full((N, D), np.datetime64("2020-01-01"))
    ),
    "dataframe of dates with zones": lambda: columns_of(
        list("abcd"), np.full((N, D), pd.Timestamp("2020-01-01", tz="UTC"))
    ),
    "dataframe of periods": lambda: columns_of(
        list("abcd"), np.full((N, D), pd.Period("2020"))
    ),
    "dataframe of intervals": lambda: columns_of(
        list("abcd"), np.full((N, D), pd.Interval(0, 1))
    ),
    "dataframe of several types": lambda: columns_of(list("abcd")).assign(a="word"),
    "dataframe of sparse columns": lambda: pd.DataFrame.sparse.from_spmatrix(FULL),
    "series": lambda: pd.Series(X[:, 0]),
    "dataframe of pyarrow numbers": lambda: pd.DataFrame(X, columns=list("abcd")).apply(
        lambda column: column.astype("Float32")
    ),
}


def nested(depth):
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def self_containing():
    value: list[Any] = []
    value.append(value)
    return value


def raise_value_error():
    raise ValueError("this object cannot be made an array")


def damaged_csc():
    matrix = FULL.tocsc()
    matrix.indices = matrix.indices + 2**30
    return matrix


def damaged_coo():
    matrix = FULL.tocoo()
    matrix.row = matrix.row + 2**30
    return matrix


class Odd:
    """A label that cannot be compared."""

    def __eq__(self, other):
        raise RuntimeError("this label cannot be compared")

    __hash__ = object.__hash__


LABELS: dict[str, Callable[[], Any]] = {
    "texts": lambda: np.array(["a", "b", "c"])[y],
    "texts of numbers": lambda: np.array(["1", "01", "1.0"])[y],
    "texts in Unicode": lambda: np.array(["ä", "日本", "💥"])[y],
    "texts with half a character": lambda: np.array(["\ud800", "b", "c"])[y],
    "texts with zero bytes": lambda: np.array(["a\0b", "a\0c", "\0d"])[y],
    "empty texts": lambda: np.array(["", " ", "  "])[y],
    "a text of a million characters": lambda: np.array(["a", "b", "c" * 10**6])[y],
    "texts as objects": lambda: np.array(["a", "b", "c"], object)[y],
    "variable-width texts": lambda: np.array(["a", "b", "c"], np.dtypes.StringDType())[
        y
    ],
    "bytes": lambda: np.array([b"a", b"b", b"c"])[y],
    "objects of several types": lambda: np.array([1, "a", None], object)[y],
    "objects that are numbers": lambda: y.astype(object),
    "objects with None": lambda: np.array([1, 2, None], object)[y],
    "objects with NaN": lambda: np.array(["a", "b", math.nan], object)[y],
    "objects with pandas.NA": lambda: np.array(["a", "b", pd.NA], object)[y],
    "objects that are tuples": lambda: tuples(),
    "objects that cannot be compared": lambda: np.array([Odd() for _ in y], object),
    "objects that are huge integers": lambda: np.array([10**400, 2, 3], object)[y],
    "bool": lambda: y2 > 0,
    "int8": lambda: y.astype(np.int8),
    "uint64 at its end": lambda: np.array([2**64 - 1, 0, 1], np.uint64)[y],
    "int64 at its ends": lambda: np.array([-(2**63), 2**63 - 1, 0])[y],
    "whole floats": lambda: y.astype(float),
    "float16": lambda: y.astype(np.float16),
    "longdouble": lambda: y.astype(np.longdouble),
    "broken floats": lambda: y + 0.5,
    "floats that grow": lambda: np.linspace(0, 1, N),
    "huge floats": lambda: np.array([1e308, -1e308, 0.0])[y],
    "NaN": lambda: np.array([0, 1, np.nan])[y],
    "only NaN": lambda: np.full(N, np.nan),
    "infinity": lambda: np.array([0, 1, np.inf])[y],
    "complex": lambda: y + 1j,
    "dates": lambda: np.array(["2020", "2021", "2022"], "M8[Y]")[y],
    "no dates": lambda: np.full(N, np.datetime64("NaT", "D")),
    "time differences": lambda: y.astype("m8[s]"),
    "other byte order": lambda: y.astype(np.dtype("i4").newbyteorder()),
    "negative strides": lambda: y[::-1],
    "strides of zero": lambda: np.broadcast_to(y[0], N),
    "read-only": lambda: frozen(y),
    "masked": lambda: np.ma.masked_array(y, y > 1),
    "structured": lambda: np.zeros(N, [("a", int)]),
    "matrix": lambda: np.asmatrix(y).T,
    "one class": lambda: np.zeros(N, int),
    "one class each": lambda: np.arange(N),
    "other classes": lambda: y + 7,
    "one class more": lambda: np.arange(N) % 4,
    "one class less": lambda: y2,
    "one column": lambda: y[:, None],
    "indicators": lambda: np.eye(3, dtype=int)[y],
    "indicators of nothing": lambda: np.zeros((N, 3), int),
    "indicators of too many": lambda: np.ones((N, 3), int) * 2,
    "several columns of classes": lambda: np.c_[y, y],
    "no columns": lambda: np.zeros((N, 0)),
    "three dimensions": lambda: np.zeros((N, 2, 2), int),
    "sparse indicators": lambda: sparse.csr_matrix(np.eye(3, dtype=int)[y]),
    "sparse column": lambda: sparse.csr_matrix(y[:, None]),
    "damaged sparse indicators": lambda: damaged_csr(indices=FULL.indices + 2**30),
    "no dimensions": lambda: np.array(1),
    "one label less": lambda: y[:-1],
    "one label more": lambda: np.r_[y, 0],
    "no labels": lambda: y[:0],
    "one label": lambda: y[:1],
    "list": lambda: y.tolist(),
    "ragged list": lambda: [[0], [0, 1]] * (N // 2),
    "list of lists of texts": lambda: [["a"], ["b", "c"]] * (N // 2),
    "list of sets": lambda: [{0}, {0, 1}] * (N // 2),
    "list of None": lambda: [None] * N,
    "list of several types": lambda: [0, "1", 2.0] * (N // 3),
    "generator": lambda: (label for label in y),
    "range": lambda: range(N),
    "dict": lambda: dict(enumerate(y)),
    "set": lambda: set(y.tolist()),
    "text": lambda: "abc" * (N // 3),
    "None": lambda: None,
    "number": lambda: 1,
    "function": lambda: raise_runtime_error,
    "estimator": lambda: BackpropMLP(),
    "series of Int64": lambda: pd.Series(y, dtype="Int64"),
    "series of Int64 with NA": lambda: pd.Series(y, dtype="Int64").mask(y == 1),
    "series of boolean with NA": lambda: pd.Series(y2 > 0, dtype="boolean").mask(
        y == 1
    ),
    "series of strings": lambda: pd.Series(
        np.array(["a", "b", "c"])[y], dtype="string"
    ),
    "series of strings with NA": lambda: pd.Series(
        np.array(["a", "b", "c"])[y], dtype="string"
    ).mask(y == 1),
    "series of categories": lambda: pd.Series(np.array(["a", "b", "c"])[y]).astype(
        "category"
    ),
    "series of categories with NaN": lambda: (
        pd.Series(np.array(["a", "b", "c"])[y]).astype("category").mask(y == 1)
    ),
    "categorical": lambda: pd.Categorical(np.array(["a", "b", "c"])[y]),
    "series of dates": lambda: pd.Series(pd.Timestamp("2020-01-01"), range(N)),
    "dataframe of one column": lambda: pd.DataFrame({"y": y}),
    "dataframe of two columns": lambda: pd.DataFrame({"y": y2, "z": y2}),
    "series in another order": lambda: pd.Series(y, index=range(N - 1, -1, -1)),
    "array-like that raises": lambda: BadArray(raise_value_error),
}


def tuples():
    labels = np.empty(N, object)
    labels[:] = [(int(label), "a") for label in y]
    return labels


WEIGHTS: dict[str, Callable[[], Any]] = {
    "one number": lambda: 2.0,
    "one integer": lambda: 3,
    "zero": lambda: 0.0,
    "minus one": lambda: -1.0,
    "integers": lambda: np.ones(N, int),
    "bool": lambda: y > 0,
    "float16": lambda: np.ones(N, np.float16),
    "longdouble": lambda: np.ones(N, np.longdouble),
    "other byte order": lambda: np.ones(N, np.dtype(float).newbyteorder()),
    "negative": lambda: -np.ones(N),
    "one negative": lambda: np.where(np.arange(N) == 3, -1.0, 1.0),
    "minus zeros": lambda: -np.zeros(N),
    "zeros": lambda: np.zeros(N),
    "zeros for a class": lambda: (y > 0).astype(float),
    "zeros for all but one": lambda: (np.arange(N) == 0).astype(float),
    "NaN": lambda: np.where(y == 1, np.nan, 1.0),
    "infinity": lambda: np.where(y == 1, np.inf, 1.0),
    "largest floats": lambda: np.full(N, np.finfo(float).max),
    "floats of 1e300": lambda: np.full(N, 1e300),
    "denormal floats": lambda: np.full(N, 5e-324),
    "huge and denormal": lambda: np.where(y == 1, 1e300, 5e-324),
    "too few": lambda: np.ones(N - 1),
    "too many": lambda: np.ones(N + 1),
    "none": lambda: np.ones(0),
    "a single one": lambda: np.ones(1),
    "one column": lambda: np.ones((N, 1)),
    "two columns": lambda: np.ones((N, 2)),
    "texts": lambda: np.full(N, "heavy"),
    "texts of numbers": lambda: np.full(N, "1.5"),
    "text": lambda: "balanced",
    "complex": lambda: np.ones(N) + 1j,
    "dates": lambda: np.full(N, np.datetime64("2020")),
    "objects": lambda: np.ones(N, object),
    "objects with None": lambda: np.array([None] * N, object),
    "list with None": lambda: [1.0] * (N - 1) + [None],
    "ragged list": lambda: [[1.0], [1.0, 2.0]] * (N // 2),
    "dict": lambda: {0: 1.0},
    "generator": lambda: (1.0 for _ in range(N)),
    "function": lambda: raise_runtime_error,
    "sparse": lambda: sparse.csr_matrix(np.ones((N, 1))),
    "masked": lambda: np.ma.masked_array(np.ones(N), y > 1),
    "negative strides": lambda: np.arange(1.0, N + 1)[::-1],
    "read-only": lambda: frozen(np.ones(N)),
    "series with NA": lambda: pd.Series(np.ones(N), dtype="Float64").mask(y == 1),
    "series of Int64": lambda: pd.Series(np.ones(N), dtype="Int64"),
    "dataframe": lambda: pd.DataFrame({"w": np.ones(N)}),
    "array-like that raises": lambda: BadArray(raise_value_error),
}

CLASS_WEIGHTS: dict[str, Callable[[], Any]] = {
    "missing classes": lambda: {0: 2.0},
    "no classes": dict,
    "foreign classes": lambda: {7: 1.0},
    "classes of another type": lambda: {"0": 1.0},
    "classes that are floats": lambda: {0.0: 1.0, 1.0: 2.0},
    "classes that are arrays' items": lambda: {np.int64(0): 1.0},
    "classes that are bool": lambda: {False: 1.0, True: 2.0},
    "a class that is None": lambda: {None: 1.0},
    "a class that is NaN": lambda: {math.nan: 1.0},
    "a class that is a tuple": lambda: {(0, 1): 1.0},
    "a class that cannot be compared": lambda: {Odd(): 1.0},
    "zeros": lambda: dict.fromkeys(range(3), 0.0),
    "one zero": lambda: {0: 0.0},
    "negative": lambda: {0: -1.0},
    "NaN": lambda: {0: math.nan},
    "infinity": lambda: {0: math.inf},
    "largest float": lambda: dict.fromkeys(range(3), np.finfo(float).max),
    "float of 1e300": lambda: {0: 1e300},
    "denormal float": lambda: dict.fromkeys(range(3), 5e-324),
    "huge integer": lambda: {0: 10**400},
    "text": lambda: {0: "heavy"},
    "text of a number": lambda: {0: "1.5"},
    "None": lambda: {0: None},
    "complex": lambda: {0: 1j},
    "bool": lambda: {0: True},
    "list": lambda: {0: [1.0]},
    "array": lambda: {0: np.ones(3)},
    "Decimal": lambda: {0: decimal.Decimal("1.5")},
    "Fraction": lambda: {0: fractions.Fraction(3, 2)},
    "numpy.float32": lambda: {0: np.float32(1.5)},
    "pandas.NA": lambda: {0: pd.NA},
    "another word": lambda: "heavy",
    "the word in capitals": lambda: "Balanced",
    "a subclass of str": lambda: Text("balanced"),
    "a list of numbers": lambda: [1.0, 2.0, 3.0],
    "a number": lambda: 2.0,
    "a series": lambda: pd.Series([1.0, 2.0, 3.0]),
    "many classes": lambda: dict.fromkeys(range(10000), 1.0),
}

# For every parameter of the constructors.
PARAMETERS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "NaN": lambda: math.nan,
    "infinity": lambda: math.inf,
    "minus infinity": lambda: -math.inf,
    "zero": lambda: 0,
    "minus zero": lambda: -0.0,
    "minus one": lambda: -1,
    "True": lambda: True,
    "False": lambda: False,
    "numpy.True_": lambda: np.True_,
    "numpy.int8": lambda: np.int8(3),
    "numpy.uint64": lambda: np.uint64(3),
    "numpy.float16": lambda: np.float16(0.5),
    "numpy.float32": lambda: np.float32(0.5),
    "numpy.longdouble": lambda: np.longdouble("0.5"),
    "longdouble beyond float64": lambda: np.longdouble("1e4000"),
    "largest float": lambda: np.finfo(float).max,
    "denormal float": lambda: 5e-324,
    "negative huge integer": lambda: -(10**400),
    "Fraction": lambda: fractions.Fraction(1, 2),
    "Decimal": lambda: decimal.Decimal("0.5"),
    "complex number": lambda: 1j,
    "subclass of int": lambda: Number(3),
    "subclass of str": lambda: Text("auto"),
    "empty text": lambda: "",
    "text of a number": lambda: "3",
    "text in Unicode": lambda: "日本💥",
    "half a character": lambda: "\ud800",
    "text of 10 MB": lambda: "a" * 10_000_000,
    "bytes": lambda: b"adam",
    "empty list": list,
    "list of None": lambda: [None],
    "list of NaN": lambda: [math.nan],
    "list of texts": lambda: ["relu", "relu"],
    "ragged list": lambda: [[1], [1, 2]],
    "array without dimensions": lambda: np.array(3),
    "array of one": lambda: np.array([3]),
    "array of objects": lambda: np.array([None, "a"], object),
    "array of two dimensions": lambda: np.ones((2, 2), int),
    "array of no elements": lambda: np.array([]),
    "sparse matrix": lambda: sparse.csr_matrix(np.ones((2, 2))),
    "dict": lambda: {"a": 1},
    "set": lambda: {"adam"},
    "generator": lambda: (i for i in range(3)),
    "function that raises": lambda: raise_runtime_error,
    "object": object,
    "object that cannot be printed": Unprintable,
    "class": lambda: int,
    "estimator": lambda: BackpropMLP(),
    "pandas.NA": lambda: pd.NA,
    "date": lambda: np.datetime64("2020"),
    "Ellipsis": lambda: ...,
}
# Where a large number means large work, it must be refused, or done without harm.
LARGE: dict[str, dict[str, Any]] = {
    "hidden_layer_sizes": {
        "a unit for each byte of a disk": 10**12,
        "more units than there are addresses": 10**30,
        "as many units as digits fit into a line": (10**400, 3),
        "two layers of 10^6": (10**6, 10**6),
        "two layers of 10^9": (10**9, 10**9),
        "two layers of the largest int64": (2**63 - 1, 2**63 - 1),
        "an array of 10^12": np.array([10**12]),
    },
    "n_restarts": {"10^9": 10**9, "10^30": 10**30},
    "n_jobs": {"10^6": 10**6, "-10^6": -(10**6), "10^30": 10**30},
    "max_iter": {"10^18": 10**18, "10^30": 10**30, "10^400": 10**400},
    "batch_size": {"10^18": 10**18, "10^400": 10**400},
    "n_iter_no_change": {"10^18": 10**18, "10^400": 10**400},
    "max_fun": {"10^18": 10**18, "10^400": 10**400},
    "random_state": {"2^32": 2**32, "10^400": 10**400},
    "verbose": {"10^400": 10**400},
    "alpha": {"10^300": 1e300, "10^400": 10**400},
    "step_size": {"10^300": 1e300, "10^400": 10**400},
    "learning_rate_init": {"10^300": 1e300, "10^400": 10**400},
    "max_grad_norm": {"10^-300": 1e-300, "10^400": 10**400},
    "power_t": {"10^300": 1e300, "10^400": 10**400},
    "tol": {"10^400": 10**400},
    "epsilon": {"10^300": 1e300, "10^400": 10**400},
}


class ObjectiveError(Exception):
    """What an objective of a user may raise."""


def raise_objective_error(y_true, y_pred, **options):
    raise ObjectiveError("of the user's own")


def spoil(y_true, y_pred, **options):
    y_true[...] = 0
    y_pred[...] = 0
    return 0.5


def good_at_first(later):
    """An objective that returns something else from its fourth call on."""
    values = itertools.chain([0.5] * 3, itertools.repeat(later))
    return lambda y_true, y_pred, **options: next(values)


OBJECTIVES: dict[str, Callable[[], Any]] = {
    "raises": lambda: raise_objective_error,
    "raises without a word": lambda: (
        lambda t, p, **o: (_ for _ in ()).throw(KeyError())
    ),
    "returns NaN": lambda: lambda t, p, **o: math.nan,
    "returns NaN later": lambda: good_at_first(math.nan),
    "returns text later": lambda: good_at_first("good"),
    "returns None later": lambda: good_at_first(None),
    "returns a huge integer later": lambda: good_at_first(10**400),
    "returns a complex number later": lambda: good_at_first(1j),
    "returns pandas.NA later": lambda: good_at_first(pd.NA),
    "returns an array later": lambda: good_at_first(np.ones(3)),
    "returns infinity later": lambda: good_at_first(math.inf),
    "returns infinity": lambda: lambda t, p, **o: math.inf,
    "returns minus infinity": lambda: lambda t, p, **o: -math.inf,
    "returns text": lambda: lambda t, p, **o: "good",
    "returns None": lambda: lambda t, p, **o: None,
    "returns bool": lambda: lambda t, p, **o: True,
    "returns numpy.bool": lambda: lambda t, p, **o: np.True_,
    "returns a complex number": lambda: lambda t, p, **o: 1j,
    "returns a huge integer": lambda: lambda t, p, **o: 10**400,
    "returns a Decimal": lambda: lambda t, p, **o: decimal.Decimal("0.5"),
    "returns a Fraction": lambda: lambda t, p, **o: fractions.Fraction(1, 2),
    "returns float16": lambda: lambda t, p, **o: np.float16(0.5),
    "returns longdouble": lambda: lambda t, p, **o: np.longdouble("1e4000"),
    "returns an array": lambda: lambda t, p, **o: np.ones(3),
    "returns an array of one": lambda: lambda t, p, **o: np.ones(1),
    "returns an array without dimensions": lambda: lambda t, p, **o: np.array(0.5),
    "returns a list": lambda: lambda t, p, **o: [0.5],
    "returns pandas.NA": lambda: lambda t, p, **o: pd.NA,
    "returns itself": lambda: raise_objective_error.__class__,
    "changes its input": lambda: spoil,
    "takes no arguments": lambda: lambda: 0.5,
    "takes one argument": lambda: lambda t: 0.5,
    "is a class": lambda: dict,
    "is a built-in function": lambda: len,
    "is an estimator": lambda: BackpropMLP,
    "is a scorer of regression": lambda: "r2",
    "is a scorer of clusters": lambda: "adjusted_rand_score",
    "is a scorer of two classes": lambda: "average_precision",
    "is a scorer of top two": lambda: "top_k_accuracy",
    "is a scorer of probabilities": lambda: "roc_auc_ovr",
}


class CallbackError(Exception):
    """What a callback of a user may raise."""


class BadCallback:
    """A callback that does something bad in one of its hooks."""

    def __init__(self, hook, act):
        self.hook, self.act = hook, act

    def _do(self, hook, estimator):
        return self.act(estimator) if hook == self.hook else None

    def setup(self, estimator, context):
        self._do("setup", estimator)

    def on_fit_task_begin(self, estimator, context, **data):
        self._do("on_fit_task_begin", estimator)

    def on_fit_task_end(self, estimator, context, **data):
        return self._do("on_fit_task_end", estimator)

    def teardown(self, estimator, context):
        self._do("teardown", estimator)


def raise_callback_error(estimator):
    raise CallbackError("of the user's own")


HOOKS = ("setup", "on_fit_task_begin", "on_fit_task_end", "teardown")
ACTS: dict[str, Callable[[Any], Any]] = {
    "raises": raise_callback_error,
    "returns text": lambda estimator: "stop",
    "returns NaN": lambda estimator: math.nan,
    "returns an object": lambda estimator: object(),
    "fits another classifier": lambda estimator: fitted(HillClimbPerceptron) and None,
    "changes a parameter": lambda estimator: (
        estimator.set_params(tol=math.nan) and None
    ),
    "predicts": lambda estimator: (
        hasattr(estimator, "coef_") and estimator.predict(X).fill(0)
    ),
}


class Stop:
    """Ends a fit at its first report."""

    def setup(self, estimator, context):
        """Nothing."""

    def on_fit_task_begin(self, estimator, context):
        """Nothing."""

    def on_fit_task_end(self, estimator, context):
        return True

    def teardown(self, estimator, context):
        """Nothing."""


# Whose own errors come through, as they are.
OWN_ERRORS: dict[str, type[Exception]] = {
    "objects that cannot be compared": RuntimeError,
    "a class that cannot be compared": RuntimeError,
    # scikit-learn writes the value of a parameter into its message.
    "object that cannot be printed": RuntimeError,
}


def errors_of(what):
    return (*DOCUMENTED, *([OWN_ERRORS[what]] if what in OWN_ERRORS else []))


# What is done with them


def new(cls, **params):
    defaults = {"max_iter": 5, "random_state": 0}
    if cls is not HillClimbPerceptron:
        defaults["hidden_layer_sizes"] = (3,)
    if cls in (BackpropMLP, BackpropMLPRegressor):
        defaults |= {"tol": 1e9, "n_iter_no_change": 1}
    return cls(**{**defaults, **params})


def fitted(cls, **params):
    return new(cls, **params).fit(X, y)


def computed(clf, samples=X):
    """Whatever a fitted estimator can say of samples."""
    if is_regressor(clf):
        return [clf.predict(samples)]
    found = [clf.decision_function(samples)]
    if hasattr(clf, "predict_proba"):
        found += [clf.predict_proba(samples), clf.predict_log_proba(samples)]
    labels = clf.predict(samples)
    assert labels.ndim == 2 or set(labels) <= set(clf.classes_)
    assert len(labels) == found[0].shape[0]
    return found


def n_columns(samples):
    return samples.shape[1] if len(getattr(samples, "shape", ())) == 2 else D


def fit_samples(cls, method, make):
    samples = make()
    length = samples.shape[0] if getattr(samples, "shape", None) else N
    labels = y[:length] if length <= N else np.resize(y, length)
    clf = new(cls)
    getattr(clf, method)(samples, labels, **all_classes(cls, method))
    return computed(clf, np.ones((3, clf.n_features_in_)))


def all_classes(cls, method):
    is_needed = method == "partial_fit" and cls in CLASSIFIERS
    return {"classes": [0, 1, 2]} if is_needed else {}


def ask(cls, method, make):
    result = getattr(fitted(cls), method)(make())
    return [] if method == "predict" else [result]


def score_samples(cls, make):
    samples = make()
    length = samples.shape[0] if getattr(samples, "shape", None) else N
    score = fitted(cls).score(samples, np.resize(y, length))
    is_defined = length > 1 or cls in CLASSIFIERS  # R2 of one sample is not
    return [score] if is_defined else []


def fit_labels(cls, make):
    return computed(new(cls).fit(X, make()))


def go_on_with_labels(cls, make):
    return computed(fitted(cls).partial_fit(X, make()))


def begin_with_classes(cls, make):
    return computed(new(cls).partial_fit(X, y, classes=make()))


def score_labels(cls, make):
    return [fitted(cls).score(X, make())]


def fit_weights(cls, method, make):
    clf = new(cls)
    getattr(clf, method)(X, y, sample_weight=make(), **all_classes(cls, method))
    return computed(clf)


def score_weights(cls, make):
    return [fitted(cls).score(X, y, sample_weight=make())]


def fit_params(cls, method="fit", callbacks=(), weight=None, **makers):
    clf = new(cls).set_params(**{name: make() for name, make in makers.items()})
    clf.set_callbacks(*callbacks)
    getattr(clf, method)(X, y, sample_weight=weight, **all_classes(cls, method))
    return computed(clf)


def show_params(cls, **makers):
    """Everything that may be asked of a classifier that is not fitted."""
    clf = new(cls).set_params(**{name: make() for name, make in makers.items()})
    twin = clone(clf)
    assert set(twin.get_params(deep=False)) == set(cls().get_params())
    repr(twin), twin._repr_html_(), twin.__sklearn_tags__()


def fit_in_pipeline(cls, **makers):
    pipeline = make_pipeline(make_pipeline(new(cls)))
    name = f"pipeline__{cls.__name__.lower()}"
    params = {f"{name}__{key}": make() for key, make in makers.items()}
    pipeline.set_params(**params).fit(X, y)
    return [
        pipeline.predict(X) if is_regressor(cls()) else pipeline.decision_function(X)
    ]


# The table of cases


def _of_samples() -> Iterator[Case]:
    asking = ("predict", "predict_proba", "predict_log_proba", "decision_function")
    for cls in ESTIMATORS:
        for what, make in SAMPLES.items():
            for method in ("fit", "partial_fit"):
                run = partial(fit_samples, cls, method, make)
                yield Case(f"{cls.__name__}.{method}(X={what})", run)
            for method in filter(partial(hasattr, cls()), asking):
                run = partial(ask, cls, method, make)
                yield Case(f"{cls.__name__}.{method}(X={what})", run)
            run = partial(score_samples, cls, make)
            yield Case(f"{cls.__name__}.score(X={what})", run)


def _of_labels_and_weights() -> Iterator[Case]:
    for cls in ESTIMATORS:
        for what, make in LABELS.items():
            for position, run in (
                ("fit(y", fit_labels),
                ("partial_fit(y", go_on_with_labels),
                ("partial_fit(classes", begin_with_classes),
                ("score(y", score_labels),
            ):
                name = f"{cls.__name__}.{position}={what})"
                yield Case(name, partial(run, cls, make), errors_of(what))
        for what, make in WEIGHTS.items():
            for method in ("fit", "partial_fit"):
                name = f"{cls.__name__}.{method}(sample_weight={what})"
                yield Case(name, partial(fit_weights, cls, method, make))
            name = f"{cls.__name__}.score(sample_weight={what})"
            yield Case(name, partial(score_weights, cls, make))
        for what, make in CLASS_WEIGHTS.items():
            for method in ("fit", "partial_fit"):
                run = partial(fit_params, cls, method, class_weight=make)
                name = f"{cls.__name__}.{method}, class_weight: {what}"
                yield Case(name, run, errors_of(what))


def _of_parameters() -> Iterator[Case]:
    for cls in ESTIMATORS:
        for parameter in cls().get_params():
            for what, make in PARAMETERS.items():
                is_short = what != "text of 10 MB"  # which sklearn prints in 20 s
                for run in (fit_params, *([show_params] if is_short else [])):
                    name = f"{cls.__name__}, {run.__name__}, {parameter}: {what}"
                    yield Case(
                        name, partial(run, cls, **{parameter: make}), errors_of(what)
                    )
            for what, value in LARGE.get(parameter, {}).items():
                run = partial(
                    fit_params,
                    cls,
                    callbacks=[Stop()],
                    **{parameter: partial(_same, value)},
                )
                yield Case(f"{cls.__name__}, fit, {parameter}: {what}", run)


def _of_pipelines() -> Iterator[Case]:
    for cls in ESTIMATORS:
        for parameter in cls().get_params():
            for what in ("NaN", "empty text", "object", "list of None"):
                run = partial(fit_in_pipeline, cls, **{parameter: PARAMETERS[what]})
                yield Case(f"{cls.__name__} in pipelines, {parameter}: {what}", run)


def _same(value: Any) -> Any:
    return value


def _of_callables() -> Iterator[Case]:
    for cls in (HillClimbPerceptron, HillClimbMLP):
        for what, make in OBJECTIVES.items():
            for weight in (None, np.ones(N)):
                run = partial(fit_params, cls, objective=make, weight=weight)
                suffix = "" if weight is None else ", with weights"
                yield Case(f"{cls.__name__}, objective {what}{suffix}", run)
    for cls in ESTIMATORS:
        for hook in HOOKS:
            for what, act in ACTS.items():
                for method in ("fit", "partial_fit"):
                    run = partial(
                        fit_params, cls, method, callbacks=[BadCallback(hook, act)]
                    )
                    name = f"{cls.__name__}.{method}, callback {what} in {hook}"
                    yield Case(name, run, (*DOCUMENTED, CallbackError))
        for what, make in PARAMETERS.items():
            run = partial(_set_callbacks, cls, make)
            yield Case(f"{cls.__name__}.set_callbacks({what})", run)


def _set_callbacks(cls: type, make: Callable[[], Any]) -> Any:
    return computed(new(cls).set_callbacks(make()).fit(X, y))


def _raises_nothing(call, *args, **options):
    """Call a function whose result is none of our business."""
    result = call(*args, **options)
    if hasattr(result, "__enter__"):
        with result:
            pass


def tracked_search():
    return GridSearchCV(new(HillClimbPerceptron), {"step_size": [0.1, 0.2]}, cv=2)


def searched():
    return tracked_search().fit(X, y)


def with_results(**changes):
    """A search whose results somebody has changed."""
    search = searched()
    search.cv_results_ = {**search.cv_results_, **changes}
    return search


SEARCHES: dict[str, Callable[[], Any]] = {
    "that is not fitted": tracked_search,
    "without results": lambda: with_results(mean_test_score=None),
    "with results of one kind": lambda: with_results(params=[]),
    "with NaN results": lambda: with_results(mean_test_score=np.full(2, np.nan)),
    "with infinite results": lambda: with_results(mean_test_score=np.full(2, np.inf)),
    "with results of another length": lambda: with_results(mean_test_score=np.ones(7)),
    "with texts for results": lambda: with_results(mean_test_score=["a", "b"]),
    "with no parameters": lambda: with_results(params=[{}, {}]),
    "with unhashable parameters": lambda: with_results(
        params=[{"step_size": [1]}, {"step_size": {}}]
    ),
    "with parameters of several types": lambda: with_results(
        params=[{"step_size": 1}, {"step_size": "a"}]
    ),
    "with a NaN parameter": lambda: with_results(
        params=[{"step_size": math.nan}, {"step_size": 1.0}]
    ),
    "with a huge parameter": lambda: with_results(
        params=[{"step_size": 10**400}, {"step_size": 1.0}]
    ),
    "with a long parameter": lambda: with_results(
        params=[{"step_size": "a" * 10**6}, {"step_size": "b"}]
    ),
}


def _displays() -> Iterator[tuple[str, Callable[..., Any], str]]:
    from skperceptron.plotting import (
        ActivationDisplay,
        LossCurveDisplay,
        SearchHeatmapDisplay,
    )

    search = searched()
    draw = SearchHeatmapDisplay.from_search
    yield "LossCurveDisplay", LossCurveDisplay.from_estimator, "estimator"
    curve = partial(LossCurveDisplay.from_estimator, fitted(BackpropMLP))
    yield "LossCurveDisplay", curve, "name"
    yield "LossCurveDisplay", curve, "ax"
    yield "SearchHeatmapDisplay", draw, "search"
    for option in ("x", "y", "reduce", "split", "scoring", "ax"):
        yield "SearchHeatmapDisplay", partial(draw, search), option
    for display in (
        LossCurveDisplay.from_estimator(fitted(BackpropMLP)),
        draw(search),
        ActivationDisplay.from_names(["relu"]),
    ):
        yield f"{type(display).__name__}.plot", display.plot, "ax"
    plt.close("all")
    yield "ActivationDisplay", ActivationDisplay.from_names, "names"
    for option in ("derivative", "limits", "ax"):
        draw = partial(ActivationDisplay.from_names, ["relu"])
        yield "ActivationDisplay", draw, option


def _functions() -> Iterator[tuple[str, Callable[..., Any], str]]:
    import optuna

    from skperceptron.plotting import influence
    from skperceptron.tracking import MLflowTracker, flush, track_study
    from skperceptron.tuning import (
        PruningCallback,
        param_distributions,
        suggest_params,
    )

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    yield "param_distributions", param_distributions, "estimator"
    ask_one = partial(suggest_params, estimator=BackpropMLP())
    yield "suggest_params", ask_one, "trial"
    yield "suggest_params", partial(suggest_params, study.ask()), "estimator"
    yield "PruningCallback", PruningCallback, "trial"
    yield "PruningCallback", partial(PruningCallback, study.ask()), "monitor"
    yield "track_study", track_study, "study"
    for option in ("experiment_name", "tracking_uri", "run_name", "tags"):
        yield "track_study", partial(track_study, study), option
    for option in inspect.signature(MLflowTracker).parameters:
        yield "MLflowTracker", MLflowTracker, option
    yield "flush", flush, "timeout"
    yield "influence", influence, "cv_results"
    results = {"params": [{"a": 1}, {"a": 2}], "mean_test_score": [0.5, 0.9]}
    yield "influence", partial(influence, results), "scorer"
    for option in ("tracking", "log_models", "log_input_examples"):
        yield "set_config", _set_config_and_back, option
        yield "config_context", skperceptron.config_context, option
    for cls in ESTIMATORS:
        yield f"{cls.__name__}.set_params", new(cls).set_params, "no_such_parameter"
        yield f"{cls.__name__}.set_params", new(cls).set_params, "tol__nested"
        yield f"{cls.__name__}.set_callbacks", new(cls).set_callbacks, ""
        for method in ("fit", "partial_fit", "score"):
            name = f"set_{method}_request"
            request = partial(_request, new(cls), name)
            yield f"{cls.__name__}.{name}", request, "sample_weight"


def _request(clf, name, **requests):
    with sklearn.config_context(enable_metadata_routing=True):
        getattr(clf, name)(**requests).get_metadata_routing()


def _set_config_and_back(**switches):
    with skperceptron.config_context():
        before = dict(_config._process_wide)
        try:
            skperceptron.set_config(**switches)
        finally:
            _config._process_wide.clear()
            _config._process_wide.update(before)


def _of_functions() -> Iterator[Case]:
    for name, call, option in (*_displays(), *_functions()):
        for what, make in PARAMETERS.items():
            run = partial(_call, call, option, make)
            yield Case(f"{name}({option}={what})", run, errors_of(what))
    from skperceptron.plotting import SearchHeatmapDisplay

    for what, make in SEARCHES.items():
        for option in ({}, {"x": "step_size"}, {"reduce": "mean"}):
            run = partial(_draw, SearchHeatmapDisplay.from_search, make, option)
            yield Case(f"SearchHeatmapDisplay of a search {what}, {option}", run)


def _draw(draw, make, option):
    try:
        draw(make(), **option)
    finally:
        plt.close("all")


def _call(call, option, make):
    try:
        _raises_nothing(
            call, *([] if option else [make()]), **({option: make()} if option else {})
        )
    finally:
        plt.close("all")


def _of_tracked_fits() -> Iterator[Case]:
    yield from _of_trackers()
    for option, table, fit in (
        ("X", SAMPLES, partial(fit_samples, HillClimbMLP, "fit")),
        ("y", LABELS, partial(fit_labels, HillClimbMLP)),
        (
            "class_weight",
            CLASS_WEIGHTS,
            lambda make: fit_params(HillClimbMLP, class_weight=make),
        ),
        (
            "objective",
            OBJECTIVES,
            lambda make: fit_params(HillClimbMLP, objective=make),
        ),
    ):
        for what, make in table.items():
            run = partial(_tracked, fit, make)
            yield Case(f"tracked fit({option}={what})", run, errors_of(what))


def _of_trackers() -> Iterator[Case]:
    from skperceptron.tracking import MLflowTracker

    for option in inspect.signature(MLflowTracker).parameters:
        for what, make in PARAMETERS.items():
            if option != "tracking_uri":  # what is text leads to another store
                run = partial(_fit_with_tracker, MLflowTracker, option, make)
                name = f"fit with MLflowTracker({option}={what})"
                yield Case(name, run, errors_of(what))


def _fit_with_tracker(tracker, option, make):
    clf = new(HillClimbPerceptron).set_callbacks(tracker(**{option: make()}))
    return computed(clf.fit(X, y))


def _tracked(fit, make):
    with skperceptron.config_context(tracking=True, log_models="all"):
        return fit(make)


GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    "samples": _of_samples,
    "labels and weights": _of_labels_and_weights,
    "parameters": _of_parameters,
    "pipelines": _of_pipelines,
    "callables": _of_callables,
    "functions": _of_functions,
    "tracked fits": _of_tracked_fits,
}


def cases(*groups: str) -> list[Case]:
    """Some groups of the table, or all of it."""
    return [case for group in groups or GROUPS for case in GROUPS[group]()]
