"""What a search knows of a fold that is about to end.

scikit-learn does not tell its callbacks.
"""

from __future__ import annotations

from itertools import dropwhile
from typing import NamedTuple

from skperceptron.tracking._credentials import hide_credentials
from skperceptron.tracking.recording._outcome import MAX_TAG_LENGTH
from skperceptron.tracking.recording._sklearn_internals import find_fold


class FoldResult(NamedTuple):
    """What became of a fold.

    Attributes
    ----------
    failure : str or None
        The error of its fit.

    scores : dict of float
        By the names that `cv_results_` has for them, without the number of the split.
    """

    failure: str | None
    scores: dict[str, float]


def result_of_fold() -> FoldResult:
    """Find out what became of the fold whose end a callback is being told."""
    report, scores = find_fold() or (None, {})
    return FoldResult(None if report is None else _message_of(report), scores)


def _message_of(report: str) -> str:
    """Take the error out of a printed traceback."""
    last_call = report.rpartition('  File "')[2].splitlines()
    message = dropwhile(lambda line: line.startswith(" "), last_call[1:])
    name, *rest = "\n".join(message).partition(":")
    text = "".join([name.rpartition(".")[2], *rest])
    return hide_credentials(text)[:MAX_TAG_LENGTH]
