"""What a search knows of a fold that is about to end.

scikit-learn does not tell its callbacks. The function that calls them has it in its
variables.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from itertools import dropwhile
from typing import Any, NamedTuple

from sklearn.model_selection import _validation

from skperceptron.tracking._credentials import hide_credentials
from skperceptron.tracking.recording._outcome import MAX_TAG_LENGTH

_CALLER = "_fit_and_score"
# Its variables, with the kind of the scores that each holds.
_SCORES = {"test_scores": "test", "train_scores": "train"}


class FoldResult(NamedTuple):
    """What became of a fold.

    Attributes
    ----------
    failure : str or None
        The error of its fit.

    scores : dict of float
        By the names that `cv_results_` has for them.
    """

    failure: str | None
    scores: dict[str, float]


def result_of_fold() -> FoldResult:
    """Find out what became of the fold whose end a callback is being told."""
    for frame, _ in traceback.walk_stack(sys._getframe()):
        if frame.f_code.co_name == _CALLER:
            known = frame.f_locals
            report = known.get("result", {}).get("fit_error")
            failure = None if report is None else _message_of(report)
            return FoldResult(failure, _scores_among(known))
    return FoldResult(None, {})


def are_scores_known() -> bool:
    """Tell whether this version of scikit-learn lets scores be found that early."""
    caller = getattr(_validation, _CALLER, None)
    return caller is not None and set(_SCORES) <= set(caller.__code__.co_varnames)


def _scores_among(variables: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for variable, kind in _SCORES.items():
        scores = variables.get(variable, {})
        by_name = scores if isinstance(scores, dict) else {"score": scores}
        found |= {f"{kind}_{name}": float(score) for name, score in by_name.items()}
    return found


def _message_of(report: str) -> str:
    """Take the error out of a printed traceback."""
    last_call = report.rpartition('  File "')[2].splitlines()
    message = dropwhile(lambda line: line.startswith(" "), last_call[1:])
    name, *rest = "\n".join(message).partition(":")
    text = "".join([name.rpartition(".")[2], *rest])
    return hide_credentials(text)[:MAX_TAG_LENGTH]
