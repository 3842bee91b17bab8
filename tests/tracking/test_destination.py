import pickle
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sqlalchemy.engine import make_url

import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking._credentials import (
    hide_credentials,
    with_credentials,
    without_credentials,
)
from skperceptron.tracking.recording._clones import take_destination
from skperceptron.tracking.recording._destination import Destination


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


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://me:a-secret@host/db", "postgresql://host/db"),
        ("postgresql://me:a/secret@host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://me:a#secret@host/db?c=d", "postgresql://host/db?c=d"),
        ("postgresql://me:a?b=secret@host/db", "postgresql://host/db"),
        ("postgresql://host/db?password=a-secret&c=d", "postgresql://host/db?c=d"),
        ("mssql+pyodbc:///?odbc_connect=Uid%3Dme%3BPwd%3Da-secret", "mssql+pyodbc:///"),
        ("http://me:a-secret@host:5000", "http://host:5000"),
        ("https://me:a@secret@host/a@b?c=d", "https://host/a@b?c=d"),
        ("https://a-secret@host", "https://host"),
    ],
)
class TestPassword:
    def test_does_not_travel(self, uri, expected, monkeypatch):
        monkeypatch.setattr("mlflow.get_tracking_uri", lambda: uri)
        destination = Destination.current()
        assert destination.tracking_uri == expected
        assert with_credentials(destination.tracking_uri) == uri
        assert b"secret" not in pickle.dumps(destination)

    def test_is_taken_out_of_messages(self, uri, expected):
        assert without_credentials(uri) == expected
        told = hide_credentials(f"{uri} cannot be reached")
        assert "secret" not in told
        assert told.endswith(" cannot be reached")

    def test_is_where_the_libraries_look_for_it(self, uri, expected):
        parse = urlsplit if uri.startswith("http") else make_url
        bare, whole = parse(expected), parse(uri)
        name = "hostname" if uri.startswith("http") else "host"
        assert getattr(bare, name) == getattr(whole, name)
        assert bare.port == whole.port


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////data/me:secret@host/runs.db",
        "file:///data/a@b",
        "databricks://scope:prefix",
        "postgresql://host:5432/db",
        "http://host:5000/a:b@c",
    ],
)
def test_address_without_a_password_stays_as_it_is(uri):
    assert without_credentials(uri) == uri


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
