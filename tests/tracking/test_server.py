"""A real MLflow server on loopback."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import mlflow
import pytest
import requests
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

import skperceptron
from benchmarks._servers import free_port, mlflow_server
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import __main__, flush, pending
from skperceptron.tracking._journal import Inbox
from tests.tracking.faults import leave_behind

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


class Door(ThreadingHTTPServer):
    """Leads to a server, but answers by itself while that is said to be starting."""

    daemon_threads = True
    is_open = False


class Doorman(BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.is_open:
            url = f"{self.server.leads_to}{self.path}"
            options = {"data": body, "headers": {"Content-Type": "application/json"}}
            response = requests.request(self.command, url, **options)
            status, content = response.status_code, response.content
        else:
            status, content = 503, b"{}"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = answer  # noqa: N815 - names of http.server

    def log_message(self, *args):
        pass


class TestServerThatIsJustStarting:
    """It begins to listen, or to answer, while somebody flushes."""

    @pytest.fixture(params=["does not listen", "answers 503"])
    def uri(self, request, server):
        door = Door(("127.0.0.1", free_port()), Doorman, bind_and_activate=False)
        door.leads_to = server

        def start():
            if request.param == "answers 503":
                door.server_activate()
                threading.Timer(1.5, setattr, (door, "is_open", True)).start()
            else:
                door.is_open = True
                time.sleep(1.5)
                door.server_activate()
            door.serve_forever()

        door.server_bind()
        thread = threading.Thread(target=start)
        thread.start()
        yield f"http://127.0.0.1:{door.server_port}"
        door.shutdown()
        thread.join()
        door.server_close()

    def test_gets_everything_while_a_flush_has_time(self, uri, journal):
        leave_behind(Inbox(journal, "vm-1-dead"), tracking_uri=uri, experiment_id="0")
        assert flush(timeout=120) == 0
        assert pending() == 0

    def test_gets_everything_from_the_command(self, uri, journal, monkeypatch, capsys):
        leave_behind(Inbox(journal, "vm-1-dead"), tracking_uri=uri, experiment_id="0")
        monkeypatch.setattr("sys.argv", ["tracking", "--timeout", "120"])
        assert __main__.main() == 0
        assert "1 delivered, 0 still waiting" in capsys.readouterr().out
