"""A model that was saved becomes that of its run, and is registered."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import uuid
from contextlib import closing

import mlflow
import pytest
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

from skperceptron.tracking.delivery._models import log_model
from tests.tracking.models import Service, X, perceptron, save_model, y

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
READY = 2


@pytest.fixture
def run_id(client, experiment):
    run_id = client.create_run(experiment).info.run_id
    client.log_param(run_id, "max_iter", 50)
    return run_id


@pytest.fixture
def folder(tmp_path):
    save_model(perceptron().fit(X, y), X, tmp_path / "model")
    return tmp_path / "model"


def rows(query, *values):
    store = os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(store)) as db:
        return db.execute(query, values).fetchall()


def models_of(run_id):
    return rows(
        "SELECT model_id, name, status FROM logged_models WHERE source_run_id = ?",
        run_id,
    )


class TestLogging:
    def test_it_is_the_model_of_the_run(self, client, run_id, folder):
        model_id = log_model(client, run_id, folder)
        assert models_of(run_id) == [(model_id, "model", READY)]
        run = client.get_run(run_id)
        assert [o.model_id for o in run.outputs.model_outputs] == [model_id]
        model = client.get_logged_model(model_id)
        assert model.params == {"max_iter": "50"}
        description = mlflow.models.Model.load(f"runs:/{run_id}/model")
        assert description.run_id == run_id
        assert description.model_id == description.model_uuid == model_id
        assert description.artifact_path == model.artifact_location

    def test_it_tells_by_whom_and_by_what_it_was_made(self, client, run_id, folder):
        made_by = {"mlflow.user": "somebody", "mlflow.source.name": "train.py"}
        for key, value in {**made_by, "of the run": "only"}.items():
            client.set_tag(run_id, key, value)
        model = client.get_logged_model(log_model(client, run_id, folder))
        assert made_by.items() <= model.tags.items()
        assert "of the run" not in model.tags

    def test_its_description_is_like_those_of_mlflow(
        self, client, own_experiment, run_id, folder
    ):
        log_model(client, run_id, folder)
        with mlflow.start_run() as run:
            mlflow.sklearn.log_model(
                StandardScaler().fit(X),
                name="model",
                input_example=X[:5],
                pip_requirements=["numpy"],
            )
        ours, theirs = (
            mlflow.models.Model.load(f"runs:/{id}/model").to_dict()
            for id in (run_id, run.info.run_id)
        )
        assert set(theirs) <= set(ours)

    def test_again_adds_nothing(self, client, run_id, folder):
        first = log_model(client, run_id, folder, registered_name="again")
        before = rows("SELECT * FROM inputs")
        assert log_model(client, run_id, folder, registered_name="again") == first
        assert len(models_of(run_id)) == 1
        assert rows("SELECT * FROM inputs") == before
        assert len(rows("SELECT * FROM model_versions WHERE name = 'again'")) == 1

    def test_other_runs_and_names_have_models_of_their_own(
        self, client, experiment, run_id, folder
    ):
        other = client.create_run(experiment).info.run_id
        ids = {
            log_model(client, run_id, folder),
            log_model(client, other, folder),
            log_model(client, other, folder, name="another"),
        }
        assert len(ids) == 3
        assert len(models_of(run_id)) == 1
        assert len(models_of(other)) == 2

    @pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize(
        "call",
        [
            "create_logged_model",
            "log_outputs",
            "log_model_artifacts",
            "finalize_logged_model",
            "create_registered_model",
            "create_model_version",
            "set_logged_model_tags",
        ],
    )
    def test_what_was_interrupted_is_completed(
        self, call, done, client, run_id, folder, monkeypatch
    ):
        name = uuid.uuid4().hex
        do = getattr(client, call)

        def fail(*args, **kwargs):
            if done:
                do(*args, **kwargs)
            raise OSError("the power is gone")

        with monkeypatch.context() as context:
            context.setattr(client, call, fail)
            with pytest.raises(OSError, match="the power"):
                log_model(client, run_id, folder, registered_name=name)
        model_id = log_model(client, run_id, folder, registered_name=name)
        self.check_all_is_there(client, run_id, model_id, name)

    def test_half_an_upload_is_completed(self, client, run_id, folder, monkeypatch):
        def upload_half(model_id, folder):
            client.log_model_artifact(model_id, f"{folder}/MLmodel")
            raise OSError("the power is gone")

        with monkeypatch.context() as context:
            context.setattr(client, "log_model_artifacts", upload_half)
            with pytest.raises(OSError, match="the power"):
                log_model(client, run_id, folder)
        model_id = log_model(client, run_id, folder, registered_name="half")
        self.check_all_is_there(client, run_id, model_id, "half")

    def check_all_is_there(self, client, run_id, model_id, name):
        assert models_of(run_id) == [(model_id, "model", READY)]
        outputs = client.get_run(run_id).outputs.model_outputs
        assert [output.model_id for output in outputs] == [model_id]
        (version,) = client.search_model_versions(f"name = '{name}'")
        model = client.get_logged_model(model_id)
        assert (version.run_id, version.source) == (run_id, model.artifact_location)
        assert json.loads(model.tags["mlflow.modelVersions"]) == [
            {"name": name, "version": "1"}
        ]
        expected = perceptron().fit(X, y).predict(X)
        for uri in (f"runs:/{run_id}/model", f"models:/{name}/1"):
            assert_array_equal(mlflow.sklearn.load_model(uri).predict(X), expected)

    def test_versions_are_counted(self, client, experiment, folder):
        for number in (1, 2):
            run_id = client.create_run(experiment).info.run_id
            log_model(client, run_id, folder, registered_name="counted")
            versions = client.search_model_versions(f"run_id = '{run_id}'")
            assert [int(version.version) for version in versions] == [number]

    def test_the_store_of_the_process_plays_no_part(self, tmp_path, folder, new_store):
        other = mlflow.MlflowClient(f"sqlite:///{shutil.copy(new_store, tmp_path)}")
        artifacts = str(tmp_path / "artifacts")
        experiment = other.create_experiment("e", artifact_location=artifacts)
        run_id = other.create_run(experiment).info.run_id
        before = mlflow.get_tracking_uri()
        nowhere = "sqlite:////no/such/folder/mlflow.db"  # whoever asks it fails
        mlflow.set_tracking_uri(nowhere)
        try:
            model_id = log_model(other, run_id, folder, registered_name="r")
            assert mlflow.get_tracking_uri() == nowhere
        finally:
            mlflow.set_tracking_uri(before)
        assert not models_of(run_id)
        model = other.get_logged_model(model_id)
        assert model.status == "READY"
        assert other.get_model_version("r", "1").source == model.artifact_location

    def test_the_active_run_plays_no_part(self, client, own_experiment, run_id, folder):
        with mlflow.start_run() as run:
            log_model(client, run_id, folder)
            assert mlflow.active_run().info.run_id == run.info.run_id
        assert not models_of(run.info.run_id)
        assert not client.get_run(run.info.run_id).outputs.model_outputs


@pytest.mark.slow
def test_a_server_takes_models(tmp_path, folder):
    store = f"sqlite:///{tmp_path / 'server.db'}"
    with Service(
        tmp_path, "/health", "server", "--backend-store-uri", store
    ) as service:
        uri = f"http://127.0.0.1:{service.port}"
        client = mlflow.MlflowClient(uri)
        run_id = client.create_run(client.create_experiment("e")).info.run_id
        first = log_model(client, run_id, folder, registered_name="served")
        assert log_model(client, run_id, folder, registered_name="served") == first
        model = client.get_logged_model(first)
        (version,) = client.search_model_versions("name = 'served'")
        assert version.source == model.artifact_location
        assert model.artifact_location.startswith("mlflow-artifacts:")
        assert len(json.loads(model.tags["mlflow.modelVersions"])) == 1
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri)
        try:
            for model in (f"runs:/{run_id}/model", "models:/served/1"):
                loaded = mlflow.sklearn.load_model(model)
                expected = perceptron().fit(X, y).predict(X)
                assert_array_equal(loaded.predict(X), expected)
        finally:
            mlflow.set_tracking_uri(before)
