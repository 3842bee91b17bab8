"""Thousands of fits in one process, which must not grow."""

import json

import pytest

# Looked at after each round, once what is garbage has been collected.
CODE = """
import gc
import psutil
from skperceptron.classifiers import _base
from skperceptron.tracking import _credentials
from skperceptron.tracking.delivery import _all_stores, _store
from skperceptron.tracking.journal import _owners
from skperceptron.tracking.recording import _clones, _fit_run

process = psutil.Process()
flush()


def one_round():
    for i in range({n_fits}):
        HillClimbPerceptron(max_iter=20, random_state=i).fit(X, y).score(X[::2], y[::2])
    clf = BackpropMLP((4,), random_state=0)
    for _ in range({n_fits} // 5):
        clf.partial_fit(X, y, classes=[0, 1, 2])
    for _ in range({n_fits} // 50):
        search = GridSearchCV(
            HillClimbPerceptron(max_iter=20), {{"step_size": [0.1, 0.2]}}, cv=3
        )
        search.set_callbacks(MLflowTracker(log_models="none")).fit(X, y)
        search = GridSearchCV(HillClimbPerceptron(max_iter=20), {{}}, cv=3)
        search.fit(X, y)


def look():
    gc.collect()
    deliverers = _all_stores.all_deliverers().values()
    entries = [d.entries for d in deliverers]
    return {{
        "memory": process.memory_info().rss / 2**20,
        "files": process.num_fds(),
        "threads": process.num_threads(),
        "journal": sum(len(files) for _, _, files in os.walk(os.environ[
            "SKPERCEPTRON_JOURNAL"])),
        "unfinished": len(_fit_run._unfinished) + len(_fit_run._left_behind),
        "open": len(_fit_run._open_runs),
        "destinations": len(_clones._seen_at_clone),
        "credentials": len(_credentials._with_credentials),
        "signs": len(_owners._signs),
        "stores": len(deliverers) + len(_store._answered_at),
        "inboxes": sum(len(d._inboxes) + len(d._visits) for d in deliverers),
        "failures": sum(len(d._failures) + len(d._failures._told) for d in deliverers),
        "not ours": sum(len(d._not_ours) for d in deliverers),
        "groups": sum(len(e.groups) + len(e._over) for e in entries),
    }}


for _ in range({n_rounds}):
    one_round()
    flush()
    print(json.dumps(look()), flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thousands_of_fits_leave_nothing_behind(program):
    out = program.run(CODE.format(n_fits=500, n_rounds=8))
    looks = [json.loads(line) for line in out.splitlines()]
    n_runs = 500 + 1 + 10 * (1 + 2 + 6 + 1) + 10 * (1 + 3 + 1)
    assert len(program.runs().keys) == 8 * n_runs
    assert program.runs().are_finished_once
    warm, *_, last = looks[1:]
    memory = last.pop("memory") - warm.pop("memory")
    assert last == warm
    assert memory < 10, [look["memory"] for look in looks]
