"""A real MLflow server on loopback."""

import time
from urllib.parse import urlsplit

import mlflow
import pytest
import requests
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

import skperceptron
from benchmarks._servers import mlflow_server
from skperceptron import HillClimbPerceptron

X, y = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(f"sqlite:///{folder / 'server.db'}", folder) as uri:
        yield uri


@pytest.fixture
def tracked_by_server(server):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(server)
    experiment = mlflow.set_experiment(f"test {time.time_ns()}")
    yield experiment.experiment_id
    mlflow.set_tracking_uri(before)
    mlflow.set_experiment("Default")


def test_fit_is_a_run_of_the_server(tracked_by_server):
    clf = HillClimbPerceptron(max_iter=20, random_state=0).fit(X, y)
    run = mlflow.get_run(clf.run_id_)
    assert run.info.experiment_id == tracked_by_server
    assert run.info.status == "FINISHED"
    assert run.data.params["max_iter"] == "20"
    assert run.data.metrics["training_score"] == pytest.approx(clf.score(X, y))


@pytest.fixture
def asked(monkeypatch):
    """List what is asked of servers."""
    request, found = requests.Session.request, []

    def noted_request(session, method, url, **options):
        found.append(f"{method} {urlsplit(url).path.rpartition('/mlflow/')[2]}")
        return request(session, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", noted_request)
    return found


REQUESTS = ["runs/create", "runs/log-batch", "runs/log-inputs", "runs/update"]


@pytest.mark.parametrize("has_name", [False, True], ids=["id", "name"])
def test_run_takes_four_requests(tracked_by_server, asked, monkeypatch, has_name):
    if has_name:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "by name")
        monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    clf = HillClimbPerceptron(max_iter=20)
    with skperceptron.config_context(log_models="none"):
        first = clf.fit(X, y).run_id_
        asked.clear()
        second = clf.fit(X, y).run_id_
    assert asked == [f"POST {name}" for name in REQUESTS]
    experiments = {mlflow.get_run(run).info.experiment_id for run in (first, second)}
    assert len(experiments) == 1
    assert (experiments == {tracked_by_server}) != has_name


def test_model_of_a_new_run_is_logged_without_a_question(tracked_by_server, asked):
    clf = HillClimbPerceptron(max_iter=20).fit(X, y)
    assert not {"GET runs/get", "POST logged-models/search"} & set(asked)
    run = mlflow.get_run(clf.run_id_)
    (output,) = run.outputs.model_outputs
    model = mlflow.get_logged_model(output.model_id)
    assert model.experiment_id == tracked_by_server
    assert model.source_run_id == clf.run_id_
    assert model.params == run.data.params
    assert model.tags["mlflow.user"] == run.data.tags["mlflow.user"]


def test_fits_of_workers_are_runs_of_the_server(tracked_by_server):
    grid = {"step_size": [0.1, 0.2]}
    GridSearchCV(HillClimbPerceptron(max_iter=20), grid, cv=3, n_jobs=2).fit(X, y)
    runs = mlflow.search_runs([tracked_by_server], output_format="list")
    assert [run.info.status for run in runs] == ["FINISHED"] * 8


def test_notebooks_link_to_the_page_of_the_run(server, tracked_by_server):
    mlflow.set_tracking_uri(server.replace("//", "//someone:s3cret@"))
    clf = HillClimbPerceptron(max_iter=20, random_state=0).fit(X, y)
    html = clf._repr_html_()
    page = f"{server}/#/experiments/{tracked_by_server}/runs/{clf.run_id_}"
    assert f'<a href="{page}"' in html
    assert "s3cret" not in html
