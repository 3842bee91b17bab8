"""Timing in pairs, because machines drift: what is compared runs in turn."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import sklearn
from rich.console import Console
from rich.table import Table

N_ROUNDS = 5


@dataclass
class Comparison:
    """Ours against a peer on the same work.

    Attributes
    ----------
    work, peer : str
        What was done, and by whom beside us.

    ours, theirs : float
        Median seconds.

    ratio : float
        Median over the rounds of theirs / ours.

    at_least : float or None
        The ratio aimed at.
    """

    work: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    at_least: float | None = None


def compare(
    work: str,
    peer: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    at_least: float | None = None,
    n_rounds: int = N_ROUNDS,
    scale_theirs: float = 1.0,
) -> Comparison:
    """Time two functions in turn, after one round that does not count."""
    pairs = [
        (seconds(ours), seconds(theirs) * scale_theirs) for _ in range(n_rounds + 1)
    ]
    own, other = zip(*pairs[1:], strict=True)
    return Comparison(
        work,
        peer,
        median(own),
        median(other),
        median(b / a for a, b in zip(own, other, strict=True)),
        at_least,
    )


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def show(title: str, comparisons: list[Comparison]) -> None:
    """Print the comparisons and the machine as a table."""
    table = Table(title=title)
    for heading in ("work", "against"):
        table.add_column(heading)
    for heading in ("ours, ms", "theirs, ms", "ratio", "aim"):
        table.add_column(heading, justify="right")
    for c in comparisons:
        table.add_row(
            c.work,
            c.peer,
            f"{1e3 * c.ours:.3g}",
            f"{1e3 * c.theirs:.3g}",
            f"{c.ratio:.2f}",
            "" if c.at_least is None else f"{c.at_least:g}",
        )
    console = Console(width=110)
    console.print(table)
    console.print(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, one core, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, "
        f"scikit-learn {sklearn.__version__}; medians of {N_ROUNDS} rounds in turn"
    )
