"""The quickstart, run as a newcomer runs it."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

# It takes half a minute, and much longer on a busy machine.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def table(quickstart):
    """Rows of the printed table: held-out accuracy and runs by data and classifier."""
    rows, data = {}, None
    for line in quickstart.out.splitlines():
        if line.strip() in ("breast cancer", "digits"):
            data = line.strip()
        elif found := re.match(r"\s+(\w+(?:Perceptron|MLP))\s+\S+=\S+(.*)", line):
            _, held_out, _, n_runs = found[2].split()
            rows[data, found[1]] = float(held_out), int(n_runs)
    return rows


def test_table_compares_three_classifiers_on_two_data_sets(table):
    assert set(table) == {
        (data, name)
        for data in ("breast cancer", "digits")
        for name in ("HillClimbPerceptron", "HillClimbMLP", "BackpropMLP")
    }


@pytest.mark.parametrize("data", ["breast cancer", "digits"])
def test_backprop_reaches_its_held_out_accuracy(data, table):
    assert table[data, "BackpropMLP"][0] >= 0.96


def test_every_run_is_in_the_store(quickstart, table):
    with closing(sqlite3.connect(quickstart.store)) as db:
        (n_runs,) = db.execute("SELECT count(*) FROM runs").fetchone()
        statuses = {row[0] for row in db.execute("SELECT DISTINCT status FROM runs")}
        (n_children,) = db.execute(
            "SELECT count(*) FROM tags WHERE key = 'mlflow.parentRunId'"
        ).fetchone()
    assert n_runs == sum(n for _, n in table.values())
    # A search or study: its run, its candidates or trials with 3 folds each, the refit.
    assert {name: n for (_, name), (_, n) in table.items()} == {
        "HillClimbPerceptron": 1 + 2 * (1 + 3) + 1,
        "HillClimbMLP": 1 + 4 * (1 + 3) + 1,
        "BackpropMLP": 1 + 4 * (1 + 3) + 1,
    }
    assert n_children == n_runs - 6
    assert n_runs < 100  # more than that are not on one page of MLflow's UI
    assert statuses == {"FINISHED"}


def test_last_line_opens_exactly_these_runs(quickstart):
    out, store = quickstart.out, quickstart.store
    command = re.search(r"^ +(\S+mlflow) ui --backend-store-uri (\S+)$", out, re.M)
    assert Path(command[1]).exists()
    assert command[2] == f"sqlite:///{store}"
    experiment_id = re.search(r"/#/experiments/(\d+)/runs\?", out)[1]
    with closing(sqlite3.connect(store)) as db:
        rows = db.execute("SELECT DISTINCT experiment_id FROM runs").fetchall()
    assert rows == [(int(experiment_id),)]


def test_progress_is_shown(quickstart):
    assert quickstart.out.count("GridSearchCV - fit") == 4
