"""Logs a folder with MLflow's model as the model of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skperceptron.tracking.journal._record import DESCRIPTION_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

# Tag in which MLflow's UI looks for the registered models that a model is a version of.
_VERSIONS_TAG = "mlflow.modelVersions"
# Tags that say who made a run, and with what.
_ORIGIN_TAGS = ("mlflow.user", "mlflow.source.")


@dataclass(frozen=True)
class Origin:
    """What a model takes over from its run."""

    experiment_id: str
    tags: dict[str, str]
    params: dict[str, str]


def log_model(
    client: MlflowClient,
    run_id: str,
    folder: str | Path,
    *,
    name: str = "model",
    registered_name: str | None = None,
    description: str | None = None,
    origin: Origin | None = None,
) -> str:
    """Log the model in a folder as a model of a run, and return its id.

    A second call completes what is missing and adds nothing. The tracking URI and
    active run of this process play no part.

    Parameters
    ----------
    folder : path
        The folder. The ids of model and run are written into its `MLmodel`.

    name : str, default="model"
        Name of the model, by which ``runs:/<run_id>/<name>`` finds it.

    registered_name : str or None, default=None
        Registered model of which it becomes a version. None does not register it.

    description : str or None, default=None
        Description on its page, in Markdown.

    origin : Origin or None, default=None
        Content of a run so new that it cannot have a model yet. None asks the store
        for the run and its model.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    model, outputs = None, []
    if origin is None:
        run = client.get_run(run_id)
        origin = Origin(run.info.experiment_id, run.data.tags, run.data.params)
        model = _model_of(client, run, name)
        outputs = run.outputs.model_outputs if run.outputs else []
    model = model or client.create_logged_model(
        origin.experiment_id,
        name,
        source_run_id=run_id,
        tags={
            **{k: v for k, v in origin.tags.items() if k.startswith(_ORIGIN_TAGS)},
            **({} if description is None else {DESCRIPTION_TAG: description}),
        },
        params=origin.params,
    )
    if model.status != LoggedModelStatus.READY:
        if model.model_id not in [output.model_id for output in outputs]:
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        _sign(Path(folder), model)
        client.log_model_artifacts(model.model_id, str(folder))
        # Last: a model that is ready has all its files.
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    if registered_name is not None:
        _register(client, model, registered_name)
    return model.model_id


def _model_of(client: MlflowClient, run: Run, name: str) -> LoggedModel | None:
    """Find the model that an earlier attempt has created."""
    found = client.search_logged_models(
        [run.info.experiment_id],
        f"name = '{name}' AND source_run_id = '{run.info.run_id}'",
        max_results=1,
    )
    return found[0] if found else None


def _sign(folder: Path, model: LoggedModel) -> None:
    """Write the ids of a model and its run into the model's description."""
    import yaml
    from mlflow.models import Model

    # MLflow's own reader takes paths for URIs, and drops what follows a "#" or "?".
    file = folder / "MLmodel"
    description = Model.from_dict(yaml.safe_load(file.read_text(encoding="utf-8")))
    description.model_id = description.model_uuid = model.model_id
    description.run_id = model.source_run_id
    description.artifact_path = model.artifact_location
    file.write_text(description.to_yaml(), encoding="utf-8")


def _register(client: MlflowClient, model: LoggedModel, name: str) -> None:
    """Make a model a version of a registered one, unless it is one already."""
    version = _version_of(client, model, name) or client.create_model_version(
        name,
        # Not "models:/<model_id>", which stores look up in the global tracking URI.
        source=model.artifact_location,
        run_id=model.source_run_id,
        model_id=model.model_id,
        await_creation_for=0,
    )
    # Servers have set the tag by now, databases have not.
    noted = client.get_logged_model(model.model_id).tags.get(_VERSIONS_TAG, "[]")
    versions = {(v["name"], str(v["version"])) for v in json.loads(noted)}
    if (name, str(version.version)) not in versions:
        versions.add((name, str(version.version)))
        value = json.dumps([{"name": n, "version": v} for n, v in sorted(versions)])
        client.set_logged_model_tags(model.model_id, {_VERSIONS_TAG: value})


def _version_of(
    client: MlflowClient, model: LoggedModel, name: str
) -> ModelVersion | None:
    """Find the version that an earlier attempt has created."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    else:
        return None
    found = client.search_model_versions(
        f"name = '{name}' AND run_id = '{model.source_run_id}'"
    )
    # Not all stores return the model id of a version.
    sources = (model.artifact_location, f"models:/{model.model_id}")
    return next((version for version in found if version.source in sources), None)
