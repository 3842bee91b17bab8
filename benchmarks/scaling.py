"""How time and memory of a fit grow with the work.

One quantity grows at a time, over three decades: rows, features, hidden units, climbs
from other starts, candidates of a grid. A climb makes 50 iterations, backpropagation
one epoch. The memory is the peak of what a fit allocates, beside the data.

The exponent is the slope of a straight line through the logarithms, by least squares,
over the last decade: below it, the constant part of a fit would still flatten the line.
1 means that twice the work takes twice the time.

Then, one epoch of backpropagation by `partial_fit` on chunks of a memory-mapped file,
against one by `fit` on the same data in memory.
"""

from __future__ import annotations

import tempfile
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from benchmarks._timing import Comparison, compare, seconds, show
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "scaling.png"
DECADES = [1, 3, 10, 30, 100, 300, 1000]
# A fit that is faster is repeated, and the fastest counts.
ENOUGH_SECONDS = 0.3
MAX_REPETITIONS = 5

Fit = Callable[[], object]


@dataclass
class Series:
    """What fits of one kind took while one quantity grew.

    Attributes
    ----------
    axis, name : str
        What grew, and what was fitted.

    sizes : list of int
    make : callable
        ``make(size)`` prepares a fit of that size.

    times, memory : list of float
        Seconds and bytes.
    """

    axis: str
    name: str
    sizes: list[int]
    make: Callable[[int], Fit]
    times: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def measure(self, size: int) -> None:
        """Fit at one size."""
        fit = self.make(size)
        times = [seconds(fit)]  # not counted if another one is made
        if times[0] < 10 * ENOUGH_SECONDS:
            times = [seconds(fit)]
        while sum(times) < ENOUGH_SECONDS and len(times) < MAX_REPETITIONS:
            times.append(seconds(fit))
        self.times.append(min(times))
        tracemalloc.start()
        fit()
        self.memory.append(float(tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()

    def exponent(self, values: list[float]) -> float:
        """Fit a power of the size to the last decade."""
        sizes = np.array(self.sizes)
        last = sizes >= sizes[-1] / 10
        return float(
            np.polyfit(np.log(sizes[last]), np.log(np.array(values)[last]), 1)[0]
        )


def make_data(n_rows: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features))
    y = X.sum(axis=1) + rng.standard_normal(n_rows) > 0
    return X, y.astype(int)


def perceptron(**params: Any) -> HillClimbPerceptron:
    defaults = {"max_iter": 50, "surrogate_iter": 0, "random_state": 0}
    return HillClimbPerceptron(**{**defaults, **params})


def climbing(**params: Any) -> HillClimbMLP:
    defaults = {"hidden_layer_sizes": 20, "max_iter": 50, "random_state": 0}
    return HillClimbMLP(**{**defaults, **params})


def backprop(**params: Any) -> BackpropMLP:
    defaults = {"hidden_layer_sizes": 20, "max_iter": 1, "random_state": 0}
    return BackpropMLP(**{**defaults, **params})


CLASSIFIERS: dict[str, Callable[..., Any]] = {
    "HillClimbPerceptron": perceptron,
    "HillClimbMLP": climbing,
    "BackpropMLP": backprop,
}


def fit_on(clf: Any, n_rows: int, n_features: int) -> Fit:
    X, y = make_data(n_rows, n_features)
    return lambda: clf.fit(X, y)


def fit_grid(clf: Any, n_candidates: int) -> Fit:
    X, y = make_data(100, 5)
    name = "step_size" if "step_size" in clf.get_params() else "alpha"
    grid = {name: np.geomspace(0.01, 0.1, n_candidates)}
    return lambda: GridSearchCV(clf, grid, cv=2).fit(X, y)


def data_series() -> list[Series]:
    """Let the data grow."""
    rows = [1000 * size for size in DECADES]
    series = []
    for name, make in CLASSIFIERS.items():
        series += [
            Series("rows", name, rows, lambda n, make=make: fit_on(make(), n, 20)),
            Series(
                "features", name, DECADES, lambda n, make=make: fit_on(make(), 5000, n)
            ),
        ]
    return series


def network_series() -> list[Series]:
    """Let the network grow."""
    kinds: dict[str, Callable[[int], Any]] = {
        "HillClimbMLP": lambda n: climbing(hidden_layer_sizes=n),
        'HillClimbMLP, mutation="all"': lambda n: climbing(
            hidden_layer_sizes=n, mutation="all"
        ),
        "BackpropMLP": lambda n: backprop(hidden_layer_sizes=n),
        "BackpropMLP, two layers": lambda n: backprop(hidden_layer_sizes=(n, n)),
    }
    return [
        Series(
            "hidden units",
            name,
            DECADES,
            lambda n, kind=kind: fit_on(kind(n), 5000, 20),
        )
        for name, kind in kinds.items()
    ]


def number_series() -> list[Series]:
    """Let the number of fits grow."""
    restarts = [
        Series(
            "climbs (1 + restarts)",
            name,
            DECADES,
            lambda n, make=make: fit_on(make(n_restarts=n - 1), 500, 10),
        )
        for name, make in CLASSIFIERS.items()
        if name != "BackpropMLP"
    ]
    candidates = [
        Series("candidates", name, DECADES, lambda n, make=make: fit_grid(make(), n))
        for name, make in CLASSIFIERS.items()
    ]
    return restarts + candidates


def as_table(series: list[Series]) -> Table:
    table = Table(title="How time and memory grow")
    for heading in ("what grows", "from", "to", "fit of"):
        table.add_column(heading)
    for heading in ("ms", "exponent", "MB", "exponent"):
        table.add_column(heading, justify="right")
    for one in series:
        table.add_row(
            one.axis,
            f"{one.sizes[0]:,}",
            f"{one.sizes[-1]:,}",
            one.name,
            f"{1e3 * one.times[0]:.3g} to {1e3 * one.times[-1]:.3g}",
            f"{one.exponent(one.times):.2f}",
            f"{one.memory[0] / 1e6:.2g} to {one.memory[-1] / 1e6:.2g}",
            f"{one.exponent(one.memory):.2f}",
        )
    return table


def draw(series: list[Series]) -> Figure:
    """Draw times above and memory below, one column for each quantity that grows."""
    axes_of = list(dict.fromkeys(one.axis for one in series))
    figure = Figure(figsize=(3.2 * len(axes_of), 6), layout="constrained")
    grid = figure.subplots(2, len(axes_of), sharex="col", sharey="row")
    names = list(dict.fromkeys(one.name for one in series))
    for one in series:
        column, color = axes_of.index(one.axis), f"C{names.index(one.name)}"
        megabytes = [n_bytes / 1e6 for n_bytes in one.memory]
        for ax, values in zip(grid[:, column], [one.times, megabytes], strict=True):
            label = f"{one.name}: {one.exponent(values):.2f}"
            ax.loglog(one.sizes, values, ".-", color=color, label=label)
        grid[1, column].set_xlabel(one.axis)
    grid[0, 0].set_ylabel("seconds")
    grid[1, 0].set_ylabel("memory, MB")
    for ax in grid.flat:
        ax.legend(fontsize=7, title="exponent", title_fontsize=7)
    return figure


def chunk_comparisons(n_rows: int = 1_000_000) -> list[Comparison]:
    """Train on chunks of a file, and on all of it in memory."""
    X, y = make_data(n_rows, 50)
    clf = backprop(hidden_layer_sizes=64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        np.save(path, X.astype(np.float32))
        in_memory = np.load(path)

        def on_chunks(size: int) -> None:
            mapped = np.load(path, mmap_mode="r")
            clf = backprop(hidden_layer_sizes=64)
            for start in range(0, n_rows, size):
                part = slice(start, start + size)
                clf.partial_fit(mapped[part], y[part], classes=[0, 1])

        return [
            compare(
                f"{n_rows:,}x50, float32, 64 units, chunks of {size:,}",
                "fit in memory",
                lambda size=size: on_chunks(size),
                lambda: clf.fit(in_memory, y),
                at_least=0.8,
            )
            for size in (100_000, 10_000)
        ]


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    series = data_series() + network_series() + number_series()
    for one in track(series, "Fitting"):
        one.make(one.sizes[0])()  # loads compiled code
        for size in one.sizes:
            one.measure(size)
    draw(series).savefig(FIGURE)
    Console(width=110).print(as_table(series))
    print(f"Figure: {FIGURE}")
    show("Chunks of a file", chunk_comparisons())


if __name__ == "__main__":
    main()
