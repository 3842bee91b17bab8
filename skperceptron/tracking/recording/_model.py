"""From a fitted estimator to a model in a folder, without pickle."""

from __future__ import annotations

import copy
import os
import shutil
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from scipy.sparse import issparse

from skperceptron._functions import import_path, name_of
from skperceptron._version import __version__
from skperceptron.tracking import pyfunc
from skperceptron.tracking.delivery._mlflow_import import import_mlflow
from skperceptron.tracking.delivery._models import (
    DESCRIPTION_FILE,
    HARMLESS_TYPES,
    MODEL_FILE,
    OURS,
    read_description,
    trust,
    write_description,
)
from skperceptron.tracking.recording._attributes import (
    DESTINATION_ATTRIBUTE,
    RUN_ATTRIBUTE,
    TICKET_ATTRIBUTE,
)
from skperceptron.tracking.recording._descriptions import param_value
from skperceptron.tracking.recording._sklearn_internals import (
    ATTRIBUTES_NOT_LEARNED,
    safe_indexing,
)

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

# At most this many rows are the input example, fewer where they have very many
# columns, ...
_EXAMPLE_ROWS = 5
_EXAMPLE_CELLS = 10_000
# ... and this many tell the types of a dataframe's columns.
_SIGNATURE_ROWS = 100
# Attributes that begin like this are about fits: callbacks, routing, runs.
_LEFT_OUT = (
    *ATTRIBUTES_NOT_LEARNED,
    RUN_ATTRIBUTE,
    TICKET_ATTRIBUTE,
    DESTINATION_ATTRIBUTE,
)
# Lists of fewer numbers may stay as they are.
_SHORT = 10


class UntrustedTypesError(ValueError):
    """A model has parts of types that skops stores only for those who trust them.

    Parameters
    ----------
    types : list of str
        Their qualified names.

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


class PackedList(list):
    """A list of numbers, or of vectors of one length, in the form that skops stores.

    skops stores lists element by element, which takes 40 µs each, and curves are long.
    This list has one element, the array of all. What skops makes of it is a plain list
    again.

    Parameters
    ----------
    content : list of one ndarray
        The elements, as skops gives them back.
    """

    # Called by skops, which does not mind that this is no instance of the class.
    def __new__(cls, content: list[np.ndarray]) -> list[Any]:  # type: ignore[misc]
        """Unpack."""
        (array,) = content
        return array.tolist() if array.ndim == 1 else list(array)

    @classmethod
    def pack(cls, values: list[Any]) -> list[Any]:
        """Pack.

        Parameters
        ----------
        values : list
            Any list.

        Returns
        -------
        list
            The list itself where it cannot be packed, or need not.
        """
        if len(values) < _SHORT:
            return values
        are_vectors = all(isinstance(v, np.ndarray) and v.ndim == 1 for v in values)
        if are_vectors and len({(v.shape, v.dtype) for v in values}) > 1:
            return values
        if not are_vectors and not all(isinstance(v, float) for v in values):
            return values
        packed = list.__new__(cls)
        packed.append(np.array(values))
        return packed


# Threads save one after the other: the filters of warnings are those of the process,
# and up to Python 3.11.7 two threads cannot parse at once (python/cpython#106905), as
# NumPy does when MLflow checks what was written. A model that fits another one while it
# predicts the example comes back here in its own thread.
_saving = threading.RLock()


def _renew_lock() -> None:
    """In a forked child: the thread that had it is the parent's."""
    global _saving
    _saving = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def save_model(
    estimator: Any,
    X: Any,
    folder: str | Path,
    *,
    trusted_types: Iterable[str] = (),
    with_example: bool = True,
) -> None:
    """Write a model that predicts as an estimator does, as MLflow stores models.

    Where there is a classifier of ours in it, MLflow's ``pyfunc`` predicts what each
    call asks for, labels or probabilities: see `skperceptron.tracking.pyfunc`.

    What is written is a stripped copy: it has no callbacks, and functions and scorers
    that were maximised are only named. It can be trained further with ``partial_fit``
    where its objective has a name. Functions that are activations are stored as what to
    import, and trusted, since the estimator has called them.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier of ours, or any other fitted estimator. It is not changed.

    X : array-like, dataframe or sparse matrix of shape (n_samples, n_features)
        What it was trained on. A few rows become the input example; sparse ones are
        made dense.

    folder : path
        Where to write: a folder that is empty or does not exist.

    trusted_types : iterable of str, default=()
        Qualified names of the types that may be stored, beyond our own and those that
        skops trusts.

    with_example : bool, default=True
        Whether the input example is stored. Without it, no row of `X` is.

    Raises
    ------
    FileExistsError
        When there is something in the folder.

    UntrustedTypesError
        When the model has parts of other types. Nothing is left in the folder.

    ValueError
        When an activation is a function that cannot be imported by name.

    mlflow.exceptions.MlflowException
        When it has parts that cannot be stored at all. Nothing is left in the folder.
    """
    import_mlflow()
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    stripper = _Stripper()
    model = stripper.strip(estimator)
    rows = _rows(X)
    named = [*sorted(stripper.activations), *trusted_types]
    trusted = [*sorted(stripper.own_types), *HARMLESS_TYPES, *named]
    for name in named:
        trust(name)
    try:
        with _saving, _without_hints():
            _save(
                model,
                folder,
                trusted,
                pip_requirements=_requirements(with_ours=stripper.has_ours),
                signature=_signature(model, rows, has_params=stripper.has_ours),
                input_example=_example(rows) if with_example else None,
            )
            if stripper.has_ours:
                _let_us_load(folder)
    except Exception as error:
        untrusted = _untrusted_types(folder / MODEL_FILE, trusted)
        shutil.rmtree(folder, ignore_errors=True)
        if untrusted:
            raise UntrustedTypesError(untrusted) from error
        raise


