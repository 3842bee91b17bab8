"""Exponentials and activations in loops that compilers vectorise.

Arrays are passed whole, with the row and the place where to begin: a slice made inside
compiled code costs as much as a hundred values. Places are unsigned, which tells the
compiler that none counts from the end.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from skperceptron.optim.kernels._compile import (
    COMPILE,
    COMPILE_PRIVATE,
    VECTORIZE,
    VECTORIZE_PRIVATE,
    njit,
)

# Loops over rows run over a multiple of this many values, so that they need no slow
# last part.
_LANES = 32

# Codes under which the kernels know the activations.
ACTIVATION_CODES = {
    name: code
    for code, name in enumerate(
        (
            "identity",
            "logistic",
            "tanh",
            "relu",
            "leaky_relu",
            "elu",
            "softplus",
            "silu",
            "gelu",
            "step",
            "sign",
        )
    )
}
LEAKY_RELU_SLOPE = 0.01
SQRT_HALF = math.sqrt(0.5)


def padded(n_samples: int) -> int:
    """Length of a row with room for a number of samples.

    What loops compute behind the last sample is finite and never read.
    """
    return -(-n_samples // _LANES) * _LANES


@intrinsic
def _reinterpret(typing_context, x):
    """See the bits of a floating-point number as an integer of its size, or back."""
    twins = {
        types.float32: (types.int32, ir.IntType(32)),
        types.float64: (types.int64, ir.IntType(64)),
        types.int32: (types.float32, ir.FloatType()),
        types.int64: (types.float64, ir.DoubleType()),
    }
    numba_type, llvm_type = twins[x]

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], llvm_type)

    return numba_type(x), generate


def exp(v):
    """Compute ``exp(v)`` to the last bit or two, in a form that can be vectorised.

    Arguments beyond which the result would not be a normal number are cut; NaN stays
    NaN. This is how it is done in Python; what is compiled stands below.
    """
    low, high = (-87, 88) if isinstance(v, np.float32) else (-708, 709)
    return np.exp(np.clip(v, low, high))


# exp(v) = 2**k * exp(r) with k an integer and |r| <= log(2) / 2. Adding 1.5 * 2**52
# (1.5 * 2**23 for float32) rounds to an integer, left in the lowest bits; log(2)
# is subtracted in two parts, the first of which has few digits.


@njit(**VECTORIZE_PRIVATE)
def _exp_64(v):
    v = -708.0 if v < -708.0 else v
    v = 709.0 if v > 709.0 else v
    t = v * 1.4426950408889634 + 6755399441055744.0
    k = t - 6755399441055744.0
    r = (v - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
    # Taylor's series; the next term is below 2e-16.
    p = 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return _reinterpret(_reinterpret(p) + (_reinterpret(t) << 52))


@njit(**VECTORIZE_PRIVATE)
def _exp_32(v):
    f = np.float32  # a plain number would make the arithmetic float64
    v = f(-87.0) if v < f(-87.0) else v
    v = f(88.0) if v > f(88.0) else v
    t = v * f(1.4426950408889634) + f(12582912.0)
    k = t - f(12582912.0)
    r = (v - k * f(0.693359375)) - k * f(-2.12194440e-4)
    # The polynomial of the Cephes library.
    p = f(1.9875691500e-4)
    p = p * r + f(1.3981999507e-3)
    p = p * r + f(8.3334519073e-3)
    p = p * r + f(4.1665795894e-2)
    p = p * r + f(1.6666665459e-1)
    p = p * r + f(5.0000001201e-1)
    p = p * r + f(1.0)
    p = p * r + f(1.0)
    return _reinterpret(np.int32(_reinterpret(p) + (_reinterpret(t) << np.int32(23))))


@overload(exp)
def _exp_for_type(v):
    kernel = _exp_32 if v == types.float32 else _exp_64
    return lambda v: kernel(v)


def reciprocal(v):
    """Compute ``1 / v`` to the last bit or two, of a positive normal number.

    For use in compiled code, beside square roots: processors have one unit for roots
    and divisions, and it takes much longer than multiplications do meanwhile.
    """
    return 1 / v


@njit(**VECTORIZE_PRIVATE)
def _reciprocal_64(v):
    # The exponent changes its sign when the bits are subtracted, which leaves a
    # relative error e of up to 0.12. Newton's method squares it: 1 / v = y / (1 - e),
    # and y (1 + e) is wrong by e**2, y (1 + e + e**2) by e**3.
    y = _reinterpret(0x7FDE6238DA3C2118 - _reinterpret(v))
    e = 1.0 - v * y
    y += y * (e + e * e)
    e = 1.0 - v * y
    y += y * (e + e * e)
    e = 1.0 - v * y
    return y + y * e


@njit(**VECTORIZE_PRIVATE)
def _reciprocal_32(v):
    return np.float32(1) / v


@overload(reciprocal)
def _reciprocal_for_type(v):
    kernel = _reciprocal_32 if v == types.float32 else _reciprocal_64
    return lambda v: kernel(v)


def rough_log2(v):
    """Compute ``log2(v)`` to 0.09, so that it is never larger for a smaller `v`.

    For 0 it is below -1000. This is how it is done in Python.
    """
    fraction, exponent = math.frexp(v)
    return exponent + 2.0 * fraction - 2.0 if v > 0 else -1023.0


@njit(**VECTORIZE_PRIVATE)
def _rough_log2_64(v):
    # The bits are the exponent, followed by the digits.
    return _reinterpret(v) * 2.0**-52 - 1023.0


@overload(rough_log2)
def _rough_log2_for_type(v):
    return lambda v: _rough_log2_64(v)


@njit(**VECTORIZE)
def activate(code, z, z_row, out, out_row):
    """Apply an activation to a row of sums.

    Parameters
    ----------
    code : int
        A value of `ACTIVATION_CODES`.

    z, z_row : ndarray of shape (n_rows, n), and int
        Array of the sums, and which row of it.

    out, out_row : ndarray of shape (m_rows, n), and int
        Where the outputs go.
    """
    i, k, n = np.uint64(z_row), np.uint64(out_row), np.uint64(z.shape[1])
    zero, one = z.dtype.type(0), z.dtype.type(1)
    slope = z.dtype.type(LEAKY_RELU_SLOPE)
    if code == 1:  # logistic
        for j in range(n):
            out[k, j] = one / (one + exp(-z[i, j]))
    elif code == 2:
        for j in range(n):
            out[k, j] = _tanh(z[i, j])
    elif code == 3:  # relu
        for j in range(n):
            out[k, j] = zero if z[i, j] < zero else z[i, j]
    elif code == 4:  # leaky_relu
        for j in range(n):
            out[k, j] = slope * z[i, j] if z[i, j] < zero else z[i, j]
    elif code == 7:  # silu
        for j in range(n):
            out[k, j] = z[i, j] / (one + exp(-z[i, j]))
    elif code == 9:  # step
        for j in range(n):
            out[k, j] = one if z[i, j] >= zero else zero
    elif code == 10:  # sign
        for j in range(n):
            negative = -one if z[i, j] < zero else zero
            out[k, j] = one if z[i, j] > zero else negative
    else:
        for j in range(n):
            out[k, j] = activate_one(code, z[i, j])


@njit(**VECTORIZE_PRIVATE)
def _tanh(v):
    one, two = type(v)(1), type(v)(2)
    e = exp(-two * abs(v))
    quotient = (one - e) / (one + e)
    quotient = -quotient if v < type(v)(0) else quotient
    # Near zero the quotient would cancel; the series' next term is v**9 / 46.
    v2 = v * v
    series = type(v)(2 / 15) - v2 * type(v)(17 / 315)
    series = v * (one - v2 * (type(v)(1 / 3) - v2 * series))
    return series if v2 < type(v)(1e-4) else quotient


@njit(**COMPILE)
def activate_one(code, z):
    """Apply an activation to one sum."""
    if code == 1:  # logistic
        return 1.0 / (1.0 + exp(-z))
    if code == 2:
        return _tanh(z)
    if code == 3:  # relu
        return 0.0 if z < 0 else z
    if code == 4:  # leaky_relu
        return LEAKY_RELU_SLOPE * z if z < 0 else z
    if code == 5:  # elu
        return z if z > 0 else math.expm1(z)
    if code == 6:  # softplus
        return max(z, 0.0) + math.log1p(math.exp(-abs(z)))
    if code == 7:  # silu
        return z / (1.0 + exp(-z))
    if code == 8:  # gelu
        return z * 0.5 * (1.0 + math.erf(z * SQRT_HALF))
    if code == 9:  # step
        return 1.0 if z >= 0 else 0.0
    if code == 10:  # sign
        return 1.0 if z > 0 else (-1.0 if z < 0 else 0.0)
    return z  # identity


@njit(**VECTORIZE)
def all_finite(x, row):
    """Tell whether no value of a row is NaN or infinite."""
    # Counting, unlike leaving at the first one, is done for many values at a time.
    n_finite = 0
    i = np.uint64(row)
    for j in range(np.uint64(x.shape[1])):
        n_finite += abs(x[i, j]) < np.inf
    return n_finite == x.shape[1]


@njit(**VECTORIZE)
def add_number(x, row, number):
    """Add a number to a row."""
    i = np.uint64(row)
    for j in range(np.uint64(x.shape[1])):
        x[i, j] += number


@njit(**VECTORIZE)
def copy_row(source, i, target, k):
    """Copy a row of one array to a row of another."""
    p, q = np.uint64(i), np.uint64(k)
    for j in range(np.uint64(source.shape[1])):
        target[q, j] = source[p, j]


@njit(**COMPILE_PRIVATE)
def copy_into(source, target, n):
    """Copy the first values of an array to the beginning of another one.

    In a loop: with slices, numba would take seconds to compile what is raised where
    they do not fit.
    """
    for q in range(n):
        target[q] = source[q]


@njit(**COMPILE)
def scatter(source, target, first, columns):
    """Copy rows to given columns of other rows.

    Parameters
    ----------
    source : ndarray of shape (n_rows, n)
    target, first : ndarray of shape (m_rows, m), and int
        Where they go, and the row where the first of them goes.

    columns : ndarray of int of shape (n,)
        Column of each value there.
    """
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            target[first + i, columns[j]] = source[i, j]
