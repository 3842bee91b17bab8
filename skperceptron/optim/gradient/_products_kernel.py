"""Products of matrices: BLAS, but for those with a single column."""

from __future__ import annotations

import numpy as np

from skperceptron.optim.kernels._compile import (
    COMPILE_PRIVATE,
    VECTORIZE_PRIVATE,
    VECTORIZE_SUM_PRIVATE,
    njit,
)

# For two classes a network has a single output unit, and for small mini-batches a call
# of BLAS takes longer than such a product.


@njit(**COMPILE_PRIVATE)
def multiply(a, b, out):
    """Compute ``a @ b``; all are contiguous."""
    if b.shape[1] == 1:
        _multiply_column(a, b, out)
    else:
        np.dot(a, b, out)


@njit(**COMPILE_PRIVATE)
def multiply_transposed(a, b, out):
    """Compute ``a.T @ b``; all are contiguous."""
    if b.shape[1] == 1:
        _multiply_transposed_column(a, b, out)
    else:
        np.dot(a.T, b, out)


@njit(**COMPILE_PRIVATE)
def multiply_by_transposed(a, b, out):
    """Compute ``a @ b.T``; all are contiguous."""
    if b.shape[1] == 1:
        _multiply_columns(a, b, out)
    else:
        np.dot(a, b.T, out)


@njit(**VECTORIZE_SUM_PRIVATE)
def _multiply_column(a, b, out):
    n = np.uint64(a.shape[1])
    for i in range(np.uint64(len(a))):
        total = a.dtype.type(0)
        for k in range(n):
            total += a[i, k] * b[k, 0]
        out[i, 0] = total


@njit(**VECTORIZE_PRIVATE)
def _multiply_transposed_column(a, b, out):
    out[:] = 0
    n = np.uint64(a.shape[1])
    for i in range(np.uint64(len(a))):
        for k in range(n):
            out[k, 0] += a[i, k] * b[i, 0]


@njit(**VECTORIZE_PRIVATE)
def _multiply_columns(a, b, out):
    n = np.uint64(len(b))
    for i in range(np.uint64(len(a))):
        for k in range(n):
            out[i, k] = a[i, 0] * b[k, 0]
