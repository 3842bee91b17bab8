"""From a folder with a model to the model of an MLflow run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skperceptron.tracking import pyfunc
from skperceptron.tracking.journal._notes import Notes

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import Model

# Plain data that skops is too careful with: without the first of them there would be no
# model of a pipeline with a SimpleImputer, without the second none of a voting one.
HARMLESS_TYPES = ("numpy.dtype", "sklearn.utils._bunch.Bunch")
OURS = "skperceptron"
MODEL_FILE = "model.skops"
DESCRIPTION_FILE = "MLmodel"
# What MLflow does with a model when it is loaded, by the entries that say so, ...
_FLAVORS = {
    "python_function": ("loader_module", "model_path", "code"),
    "sklearn": ("serialization_format", "pickled_model", "code"),
}
# ... as it may be for ours.
_OUR_FLAVORS = {
    "python_function": [
        (pyfunc.__name__, MODEL_FILE, None),
        ("mlflow.sklearn", MODEL_FILE, None),
    ],
    "sklearn": [("skops", MODEL_FILE, None)],
}
# Where the description says what else skops may load, ...
_TRUSTED_TYPES = "skops_trusted_types"
# ... which is what the users have allowed, and not whoever can write a file.
_trusted = Notes("trusted_types")
# Bytes of a description, that of a model with thousands of named columns included.
_MAX_DESCRIPTION = 16_000_000
# Where MLflow's pages look for the registered models that a model is a version of.
_VERSIONS_TAG = "mlflow.modelVersions"
# Tags that tell who made a run, and with what.
_ORIGIN_TAGS = ("mlflow.user", "mlflow.source.")


def trust(name: str) -> None:
    """Note that the user allows a type, by its qualified name, in models."""
    _trusted.add(name)


def read_description(file: Path) -> Model:
    """Read the description of a model.

    MLflow's own reader takes paths for URIs, and loses what follows a "#" or "?".
    """
    import yaml
    from mlflow.models import Model

    with file.open(encoding="utf-8") as stream:
        return Model.from_dict(yaml.safe_load(stream))


def write_description(description: Model, folder: Path) -> None:
    """Write the description of a model.

    At once: who is interrupted here must be able to try again.
    """
    file = folder / DESCRIPTION_FILE
    draft = file.with_suffix(".draft")
    draft.write_text(description.to_yaml(), encoding="utf-8")
    draft.replace(file)


@dataclass(frozen=True)
class Origin:
    """What a model takes over from its run.

    Attributes
    ----------
    experiment_id : str
        Experiment of the run.

    tags, params : dict of str
        Tags and parameters of the run.
    """

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
    origin: Origin | None = None,
) -> str:
    """Make a folder that `save_model` wrote the model of a run.

    Doing it again completes what is missing and adds nothing. The process's own
    tracking URI and active run play no part.

    Parameters
    ----------
    client : MlflowClient
        The store.

    run_id : str
        The run.

    folder : path
        The folder. The name of the model is written into it.

    name : str, default="model"
        Name of the model, by which ``runs:/<run_id>/<name>`` finds it.

    registered_name : str or None, default=None
        Registered model of which it becomes a version. None does not register it.

    origin : Origin or None, default=None
        What is in the run, if it is so new that it cannot have a model yet. None asks
        the store for both.

    Returns
    -------
    model_id : str
        The model in MLflow.

    Raises
    ------
    OSError, mlflow.exceptions.MlflowException
        When the store cannot be reached or refuses the model.
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
        tags={k: v for k, v in origin.tags.items() if k.startswith(_ORIGIN_TAGS)},
        params=origin.params,
    )
    if model.status != LoggedModelStatus.READY:
        if model.model_id not in [output.model_id for output in outputs]:
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        _sign(Path(folder), model)
        client.log_model_artifacts(model.model_id, str(folder))
        # Last: who is ready has everything.
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    if registered_name is not None:
        _register(client, model, registered_name)
    return model.model_id


def why_not_ours(folder: Path) -> str:
    """Tell why a folder cannot be one that `save_model` wrote, if so.

    MLflow runs code of a model that was pickled, or that brings code with it, as soon
    as somebody loads it.

    Parameters
    ----------
    folder : Path
        A folder with a model in it.

    Returns
    -------
    str
        Empty if it may be one.
    """
    file = folder / DESCRIPTION_FILE
    try:
        if file.stat().st_size > _MAX_DESCRIPTION:
            return f"has an {DESCRIPTION_FILE} that is too large"
        flavors = read_description(file).flavors
        are_ours = set(flavors) == set(_FLAVORS) and all(
            tuple(flavors[name].get(key) for key in keys) in _OUR_FLAVORS[name]
            for name, keys in _FLAVORS.items()
        )
        trusted = {str(name) for name in flavors["sklearn"].get(_TRUSTED_TYPES, ())}
    except Exception as error:  # whatever comes of reading anything as a description
        return f"has no {DESCRIPTION_FILE} that can be read ({type(error).__name__})"
    if not are_ours:
        return "is not stored as this package stores models"
    foreign = {name for name in trusted if not _is_trusted(name)}
    if foreign:
        return f"trusts types that no fit of yours did: {', '.join(sorted(foreign))}"
    return ""


def _is_trusted(name: str) -> bool:
    return name.startswith(f"{OURS}.") or name in HARMLESS_TYPES or name in _trusted


def _model_of(client: MlflowClient, run: Run, name: str) -> LoggedModel | None:
    """Find the model that an earlier attempt has created."""
    found = client.search_logged_models(
        [run.info.experiment_id],
        f"name = '{name}' AND source_run_id = '{run.info.run_id}'",
        max_results=1,
    )
    return found[0] if found else None


def _sign(folder: Path, model: LoggedModel) -> None:
    """Write into a model's description which model of which run it is."""
    description = read_description(folder / DESCRIPTION_FILE)
    description.model_id = description.model_uuid = model.model_id
    description.run_id = model.source_run_id
    description.artifact_path = model.artifact_location
    write_description(description, folder)


def _register(client: MlflowClient, model: LoggedModel, name: str) -> None:
    """Make a model a version of a registered one, unless it is."""
    version = _version_of(client, model, name) or client.create_model_version(
        name,
        # Not "models:/<model_id>", which stores look up in the global tracking URI.
        source=model.artifact_location,
        run_id=model.source_run_id,
        model_id=model.model_id,
        await_creation_for=0,
    )
    # Servers have noted by now what the model is a version of, databases have not.
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
    # Not all stores tell which model a version is.
    sources = (model.artifact_location, f"models:/{model.model_id}")
    return next((version for version in found if version.source in sources), None)
