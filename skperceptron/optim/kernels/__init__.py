"""Compiled inner loops.

Kernels take arrays and numbers, hold no Python objects, release the GIL and work for
float32 and float64 alike. numba compiles them at their first call and keeps the result
in its cache.

Rows of sums and outputs have one value per sample and a little room at the end, so that
loops run over a multiple of `LANES` values and never need a slow last part: what they
compute beyond the samples is never read.
"""
