"""Runs in a PostgreSQL database, which .ci/run installs."""

import mlflow
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from benchmarks._servers import find_postgresql, postgresql
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, pending

X, y = load_iris(return_X_y=True)
PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def database():
    if find_postgresql() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgresql(PASSWORD) as address:
        yield address


@pytest.fixture
def in_database(database, journal):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(database)
    mlflow.set_experiment("Default")
    yield journal
    mlflow.set_tracking_uri(before)
    mlflow.set_experiment("Default")


def test_search_is_complete_and_the_password_is_nowhere(in_database):
    grid = {"step_size": [0.1, 0.3]}
    search = GridSearchCV(HillClimbPerceptron(max_iter=20), grid, cv=3, n_jobs=2)
    search.set_callbacks(MLflowTracker(log_models="none")).fit(X, y)
    assert pending() == 0
    runs = mlflow.search_runs(["0"], output_format="list")
    assert [run.info.status for run in runs] == ["FINISHED"] * 10
    assert not any(PASSWORD in str(run.to_dictionary()) for run in runs)


def test_fit_is_complete(in_database):
    """The driver tells the database the type of each value."""
    clf = HillClimbPerceptron(max_iter=20).fit(X, y)
    run = mlflow.get_run(clf.run_id_)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["training_score"] == clf.score(X, y)
    assert [data.dataset.name for data in run.inputs.dataset_inputs] == [
        "training_data"
    ]
    assert pending() == 0


def test_password_is_not_in_the_journal_of_a_database_that_is_away(in_database):
    address = f"postgresql://me:{PASSWORD}@127.0.0.1:9/postgres"
    mlflow.set_tracking_uri(address)
    with pytest.warns(UserWarning, match="could not be logged") as caught:
        HillClimbPerceptron(max_iter=20).fit(X, y)
    assert pending() == 1
    assert not any(PASSWORD in str(warning.message) for warning in caught)
    files = [path for path in in_database.rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in path.read_bytes() for path in files)
