"""When the thread that delivers rests."""

import time

import pytest

from skperceptron.tracking.delivery import _loop
from skperceptron.tracking.recording import _tracker
from tests.tracking.tracked_searches import X, make_search, y

pytestmark = pytest.mark.usefixtures("delivery_here")


def test_folds_are_delivered_while_the_figure_is_drawn(runs, monkeypatch):
    monkeypatch.setattr(_loop, "REST", 1e6)  # while something is fitted
    finished = []

    def wait_for_folds(run, search):
        deadline = time.monotonic() + 60
        while len(finished) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
            folds = [r for r in runs.at_once() if r.name.startswith("fold")]
            finished[:] = [r for r in folds if r.status == "FINISHED"]

    monkeypatch.setattr(_tracker, "draw_search", wait_for_folds)
    make_search().fit(X, y)
    assert len(finished) == 6
