"""Writes records to runs of MLflow."""

from __future__ import annotations

import json
import math
import posixpath
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from skperceptron.tracking.delivery._model_building import built_model, is_plain
from skperceptron.tracking.delivery._models import Origin, log_model
from skperceptron.tracking.delivery._store import (
    client_of,
    tracking_uri_of,
)
from skperceptron.tracking.delivery._transaction import in_one_transaction
from skperceptron.tracking.journal._kept_model import NoModelError, read_kept_model
from skperceptron.tracking.journal._record import (
    DESCRIPTION_RUN_ID,
    DESCRIPTION_TAG,
    KEY_TAG,
    MAX_PARAM_LENGTH,
    TEST_SCORE,
    Address,
    Dataset,
    RunRecord,
    may_describe,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run, RunTag

# Tag of a run that lacks files. It says which, why, and where they are.
NOT_LOGGED_TAG = "skperceptron.not_logged"
# Name of the dataset of a run.
DATASET = "training_data"
# The folder of a run's model.
MODEL = "model"
DEFAULT_EXPERIMENT_ID = "0"
# The id of an experiment is looked up by its name again after this time.
SECONDS_BETWEEN_LOOKS_AT_NAMES = 10.0
# MLflow takes at most this many values in one call, of which at most this many
# parameters and tags.
VALUES_PER_CALL = 1000
TEXTS_PER_CALL = 100
MAX_NAME_LENGTH = 250
MAX_TAG_LENGTH = 5000
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]", re.ASCII)
# Error codes of MLflow after which a retry cannot succeed.
_REFUSALS = {
    "BAD_REQUEST",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "PERMISSION_DENIED",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
}


def deliver(
    record: RunRecord,
    address: Address,
    key: str,
    parent_run_id: str | None = None,
    *,
    run_id: str | None = None,
    ends: bool = False,
) -> str:
    """Store a record in the run `run_id` of MLflow, or in a new one, and return its id.

    With `ends`, the run is also ended as the record says.

    Raises
    ------
    OSError, mlflow.exceptions.MlflowException
        When the store cannot be reached or refuses the record.
    """
    client = client_of(address)
    if run_id is None:
        experiment_of(client, address)  # before what may be rolled back

    def store() -> str:
        tags = dict(record.tags)
        description = tags.pop(DESCRIPTION_TAG, None)
        stored = run_id
        if stored is None:
            stored = _create_run(client, record, tags, address, key, parent_run_id)
            tags = {}
        if description is not None:
            old = client.get_run(stored).data.tags.get(DESCRIPTION_TAG)
            if may_describe(description, old):
                tags[DESCRIPTION_TAG] = description.replace(DESCRIPTION_RUN_ID, stored)
        _log(client, stored, record, tags)
        if record.dataset is not None:
            _log_dataset(client, stored, record.dataset)
        if ends:
            client.set_terminated(stored, record.status, end_time=record.end_time)
        return stored

    return in_one_transaction(client, store)


def _create_run(
    client: MlflowClient,
    record: RunRecord,
    tags: dict[str, str],
    address: Address,
    key: str,
    parent_run_id: str | None,
) -> str:
    """Create a run with some tags, and return its id."""
    parents = {} if parent_run_id is None else {"mlflow.parentRunId": parent_run_id}
    run = client.create_run(
        experiment_of(client, address),
        start_time=record.start_time,
        tags=accepted({**tags, **parents, KEY_TAG: key}, MAX_TAG_LENGTH),
        run_name=accepted_text(record.name, MAX_NAME_LENGTH),
    )
    return run.info.run_id


def end_run(
    address: Address,
    run_id: str,
    record: RunRecord,
    *,
    unless_ended: bool = False,
) -> None:
    """End a run as the record says.

    Parameters
    ----------
    unless_ended : bool, default=False
        Whether to leave a run alone that has ended before. Only the end of a killed run
        may still move to a later time, when one of its processes has outlived another.
    """
    client = client_of(address)
    if unless_ended:
        run = client.get_run(run_id).info
        is_later = (record.end_time or 0) > (run.end_time or 0)
        is_longer = run.status == record.status == "KILLED" and is_later
        if run.status in ("FINISHED", "FAILED", "KILLED") and not is_longer:
            return
    client.set_terminated(run_id, record.status, end_time=record.end_time)


