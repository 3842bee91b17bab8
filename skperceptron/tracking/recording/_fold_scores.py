"""Scores and error of a fold that is about to end.

scikit-learn does not pass them to callbacks.
"""

from __future__ import annotations

from itertools import dropwhile
from typing import NamedTuple

from skperceptron.tracking._credentials import hide_credentials
from skperceptron.tracking.recording._outcome import MAX_TAG_LENGTH
from skperceptron.tracking.recording._sklearn_internals import find_fold


class FoldResult(NamedTuple):
    """The result of a fold.

    Attributes
    ----------
    failure : str or None
        The error of its fit.

    scores : dict of float
        Its scores, by their names in `cv_results_` without the number of the split.
    """

    failure: str | None
    scores: dict[str, float]


def result_of_fold() -> FoldResult:
    """Return the result of the fold whose end the present callback follows."""
    report, scores = find_fold() or (None, {})
    return FoldResult(None if report is None else _message_of(report), scores)


def _message_of(report: str) -> str:
    """Return the error of a printed traceback."""
    last_call = report.rpartition('  File "')[2].splitlines()
    message = dropwhile(lambda line: line.startswith(" "), last_call[1:])
    name, *rest = "\n".join(message).partition(":")
    text = "".join([name.rpartition(".")[2], *rest])
    return hide_credentials(text)[:MAX_TAG_LENGTH]
