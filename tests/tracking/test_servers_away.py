"""Servers that do not work, or go and come, and credentials that nobody is told."""

import itertools
import time
import uuid
import warnings
from contextlib import ExitStack

import mlflow
import optuna
import pytest
from sklearn.model_selection import GridSearchCV

from benchmarks._servers import free_port, mlflow_server
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import (
    MLflowTracker,
    TrackingWarning,
    flush,
    pending,
    track_study,
)
from tests.tracking.faults import (
    BOUND,
    X,
    assert_odd_runs_are_complete,
    at_most,
    fake_server,
    finish_other_tests,
    fit,
    fit_odd,
    leave_behind,
    runs_of,
    statuses_of,
    warned_once,
    y,
)

# Servers that do not work


@pytest.mark.parametrize(
    ("health", "api"),
    [
        (500, 500),
        # A search and a study show that below.
        pytest.param(None, None, marks=pytest.mark.slow),
        pytest.param(200, 500, marks=pytest.mark.slow),
        pytest.param(200, None, marks=pytest.mark.slow),
    ],
    ids=["500", "hangs", "only healthy, else 500", "only healthy, else hangs"],
)
def test_server_that_does_not_work_costs_one_wait_and_one_warning(
    health, api, tracking_uri, monkeypatch
):
    finish_other_tests()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "20")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "500")
    with fake_server(health, api) as server:
        tracking_uri(server.uri)
        with at_most(BOUND), warned_once("could not be logged"):
            fit()
        with at_most(2):  # a warning would be an error here
            for _ in range(3):
                fit()
            GridSearchCV(
                HillClimbPerceptron(max_iter=5), {"step_size": [0.1]}, cv=2
            ).fit(X, y)
        assert pending() == 4 + (1 + 2 + 1)
        with at_most(3), pytest.warns(TrackingWarning, match="could not be delivered"):
            assert flush(timeout=1) == 8


@pytest.mark.parametrize("health", [500, None], ids=["500", "hangs"])
def test_server_that_does_not_work_costs_a_search_and_a_study_one_wait(
    health, tracking_uri
):
    with fake_server(health, health) as server:
        tracking_uri(server.uri)
        with at_most(BOUND), warned_once("could not be logged"):
            GridSearchCV(
                HillClimbPerceptron(max_iter=5), {"step_size": [0.1, 0.2]}, cv=2
            ).set_callbacks(MLflowTracker()).fit(X, y)
        with at_most(3), track_study(optuna.create_study()) as study:
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
        assert len(study.trials) == 3
        assert pending() >= (1 + 4) + (1 + 3)


def test_store_that_hangs_keeps_up_no_other(away):
    port = free_port()
    for uri in [f"http://127.0.0.1:{port}", away.uri]:
        leave_behind(fit, fit, fit, uri=uri)
    away.come_back()
    with fake_server(200, None, port), at_most(6), warned_once("no answer"):
        assert flush(timeout=4) == 3
    assert statuses_of(away.path) == {"FINISHED": 3}


# A server that goes and comes


class Server:
    """An MLflow server that can be stopped and started again."""

    def __init__(self, folder):
        self.store = folder / "server.db"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.is_up = False
        self._stack = ExitStack()

    def start(self):
        """Start it, unless it is up."""
        if self.is_up:
            return
        store = f"sqlite:///{self.store}"
        server = mlflow_server(store, self.store.parent, port=self.port)
        self._stack.enter_context(server)
        self.is_up = True

    def stop(self):
        self._stack.close()
        self.is_up = False


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def experiment_id(server, tracking_uri):
    """A new experiment of the server, which is up, for all that is tracked."""
    server.start()
    tracking_uri(server.uri)
    return mlflow.set_experiment(uuid.uuid4().hex).experiment_id