def _save(model: Any, folder: Path, trusted: list[str], **options: Any) -> None:
    import mlflow.sklearn

    mlflow.sklearn.save_model(
        model,
        str(folder),
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        skops_trusted_types=trusted,
        **options,
    )


def _let_us_load(folder: Path) -> None:
    """Let our own module load what was saved, where MLflow's ``pyfunc`` can at all."""
    description = read_description(folder / DESCRIPTION_FILE)
    if (flavor := description.flavors.get("python_function")) is not None:
        flavor["loader_module"] = pyfunc.__name__
        write_description(description, folder)


@contextmanager
def _without_hints() -> Iterator[None]:
    """Keep to ourselves what MLflow says where users can do nothing about it."""
    with warnings.catch_warnings():
        # Integers cannot be missing: who trains on integers knows.
        warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer")
        # Of MLflow's own types, while it is imported.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType")
        yield


class _Stripper:
    """Copies the parts of an estimator that must not be stored as they are.

    Attributes
    ----------
    own_types : set of str
        Qualified names of the classes of this package that were met.

    activations : set of str
        Qualified names of the users' functions that are activations.

    has_ours : bool
        Whether an estimator of this package, or of a class derived from one, was met.
    """

    def __init__(self) -> None:
        self.own_types: set[str] = set()
        self.activations: set[str] = set()
        self.has_ours = False
        self._stripped: dict[int, Any] = {}

    def strip(self, value: Any) -> Any:
        """Strip a value and all that is in it.

        Parameters
        ----------
        value : object
            An estimator or a part of one.

        Returns
        -------
        object
            The value itself where there is nothing to strip; else a copy that shares
            what is not stripped.
        """
        if isinstance(value, list | tuple | dict):
            strip = self._strip_container
        elif _is_open(value):
            strip = self._strip_object
        else:
            return value
        # A part that is met twice stays one. Entered before it is known, because it may
        # contain itself.
        if id(value) not in self._stripped:
            self._stripped[id(value)] = value
            self._stripped[id(value)] = strip(value)
        return self._stripped[id(value)]

    def _strip_container(self, value: Any) -> Any:
        before = list(value.values() if isinstance(value, dict) else value)
        after = [self.strip(part) for part in before]
        if all(new is old for new, old in zip(after, before, strict=True)):
            return value
        if isinstance(value, dict):
            stripped = copy.copy(value)
            stripped.update(zip(value, after, strict=True))
            return stripped
        is_named = hasattr(value, "_fields")
        return type(value)(*after) if is_named else type(value)(after)

    def _strip_object(self, value: Any) -> Any:
        cls = type(value)
        self._note(cls)
        before = vars(value)
        after = {k: v for k, v in before.items() if not k.startswith(_LEFT_OUT)}
        if any(map(_is_ours, cls.__mro__)):
            self.has_ours = True
            after = {key: self._simplify(key, part) for key, part in after.items()}
        after = {key: self.strip(part) for key, part in after.items()}
        if len(after) == len(before) and all(after[k] is before[k] for k in after):
            return value
        stripped = copy.copy(value)
        vars(stripped).clear()
        vars(stripped).update(after)
        return stripped

    def _simplify(self, key: str, value: Any) -> Any:
        """Turn an attribute of a class of ours into what skops takes, and quickly."""
        if key == "objective" and callable(value):
            return param_value(value)
        if key == "activation" and callable(value):
            return self._import_of(value)
        if key in ("activation", "activations") and isinstance(value, list | tuple):
            parts = [self._import_of(v) if callable(v) else v for v in value]
            return type(value)(parts)
        if key == "class_weight" and isinstance(value, dict):
            # skops makes True of False; 0 and 1 are the same keys as False and True.
            # It stores no fractions, and training takes the nearest float as well.
            return {
                int(k) if isinstance(k, bool | np.bool_) else k: (
                    float(v) if isinstance(v, Fraction) else v
                )
                for k, v in value.items()
            }
        if type(value) is list:
            value = PackedList.pack(value)
            self._note(type(value))
        return value

    def _import_of(self, activation: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Put a function in the place of one that skops stores as what to import.

        skops does so with plain functions, but not with what numba compiles.
        """
        path = import_path(activation)
        if path is None:
            raise ValueError(
                f"the activation {name_of(activation)} cannot be imported by name when "
                "the model is loaded. Define it at the top level of a module, not in a "
                "script, a notebook, a class or another function"
            )
        self.activations.add(".".join(path))

        def stand_in(z: Any) -> Any:
            return activation(z)

        stand_in.__module__, stand_in.__name__ = path
        return stand_in

    def _note(self, cls: type) -> None:
        if _is_ours(cls):
            self.own_types.add(f"{cls.__module__}.{cls.__qualname__}")


def _is_open(value: Any) -> bool:
    """Tell whether a value may hold estimators in its attributes."""
    if not hasattr(value, "__dict__"):
        return False
    cls = type(value)
    # scikit-learn's meta-estimators keep some estimators in helpers of theirs.
    return hasattr(cls, "get_params") or _package(cls) in ("sklearn", OURS)


def _is_ours(cls: type) -> bool:
    return _package(cls) == OURS


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _requirements(*, with_ours: bool) -> list[str]:
    import mlflow
    import skops

    versions = {
        "mlflow": mlflow.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "skops": skops.__version__,
    }
    if with_ours:
        versions[OURS] = __version__
    return [f"{name}=={version}" for name, version in versions.items()]


def _untrusted_types(file: Path, trusted: list[str]) -> list[str]:
    """List the types for which MLflow has refused a file."""
    import skops.io

    if not file.exists():
        return []
    types = skops.io.get_untrusted_types(file=file)
    return [name for name in types if name not in trusted]


# What is said of the input


def _rows(X: Any) -> Any:
    """Take some rows from the beginning, texts as an array."""
    if issparse(X):
        return X.tocsr()[:_SIGNATURE_ROWS]
    if not hasattr(X, "__getitem__"):  # it can only be made an array
        X = np.asarray(X)
    rows = safe_indexing(X, slice(_SIGNATURE_ROWS))
    is_table = len(getattr(rows, "shape", ())) > 1
    return rows if is_table else np.asarray(list(rows))


def _example(rows: Any) -> Any:
    """Make an input example of a form that MLflow stores: a few rows."""
    n_columns = rows.shape[1] if len(rows.shape) > 1 else 1
    few = rows[: min(_EXAMPLE_ROWS, max(1, _EXAMPLE_CELLS // n_columns))]
    if issparse(few):
        return few.toarray()
    return few if hasattr(few, "iloc") else np.asarray(few)


def _signature(model: Any, rows: Any, *, has_params: bool) -> ModelSignature:
    """Infer what goes into and comes out of a model."""
    from mlflow.models import infer_signature

    outputs = params = None
    if hasattr(model, "predict"):
        outputs = model.predict(rows[:1])
        if has_params:
            params = {pyfunc.METHOD_PARAM: pyfunc.METHODS[0]}
    # MLflow does not know sparse arrays, only matrices.
    return infer_signature(_example(rows) if issparse(rows) else rows, outputs, params)
