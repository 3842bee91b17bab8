"""A fit never fails because tracking does."""

import socket
import time
from contextlib import closing

import mlflow
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

from benchmarks._servers import free_port
from skperceptron import HillClimbPerceptron, _config
from skperceptron.tracking import TrackingWarning, flush, pending

X, y = load_iris(return_X_y=True)


def test_no_server_is_a_quick_warning(tracking_uri):
    tracking_uri(f"http://me:secret@127.0.0.1:{free_port()}")
    started = time.perf_counter()
    with pytest.warns(TrackingWarning) as caught:
        clf = HillClimbPerceptron(max_iter=20).fit(X, y)
    assert time.perf_counter() - started < 10
    message = str(caught[0].message)
    assert "A run of HillClimbPerceptron could not be logged" in message
    assert "set_config(tracking=False)" in message
    assert "secret" not in message
    assert clf.run_id_ is None
    assert clf.score(X, y) > 0


def test_server_that_does_not_answer_is_a_quick_warning(tracking_uri):
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        tracking_uri(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        started = time.perf_counter()
        with pytest.warns(TrackingWarning, match="no answer of the server"):
            HillClimbPerceptron(max_iter=20).fit(X, y)
        assert time.perf_counter() - started < 10


def test_database_that_does_not_answer_is_a_quick_warning(tracking_uri):
    pytest.importorskip("psycopg")
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        tracking_uri(f"postgresql+psycopg://127.0.0.1:{deaf.getsockname()[1]}/db")
        started = time.perf_counter()
        with pytest.warns(TrackingWarning, match="no answer of the database"):
            HillClimbPerceptron(max_iter=20).fit(X, y)
        assert time.perf_counter() - started < 10


def test_store_that_cannot_be_written_is_a_warning(tracking_uri):
    tracking_uri("sqlite:////proc/no/such/folder/mlflow.db")
    with pytest.warns(TrackingWarning, match="could not be logged"):
        clf = HillClimbPerceptron(max_iter=20).fit(X, y)
    assert clf.run_id_ is None


def test_one_outage_is_one_warning(tracking_uri):
    tracking_uri(f"http://127.0.0.1:{free_port()}")
    clf = HillClimbPerceptron(max_iter=20, surrogate_iter=0)
    with pytest.warns(TrackingWarning):
        clf.fit(X, y)
    started = time.perf_counter()
    for _ in range(5):
        clf.fit(X, y)  # a warning would be an error here
        clf.score(X[:20], y[:20])
    assert time.perf_counter() - started < 1
    assert pending() == 6


def test_next_fit_is_tracked_again(tracking_uri, runs):
    store = mlflow.get_tracking_uri()
    tracking_uri(f"http://127.0.0.1:{free_port()}")
    clf = HillClimbPerceptron(max_iter=20)
    with pytest.warns(TrackingWarning):
        clf.fit(X, y)
    tracking_uri(store)
    assert clf.fit(X, y).run_id_ == runs.at_once()[0].run_id


def test_missing_experiment_is_a_warning(runs, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "987654321")
    with pytest.warns(TrackingWarning, match="987654321"):
        HillClimbPerceptron(max_iter=20).fit(X, y)


def test_parameter_that_cannot_be_written_is_a_warning(runs):
    class Nameless(dict):
        def __repr__(self):
            raise RuntimeError("I have no name")

    with pytest.warns(TrackingWarning, match="I have no name"):
        clf = HillClimbPerceptron(class_weight=Nameless({0: 1.0}), max_iter=5).fit(X, y)
    assert clf.run_id_ is None
    assert runs() == []


def test_infinite_and_undefined_metrics_are_stored(runs):
    def worse_and_worse(y_true, y_pred):
        values.append(values[-1] * 1e200)
        return -values[-1]

    values = [1.0]
    HillClimbPerceptron(objective=worse_and_worse, max_iter=5).fit(X, y)
    (run,) = runs()
    assert run.status == "FINISHED"
    assert len(run.metrics["objective"]) == 6


@pytest.mark.parametrize("value", ["maybe", "2"])
def test_switch_that_is_not_understood_is_a_warning(value, runs, monkeypatch):
    monkeypatch.setattr(_config, "_process_wide", {})  # of other tests
    monkeypatch.setenv("SKPERCEPTRON_TRACKING", value)
    with pytest.warns(TrackingWarning, match="SKPERCEPTRON_TRACKING must be one of"):
        clone(HillClimbPerceptron(max_iter=5)).fit(X, y)
    assert runs() == []


def test_user_without_a_name_is_left_out(runs, monkeypatch):
    def nameless():
        raise OSError("no such user")

    monkeypatch.setattr("getpass.getuser", nameless)
    HillClimbPerceptron(max_iter=5).fit(X, y)
    assert runs()[0].status == "FINISHED"


@pytest.mark.usefixtures("delivery_here")
def test_run_that_could_not_be_completed_is_completed_later(runs, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_batch", refuse)
        with pytest.warns(TrackingWarning, match="disk full"):
            clf = HillClimbPerceptron(max_iter=5).fit(X, y)
        assert runs.at_once() == []  # all of it or nothing
    assert flush() == 0
    (run,) = runs.at_once()
    assert run.status == "FINISHED"
    assert len(run.metrics["objective"]) == 6
    assert clf.run_id_ == run.run_id


@pytest.mark.usefixtures("delivery_here")
def test_what_a_partial_fit_could_not_deliver_comes_later(runs, monkeypatch):
    clf = HillClimbPerceptron(max_iter=100).partial_fit(X, y, classes=[0, 1, 2])

    def refuse(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_batch", refuse)
        clf.partial_fit(X, y)
        with pytest.warns(TrackingWarning, match="disk full"):
            assert flush() == 1
    clf.partial_fit(X, y)
    steps = [step for step, _ in runs()[0].metrics["objective"]]
    assert steps == [0, 1, 2, 3]
