"""What is told to a database is there as a whole or not at all, and only once."""

import shutil
import threading

import mlflow
import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from sklearn.datasets import load_iris
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from skperceptron import HillClimbPerceptron, config_context
from skperceptron.tracking.delivery._transaction import in_one_transaction
from tests.tracking.faults import statuses_of

X, y = load_iris(return_X_y=True)


@pytest.fixture
def store(tmp_path, new_store):
    """A client of a store of the test's own."""
    path = shutil.copy(new_store, tmp_path)
    client = mlflow.MlflowClient(f"sqlite:///{path}")
    client.search_experiments()
    return client


def count_runs(client):
    return len(client.search_runs(["0"]))


@pytest.mark.usefixtures("delivery_here")
def test_run_of_a_fit_takes_one_commit(tracking_uri, tmp_path, new_store):
    own = str(shutil.copy(new_store, tmp_path / "own.db"))
    tracking_uri(f"sqlite:///{own}")
    commits = []

    def note(connection):
        if connection.engine.url.database == own:  # other tests have theirs
            commits.append(connection)

    clf = HillClimbPerceptron(max_iter=20)
    with config_context(log_models="none"):
        clf.fit(X, y)  # which makes the client, and the entry of the data
        event.listen(Engine, "commit", note)
        try:
            clf.fit(X, y)
        finally:
            event.remove(Engine, "commit", note)
    assert len(commits) == 1
    assert statuses_of(own) == {"FINISHED": 2}


def test_nobody_sees_a_part_of_it(store):
    def create():
        seen = []
        run_id = store.create_run("0").info.run_id
        other = threading.Thread(target=lambda: seen.append(count_runs(store)))
        other.start()
        other.join()
        store.set_tag(run_id, "whole", "yes")
        return seen

    assert in_one_transaction(store, create) == [0]
    (run,) = store.search_runs(["0"])
    assert run.data.tags["whole"] == "yes"


def count_looks_at_experiments(calls):
    """Count how often a function has MLflow read the table of experiments."""
    looks = []

    def note(connection, cursor, statement, *_):
        if "FROM experiments" in statement:
            looks.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        calls()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return len(looks)


def test_experiment_is_looked_up_once_for_all_runs(store):
    def create():
        return [store.create_run("0").info.run_id for _ in range(3)]

    def one_by_one():
        for _ in range(3):
            store.create_run("0")

    n_together = count_looks_at_experiments(lambda: in_one_transaction(store, create))
    n_alone = count_looks_at_experiments(one_by_one)
    assert n_alone == 3 * n_together > 0
    assert count_runs(store) == 6


def test_experiment_that_was_deleted_meanwhile_takes_no_more_runs(store):
    experiment_id = store.create_experiment("short-lived")

    def create():
        return store.create_run(experiment_id).info.experiment_id

    assert in_one_transaction(store, create) == experiment_id
    store.delete_experiment(experiment_id)
    with pytest.raises(MlflowException, match="must be in the 'active' state"):
        in_one_transaction(store, create)


def test_other_stores_are_called_as_they_are():
    assert in_one_transaction(object(), lambda: 1) == 1


def test_what_fails_is_done_again_without_transaction(store):
    calls = []

    def create():
        calls.append(store.create_run("0").info.run_id)
        if len(calls) == 1:
            raise IntegrityError("INSERT", {}, ValueError("another fit was faster"))
        return calls[-1]

    second = in_one_transaction(store, create)
    assert [run.info.run_id for run in store.search_runs(["0"])] == [second]
    assert len(calls) == 2


def test_what_mlflow_would_go_back_for_is_done_again(store):
    """The metric is there already: MLflow then goes back and leaves it out."""
    known = store.create_run("0").info.run_id
    metric = Metric("loss", 0.5, 1000, 1)
    store.log_batch(known, [metric], synchronous=True)

    def log():
        new = store.create_run("0").info.run_id
        store.log_batch(known, [metric, Metric("loss", 0.4, 1001, 2)], synchronous=True)
        return new

    new = in_one_transaction(store, log)
    assert {run.info.run_id for run in store.search_runs(["0"])} == {known, new}
    history = store.get_metric_history(known, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 0.5), (2, 0.4)]


def test_refusal_is_raised_and_leaves_nothing(store):
    def create():
        store.create_run("0")
        store.log_param("no run", "a", "1")

    with pytest.raises(MlflowException, match="not found"):
        in_one_transaction(store, create)
    assert count_runs(store) == 0


def test_store_that_is_away_is_not_asked_twice(store):
    asked = []

    def create():
        asked.append("once")
        raise MlflowException("locked", error_code=TEMPORARILY_UNAVAILABLE)

    with pytest.raises(MlflowException, match="locked"):
        in_one_transaction(store, create)
    assert len(asked) == 1


def test_thread_works_alone_again_afterwards(store):
    in_one_transaction(store, lambda: store.create_run("0"))
    store.create_run("0")
    assert count_runs(store) == 2
