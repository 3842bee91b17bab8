"""A real MLflow server on loopback."""

import socket
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection

import mlflow
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from skperceptron import HillClimbPerceptron

X, y = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder / 'server.db'}"),
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(port, process, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has ended"
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            with closing(connection):
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the server does not answer")


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
