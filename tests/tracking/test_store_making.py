"""Stores that are being made: what is patched reaches who delivers in this process."""

import os
import threading

import mlflow
import pytest

from skperceptron.tracking import flush, pending
from skperceptron.tracking.delivery import _loop, _store
from skperceptron.tracking.journal import _handover
from tests.tracking.faults import fit, rows, statuses_of, warned_once

pytestmark = pytest.mark.usefixtures("delivery_here")


def test_store_that_somebody_else_makes_meanwhile_is_theirs(
    tracking_uri, tmp_path, monkeypatch
):
    store = tmp_path / "mlflow.db"
    tracking_uri(f"sqlite:///{store}")
    link = os.link

    def link_late(new, path):
        mlflow.MlflowClient().create_experiment("theirs")
        link(new, path)

    monkeypatch.setattr(os, "link", link_late)
    fit()
    assert statuses_of(store) == {"FINISHED": 1}
    assert ("theirs",) in rows(store, "SELECT name FROM experiments")
    assert not list(tmp_path.glob(".mlflow.db.*"))


@pytest.fixture
def slow_store(tracking_uri, tmp_path, monkeypatch):
    """A new store; to make it takes longer than a fit waits for an answer."""
    make_database = _store._make_database
    may_be_made = threading.Event()

    def make_late(tracking_uri, path):
        assert may_be_made.wait(100)
        make_database(tracking_uri, path)

    tracking_uri(f"sqlite:///{tmp_path / 'new.db'}")
    with monkeypatch.context() as patch:
        patch.setattr(_store, "_make_database", make_late)
        patch.setattr(_handover, "SECONDS_TO_WAIT", 3.0)
        yield may_be_made
        may_be_made.set()
    assert flush() == 0
    assert statuses_of(tmp_path / "new.db") == {"FINISHED": 1}


def test_fit_waits_longer_for_a_store_that_is_being_made(slow_store):
    threading.Timer(4, slow_store.set).start()
    fit()  # a warning would be an error here
    assert pending() == 0


def test_store_that_takes_all_too_long_to_make_is_told_calmly(slow_store, monkeypatch):
    monkeypatch.setattr(_loop, "SECONDS_TO_GET_READY", 0.2)
    with warned_once("MLflow was not ready within"):
        fit()


def test_store_is_made_where_files_cannot_be_linked(
    tracking_uri, tmp_path, monkeypatch
):
    def refuse(new, path):
        raise PermissionError("this file system has no links")

    monkeypatch.setattr(os, "link", refuse)
    tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    fit()
    assert statuses_of(tmp_path / "mlflow.db") == {"FINISHED": 1}
