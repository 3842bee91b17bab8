"""How kernels are compiled."""

from __future__ import annotations

from typing import Any

# Nobody calls a kernel from C: a wrapper for that would only cost time to compile.
COMPILE: dict[str, Any] = {"cache": True, "nogil": True, "no_cfunc_wrapper": True}

# For functions that only other kernels call, in loops often: a call passes each array
# as seven numbers and more, and a tuple as all that is in it.
_PRIVATE: dict[str, Any] = {"no_cpython_wrapper": True, "forceinline": True}
COMPILE_PRIVATE: dict[str, Any] = {**COMPILE, **_PRIVATE}

# What loops may assume about arithmetic. Not that there are no NaN: those must come out
# as they went in.
VECTORIZE: dict[str, Any] = {
    **COMPILE,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
}
VECTORIZE_PRIVATE: dict[str, Any] = {**VECTORIZE, **_PRIVATE}
# The same for sums, whose terms may be added in any order.
VECTORIZE_SUM: dict[str, Any] = {
    **VECTORIZE,
    "fastmath": {"contract", "nsz", "reassoc"},
}
VECTORIZE_SUM_PRIVATE: dict[str, Any] = {**VECTORIZE_SUM, **_PRIVATE}
