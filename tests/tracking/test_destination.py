import pickle
import threading
from pathlib import Path

import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking._destination import (
    Destination,
    take_destination,
    with_credentials,
)


def seen_in_another_thread(function):
    result = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join()
    return result[0]


def test_clone_takes_along_to_another_process_what_its_maker_saw(monkeypatch):
    with skperceptron.config_context(tracking=False):
        copy = clone(HillClimbPerceptron())
    monkeypatch.setattr("os.getpid", lambda: -1)
    second = clone(copy)
    assert not take_destination(copy).enabled
    assert not take_destination(second).enabled


def test_thread_of_the_users_own_sees_for_itself():
    copy = clone(HillClimbPerceptron())

    def look():
        with skperceptron.config_context(tracking=False):
            return take_destination(copy)

    assert not seen_in_another_thread(look).enabled


def test_another_threads_clones_are_its_own_business():
    clf = HillClimbPerceptron()
    with skperceptron.config_context(tracking=False):
        clone(clf)
        copy = seen_in_another_thread(lambda: clone(clf))
    assert seen_in_another_thread(lambda: take_destination(copy)).enabled


def test_own_thread_asks_afresh():
    with skperceptron.config_context(tracking=False):
        copy = clone(HillClimbPerceptron())
    assert take_destination(copy).enabled


def test_fit_forgets_the_destination():
    copy = clone(HillClimbPerceptron(max_iter=1))
    X, y = load_iris(return_X_y=True)
    with skperceptron.config_context(tracking=False):
        copy.fit(X, y)
    assert "_tracking_destination" not in vars(copy)


def test_password_does_not_travel(monkeypatch):
    uri = "postgresql://me:secret@host/db"
    monkeypatch.setattr("mlflow.get_tracking_uri", lambda: uri)
    destination = Destination.current()
    assert destination.tracking_uri == "postgresql://host/db"
    assert with_credentials(destination.tracking_uri) == uri
    assert b"secret" not in pickle.dumps(destination)


def test_environment_is_read_as_long_as_mlflow_is_not_imported(monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    destination = Destination.current()
    assert destination.tracking_uri == "http://127.0.0.1:5000"
    assert destination.experiment_id == "7"
    assert destination.is_of_this_process


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///runs.db", f"sqlite:///{Path.cwd() / 'runs.db'}"),
        ("sqlite:////data/runs.db", "sqlite:////data/runs.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("http://host:5000", "http://host:5000"),
    ],
)
def test_relative_stores_stay_where_they_are(uri, expected, monkeypatch):
    monkeypatch.setattr("mlflow.get_tracking_uri", lambda: uri)
    assert Destination.current().tracking_uri == expected
