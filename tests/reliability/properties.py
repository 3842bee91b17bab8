"""How properties are tested: quickly by default, for long with ``-m slow``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

# Fits take as long as they take, and much is drawn for each of them.
_PATIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))
_SECONDS = 3600

# Marks of modules with properties: tracking is off, and warnings are errors but for
# those that a user of scikit-learn knows.
FITS_A_LOT = [
    pytest.mark.usefixtures("untracked"),
    *(
        pytest.mark.filterwarnings(f"ignore:{warning}")
        for warning in (
            ":sklearn.exceptions.ConvergenceWarning",
            "Got `batch_size` less than 1 or larger",
            "A column-vector y was passed",
            # Of scikit-learn, where there are about as many classes as samples:
            "The number of unique classes",
            # Of scikit-learn, before it refuses infinities:
            "invalid value encountered in reduce",
            # Of metrics that are maximised:
            ":UserWarning:sklearn.metrics",
        )
    ),
]

Check = Callable[..., None]


def holds(
    *strategies: SearchStrategy, n_quick: int, n_long: int
) -> Callable[[Check], Check]:
    """Make a test of a property.

    The default suite tests it with the same examples each time; the slow test looks for
    new ones, and begins with those that failed before.

    Parameters
    ----------
    *strategies : hypothesis strategies
        What the arguments of the property are drawn from.

    n_quick, n_long : int
        Number of examples of the two tests.
    """
    quick = settings(_PATIENT, max_examples=n_quick, derandomize=True, database=None)
    long = settings(_PATIENT, max_examples=n_long)
    slow = [pytest.mark.slow, pytest.mark.timeout(_SECONDS)]

    def decorate(check: Check) -> Check:
        # Not given to pytest itself: hypothesis wants no fixtures that are made anew
        # for each test, like the one that switches tracking off.
        def test(profile: settings) -> None:
            profile(given(*strategies)(check))()

        test.__name__ = check.__name__
        cases = [
            pytest.param(quick, id="quick"),
            pytest.param(long, id="long", marks=slow),
        ]
        return pytest.mark.parametrize("profile", cases)(test)

    return decorate
