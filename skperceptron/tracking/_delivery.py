"""From a record to an MLflow run. The only module that imports MLflow."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from skperceptron.tracking._destination import Destination
from skperceptron.tracking._record import Dataset, RunRecord

try:
    import fcntl
except ImportError:  # on Windows, where mypy does not look
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

DEFAULT_EXPERIMENT_ID = "0"
# Most metrics and most parameters that MLflow takes in one call.
METRICS_PER_CALL = 1000
PARAMS_PER_CALL = 100
# How long a server may take to say that it is there, in seconds.
ANSWER_TIMEOUT = 2.0


def deliver(
    record: RunRecord, destination: Destination, run_id: str | None = None
) -> str:
    """Store a record in MLflow.

    Parameters
    ----------
    record : RunRecord
        What to store.

    destination : Destination
        Where.

    run_id : str or None, default=None
        The run to add to. None creates one.

    Returns
    -------
    run_id : str
        The run.

    Raises
    ------
    OSError, mlflow.exceptions.MlflowException
        When the store cannot be reached or refuses the record.
    """
    client = _client(destination.tracking_uri)
    if run_id is None:
        tags = dict(record.tags)
        if destination.parent_run_id is not None:
            tags["mlflow.parentRunId"] = destination.parent_run_id
        run_id = client.create_run(
            _experiment_id(client, destination),
            start_time=record.start_time,
            tags=tags,
            run_name=record.name,
        ).info.run_id
        try:
            _log(client, run_id, record)
        except Exception:
            # Better an unfinished run that says so than one that seems to go on.
            client.set_terminated(run_id, "FAILED")
            raise
    else:
        _log_tags(client, run_id, record)
        _log(client, run_id, record)
    if record.end_time is not None:
        client.set_terminated(run_id, record.status, end_time=record.end_time)
    return run_id


def _log_tags(client: MlflowClient, run_id: str, record: RunRecord) -> None:
    from mlflow.entities import RunTag

    if not record.tags:
        return
    tags = [RunTag(key, value) for key, value in record.tags.items()]
    client.log_batch(run_id, tags=tags, synchronous=True)


def _log(client: MlflowClient, run_id: str, record: RunRecord) -> None:
    from mlflow.entities import Metric, Param

    metrics = [Metric(m.key, m.value, m.timestamp, m.step) for m in record.metrics]
    params = [Param(key, value) for key, value in record.params.items()]
    while metrics or params:
        client.log_batch(
            run_id,
            metrics=metrics[: METRICS_PER_CALL - PARAMS_PER_CALL],
            params=params[:PARAMS_PER_CALL],
            synchronous=True,
        )
        del metrics[: METRICS_PER_CALL - PARAMS_PER_CALL], params[:PARAMS_PER_CALL]
    if record.dataset is not None:
        _log_dataset(client, run_id, record.dataset)


def _log_dataset(client: MlflowClient, run_id: str, dataset: Dataset) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.log_inputs(run_id, [_as_input(dataset)])
    except MlflowException:
        # MLflow looks whether it knows the dataset, and creates it if not: another fit
        # to the same data may have been faster. Now it is known.
        client.log_inputs(run_id, [_as_input(dataset)])


def _as_input(dataset: Dataset) -> DatasetInput:
    """Bring a dataset into the form of those that MLflow makes of arrays."""
    from mlflow import entities

    shape = [dataset.n_samples, dataset.n_features]
    profile = {"num_rows": shape[0], "num_elements": shape[0] * shape[1]}
    return entities.DatasetInput(
        entities.Dataset(
            name="training_data",
            digest=dataset.digest,
            source_type="code",
            source="{}",
            profile=json.dumps({"features_shape": shape, **profile}),
        ),
        tags=[entities.InputTag("mlflow.data.context", "training")],
    )


def _client(tracking_uri: str | None) -> MlflowClient:
    import mlflow

    uri = tracking_uri or mlflow.get_tracking_uri()
    _knock(uri)
    return _cached_client(uri)


@lru_cache
def _cached_client(tracking_uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    # The first client of a database creates its tables; two processes must not try that
    # at once.
    with _alone(tracking_uri):
        client = MlflowClient(tracking_uri)
        client.search_experiments(max_results=1)
    return client


if hasattr(os, "register_at_fork"):
    # Connections to a database do not survive a fork.
    os.register_at_fork(after_in_child=_cached_client.cache_clear)


@contextmanager
def _alone(tracking_uri: str) -> Iterator[None]:
    """Keep other processes of this machine out of the block."""
    if fcntl is None:
        yield
        return
    name = hashlib.sha256(tracking_uri.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"skperceptron-{name}.lock"
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
        yield


def _knock(uri: str) -> None:
    """Find out quickly whether a server answers: MLflow would retry for minutes."""
    parts = urlsplit(uri)
    if parts.scheme == "http" and parts.hostname:
        connection = HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_TIMEOUT)
        with closing(connection):
            connection.request("GET", f"{parts.path.rstrip('/')}/health")
            connection.getresponse()  # whatever it says, it is awake
    elif parts.scheme == "https" and parts.hostname:
        address = parts.hostname, parts.port or 443
        socket.create_connection(address, ANSWER_TIMEOUT).close()


def _experiment_id(client: MlflowClient, destination: Destination) -> str:
    if destination.experiment_id is not None:
        return destination.experiment_id
    if destination.experiment_name is None:
        return DEFAULT_EXPERIMENT_ID
    return _experiment_by_name(client, destination.experiment_name)


def _experiment_by_name(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name)
        except MlflowException:
            # Another process may have created it in between; if not, that is an error.
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return experiment.experiment_id


def without_credentials(uri: str | None) -> str:
    """Name a store without telling user and password."""
    if uri is None:
        return "its default store"
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]).geturl()
