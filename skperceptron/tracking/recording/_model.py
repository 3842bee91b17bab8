"""Keeps a fitted estimator, without pickle, until it becomes a model in MLflow."""

from __future__ import annotations

import os
import platform
import shutil
import threading
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from scipy.sparse import issparse
from sklearn.base import is_classifier

from skperceptron._version import __version__
from skperceptron.tracking.journal._kept_model import (
    MODEL_FILE,
    ONNX_FILE,
    OURS,
    KeptModel,
)
from skperceptron.tracking.journal._values import Plain, as_plain
from skperceptron.tracking.recording._sklearn_internals import safe_indexing
from skperceptron.tracking.recording._specimens import specimen
from skperceptron.tracking.recording._stripper import Stripper
from skperceptron.tracking.recording._summaries import parts_of

# Plain data that skops does not trust. A SimpleImputer contains the first, a voting
# estimator the second.
HARMLESS_TYPES = ("numpy.dtype", "sklearn.utils._bunch.Bunch")
# The input example has at most this many rows, and fewer with very many columns.
_EXAMPLE_ROWS = 5
_EXAMPLE_CELLS = 10_000
# The types of a dataframe's columns are inferred from this many rows.
_SIGNATURE_ROWS = 100


class UntrustedTypesError(ValueError):
    """A model has parts of types that skops loads only if they are trusted.

    Attributes
    ----------
    types : list of str
        Their qualified names.
    """

    def __init__(self, types: list[str]) -> None:
        self.types = types
        super().__init__(
            f"The model has parts of types that skops does not trust: {types}. If "
            "loading them is safe, name them in the parameter skops_trusted_types of "
            "skperceptron.tracking.MLflowTracker. Lambdas and classes defined inside "
            "functions cannot be stored: define them at the top of a module."
        )

    def __reduce__(self) -> tuple[type, tuple[list[str]]]:
        return type(self), (self.types,)


# Up to Python 3.11.7, two threads cannot parse at once (python/cpython#106905), and
# NumPy parses when it reads arrays. Reentrant, because loading a model may run code of
# the user that logs another one.
_loading = threading.RLock()


def _renew_lock() -> None:
    """Make a new lock in a forked child, where the thread that held it is missing."""
    global _loading
    _loading = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def keep_model(
    estimator: Any,
    X: Any,
    folder: Path,
    *,
    trusted_types: Iterable[str] = (),
    with_example: bool = True,
) -> None:
    """Write a fitted estimator to a folder, from which delivery builds MLflow's model.

    What is written is a stripped copy: it has no callbacks, and only the names of
    functions and scorers that were maximised. It can be trained further with
    ``partial_fit`` if its objective has a name. Activation functions are stored by name
    and trusted, since the estimator has called them.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of ours, or any other. It is not changed.

    X : array-like, dataframe or sparse matrix of shape (n_samples, n_features)
        Its training data. A few rows become the input example; sparse ones are made
        dense.

    folder : Path
        Folder to write to, which must not exist.

    trusted_types : iterable of str, default=()
        Qualified names of the types that may be stored, beyond our own and those that
        skops trusts.

    with_example : bool, default=True
        Whether the input example is stored. Without it, no row of `X` is.

    Raises
    ------
    FileExistsError
        When the folder exists.

    UntrustedTypesError
        When the model has parts of other types. Nothing is written then.

    ValueError
        When an activation is a function that cannot be imported by name, or something
        else cannot be stored at all. Nothing is written then.
    """
    stripper = Stripper()
    model = stripper.strip(estimator)
    named = [*sorted(stripper.activations), *trusted_types]
    trusted = [*sorted(stripper.own_types), *HARMLESS_TYPES, *named]
    stored = _stored(model, trusted)
    rows = _rows(X)
    few = _few(rows)
    predicts = hasattr(model, "predict")
    kept = KeptModel(
        ", ".join(type(part).__name__ for part in parts_of(estimator)),
        trusted,
        _versions(with_ours=stripper.has_ours),
        platform.python_version(),
        predicts,
        inputs=specimen(few if issparse(rows) else rows),
        outputs=specimen(_dense(model.predict(rows[:1]))) if predicts else None,
        example=_example(few) if with_example else None,
    )
    folder.mkdir(parents=True)
    try:
        (folder / MODEL_FILE).write_bytes(stored)
        kept.write(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def keep_onnx(estimator: Any, X: Any, folder: Path) -> None:
    """Write the model that `keep_model` has written to a folder as ONNX, too.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of ours, or any other that skl2onnx knows.

    X : array-like, dataframe or sparse matrix of shape (n_samples, n_features)
        Its training data. The ONNX model takes the same types; each column of a
        dataframe is an input of its own.

    folder : Path
        The folder.

    Raises
    ------
    ImportError
        When skl2onnx is not installed.

    ValueError, RuntimeError
        When a part of the estimator has no counterpart in ONNX.
    """
    # Registers our converters. Imported here, because it imports the estimators, which
    # import this package.
    import_module(f"{OURS}.onnx")
    from skl2onnx import to_onnx

    options = {"zipmap": False} if is_classifier(estimator) else None
    model = to_onnx(estimator, _few(_rows(X))[:1], options=options)
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())


def _stored(model: Any, trusted: list[str]) -> bytes:
    """Store a model, and check that it can be loaded."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        stored = skops.io.dumps(model)
        with _loading:
            skops.io.loads(stored, trusted=trusted)
    except UntrustedTypesFoundException as error:
        found = skops.io.get_untrusted_types(data=stored)
        untrusted = [name for name in found if name not in trusted]
        raise UntrustedTypesError(untrusted) from error
    except Exception as error:  # any error of the user's classes
        raise ValueError(
            f"The model cannot be stored without pickle: {error}. Define what is in it "
            "at the top level of a module"
        ) from error
    return stored


def _versions(*, with_ours: bool) -> dict[str, str]:
    import skops

    versions = {
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "skops": skops.__version__,
    }
    return {**versions, OURS: __version__} if with_ours else versions


def _rows(X: Any) -> Any:
    """Return the first rows; rows that are no table, such as texts, as an array."""
    if issparse(X):
        return X.tocsr()[:_SIGNATURE_ROWS]
    if not hasattr(X, "__getitem__"):  # it can only be converted to an array
        X = np.asarray(X)
    rows = safe_indexing(X, slice(_SIGNATURE_ROWS))
    is_table = len(getattr(rows, "shape", ())) > 1
    return rows if is_table else np.asarray(list(rows))


def _few(rows: Any) -> Any:
    """Return the rows of the input example, in a form that MLflow knows."""
    n_columns = rows.shape[1] if len(rows.shape) > 1 else 1
    few = rows[: min(_EXAMPLE_ROWS, max(1, _EXAMPLE_CELLS // n_columns))]
    return few if hasattr(few, "iloc") else np.asarray(_dense(few))


def _dense(values: Any) -> Any:
    return values.toarray() if issparse(values) else values


def _example(few: Any) -> Plain:
    """Return the input example; None if it has values of other types."""
    with suppress(TypeError):
        return as_plain(few)
    return None
