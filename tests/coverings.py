"""Few of many combinations, in which each two values still meet."""

from itertools import combinations, product

import pytest


def pairwise(*axes):
    """Make parameters of all combinations of values, most of them slow.

    Those that are not hold each two values of different axes at least once.
    """
    cases = list(product(*(range(len(axis)) for axis in axes)))
    open_pairs = set().union(*map(pairs_of, cases))
    by_default = set()
    while open_pairs:
        best = max(cases, key=lambda case: len(open_pairs & pairs_of(case)))
        by_default.add(best)
        open_pairs -= pairs_of(best)
    return [
        pytest.param(
            *(axis[i] for axis, i in zip(axes, case, strict=True)),
            marks=() if case in by_default else pytest.mark.slow,
        )
        for case in cases
    ]


def pairs_of(case):
    """Find all pairs of values, each with its axis, that meet in a case."""
    return set(combinations(enumerate(case), 2))
