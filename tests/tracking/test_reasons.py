"""Errors of stores, as the user is told of them: a calm sentence."""

import logging
import sqlite3
import warnings
from contextlib import closing

import mlflow
import pytest
import sqlalchemy
from mlflow.exceptions import MlflowException

from skperceptron.tracking import flush
from skperceptron.tracking._reasons import reason_of
from tests.tracking.conftest import STORE
from tests.tracking.faults import finish_other_tests, fit

NOISE = ("[SQL", "[parameters", "Background on this error", "Traceback", 'File "')


def database_error(message, statement="INSERT INTO runs (a) VALUES (?)"):
    cause = sqlite3.OperationalError(message)
    return sqlalchemy.exc.OperationalError(statement, {"a": "my data"}, cause)


def raised_in_flush():
    error = database_error("disk I/O error")
    error.add_detail("raised as a result of Query-invoked autoflush; consider ...")
    return error


PAGE = "<!doctype html>\n<html lang=en>\n<title>502 Bad Gateway</title>"
ERRORS = [
    (
        database_error("database is locked"),
        "OperationalError: (sqlite3.OperationalError) database is locked",
    ),
    (
        MlflowException(database_error("database is locked")),
        "MlflowException: (sqlite3.OperationalError) database is locked",
    ),
    (
        raised_in_flush(),
        "OperationalError: (sqlite3.OperationalError) disk I/O error",
    ),
    (
        MlflowException(
            "API request to endpoint /x failed with error code 502 != 200. Response "
            f"body: '{PAGE}'"
        ),
        "MlflowException: API request to endpoint /x failed with error code 502 != 200",
    ),
    (
        MlflowException(f"502 Server Error for url: http://x. Response text: {PAGE}"),
        "MlflowException: 502 Server Error for url: http://x",
    ),
    (
        MlflowException(
            "INTERNAL_ERROR: it broke\nTraceback (most recent call last):\n"
            '  File "x.py", line 1, in <module>\nValueError: no'
        ),
        "MlflowException: INTERNAL_ERROR: it broke",
    ),
    (
        RuntimeError(
            'Traceback (most recent call last):\n  File "x.py", line 1, in f\n'
            "ValueError: no\n"
        ),
        "RuntimeError: ValueError: no",
    ),
    (
        ConnectionError("<urllib3.HTTPConnection object at 0x7f00>: refused"),
        "ConnectionError: refused",
    ),
    (KeyError(), "KeyError"),
    (
        ValueError("\n\n  the first that says something.\nand more"),
        "ValueError: the first that says something",
    ),
    (
        FileNotFoundError(2, "No such file or directory", "/x/[y]"),
        "FileNotFoundError: [Errno 2] No such file or directory: '/x/[y]'",
    ),
]


@pytest.mark.parametrize(("error", "expected"), ERRORS)
def test_reason_is_the_type_and_what_the_message_begins_with(error, expected):
    assert reason_of(error) == expected


def test_reason_is_not_endless():
    assert len(reason_of(ValueError("x" * 100_000))) < 5000


def told(caught, capfd):
    assert caught
    texts = [str(warning.message) for warning in caught]
    return texts, [*texts, *capfd.readouterr()]


@pytest.fixture
def broken_store(tmp_path, tracking_uri, delivery_here):
    """A store that has lost a table."""
    finish_other_tests()
    store = tmp_path / "broken.db"
    with closing(sqlite3.connect(store)) as db:
        with closing(sqlite3.connect(STORE)) as whole:
            whole.backup(db)  # which is faster than to make the tables
        tracking_uri(f"sqlite:///{store}")
        mlflow.search_experiments()  # looks whether there are all tables
        db.execute("DROP TABLE metrics")
        db.commit()


@pytest.mark.parametrize("n_fits", [1, 3])
def test_statements_of_a_store_are_not_shown(n_fits, broken_store, capfd):
    with warnings.catch_warnings(record=True, action="always") as caught:
        for _ in range(n_fits):
            fit()
        assert flush() == n_fits
    warned, shown = told(caught, capfd)
    assert [text for text in warned if "no such table: metrics" not in text] == []
    assert not [text for text in shown for noise in NOISE if noise in text]


def test_what_a_user_does_with_mlflow_is_logged_as_before(broken_store, capfd):
    with warnings.catch_warnings(action="ignore"):
        fit()
    capfd.readouterr()
    logging.getLogger("mlflow.store.db.utils").warning("to the user")
    assert "to the user" in capfd.readouterr().err
