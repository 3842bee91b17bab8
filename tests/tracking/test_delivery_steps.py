"""Deliveries to a database that are killed or refused between two calls of MLflow."""

import errno
import os
import signal
import time
from pathlib import Path

import mlflow
import pytest
import requests

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import flush, pending
from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.journal._journal import Journal
from skperceptron.tracking.journal._kept_model import KeptModel
from tests.tracking.delivery_here import no_process
from tests.tracking.faults import X, die, fit, in_child, warned_once, y
from tests.tracking.test_artifacts import TAG

STEPS = {
    "after it noted to deliver": (_runs, "deliver"),
    "after the run was created": (mlflow.MlflowClient, "log_batch"),
    "after its values were logged": (mlflow.MlflowClient, "log_inputs"),
    "after its data was logged": (_runs, "attach"),
    "after its model was created": (mlflow.MlflowClient, "log_model_artifacts"),
    "after its model was logged": (_runs, "end_run"),
    "after the run was ended": (Journal, "settle"),
}
BEFORE_THE_COMMIT = list(STEPS)[:3]


def fit_and_deliver():
    with no_process():
        fit()
        flush()


@pytest.mark.parametrize("step", STEPS)
def test_delivery_that_was_killed_is_completed_by_the_next(step, runs, monkeypatch):
    fit()
    with monkeypatch.context() as patch:
        patch.setattr(*STEPS[step], lambda *args, **kwargs: die())
        assert in_child(fit_and_deliver) == signal.SIGKILL
    # Its values are stored in one transaction, so it is there with all of them or not.
    assert len(runs.at_once()) == (1 if step in BEFORE_THE_COMMIT else 2)
    assert pending() == 1
    assert flush() == 0
    _, run = runs.at_once()
    assert run.status == "FINISHED"
    assert len(run.metrics["objective"]) == 21
    assert run.latest("training_score") > 0
    whole = mlflow.get_run(run.run_id)
    assert len(whole.inputs.dataset_inputs) == 1
    assert len(whole.outputs.model_outputs) == 1
    assert mlflow.sklearn.load_model(f"runs:/{run.run_id}/model").predict(X).size == 150


def test_half_a_model_of_a_killed_process_is_left_out(runs, monkeypatch):
    def objective(y_true, y_pred):
        time.sleep(0.1)
        return 0.0

    fit()
    with monkeypatch.context() as patch:
        patch.setattr(KeptModel, "write", lambda *args: die())

        def long_fit():
            HillClimbPerceptron(max_iter=30, objective=objective).fit(X, y)

        assert in_child(long_fit) == signal.SIGKILL
    flush()
    assert [run.status for run in runs.at_once()] == ["FINISHED", "KILLED"]


def test_store_that_is_away_as_well_keeps_all_of_a_run_waiting(runs, monkeypatch):
    def fail(*args, **kwargs):
        raise PermissionError(errno.EACCES, "not here")

    with monkeypatch.context() as patch:
        for name in ("log_model_artifacts", "set_terminated"):
            patch.setattr(mlflow.MlflowClient, name, fail)
        with no_process():
            fit()
            with warned_once("could not be delivered"):
                assert flush() == 1
    assert flush() == 0
    (run,) = runs.at_once()
    assert run.status == "FINISHED"
    assert TAG not in run.tags
    assert mlflow.sklearn.load_model(f"runs:/{run.run_id}/model") is not None
    assert not (Path(os.environ["SKPERCEPTRON_JOURNAL"]) / "not_logged").exists()


def fail_once(monkeypatch, cause):
    """Let the first call of MLflow take long and fail; list the calls."""
    create, calls = mlflow.MlflowClient.create_run, []

    def create_run(*args, **kwargs):
        calls.append(kwargs)
        if len(calls) == 1:
            time.sleep(1.5)
            message = "API request to http://x failed with exception ..."
            raise mlflow.MlflowException(message) from cause
        return create(*args, **kwargs)

    monkeypatch.setattr(mlflow.MlflowClient, "create_run", create_run)
    return calls


def test_call_that_fails_once_is_made_again_on_a_slow_machine_too(runs, monkeypatch):
    calls = fail_once(monkeypatch, cause=KeyError("X"))
    with no_process():
        fit()
        assert flush() == 0
    assert len(calls) == 2
    assert [run.status for run in runs.at_once()] == ["FINISHED"]


def test_call_that_nobody_answers_is_not_made_again_at_once(runs, monkeypatch):
    calls = fail_once(monkeypatch, cause=requests.ReadTimeout())
    with no_process():
        fit()
        with warned_once("could not be delivered"):
            flush()
    assert len(calls) == 1
    assert [run.status for run in runs()] == ["FINISHED"]
