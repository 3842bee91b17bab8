"""From a record to an MLflow run. The only module that talks to MLflow."""

from __future__ import annotations

import hashlib
import json
import math
import os
import posixpath
import re
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skperceptron.tracking._destination import with_credentials
from skperceptron.tracking._models import log_model
from skperceptron.tracking._record import MAX_PARAM_LENGTH, Dataset, RunRecord

try:
    import fcntl
except ImportError:  # on Windows, where mypy does not look
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

# The tag that tells a run from every other fit of the world.
KEY_TAG = "skperceptron.key"
# The folder of a run's model.
MODEL = "model"
DEFAULT_EXPERIMENT_ID = "0"
# Most values, and most parameters and tags of them, that MLflow takes in one call.
VALUES_PER_CALL = 1000
TEXTS_PER_CALL = 100
# How long a server may take to say that it is there, in seconds.
ANSWER_TIMEOUT = 2.0
SECONDS_BETWEEN_KNOCKS = 1.0
# How long it may take over anything else.
PATIENCE = 30.0
MAX_NAME_LENGTH = 250
MAX_TAG_LENGTH = 5000
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]", re.ASCII)
# What MLflow answers where trying again is of no use.
_REFUSALS = {
    "BAD_REQUEST",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "PERMISSION_DENIED",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
}

Address = dict[str, str | None]
# Modules that warn of each other. Where the user has made errors of warnings, they
# would not work.
_NOT_OURS = (
    r"(alembic|databricks|flask|google|mlflow|opentelemetry|packaging|pydantic|"
    r"requests|skops|sqlalchemy|urllib3)(\..*)?$"
)
# What each thread may do, and has locked.
_this_thread = threading.local()


def calm_down_warnings() -> None:
    """Let no warning of MLflow's keep it from working under ``python -W error``."""
    # Not by `warnings.catch_warnings`, which would swallow those of other threads.
    actions = {action for action, *_ in warnings.filters}
    patterns = {
        getattr(module, "pattern", module) for *_, module, _ in warnings.filters
    }
    if "error" in actions and _NOT_OURS not in patterns:
        warnings.filterwarnings("ignore", module=_NOT_OURS)


@contextmanager
def _bounded() -> Iterator[None]:
    """Keep MLflow, in this thread, from waiting and trying again for many minutes.

    The journal tries again. MLflow itself would not look whether a run that it creates
    a second time was created the first time.
    """
    _limit_mlflow()
    before = getattr(_this_thread, "is_bounded", False)
    _this_thread.is_bounded = True
    try:
        yield
    finally:
        _this_thread.is_bounded = before


@lru_cache
def _limit_mlflow() -> None:
    from mlflow import environment_variables as variables

    _override(variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES, lambda value: 0)
    _override(variables.MLFLOW_HTTP_REQUEST_TIMEOUT, lambda value: min(value, PATIENCE))
    # It prints the address of the store for each run, credentials included.
    with suppress(AttributeError):  # in older versions
        url = variables.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT
        _override(url, lambda value: True)


def _override(variable: Any, change: Callable[[Any], Any]) -> None:
    """Let MLflow find a setting in the environment as it should be in this thread."""
    get = variable.get

    def get_changed() -> Any:
        is_ours = getattr(_this_thread, "is_bounded", False)
        return change(get()) if is_ours else get()

    variable.get = get_changed


@_bounded()
def deliver(
    record: RunRecord,
    address: Address,
    *,
    key: str,
    parent_run_id: str | None,
    run_id: str | None,
    created: Callable[[str], None],
) -> str:
    """Store a record in MLflow.

    Parameters
    ----------
    record : RunRecord
        What to store.

    address : dict
        Where.

    key : str
        Identity of the run.

    parent_run_id : str or None
        The run above it.

    run_id : str or None
        The run to add to. None creates one.

    created : callable
        Called with the new run's id as soon as there is one.

    Returns
    -------
    run_id : str
        The run.

    Raises
    ------
    OSError, mlflow.exceptions.MlflowException
        When the store cannot be reached or refuses the record.
    """
    client = client_of(address)
    tags = record.tags
    if run_id is None:
        parents = {} if parent_run_id is None else {"mlflow.parentRunId": parent_run_id}
        run_id = client.create_run(
            experiment_of(client, address),
            start_time=record.start_time,
            tags=accepted({**tags, **parents, KEY_TAG: key}, MAX_TAG_LENGTH),
            run_name=accepted_text(record.name, MAX_NAME_LENGTH),
        ).info.run_id
        created(run_id)
        tags = {}
    _log(client, run_id, record, tags)
    if record.dataset is not None:
        _log_dataset(client, run_id, record.dataset)
    return run_id


@_bounded()
def end_run(
    address: Address, run_id: str, record: RunRecord, *, if_running: bool = False
) -> None:
    """Tell MLflow how a run has ended.

    Parameters
    ----------
    address : dict
        Where the run is.

    run_id : str
        The run.

    record : RunRecord
        What tells how, and when.

    if_running : bool, default=False
        Whether to leave it alone if it has ended before.
    """
    client = client_of(address)
    if if_running and client.get_run(run_id).info.end_time is not None:
        return
    client.set_terminated(run_id, record.status, end_time=record.end_time)


