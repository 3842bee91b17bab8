"""Stores that are older than the MLflow that is installed here, and file stores."""

import math

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, pending
from skperceptron.tracking.delivery._runs import deliver
from skperceptron.tracking.journal._record import Metric, RunRecord
from skperceptron.tracking.recording._destination import Destination
from tests.tracking.tracked_searches import make_search

X, y = load_iris(return_X_y=True)
NAN = Metric("loss", math.nan, 0, 1000)

pytestmark = pytest.mark.usefixtures("delivery_here")


@pytest.fixture
def _refuses_known_nans(monkeypatch):
    """MLflow before version 3.16, in which other values may come twice."""
    log_batch = mlflow.MlflowClient.log_batch

    def refuse(self, run_id, metrics=(), *args, **kwargs):
        names = {metric.key for metric in metrics}
        known = [m for name in names for m in self.get_metric_history(run_id, name)]
        nans = [
            (metric.key, metric.step)
            for metric in [*known, *metrics]
            if math.isnan(metric.value)
        ]
        if len(nans) > len(set(nans)):
            raise MlflowException("UNIQUE constraint failed", BAD_REQUEST)
        log_batch(self, run_id, metrics, *args, **kwargs)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", refuse)


def store(metrics, run_id=None):
    record = RunRecord("diverged", start_time=1000)
    record.metrics, record.params = metrics, {"tol": "0.1"}
    return deliver(record, Destination.current().address(), "twice", run_id=run_id)


@pytest.mark.usefixtures("_refuses_known_nans")
def test_nan_that_the_store_has_already_keeps_nothing_else_away(runs):
    run_id = store([NAN])
    store(
        [NAN, Metric("loss", math.nan, 1, 1001), Metric("gain", 0.5, 0, 1000)], run_id
    )
    (run,) = runs()
    # SQLite keeps NaN as 0, and says beside it that it is none.
    assert run.metrics == {"loss": [(0, 0.0), (1, 0.0)], "gain": [(0, 0.5)]}
    assert run.params == {"tol": "0.1"}


@pytest.mark.usefixtures("_refuses_known_nans")
def test_nan_that_is_told_twice_is_there_once(runs):
    store([NAN, NAN, Metric("gain", 0.5, 0, 1000)])
    (run,) = runs()
    assert run.metrics == {"loss": [(0, 0.0)], "gain": [(0, 0.5)]}


@pytest.mark.parametrize("value", [math.nan, 0.5])
def test_what_is_refused_for_another_reason_is_an_error(value, runs, monkeypatch):
    def refuse(*args, **kwargs):
        raise MlflowException("no more room", BAD_REQUEST)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", refuse)
    with pytest.raises(MlflowException, match="no more room"):
        store([Metric("loss", value, 0, 1000)])


# Of which MLflow 3.17 says that they are no longer developed.
@pytest.mark.filterwarnings("ignore:The filesystem (tracking|model registry) backend")
@pytest.mark.parametrize("is_uri", [True, False])
def test_folder_of_files_takes_fits_and_searches(
    is_uri, tracking_uri, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder = tmp_path / "mlruns"
    tracking_uri(folder.as_uri() if is_uri else str(folder))
    clf = HillClimbPerceptron(max_iter=20, random_state=0).fit(X, y)
    search = make_search(tracker=MLflowTracker()).fit(X, y)
    assert pending() == 0
    found = mlflow.search_runs(["0"], output_format="list")
    assert len(found) == 1 + 1 + 3 + 6 + 1
    assert {run.info.status for run in found} == {"FINISHED"}
    single = mlflow.get_run(clf.run_id_)
    assert len(single.inputs.dataset_inputs) == 1
    history = mlflow.MlflowClient().get_metric_history(clf.run_id_, "objective")
    assert sorted(metric.step for metric in history) == list(range(21))
    (whole,) = (run for run in found if "best_score" in run.data.metrics)
    assert whole.data.metrics["best_score"] == search.best_score_
    loaded = mlflow.sklearn.load_model(f"runs:/{clf.run_id_}/model")
    assert_array_equal(loaded.predict(X), clf.predict(X))
