"""The run of an estimator's last fit: its id, and its line in a notebook."""

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
        if estimator.__sklearn_is_fitted__():  # loaded from a file, for example
            return None
        raise AttributeError(
            f"This {type(estimator).__name__} has no run_id_: it was not fitted yet."
        )
    ticket: RunTicket | None = getattr(estimator, TICKET_ATTRIBUTE)
    if ticket is None:
        return None
    if not ticket.is_known:
        settle()  # the call that contains the fit may have just ended
    return ticket.run_id()


def run_as_html(estimator: Any) -> str:
    """Return a line of HTML that leads to the run of an estimator's last fit.

    It has a link to the run's page if the store is a server, or else the command that
    starts a server. It is empty without a run, or before its delivery.
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
    except OSError:  # no process could look it up
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
