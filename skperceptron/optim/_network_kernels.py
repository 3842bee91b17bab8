"""Compiled inner loops of a climb that moves one unit of a network at a time.

Sums and outputs of the units are kept as arrays of shape (n_units, n_samples): what a
candidate changes is then a few contiguous rows.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

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
_LEAKY_RELU_SLOPE = 0.01
_SQRT_HALF = math.sqrt(0.5)

# exp(v) = 2**k * exp(r) with k an integer and |r| <= log(2) / 2. Adding this number
# rounds to an integer and leaves it in the lowest bits.
_ROUND = 6755399441055744.0  # 1.5 * 2**52
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_SMALLEST, _LARGEST = -708.0, 709.0
# Below it, three terms of the series of log(1 + x) are as good as the function.
_TINY = 1e-5


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def exp_row(x, out, bits):
    """Compute ``exp(x)`` to the last bit or two, in a form that compilers vectorise.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Arguments; cut to [-708, 709], between which the result is a normal number.

    out : ndarray of float64 of shape (n,)
        Receives the result. In other memory than `x`: the vectorised code is for that.

    bits : ndarray of int64 of shape (n,)
        Scratch memory.
    """
    rounded = bits.view(np.float64)
    out_bits = out.view(np.int64)
    for j in range(x.size):
        v = x[j]
        v = v if v > _SMALLEST else _SMALLEST
        v = v if v < _LARGEST else _LARGEST
        t = v * _LOG2_E + _ROUND
        rounded[j] = t
        k = t - _ROUND
        r = (v - k * _LN2_HIGH) - k * _LN2_LOW
        # Taylor's series; the next term is below 1e-17.
        p = 1 / 6227020800.0
        p = p * r + 1 / 479001600.0
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
        out[j] = p * r + 1.0
    for j in range(x.size):
        out_bits[j] += bits[j] << 52


@njit(cache=True, nogil=True)
def activate(code, z, out, scratch, bits):
    """Apply an activation to a row of sums.

    Parameters
    ----------
    code : int
        A value of `ACTIVATION_CODES`.

    z, out : ndarray of shape (n,)
        Sums; receives the outputs.

    scratch : ndarray of float64 of shape (2, n) or more
    bits : ndarray of int64 of shape (n,)
        Scratch memory.
    """
    n = z.size
    argument, exponential = scratch[0], scratch[1]
    if code == 1 or code == 7:  # logistic, silu
        for j in range(n):
            argument[j] = -z[j]
        exp_row(argument, exponential, bits)
        if code == 1:
            for j in range(n):
                out[j] = 1.0 / (1.0 + exponential[j])
        else:
            for j in range(n):
                out[j] = z[j] / (1.0 + exponential[j])
    elif code == 2:  # tanh
        for j in range(n):
            argument[j] = -2.0 * abs(z[j])
        exp_row(argument, exponential, bits)
        for j in range(n):
            # Near zero the quotient would cancel; the series' next term is z**9 / 36.
            z2 = z[j] * z[j]
            series = z[j] * (1 + z2 * (-1 / 3.0 + z2 * (2 / 15.0 - z2 * (17 / 315.0))))
            quotient = (1.0 - exponential[j]) / (1.0 + exponential[j])
            quotient = quotient if z[j] >= 0 else -quotient
            out[j] = series if z2 < 1e-4 else quotient
    elif code == 3:  # relu
        for j in range(n):
            out[j] = z[j] if z[j] > 0 else 0.0
    elif code == 4:  # leaky_relu
        for j in range(n):
            out[j] = z[j] if z[j] > 0 else _LEAKY_RELU_SLOPE * z[j]
    elif code == 9:  # step
        for j in range(n):
            out[j] = 1.0 if z[j] >= 0 else 0.0
    elif code == 10:  # sign
        for j in range(n):
            out[j] = 1.0 if z[j] > 0 else (-1.0 if z[j] < 0 else 0.0)
    else:
        for j in range(n):
            out[j] = _activate_one(code, z[j])


@njit(cache=True, nogil=True)
def _activate_one(code, z):
    if code == 5:  # elu
        return z if z > 0 else math.expm1(z)
    if code == 6:  # softplus
        return max(z, 0.0) + math.log1p(math.exp(-abs(z)))
    if code == 8:  # gelu
        return z * 0.5 * (1.0 + math.erf(z * _SQRT_HALF))
    return z  # identity


@njit(cache=True, nogil=True)
def log_likelihood(z, y, weight, scratch, bits):
    """Sum of the weighted log-likelihoods of the labels.

    Parameters
    ----------
    z : ndarray of shape (n_outputs, n_samples)
        Sums of the output units.

    y : ndarray of int of shape (n_samples,)
        Index of the true class.

    weight : ndarray of shape (n_samples,) or (0,)
        Weights of the samples; empty when all count the same.

    scratch : ndarray of float64 of shape (5, n_samples)
    bits : ndarray of int64 of shape (n_samples,)
        Scratch memory.

    Returns
    -------
    float
    """
    shifted, exponential = scratch[0], scratch[1]
    largest, own, others = scratch[2], scratch[3], scratch[4]
    n_outputs, n = z.shape
    if n_outputs == 1:
        # Two outputs, one of them always 0.
        for j in range(n):
            largest[j] = z[0, j] if y[j] == 1 else -z[0, j]  # in favour of the label
            shifted[j] = -abs(largest[j])
        exp_row(shifted, exponential, bits)
        for j in range(n):
            right = largest[j] >= 0
            others[j] = exponential[j] if right else 1.0
            own[j] = 1.0 if right else exponential[j]
            shifted[j] = 0.0 if right else largest[j]
    else:
        largest[:] = z[0]
        for k in range(1, n_outputs):
            _keep_larger(z[k], largest)
        others[:] = 0.0
        for k in range(n_outputs):
            _subtract(z[k], largest, shifted)
            exp_row(shifted, exponential, bits)
            _add_unless(exponential, y, k, others, own)
        for j in range(n):
            shifted[j] = z[y[j], j] - largest[j]
    return _sum_of_log_shares(shifted, own, others, weight)


# A function of its own for each of these loops: the compiler then vectorises it.
@njit(cache=True, nogil=True)
def _keep_larger(x, largest):
    for j in range(x.size):
        largest[j] = x[j] if x[j] > largest[j] else largest[j]


@njit(cache=True, nogil=True)
def _subtract(x, y, out):
    for j in range(x.size):
        out[j] = x[j] - y[j]


@njit(cache=True, nogil=True)
def _add_unless(x, y, k, others, own):
    for j in range(x.size):
        is_own = y[j] == k
        others[j] += 0.0 if is_own else x[j]
        own[j] = x[j] if is_own else own[j]


@njit(cache=True, nogil=True)
def _sum_of_log_shares(log_own, own, others, weight):
    """Sum of ``log(own / (own + others))``, precise also where `others` is tiny.

    `own` is ``exp(log_own)``; the larger of it and the largest part of `others` is 1.
    """
    result = 0.0
    # One logarithm for a product of many: each factor is between 1 and the number of
    # classes.
    product = 1.0
    for j in range(own.size):
        if weight.size:
            right = log_own[j] == 0
            log = math.log1p(others[j]) if right else math.log(own[j] + others[j])
            result += weight[j] * (log_own[j] - log)
        elif log_own[j] == 0 and others[j] < _TINY:
            result -= others[j] * (1.0 - others[j] * (0.5 - others[j] / 3.0))
        else:
            result += log_own[j]
            product *= own[j] + others[j]
            if product > 1e200:
                result -= math.log(product)
                product = 1.0
    return result - math.log(product)


@njit(cache=True, nogil=True)
def count_correct(z, y, weight, scratch):
    """Sum of the weights of the samples that an MLP classifies correctly.

    For two classes, class 1 where the sum is positive; else the first largest sum.
    """
    n_outputs, n = z.shape
    best, winner = scratch[0], scratch[1]
    if n_outputs == 1:
        for j in range(n):
            winner[j] = 1.0 if z[0, j] > 0 else 0.0
    else:
        for j in range(n):
            best[j] = z[0, j]
            winner[j] = 0.0
        for k in range(1, n_outputs):
            for j in range(n):
                if z[k, j] > best[j]:
                    best[j] = z[k, j]
                    winner[j] = k
    total = 0.0
    for j in range(n):
        if winner[j] == y[j]:
            total += 1.0 if weight.size == 0 else weight[j]
    return total


@njit(cache=True, nogil=True)
def all_finite(z):
    """Tell whether no value is NaN or infinite."""
    # Counting, unlike leaving at the first one, is done for many values at a time.
    n_finite = 0
    for k in range(z.shape[0]):
        for j in range(z.shape[1]):
            n_finite += abs(z[k, j]) < np.inf
    return n_finite == z.size


@njit(cache=True, nogil=True)
def evaluate(use_accuracy, z, y, weight, scratch, bits):
    """Compute the objective times the total weight; -inf where it overflows."""
    if not all_finite(z):
        return -np.inf
    if use_accuracy:
        return count_correct(z, y, weight, scratch)
    return log_likelihood(z, y, weight, scratch, bits)


@njit(cache=True, nogil=True)
def propagate(
    first, units, codes, coef_start, bias_start, row_start, params, s, a, scratch, bits
):
    """Compute all layers behind the sums of one layer.

    Parameters
    ----------
    first : int
        Layer of weights whose sums are given.

    units, codes, coef_start, bias_start, row_start, params
        As in `scan_units`.

    s, a : ndarray of shape (n_rows, n_samples)
        Sums and outputs; those of the layers from `first` on are updated.

    scratch : ndarray of float64 of shape (5, n_samples)
    bits : ndarray of int64 of shape (n_samples,)
        Scratch memory.
    """
    for layer in range(first, units.size - 2):
        begin, end = row_start[layer], row_start[layer + 1]
        for row in range(begin, end):
            activate(codes[layer], s[row], a[row], scratch, bits)
        n_out = units[layer + 2]
        start = coef_start[layer + 1]
        weights = params[start : start + units[layer + 1] * n_out]
        transposed = weights.reshape(units[layer + 1], n_out).T.copy()
        sums = s[end : end + n_out]
        np.dot(transposed, a[begin:end], sums)
        for k in range(n_out):
            sums[k] += params[bias_start[layer + 1] + k]


@njit(cache=True, nogil=True)
def scan_units(
    X,
    y,
    weight,
    use_accuracy,
    units,
    codes,
    coef_start,
    bias_start,
    row_start,
    layer_of,
    unit_of,
    params,
    s,
    a,
    new_s,
    new_a,
    noise,
    group_of,
    step_size,
    growth,
    shrinkage,
    largest_step,
    state,
    values,
    scratch,
    bits,
):
    """Decide over candidates that each move one unit, one after the other.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Samples.

    y, weight
        As in `evaluate`.

    use_accuracy : bool
        Whether the accuracy is maximised, or the log-likelihood.

    units : ndarray of int of shape (n_layers + 1,)
        Units per layer, inputs included.

    codes : ndarray of int of shape (n_layers - 1,)
        Activations of the hidden layers.

    coef_start, bias_start : ndarray of int of shape (n_layers,)
        Where the weights and the biases of each layer begin in `params`.

    row_start : ndarray of int of shape (n_layers,)
        Where the rows of each layer's units begin in `s`.

    layer_of, unit_of : ndarray of int of shape (n_groups,)
        Layer of weights that enter the unit of a group, and its place there.

    params : ndarray of shape (n_params,)
        Current parameters; updated.

    s, a : ndarray of shape (n_rows, n_samples)
        Sums and outputs of all units for the current parameters; updated.

    new_s, new_a : ndarray of shape (n_rows, n_samples)
        Memory for the candidate's.

    noise : ndarray of shape (n_candidates, largest_group)
        Per candidate the noise of the weights into the unit, of its bias and of the
        weights out of it.

    group_of : ndarray of int of shape (n_candidates,)
        Group that each candidate moves.

    step_size, growth, shrinkage, largest_step, state, values
        As in the kernel for threshold units.

    scratch : ndarray of float64 of shape (5, n_samples)
    bits : ndarray of int64 of shape (n_samples,)
        Scratch memory.
    """
    n_layers = units.size - 1
    output = row_start[n_layers - 1]
    incoming = np.empty(units.max(), params.dtype)
    moved = params.copy()
    for i in range(noise.shape[0]):
        group = group_of[i]
        sigma = step_size[group]
        layer, unit = layer_of[group], unit_of[group]
        fan_in, n_here = units[layer], units[layer + 1]
        row = row_start[layer] + unit
        # The unit's own sums. Saturating activations can hide what overflows here from
        # the outputs.
        finite = True
        for f in range(fan_in):
            at = coef_start[layer] + f * n_here + unit
            moved[at] = params[at] + sigma * noise[i, f]
            incoming[f] = moved[at]
            finite &= abs(moved[at]) < np.inf
        bias = bias_start[layer] + unit
        moved[bias] = params[bias] + sigma * noise[i, fan_in]
        finite &= abs(moved[bias]) < np.inf
        if layer == 0:
            np.dot(X, incoming[:fan_in], new_s[row])
        else:
            begin = row_start[layer - 1]
            np.dot(incoming[:fan_in], a[begin : begin + fan_in], new_s[row])
        new_s[row] += moved[bias]
        finite &= all_finite(new_s[row : row + 1])
        if layer == n_layers - 1:
            # Only this output has changed: exchange its row for the evaluation.
            new_a[row] = s[row]
            s[row] = new_s[row]
            value = evaluate(use_accuracy, s[output:], y, weight, scratch, bits)
        else:
            activate(codes[layer], new_s[row], new_a[row], scratch, bits)
            n_next = units[layer + 2]
            start = coef_start[layer + 1] + unit * n_next
            for k in range(n_next):
                old = params[start + k]
                new = old + sigma * noise[i, fan_in + 1 + k]
                moved[start + k] = new
                finite &= abs(new) < np.inf
                to = row_start[layer + 1] + k
                for j in range(s.shape[1]):
                    new_s[to, j] = s[to, j] + (new * new_a[row, j] - old * a[row, j])
            propagate(
                layer + 1,
                units,
                codes,
                coef_start,
                bias_start,
                row_start,
                moved,
                new_s,
                new_a,
                scratch,
                bits,
            )
            finite &= all_finite(new_s[row_start[layer + 1] : output])
            value = evaluate(use_accuracy, new_s[output:], y, weight, scratch, bits)
        accepted = finite and value >= state[0]
        if accepted:
            state[0] = value
            state[1] += 1
            if layer < n_layers - 1:
                s[row] = new_s[row]
                a[row] = new_a[row]
                behind = row_start[layer + 1]
                s[behind:] = new_s[behind:]
                a[behind:output] = new_a[behind:output]
        elif layer == n_layers - 1:
            s[row] = new_a[row]
        source, target = (moved, params) if accepted else (params, moved)
        for f in range(fan_in):
            at = coef_start[layer] + f * n_here + unit
            target[at] = source[at]
        target[bias] = source[bias]
        if layer < n_layers - 1:
            for k in range(units[layer + 2]):
                at = coef_start[layer + 1] + unit * units[layer + 2] + k
                target[at] = source[at]
        factor = growth if accepted else shrinkage
        step_size[group] = min(sigma * factor, largest_step)
        values[i] = state[0]
