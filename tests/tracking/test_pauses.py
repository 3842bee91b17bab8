"""When the thread that delivers rests, and when it takes a search to be over."""

import time

import pytest
from joblib import parallel_config

from skperceptron.tracking import flush
from skperceptron.tracking.delivery import _failures, _loop, _store
from skperceptron.tracking.journal._record import ParentRun, RunRecord, now
from skperceptron.tracking.recording import _tracker
from skperceptron.tracking.recording._destination import Destination
from skperceptron.tracking.recording._fit_run import TrackedRun
from tests.tracking import tracked_searches
from tests.tracking.faults import within
from tests.tracking.journal_files import new_key
from tests.tracking.test_searches import BACKENDS, X, make_search, split_off, y

pytestmark = pytest.mark.usefixtures("delivery_here")


def statuses(found):
    return [run.status for run in found]


@pytest.mark.usefixtures("without_models")
@pytest.mark.parametrize("backend", BACKENDS)
def test_search_without_refit_ends_when_nothing_happens_any_more(
    backend, runs, monkeypatch
):
    monkeypatch.setattr(_loop, "SECONDS_UNTIL_SEARCH_IS_OVER", 0.5)
    monkeypatch.setattr(_loop, "REST", 1e6)  # while something might be fitted
    with parallel_config(backend=backend):
        make_search(n_jobs=2).set_params(refit=False).fit(X, y)
    assert within(30, lambda: statuses(runs.at_once()) == ["FINISHED"] * 13)


def test_search_does_not_end_while_its_store_is_away(runs, monkeypatch, delivery_here):
    monkeypatch.setattr(_loop, "SECONDS_UNTIL_SEARCH_IS_OVER", 0.5)
    here = Destination.current()
    failures = delivery_here._service._deliverer(here.tracking_uri)._failures
    monkeypatch.setattr(_failures, "FIRST_RETRY", 0.7)
    monkeypatch.setattr(failures, "_retry_after", 0.7)
    search = ParentRun(new_key(), "GridSearchCV", now())
    below = here.below(search)

    def fit_fold():
        fold = TrackedRun(RunRecord("a fold"), below, new_key())
        fold.end()
        fold.deliver(wait=False)

    def refuse(uri):
        raise ConnectionError("away")

    fit_fold()
    assert flush() == 0
    with monkeypatch.context() as patch:
        patch.setattr(_store, "_check_answers", refuse)
        fit_fold()
        time.sleep(1.5)
        last = now()
        fit_fold()
    assert within(30, lambda: split_off(runs(), search.name)[0].status == "FINISHED")
    above, folds = split_off(runs.at_once(), "GridSearchCV")
    assert len(folds) == 3
    assert above.end_time >= last


def test_folds_are_delivered_while_the_figure_is_drawn(runs, monkeypatch):
    monkeypatch.setattr(_loop, "REST", 1e6)  # while something might be fitted
    monkeypatch.setattr(_loop, "SECONDS_UNTIL_NO_REST", 1e6)
    finished = []

    def wait_for_folds(run, search):
        deadline = time.monotonic() + 60
        while len(finished) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
            folds = [r for r in runs.at_once() if r.name.startswith("fold")]
            finished[:] = [r for r in folds if r.status == "FINISHED"]

    monkeypatch.setattr(_tracker, "draw_search", wait_for_folds)
    tracked_searches.make_search().fit(X, y)
    assert len(finished) == 6
