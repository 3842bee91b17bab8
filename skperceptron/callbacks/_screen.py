"""Where fits are drawn: in a notebook a figure, in a terminal text."""

from __future__ import annotations

from io import BytesIO
from itertools import islice
from typing import Any, Protocol

from rich import get_console
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from skperceptron.callbacks._fit_curve import FitCurve, best_of, comparable, title_of
from skperceptron.callbacks._text_chart import text_chart
from skperceptron.plotting import LossCurveDisplay

# How many earlier curves are drawn behind the present one.
_MAX_EARLIER = 20
_CHART_WIDTH, _CHART_HEIGHT = 60, 8


class Screen(Protocol):
    """Where the fits are drawn."""

    def draw(self, fits: list[FitCurve]) -> None:
        """Draw, instead of what was drawn before; the last fit is the present one."""

    def close(self) -> None:
        """Leave what was drawn last."""


def make_screen() -> Screen:
    """Choose the screen for where this process writes to."""
    console = get_console()
    return _Notebook() if console.is_jupyter else _Terminal(console)


class _Terminal:
    """A chart of characters, drawn again in its place; in a file, only the last one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Group | None = None
        self._live = Live(console=console, auto_refresh=False)
        if console.is_terminal:
            self._live.start()

    def draw(self, fits: list[FitCurve]) -> None:
        self._last = self._render(fits)
        if self._live.is_started:
            self._live.update(self._last, refresh=True)

    def close(self) -> None:
        if self._live.is_started:
            self._live.stop()
        elif self._last is not None:
            self._console.print(self._last)

    def _render(self, fits: list[FitCurve]) -> Group:
        fit, console = fits[-1], self._console
        width = max(10, min(_CHART_WIDTH, console.width - 12))
        lines = text_chart(
            fit.curves["values"],
            width=width,
            height=_CHART_HEIGHT,
            ascii_only=console.options.ascii_only,
        )
        last = f"{fit.quantity}: {fit.curves['values'][-1]:.4g}"
        if fit.validates:
            last += f", validation score: {fit.curves['validation_scores'][-1]:.4g}"
        summary = []
        if len(fits) > 1:
            number, best = best_of(fits)
            summary = [f"best {best.compared}: {best.value:.4g}, of fit {number}"]
        return Group(
            Text(title_of(fits), style="bold"),
            Text("\n".join(lines), style="cyan", no_wrap=True),
            *map(Text, [last, *summary]),
        )


class _Notebook:
    """A figure, drawn again in its place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, fits: list[FitCurve]) -> None:
        from IPython.display import Image, display

        image = Image(data=draw_png(fits), format="png")
        if self._handle is None:
            self._handle = display(image, display_id=True)
        else:
            self._handle.update(image)

    def close(self) -> None:
        self._handle = None


def draw_png(fits: list[FitCurve]) -> bytes:
    """Draw the last fit before the earlier ones, and beside it how each has ended."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    panels = figure.subplots(1, 1 if len(fits) == 1 else 2, squeeze=False)[0]
    draw_curves(panels[0], fits)
    if len(fits) > 1:
        draw_ends(panels[1], fits)
    png = BytesIO()
    figure.savefig(png, format="png", dpi=100)
    return png.getvalue()


def draw_curves(ax: Any, fits: list[FitCurve]) -> None:
    """Draw the curve of the last fit, and those of earlier ones in grey behind it."""
    earlier = reversed(comparable(fits)[:-1])
    for fit in islice(earlier, _MAX_EARLIER):
        ax.plot(fit.curves["steps"], fit.curves["values"], color="0.8", zorder=0)
    display = LossCurveDisplay(**fits[-1].curves).plot(ax)
    ax.set_title(title_of(fits), fontsize="medium")
    label = ax.get_ylabel().replace(fits[-1].curves["kind"], fits[-1].quantity, 1)
    if display.validation_ax_ is ax:
        label += ", dashed: validation"
    ax.set_ylabel(label)


def draw_ends(ax: Any, fits: list[FitCurve]) -> None:
    """Draw how each fit has ended, and mark the best."""
    number, best = best_of(fits)
    ends = [
        (n, fit.value)
        for n, fit in enumerate(fits, start=1)
        if fit.compared == best.compared
    ]
    ax.plot(*zip(*ends, strict=True), "o", color="0.6", markersize=4)
    ax.plot(number, best.value, "o", color="#D55E00", markersize=6)
    ax.set_title(f"best: {best.value:.4g}, fit {number}", fontsize="medium")
    ax.set_xlabel("fit")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_ylabel(best.compared)
