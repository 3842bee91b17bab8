"""Checks beyond scikit-learn's own: of what would bring down the process.

scipy and compiled code follow the indices of a sparse matrix wherever they lead, and
the memory for a network is taken before anybody asks whether there is as much.
"""

from __future__ import annotations

import copy
import math
import os
from numbers import Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

# Copies of the parameters that training needs at the least: the present ones, the next
# ones, and what leads from these to those.
_COPIES = 3
# Bytes that a climb needs beside its parameters.
_BYTES_PER_CLIMB = 4096


def validate(estimator: Any, *data: Any, **options: Any) -> Any:
    """Check samples, and labels if there are any, as `validate_data` does.

    Parameters
    ----------
    estimator : estimator
        Whose data they are.

    *data : array-like
        The samples, and perhaps the labels.

    **options
        Options of `sklearn.utils.validation.validate_data`.

    Returns
    -------
    ndarray or CSR matrix of float32 or float64, or a tuple of it and the labels
        What is checked.

    Raises
    ------
    ValueError
        Where they cannot be used: also for numbers that no float can be, and indices of
        sparse matrices that lead out of them.
    """
    for part in data:
        _check_indices(part)
    try:
        checked = validate_data(
            estimator,
            *data,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            **options,
        )
    except OverflowError as error:
        raise ValueError(
            f"The data must be numbers that are within the range of float64: {error}."
        ) from error
    for part in checked if isinstance(checked, tuple) else (checked,):
        _check_indices(part)  # those of formats that were only now made one of these
    return checked


def validate_samples(estimator: Any, X: Any) -> Any:
    """Check samples that a fitted estimator is to predict, as `validate` does.

    Parameters
    ----------
    estimator : estimator
        Whose input they are.

    X : array-like
        The samples.

    Returns
    -------
    ndarray or CSR matrix of float32 or float64

    Raises
    ------
    ValueError
        Where they cannot be used.
    """
    # A server predicts one row at a time, and `validate_data` takes longer for it than
    # the network does.
    if (
        type(X) is np.ndarray
        and X.dtype in (np.float64, np.float32)
        and X.ndim == 2
        and len(X) > 0
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
        and np.isfinite(X).all()
    ):
        return X
    return validate(estimator, X, reset=False)


def as_precise_as(other: Any, X: Any) -> Any:
    """Give numbers the precision of other ones.

    Parameters
    ----------
    other, X : ndarray or CSR matrix
        Samples, or what they are to be.

    Returns
    -------
    ndarray or CSR matrix
        `X`, in the dtype of `other`.

    Raises
    ------
    ValueError
        When it has numbers beyond the range of that.
    """
    with np.errstate(over="ignore"):
        X = X.astype(other.dtype, copy=False)
    assert_all_finite(X)
    return X


def _check_indices(matrix: Any) -> None:
    """Refuse a sparse matrix with indices beyond its shape."""
    if not issparse(matrix):
        return
    if matrix.format == "coo":
        for index, size in zip(matrix.coords, matrix.shape, strict=True):
            if len(index) and not 0 <= index.min() <= index.max() < size:
                raise ValueError(
                    "A sparse matrix has indices beyond its shape "
                    f"{matrix.shape}: they must be at least 0 and below {size}, got "
                    f"{index.min()} to {index.max()}."
                )
    elif matrix.format in ("csr", "csc", "bsr"):
        try:
            # Of a copy, because the check also tidies up; it shares all arrays.
            copy.copy(matrix).check_format(full_check=True)
        except (ValueError, IndexError) as error:
            raise ValueError(
                f"A sparse matrix of shape {matrix.shape} is damaged: {error}."
            ) from error


def check_range_of_numbers(estimator: Any) -> None:
    """Refuse integers among the parameters that are beyond what a float can be."""
    for name, value in estimator.get_params(deep=False).items():
        if isinstance(value, Real) and not fits_float(value):
            raise ValueError(
                f"The {name!r} parameter of {type(estimator).__name__} must be within "
                "the range of float64; its value is an integer of more than 300 digits."
            )


def fits_float(value: Real) -> bool:
    """Tell whether a number is within the range of float64, infinity included."""
    try:
        float(value)
    except OverflowError:
        return False
    return True


def is_finite(value: Any) -> bool:
    """Tell whether a value is a finite number that a float can be."""
    return isinstance(value, Real) and fits_float(value) and math.isfinite(value)


def check_memory(
    n_params: int, itemsize: int, n_climbs: int = 1, n_combined: int = 0
) -> None:
    """Refuse a network, or a number of them, larger than the memory of the machine.

    Parameters
    ----------
    n_params : int
        Parameters of the network.

    itemsize : int
        Bytes of each.

    n_climbs : int, default=1
        How many such networks are trained side by side.

    n_combined : int, default=0
        Parameters of the network that is made of them, if they are combined.

    Raises
    ------
    ValueError
        When it can never be trained here.
    """
    if not hasattr(os, "sysconf"):  # on Windows
        return
    needed = n_climbs * (_COPIES * n_params * itemsize + _BYTES_PER_CLIMB)
    needed += _COPIES * n_combined * itemsize
    present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > present:
        times = "" if n_climbs == 1 else f"{n_climbs} times "
        combined = f", combined to one of {n_combined}," if n_combined else ""
        raise ValueError(
            f"Training {times}a network of {n_params} parameters{combined} takes at "
            f"least {needed >> 30} GiB of memory, and this machine has {present >> 30} "
            "GiB. Choose smaller values of hidden_layer_sizes or n_restarts, or fewer "
            "features."
        )