def key_of(run):
    return run.data.tags["skperceptron.key"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_server_that_is_down_at_first_gets_everything_once(
    server, tracking_uri, journal
):
    server.stop()
    tracking_uri(server.uri)
    with warned_once("could not be logged"):
        fits = [fit() for _ in range(3)]
    grid = {"step_size": [0.1, 0.2]}
    GridSearchCV(HillClimbPerceptron(max_iter=5), grid, cv=2, n_jobs=2).fit(X, y)
    fit_odd()
    server.start()
    assert flush() == 0
    runs = runs_of("0")
    assert len(runs) == len({key_of(run) for run in runs}) == 3 + 4 + 1 + 1 + 5
    assert fits[0].run_id_ in {run.info.run_id for run in runs}
    assert_odd_runs_are_complete(runs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_server_that_is_down_in_the_middle_of_a_fit_gets_the_whole_curve(
    server, experiment_id
):
    steps = itertools.count()

    def objective(y_true, y_pred):
        step = next(steps)
        if step == 30:
            assert [run.info.status for run in runs_of(experiment_id)] == ["RUNNING"]
            server.stop()
        elif step == 60:
            server.start()
        time.sleep(0.1)
        return step

    with warnings.catch_warnings():
        # Nothing, or one: that depends on when the deliverer looks again.
        warnings.simplefilter("ignore", TrackingWarning)
        clf = HillClimbPerceptron(max_iter=80, objective=objective).fit(X, y)
    fit()
    assert flush() == 0
    whole, _ = runs_of(experiment_id)
    assert whole.info.status == "FINISHED"
    assert whole.info.run_id == clf.run_id_
    history = mlflow.MlflowClient().get_metric_history(clf.run_id_, "objective")
    assert sorted(metric.step for metric in history) == list(range(81))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_server_that_is_down_in_the_middle_of_a_search_gets_all_of_it_by_itself(
    server, experiment_id
):
    fits = itertools.count()

    class Unlucky(HillClimbPerceptron):
        def fit(self, X, y):
            if next(fits) == 3:
                server.stop()
            return super().fit(X, y)

    search = GridSearchCV(Unlucky(max_iter=20), {"step_size": [0.1, 0.2, 0.4]}, cv=2)
    search.set_callbacks(MLflowTracker(log_models="none"))
    with warned_once("could not be logged"):
        search.fit(X, y)
    assert pending() > 0
    server.start()
    wait_until_nothing_is_pending()
    runs = runs_of(experiment_id)
    assert len(runs) == len({key_of(run) for run in runs}) == 1 + 3 + 6 + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    (whole,) = (run for run in runs if "best_score" in run.data.metrics)
    assert whole.data.metrics["best_score"] == search.best_score_


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_server_that_is_down_in_the_middle_of_a_study_gets_all_of_it_by_itself(
    server, experiment_id
):

    def objective(trial):
        step_size = trial.suggest_float("step_size", 0.1, 1)
        clf = HillClimbPerceptron(max_iter=20, step_size=step_size).fit(X, y)
        if trial.number == 2:
            server.stop()
        return clf.score(X, y)

    with warnings.catch_warnings():
        # One or two: that depends on when the deliverer looks again.
        warnings.simplefilter("ignore", TrackingWarning)
        with track_study(optuna.create_study(direction="maximize")) as study:
            study.optimize(objective, n_trials=5)
    assert pending() > 0
    server.start()
    wait_until_nothing_is_pending()
    runs = runs_of(experiment_id)
    assert len(runs) == len({key_of(run) for run in runs}) == 1 + 5 + 5
    assert {run.info.status for run in runs} == {"FINISHED"}


def wait_until_nothing_is_pending():
    deadline = time.monotonic() + 120
    while pending() > 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert pending() == 0


# Values that nobody else may see


@pytest.mark.parametrize(
    "uri",
    [
        "http://someone:s3cr%40t@127.0.0.1:{port}",
        "postgresql://someone:s3cr%40t@127.0.0.1:{port}/db?password=s3cr%40t&x=1",
    ],
)
def test_credentials_are_told_nobody(uri, tracking_uri, journal, caplog, capfd):
    tracking_uri(uri.format(port=free_port()))
    with warnings.catch_warnings(record=True, action="always") as caught:
        fit()
        GridSearchCV(
            HillClimbPerceptron(max_iter=5), {"step_size": [0.1]}, cv=2, n_jobs=2
        ).fit(X, y)
        assert flush(timeout=2) >= 4
    assert caught
    told = [str(warning.message) for warning in caught]
    told += [record.getMessage() for record in caplog.records]
    told += [*capfd.readouterr()]
    files = [path for path in journal.rglob("*") if path.is_file()]
    told += [path.read_bytes().decode(errors="replace") for path in files]
    told += [str(path) for path in files]
    for secret in ("s3cr", "someone"):
        assert [text for text in told if secret in text] == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.slow
def test_credentials_are_not_printed_for_each_run(server, tracking_uri, capfd):
    server.start()
    tracking_uri(server.uri.replace("//", "//someone:s3cret@"))
    assert fit().run_id_ is not None
    out, err = capfd.readouterr()
    assert "View run" not in out
    assert "s3cret" not in out + err
