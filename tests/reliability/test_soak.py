"""Thousands of fits in one process, which must not grow."""

import json

import pytest

# Looked at after each round, once what is garbage has been collected.
CODE = """
import gc
import psutil

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
    return {{
        "memory": process.memory_info().rss / 2**20,
        "files": process.num_fds(),
        "threads": process.num_threads(),
        "journal": sum(len(files) for _, _, files in os.walk(os.environ[
            "SKPERCEPTRON_JOURNAL"])),
        "objects": len(gc.get_objects()),
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
    n_objects = last.pop("objects") - warm.pop("objects")
    assert last == warm
    assert n_objects < 500, [look["objects"] for look in looks]  # of 4000 fits
    assert memory < 10, [look["memory"] for look in looks]
