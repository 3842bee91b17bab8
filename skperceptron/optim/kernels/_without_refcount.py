"""Arrays that are seen without being counted."""

from __future__ import annotations

from numba import types
from numba.core import cgutils
from numba.np.arrayobj import make_array, populate_array

from skperceptron.optim.kernels._compile import intrinsic


def _part_as_matrix(array, start, n_rows, n_columns):
    part = array.reshape(-1)[start : start + n_rows * n_columns]
    return part.reshape(n_rows, n_columns)


@intrinsic(in_python=lambda value: value)
def without_refcount(typing_context, value):
    """See arrays, also those in tuples, without a reference to their owner.

    Compiled code counts the references to an array's memory, atomically and with each
    slice: for a small mini-batch that takes longer than its arithmetic. The arguments
    of a function live as long as it runs and need no counting.

    Parameters
    ----------
    value : array, number, or tuple of such
        What is used while its owner lives.

    Returns
    -------
    array, number, or tuple of such
        The same. Neither it nor slices of it may outlive the owner.
    """

    def generate(context, builder, signature, arguments):
        return _without_owner(context, builder, value, arguments[0])

    return value(value), generate


@intrinsic(in_python=_part_as_matrix)
def matrix(typing_context, array, start, n_rows, n_columns):
    """See a part of a contiguous array as a matrix, without counting the reference.

    It is ``array.ravel()[start : start + n_rows * n_columns].reshape(n_rows,
    n_columns)``, without the calls and the checks.

    Parameters
    ----------
    array : ndarray, C-contiguous
        Where the matrix lies, which must live as long as the matrix is used.

    start, n_rows, n_columns : int
        Its first number and its shape; it must end where the array ends, or before.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
    """
    result = types.Array(array.dtype, 2, "C", readonly=not array.mutable)

    def generate(context, builder, signature, arguments):
        source = make_array(array)(context, builder, arguments[0])
        rows, columns = arguments[2:]
        matrix = make_array(result)(context, builder)
        populate_array(
            matrix,
            data=builder.gep(source.data, [arguments[1]]),
            shape=[rows, columns],
            strides=[builder.mul(columns, source.itemsize), source.itemsize],
            itemsize=source.itemsize,
            meminfo=None,
        )
        return matrix._getvalue()

    return result(array, types.intp, types.intp, types.intp), generate


def _without_owner(context, builder, numba_type, value):
    if isinstance(numba_type, types.Array):
        array = make_array(numba_type)(context, builder, value)
        for name in ("meminfo", "parent"):
            setattr(array, name, cgutils.get_null_value(getattr(array, name).type))
        return array._getvalue()
    if isinstance(numba_type, types.BaseTuple):
        parts = cgutils.unpack_tuple(builder, value, len(numba_type))
        return context.make_tuple(
            builder,
            numba_type,
            [
                _without_owner(context, builder, part_type, part)
                for part_type, part in zip(numba_type, parts, strict=True)
            ],
        )
    return value