def attach(
    address: Address,
    run_id: str,
    folder: Path,
    record: RunRecord,
    *,
    is_new: bool = False,
) -> list[str]:
    """Log the artifacts and the model of a run.

    Parameters
    ----------
    folder : Path
        Its content is logged, if it exists. `model` in it is a kept model, from which
        MLflow's model is built.

    is_new : bool, default=False
        Whether `deliver` has just created the run from this record. Then the store
        need not be asked what is in the run.

    Returns
    -------
    left_out : list of str
        What was not logged because no fit can have written it, and why.
    """
    if not folder.is_dir():
        return []
    if not is_plain(folder):
        return ["its files, among which are links, pipes or devices"]
    client = client_of(address)
    left_out = []
    origin = None
    if is_new:
        origin = Origin(
            experiment_of(client, address),
            accepted(record.tags, MAX_TAG_LENGTH),
            accepted(record.params, MAX_PARAM_LENGTH),
        )
    for item in sorted(folder.iterdir()):
        if item.name != MODEL:
            client.log_artifact(run_id, str(item))
            continue
        try:
            with built_model(item) as built:
                estimator = read_kept_model(item).estimator
                model_id = log_model(
                    client,
                    run_id,
                    built,
                    registered_name=record.registered_model_name,
                    description=_description_of_model(estimator, record, run_id),
                    origin=origin,
                )
        except NoModelError as error:
            left_out.append(f"its model, which {error}")
        else:
            _log_model_metrics(address, run_id, model_id, record)
    return left_out


def _description_of_model(estimator: str, record: RunRecord, run_id: str) -> str:
    return (
        f"`{estimator}`, the model of the run {record.name}, stored without pickle."
        f'\n\n```python\nmlflow.sklearn.load_model("runs:/{run_id}/{MODEL}")\n```'
    )


def tell_model_of_score(address: Address, run_id: str, record: RunRecord) -> None:
    """Log the score of a run on other data to its model as well."""
    scores = [m for m in record.metrics if m.key == TEST_SCORE]
    if scores and not record.files:
        client = client_of(address)
        experiments = [experiment_of(client, address)]
        for model in client.search_logged_models(
            experiments, f"source_run_id = '{run_id}'"
        ):
            scored = replace(record, metrics=scores)
            _log_model_metrics(address, run_id, model.model_id, scored)


def _log_model_metrics(
    address: Address, run_id: str, model_id: str, record: RunRecord
) -> None:
    """Log the latest values of a run's metrics to its model, with the dataset."""
    from mlflow import entities

    if urlsplit(tracking_uri_of(address)).scheme in ("", "file"):
        return  # a store of files would list them twice
    dataset = {}
    if record.dataset is not None:
        dataset = {"dataset_name": DATASET, "dataset_digest": record.dataset.digest}
    latest = {m.key: m for m in sorted(record.metrics, key=lambda m: m.step)}
    metrics = [
        entities.Metric(
            accepted_name(m.key),
            m.value,
            m.timestamp,
            m.step,
            model_id=model_id,
            run_id=run_id,
            **({} if m.key == TEST_SCORE else dataset),
        )
        for m in latest.values()
        if not math.isnan(m.value)  # NaN would be stored twice
    ]
    client = client_of(address)
    for start in range(0, len(metrics), VALUES_PER_CALL):
        some = metrics[start : start + VALUES_PER_CALL]
        client.log_batch(run_id, some, synchronous=True)


def note_not_logged(
    address: Address, run_id: str, text: str, *, for_good: bool = False
) -> None:
    """Note in a tag of a run which files it lacks; an empty text removes the tag.

    With `for_good`, nobody will try again, and a pending model is marked as failed.
    """
    from mlflow.entities import LoggedModelStatus

    client = client_of(address)
    if not text:
        client.delete_tag(run_id, NOT_LOGGED_TAG)
        return
    client.set_tag(run_id, NOT_LOGGED_TAG, accepted_text(text, MAX_TAG_LENGTH))
    if for_good:
        for model in client.search_logged_models(
            [experiment_of(client, address)], f"source_run_id = '{run_id}'"
        ):
            if model.status == LoggedModelStatus.PENDING:
                client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)


