"""How far a fit has come, and which fits can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class FitCurve:
    """How far a fit has come.

    Attributes
    ----------
    estimator_name : str
        Class of the estimator.

    quantity : str
        What the values are.

    curves : dict
        What a `LossCurveDisplay` shows.
    """

    estimator_name: str
    quantity: str
    curves: dict[str, Any]

    @property
    def is_loss(self) -> bool:
        """Whether lower is better."""
        return self.curves["kind"] == "loss" and not self.validates

    @property
    def validates(self) -> bool:
        """Whether there are validation scores."""
        return len(self.curves["validation_scores"]) > 0

    @property
    def compared(self) -> str:
        """What fits are compared by."""
        return "validation score" if self.validates else self.quantity

    @property
    def value(self) -> float:
        """The last value of what fits are compared by; of several scores, the best."""
        if self.validates:
            return float(np.max(self.curves["validation_scores"]))
        return float(self.curves["values"][-1])


def comparable(fits: list[FitCurve]) -> list[FitCurve]:
    """Choose the fits whose curves may be drawn with that of the last one."""
    return [fit for fit in fits if fit.quantity == fits[-1].quantity]


def best_of(fits: list[FitCurve]) -> tuple[int, FitCurve]:
    """Find the best of the fits that can be compared with the last, and its number."""
    rivals = [
        (number, fit)
        for number, fit in enumerate(fits, start=1)
        if fit.compared == fits[-1].compared and np.isfinite(fit.value)
    ]
    sign = -1 if fits[-1].is_loss else 1
    return max(rivals or [(len(fits), fits[-1])], key=lambda r: sign * r[1].value)


def title_of(fits: list[FitCurve]) -> str:
    """Say in a line how far the last fit has come."""
    fit = fits[-1]
    step = int(fit.curves["steps"][-1])
    unit = "epoch" if fit.curves["kind"] == "loss" else "iteration"
    return f"{fit.estimator_name}, fit {len(fits)}, {unit} {step}"
