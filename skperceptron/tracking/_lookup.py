"""The run of an estimator's last fit: its id, and what a notebook shows of it."""

from __future__ import annotations

import shlex
from html import escape
from typing import Any

from skperceptron.tracking.journal._process import delivering_process
from skperceptron.tracking.recording._attributes import TICKET_ATTRIBUTE
from skperceptron.tracking.recording._call_runs import settle
from skperceptron.tracking.recording._ticket import RunTicket


def find_run_id(estimator: Any) -> str | None:
    """Look up the run of an estimator's last fit.

    Raises
    ------
    AttributeError
        When it was never fitted.
    """
    if TICKET_ATTRIBUTE not in vars(estimator):
        if estimator.__sklearn_is_fitted__():  # but loaded from somewhere
            return None
        raise AttributeError(
            f"This {type(estimator).__name__} has no run_id_: it was not fitted yet."
        )
    ticket: RunTicket | None = getattr(estimator, TICKET_ATTRIBUTE)
    if ticket is None:
        return None
    if not ticket.is_known:
        settle()  # for a fit of a call that has just ended
    return ticket.run_id()


def run_as_html(estimator: Any) -> str:
    """Tell where the run of an estimator's last fit can be looked at.

    Parameters
    ----------
    estimator : estimator
        One of our estimators.

    Returns
    -------
    html : str
        A link to the run's page, where the store is a server; the command that starts
        one, where it is not. Empty where there is no run, or none yet.
    """
    ticket: RunTicket | None = vars(estimator).get(TICKET_ATTRIBUTE)
    run_id = None if ticket is None else ticket.run_id()
    if ticket is None or run_id is None:
        return ""
    shown = f"<code>{run_id}</code>"
    try:
        uri, experiment_id = delivering_process().ask(
            "place_of", address=ticket.address, run_id=run_id
        )
    except OSError:  # there is nobody to ask
        return _line(shown)
    if not uri.startswith(("http://", "https://")):
        command = f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
        return _line(f"{shown}. To open it: <code>{escape(command)}</code>")
    if experiment_id is not None:
        page = f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
        shown = f'<a href="{escape(page)}" target="_blank">{shown}</a>'
    return _line(shown)


def _line(content: str) -> str:
    return f'<div class="skperceptron-run">MLflow run {content}</div>'