@_bounded()
def attach(
    address: Address, run_id: str, folder: Path, registered_name: str | None
) -> None:
    """Log the artifacts and the model of a run.

    Parameters
    ----------
    address : dict
        Where the run is.

    run_id : str
        The run.

    folder : Path
        What to log; nothing if there is no such folder. What is called `model` there
        is the run's model.

    registered_name : str or None
        Name under which the model is registered.
    """
    if not folder.is_dir() or _has_links(folder):
        return
    client = client_of(address)
    for item in sorted(folder.iterdir()):
        if item.name == MODEL:
            log_model(client, run_id, item, registered_name=registered_name)
        else:
            client.log_artifact(run_id, str(item))


def _has_links(folder: Path) -> bool:
    """Tell whether a folder leads out of the journal, which none of ours does."""
    return folder.is_symlink() or any(
        os.path.islink(os.path.join(where, name))
        for where, folders, files in os.walk(folder)
        for name in (*folders, *files)
    )


@_bounded()
def find_run(address: Address, key: str) -> str | None:
    """Look for a run by its identity.

    Parameters
    ----------
    address : dict
        Where it went.

    key : str
        Its identity.

    Returns
    -------
    run_id : str or None
        None if there is no such run.

    Raises
    ------
    OSError, mlflow.exceptions.MlflowException
        When the store cannot be asked.
    """
    from mlflow.entities import ViewType

    client = client_of(address)
    found = client.search_runs(
        [experiment_of(client, address)],
        filter_string=f"tags.`{KEY_TAG}` = '{key}'",
        run_view_type=ViewType.ALL,
        max_results=1,
    )
    return found[0].info.run_id if found else None


def is_refusal(error: Exception) -> bool:
    """Tell a store that refuses something from one that cannot be reached."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and error.error_code in _REFUSALS


def may_be_hiccup(error: Exception) -> bool:
    """Tell a call that went wrong from a server that is not there."""
    from mlflow.exceptions import MlflowException

    # One that is not there does not answer the knock, which is no such error.
    return isinstance(error, MlflowException) and "API request" in str(error)


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
        client.log_batch(
            run_id,
            metrics=metrics[:n_metrics],
            params=some_params,
            tags=run_tags[:n_tags],
            synchronous=True,
        )
        del metrics[:n_metrics], params[:TEXTS_PER_CALL], run_tags[:n_tags]


def accepted(texts: dict[str, str], most: int) -> dict[str, str]:
    """Change parameters or tags to such as MLflow accepts."""
    return {accepted_name(k): accepted_text(v, most) for k, v in texts.items()}


def accepted_text(text: str, most: int) -> str:
    """Shorten a text, and take out what some databases cannot store."""
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


@_bounded()
def client_of(address: Address) -> MlflowClient:
    """Get a client of the store.

    Raises
    ------
    OSError, mlflow.exceptions.MlflowException
        When the store cannot be reached.
    """
    uri = tracking_uri_of(address)
    _knock(uri)
    return _cached_client(uri)


def tracking_uri_of(address: Address) -> str:
    """Get the whole address of a store, credentials included."""
    import mlflow

    from skperceptron.tracking._destination import without_credentials

    uri = address["tracking_uri"]
    own = mlflow.get_tracking_uri()
    if uri is None:
        folder = address["working_directory"]
        if folder in (None, str(Path.cwd())):
            return own
        return f"sqlite:///{folder}/mlflow.db"  # MLflow's default
    return own if without_credentials(own) == uri else with_credentials(uri)


@lru_cache
def _cached_client(tracking_uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    # The first client of a database creates its tables; two processes must not try that
    # at once.
    with alone(tracking_uri):
        client = MlflowClient(tracking_uri)
        client.search_experiments(max_results=1)
    return client


if hasattr(os, "register_at_fork"):
    # Connections to a database do not survive a fork.
    os.register_at_fork(after_in_child=_cached_client.cache_clear)


@contextmanager
def alone(tracking_uri: str) -> Iterator[None]:
    """Keep other processes of this machine, and other threads, out of the block."""
    held = vars(_this_thread).setdefault("held", set())
    if fcntl is None or tracking_uri in held:
        yield
        return
    name = hashlib.sha256(tracking_uri.encode()).hexdigest()[:16]
    # Of each user's own: another one's could not be opened.
    path = Path(tempfile.gettempdir()) / f"skperceptron-{os.getuid()}-{name}.lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
        held.add(tracking_uri)
        try:
            yield
        finally:
            held.discard(tracking_uri)


# When each server last said that it is there.
_answered_at: dict[str, float] = {}


def _knock(uri: str) -> None:
    """Find out quickly whether a server answers: MLflow would retry for minutes."""
    if time.monotonic() - _answered_at.get(uri, -math.inf) < SECONDS_BETWEEN_KNOCKS:
        return
    parts = urlsplit(uri)
    if parts.scheme == "http" and parts.hostname:
        connection = HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_TIMEOUT)
        with closing(connection):
            connection.request("GET", f"{parts.path.rstrip('/')}/health")
            status = connection.getresponse().status
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ConnectionError(f"the server answers with status {status}")
    elif parts.hostname and (parts.port or parts.scheme == "https"):
        address = parts.hostname, parts.port or 443  # a database has no default here
        socket.create_connection(address, ANSWER_TIMEOUT).close()
    _answered_at[uri] = time.monotonic()


def experiment_of(client: MlflowClient, address: Address) -> str:
    """Find the experiment of a run, or create it."""
    if address["experiment_id"] is not None:
        return address["experiment_id"]
    if address["experiment_name"] is None:
        return DEFAULT_EXPERIMENT_ID
    return _experiment_by_name(client, address["experiment_name"])


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
