"""A real MLflow server on loopback."""

import os
import signal
import threading
import time
from contextlib import suppress

import mlflow
import psutil
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

import skperceptron
from benchmarks._servers import free_port, mlflow_server
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import TrackingWarning, flush, pending
from tests.tracking.faults import (
    Relay,
    fit,
    fit_named,
    in_child,
    leave_behind,
    relay_to,
)
from tests.tracking.test_command import command  # noqa: F401 - a fixture

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
def asked(server, tracked_by_server):
    """Have a relay before the server that lists what it is asked."""
    with relay_to(server) as relay:
        mlflow.set_tracking_uri(relay.uri)
        yield relay.asked


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
    # Now and then it is asked whether it is there, and for an experiment by its name.
    of_run = [request for request in asked if "/experiments/" not in request]
    assert of_run == [f"POST /api/2.0/mlflow/{name}" for name in REQUESTS]
    experiments = {mlflow.get_run(run).info.experiment_id for run in (first, second)}
    assert len(experiments) == 1
    assert (experiments == {tracked_by_server}) != has_name


def test_model_of_a_new_run_is_logged_without_a_question(tracked_by_server, asked):
    clf = HillClimbPerceptron(max_iter=20).fit(X, y)
    questions = ("mlflow/runs/get", "mlflow/logged-models/search")
    assert asked
    assert not [request for request in asked if request.endswith(questions)]
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


# What leads to a server


def assert_fit_is_logged(uri, server, experiment):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        with skperceptron.config_context(log_models="none"):
            clf = HillClimbPerceptron(max_iter=20).fit(X, y)
    finally:
        mlflow.set_tracking_uri(before)
    run = mlflow.MlflowClient(server).get_run(clf.run_id_)
    assert run.info.status == "FINISHED"
    assert run.info.experiment_id == experiment


def test_server_behind_a_proxy_is_reached(server, tracked_by_server, monkeypatch):
    with relay_to(server, host="mlflow.corp.example") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.uri)
        monkeypatch.setenv("http_proxy", proxy.uri)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        uri = "http://mlflow.corp.example"
        assert_fit_is_logged(uri, server, tracked_by_server)
    assert all(" /api/" in request for request in proxy.asked)


def test_server_that_no_proxy_is_for_is_reached(server, tracked_by_server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    assert_fit_is_logged(server, server, tracked_by_server)


@pytest.mark.parametrize("prefix", ["", "/team/mlflow"])
def test_server_whose_health_fails_is_reached(prefix, server, tracked_by_server):
    with relay_to(server, prefix=prefix) as relay:
        assert_fit_is_logged(relay.uri, server, tracked_by_server)


def test_server_that_wants_a_token_is_reached(server, tracked_by_server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    with relay_to(server, header="Bearer t0ken") as relay:
        assert_fit_is_logged(relay.uri, server, tracked_by_server)


def test_server_that_lists_nothing_is_reached(server, tracked_by_server):
    with relay_to(server, without=("/experiments/search",)) as relay:
        assert_fit_is_logged(relay.uri, server, tracked_by_server)


class TestServerThatIsJustStarting:
    """It begins to listen, or to answer, while somebody flushes."""

    @pytest.fixture(params=["does not listen", "answers 503"])
    def uri(self, request, server, journal):
        relay = Relay(server)

        def start():
            if request.param == "answers 503":
                relay.is_ready = False
                threading.Timer(1.5, setattr, (relay, "is_ready", True)).start()
            else:
                time.sleep(1.5)
            relay.server_activate()
            relay.serve_forever()

        leave_behind(uri=relay.uri)
        thread = threading.Thread(target=start)
        thread.start()
        yield relay.uri
        relay.shutdown()
        thread.join()
        relay.server_close()

    def test_gets_everything_while_a_flush_has_time(self, uri):
        assert flush(timeout=120) == 0
        assert pending() == 0

    def test_gets_everything_from_the_command(self, uri, command):  # noqa: F811
        code, out, _ = command("--timeout", "120")
        assert code == 0
        assert "1 delivered, 0 still waiting" in out


def test_run_that_a_server_refuses_keeps_no_others_waiting(
    server, tracked_by_server, journal
):
    with relay_to(server) as relay:
        relay.refuses = b'"refused"'
        mlflow.set_tracking_uri(relay.uri)
        with pytest.warns(TrackingWarning, match="not this one"):
            fit_named("refused")
        assert [fit().run_id_ is None for _ in range(3)] == [False] * 3
        assert pending() == 1
        relay.refuses = None
        assert flush() == 0
        runs = mlflow.search_runs([tracked_by_server], output_format="list")
        assert [run.info.status for run in runs] == ["FINISHED"] * 4


# What is sent for a run with a model; somebody dies after each of it.
STEPS = [*REQUESTS[:3], "logged-models", "runs/outputs", REQUESTS[3]]
# The run, its model, its end.
WHOLE_STEPS = {REQUESTS[0], "logged-models", REQUESTS[3]}


@pytest.mark.parametrize(
    "step",
    [
        step if step in WHOLE_STEPS else pytest.param(step, marks=pytest.mark.slow)
        for step in STEPS
    ],
)
def test_delivery_that_was_killed_is_completed_by_the_next(
    step, server, tracked_by_server, journal
):
    def kill_sender(relay, port):
        relay.kills_at = None
        killed.append(os.kill(process_at(port), signal.SIGKILL))

    killed = []
    with relay_to(server) as relay:
        mlflow.set_tracking_uri(relay.uri)
        relay.kills_at, relay.kill = step, kill_sender
        in_child(fit)
        assert len(killed) == 1
        assert flush() == 0
        (run_id,) = mlflow.search_runs([tracked_by_server])["run_id"]
        run = mlflow.get_run(run_id)
        assert run.info.status == "FINISHED"
        curve = mlflow.MlflowClient().get_metric_history(run_id, "objective")
        assert sorted(metric.step for metric in curve) == list(range(21))
        assert len(run.inputs.dataset_inputs) == len(run.outputs.model_outputs) == 1
        model = mlflow.sklearn.load_model(f"runs:/{run_id}/model")
        assert model.predict(X).size == 150


def process_at(port):
    """Find the process that has opened a connection from a port."""
    for process in psutil.process_iter():
        with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
            for connection in process.net_connections("tcp"):
                if connection.laddr.port == port and process.pid != os.getpid():
                    return process.pid
    raise LookupError(port)