def place_of_files(address: Address) -> tuple[str, str]:
    """Return the name of an experiment and the location of its artifacts."""
    client = client_of(address)
    experiment = client.get_experiment(experiment_of(client, address))
    return experiment.name, experiment.artifact_location


def has_usable_place(address: Address) -> bool:
    """Return whether MLflow can write to the kind of place where artifacts go."""
    from mlflow.store.artifact.artifact_repository_registry import (
        get_artifact_repository,
    )

    _, location = place_of_files(address)
    try:
        get_artifact_repository(location, tracking_uri_of(address))
    except Exception:  # any error of a plugin
        return False
    return True


def search(address: Address, condition: str, *, deleted: bool = False) -> list[Run]:
    """List the runs of an experiment that meet a filter of MLflow's syntax."""
    from mlflow.entities import ViewType

    client = client_of(address)
    experiments = [experiment_of(client, address)]
    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs(experiments, condition, view, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def is_refusal(error: Exception) -> bool:
    """Return whether an error means a refusal, not a store out of reach."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and error.error_code in _REFUSALS


def may_be_hiccup(error: Exception) -> bool:
    """Return whether a call is worth a retry at once, as when a connection was closed.

    After a timeout it is not: the retry would take as long again.
    """
    from mlflow.exceptions import MlflowException

    is_of_call = isinstance(error, MlflowException) and "API request" in str(error)
    return is_of_call and not _was_unanswered(error)


def _was_unanswered(error: BaseException | None) -> bool:
    """Return whether an error, or one of its causes, is a timeout."""
    from requests.exceptions import Timeout
    from urllib3.exceptions import TimeoutError as PoolTimeout

    while error is not None:
        if isinstance(error, Timeout | PoolTimeout):
            return True
        error = error.__cause__ or error.__context__
    return False


def _log(
    client: MlflowClient, run_id: str, record: RunRecord, tags: dict[str, str]
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics = [
        Metric(accepted_name(m.key), m.value, m.timestamp, m.step)
        for m in record.metrics
    ]
    accepted_params = accepted(record.params, MAX_PARAM_LENGTH)
    params = [Param(name, value) for name, value in accepted_params.items()]
    accepted_tags = accepted(tags, MAX_TAG_LENGTH)
    run_tags = [RunTag(name, value) for name, value in accepted_tags.items()]
    n_metrics = VALUES_PER_CALL - TEXTS_PER_CALL
    while metrics or params or run_tags:
        some_params = params[:TEXTS_PER_CALL]
        n_tags = TEXTS_PER_CALL - len(some_params)
        _log_batch(client, run_id, metrics[:n_metrics], some_params, run_tags[:n_tags])
        del metrics[:n_metrics], params[:TEXTS_PER_CALL], run_tags[:n_tags]


def _log_batch(
    client: MlflowClient,
    run_id: str,
    metrics: list[Metric],
    params: list[Param],
    tags: list[RunTag],
) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.log_batch(run_id, metrics, params, tags, synchronous=True)
    except MlflowException as error:
        if not is_refusal(error):
            raise
        # Before version 3.16, MLflow accepts repeated values, but not repeated NaN.
        new = _without_known_nans(client, run_id, metrics)
        unknown = _without_known_names(client, run_id, params)
        if (len(new), len(unknown)) == (len(metrics), len(params)):
            raise
        client.log_batch(run_id, new, unknown, tags, synchronous=True)


def _without_known_names(
    client: MlflowClient, run_id: str, params: list[Param]
) -> list[Param]:
    """Leave out parameters that the run has, perhaps logged by the user's code."""
    known = client.get_run(run_id).data.params if params else {}
    return [param for param in params if param.key not in known]


def _without_known_nans(
    client: MlflowClient, run_id: str, metrics: list[Metric]
) -> list[Metric]:
    """Leave out each NaN that the run has already, or that occurs twice."""
    names = {m.key for m in metrics if math.isnan(m.value)}
    logged = [m for name in names for m in client.get_metric_history(run_id, name)]
    known = {(m.key, m.timestamp, m.step) for m in logged if math.isnan(m.value)}
    new = []
    for metric in metrics:
        place = (metric.key, metric.timestamp, metric.step)
        if not math.isnan(metric.value):
            new.append(metric)
        elif place not in known:
            known.add(place)
            new.append(metric)
    return new


def accepted(texts: dict[str, str], most: int) -> dict[str, str]:
    """Change parameters or tags so that MLflow accepts them."""
    return {accepted_name(k): accepted_text(v, most) for k, v in texts.items()}


def accepted_text(text: str, most: int) -> str:
    """Shorten a text, and replace characters that some databases cannot store."""
    text = text.encode("utf-8", "replace").decode().replace("\0", "?")
    return text if len(text) <= most else text[: most - 3] + "..."


def accepted_name(name: str) -> str:
    """Change the name of a metric, parameter or tag to one that MLflow accepts."""
    name = _NOT_IN_NAMES.sub("_", name)[:MAX_NAME_LENGTH] or "_"
    normal = posixpath.normpath(name)
    if normal != name or normal == "." or normal.startswith(("..", "/")):
        name = re.sub("^[.]+|/", "_", name)
    return name


def _log_dataset(client: MlflowClient, run_id: str, dataset: Dataset) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.log_inputs(run_id, [_as_input(dataset)])
    except MlflowException:
        # Another fit to the same data may have created the dataset between MLflow's
        # check and its insertion. By now it exists.
        client.log_inputs(run_id, [_as_input(dataset)])


def _as_input(dataset: Dataset) -> DatasetInput:
    """Convert a dataset to the form that MLflow gives to datasets of arrays."""
    from mlflow import entities

    shape = [dataset.n_samples, dataset.n_features]
    profile = {"num_rows": shape[0], "num_elements": shape[0] * shape[1]}
    return entities.DatasetInput(
        entities.Dataset(
            name=DATASET,
            digest=dataset.digest,
            source_type="code",
            source="{}",
            profile=json.dumps({"features_shape": shape, **profile}),
        ),
        tags=[entities.InputTag("mlflow.data.context", "training")],
    )


def experiment_of(client: MlflowClient, address: Address) -> str:
    """Find the experiment of a run, or create it."""
    experiment_id = experiment_of_environment_run(client, address)
    if experiment_id is not None:
        return experiment_id
    if address["experiment_id"] is not None:
        return address["experiment_id"]
    if address["experiment_name"] is None:
        return DEFAULT_EXPERIMENT_ID
    return _experiment_by_name(client, address["experiment_name"])


# The experiments of runs that the environment has named, by the address of the store
# and the run id; None for runs that the store does not have.
_experiments_of_runs: dict[tuple[str, str], str | None] = {}


def experiment_of_environment_run(client: MlflowClient, address: Address) -> str | None:
    """Find the experiment of the run that the environment has named.

    It is None when no run was named, the store does not have it, or it is deleted.
    """
    run_id = address.get("environment_run_id")
    if run_id is None:
        return None
    key = client.tracking_uri, run_id
    if key not in _experiments_of_runs:
        _experiments_of_runs[key] = _look_up_run(client, run_id)
    return _experiments_of_runs[key]


def _look_up_run(client: MlflowClient, run_id: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        info = client.get_run(run_id).info
    except MlflowException as error:
        if not is_refusal(error):
            raise
        return None
    return info.experiment_id if info.lifecycle_stage == "active" else None


# The ids of experiments and when they were looked up, by address of the store and name.
_experiments: dict[tuple[str, str], tuple[str, float]] = {}


def _experiment_by_name(client: MlflowClient, name: str) -> str:
    key = client.tracking_uri, name
    if key in _experiments:
        experiment_id, looked_up_at = _experiments[key]
        if time.monotonic() - looked_up_at < SECONDS_BETWEEN_LOOKS_AT_NAMES:
            return experiment_id
    experiment_id = _look_up_experiment(client, name)
    _experiments[key] = experiment_id, time.monotonic()
    return experiment_id


def _look_up_experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name)
        except MlflowException:
            # Another process may have created it in between.
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return experiment.experiment_id
