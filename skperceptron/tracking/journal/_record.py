"""Runs and what is logged of them, in plain values."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from skperceptron.tracking.journal._owners import this_process

# MLflow refuses longer parameter values.
MAX_PARAM_LENGTH = 6000

Status = Literal["FINISHED", "FAILED", "KILLED"]
# Something to be added to a run, in the types of JSON.
Event = dict[str, Any]
# Where a run goes: its store, experiment and parent run.
Address = dict[str, str | None]
ADDRESS = (
    "tracking_uri",
    "working_directory",
    "experiment_id",
    "experiment_name",
    "parent_run_id",
    "environment_run_id",
)
# Databases store integers of 64 bits; MLflow's UI and `time.localtime` take years of
# four digits.
_MAX_INTEGER = 2**63 - 1
_MAX_TIME = 253_000_000_000_000
# A folder of artifacts: the key of the run and a random number.
FILES = re.compile(r"[0-9a-f]{32}-[0-9a-f]{8}")
KEY = re.compile(r"[0-9a-f]{32}")
# The metric for the score on data other than the training data.
TEST_SCORE = "test_score"
# The tag with the key of a run, which is unique among all fits.
KEY_TAG = "skperceptron.key"
# The tag that MLflow's UI shows as the description of a run or a model.
DESCRIPTION_TAG = "mlflow.note.content"
# Last line of our descriptions, which the user's do not have.
DESCRIPTION_END = "*Written by skperceptron. It does not replace what you write here.*"
# Placeholder for the id of the run in a description.
DESCRIPTION_RUN_ID = "<run_id>"


@dataclass(frozen=True)
class Metric:
    """A value of a metric at a step, observed at a time in milliseconds since 1970."""

    key: str
    value: float
    step: int
    timestamp: int


@dataclass(frozen=True)
class Dataset:
    """The description of the data of a run, without the data.

    Only the same samples and labels have the same digest.
    """

    digest: str
    n_samples: int
    n_features: int


@dataclass(frozen=True)
class ParentRun:
    """A run that has others below it.

    Attributes
    ----------
    key : str
        Its identity in the journal.

    name : str
        Its name, in case it has to be created.

    start_time : int
        Milliseconds since 1970.

    is_managed : bool, default=False
        Whether somebody will end it. Otherwise it ends with the run above it or with
        the process.

    may_exist : bool, default=False
        Whether MLflow may have it though the journal does not: it may have ended and
        been removed from the journal while runs below it go on.
    """

    key: str
    name: str
    start_time: int
    is_managed: bool = False
    may_exist: bool = False


@dataclass
class RunRecord:
    """A run, or the part of it that is not in MLflow yet.

    Attributes
    ----------
    start_time : int
        Milliseconds since 1970.

    dataset : Dataset or None
        What the estimator was trained on.

    registered_model_name : str or None
        Name under which its model is to be registered.

    files : list of str
        Folders of artifacts, as the journal names them.

    status : {"FINISHED", "FAILED", "KILLED"}
        How the fit ended: by itself, with an error, or by an interrupt of the user.

    end_time : int or None
        Milliseconds since 1970; None while the fit goes on.
    """

    name: str
    start_time: int = field(default_factory=lambda: now())
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    dataset: Dataset | None = None
    registered_model_name: str | None = None
    files: list[str] = field(default_factory=list)
    status: Status = "FINISHED"
    end_time: int | None = None

    def add_metric(self, key: str, value: float, step: int = 0) -> None:
        """Add a value of a metric, observed now."""
        self.metrics.append(Metric(key, float(value), step, now()))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to log."""
        return not (
            self.params
            or self.tags
            or self.metrics
            or self.dataset
            or self.registered_model_name
            or self.files
        )

    @property
    def last_sign(self) -> int:
        """The latest time in it, in milliseconds since 1970."""
        times = [metric.timestamp for metric in self.metrics]
        return max([self.start_time, self.end_time or 0, *times])

    def as_event(self) -> Event:
        """Return all of it but name and start time, for `take`."""
        return {
            "params": self.params,
            "tags": self.tags,
            "metrics": [[m.key, m.value, m.step, m.timestamp] for m in self.metrics],
            "dataset": None if self.dataset is None else asdict(self.dataset),
            "registered_model_name": self.registered_model_name,
            "files": self.files,
            "status": self.status,
            "end_time": self.end_time,
        }

    def take(self, event: Event) -> None:
        """Add the content of an event, which may be forged.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError, OverflowError
            When it is not a valid event. Nothing is added then.
        """
        params, tags = _as_texts(event["params"]), _as_texts(event["tags"])
        metrics = [
            Metric(str(key), float(value), _as_integer(step), as_time(timestamp))
            for key, value, step, timestamp in event["metrics"]
        ]
        dataset = self.dataset
        if (told := event["dataset"]) is not None:
            shape = _as_integer(told["n_samples"]), _as_integer(told["n_features"])
            dataset = Dataset(str(told["digest"]), *shape)
        files = [str(name) for name in event["files"]]
        if not all(map(FILES.fullmatch, files)):
            raise ValueError(f"{files} are no folders of artifacts")
        status, end_time = self.status, self.end_time
        if event["end_time"] is not None:
            status, end_time = as_status(event["status"]), as_time(event["end_time"])
        name = event["registered_model_name"]
        if not may_describe(tags.get(DESCRIPTION_TAG), self.tags.get(DESCRIPTION_TAG)):
            del tags[DESCRIPTION_TAG]
        self.params |= params
        self.tags |= tags
        self.metrics += metrics
        self.dataset = dataset
        self.files += files
        self.status, self.end_time = status, end_time
        if name is not None:
            self.registered_model_name = str(name)


@dataclass(frozen=True)
class RunHead:
    """What does not change while a run goes on.

    Attributes
    ----------
    key : str
        Its identity.

    address : dict
        Where it goes.

    parents : tuple of ParentRun
        The runs above it, the outermost first.

    deliverer : str
        The process that is to deliver it.

    origin : str
        The process for which it is fitted.

    is_spread : bool
        Whether other machines may have runs below it.

    may_exist : bool
        Whether MLflow may have it already.

    status_if_killed : {"FINISHED", "FAILED", "KILLED"}
        Its status if its process ends before it.
    """

    key: str
    address: Address
    parents: tuple[ParentRun, ...] = ()
    deliverer: str = field(default_factory=this_process)
    origin: str = field(default_factory=this_process)
    is_spread: bool = False
    may_exist: bool = False
    status_if_killed: Status = "KILLED"


@dataclass(frozen=True)
class WaitingRun:
    """A run, and what MLflow does not have of it.

    Attributes that are not listed here are columns of the table `run`.

    Attributes
    ----------
    record : RunRecord
        What is to be logged.

    last_event : int
        Id of the last event in the record.

    parent_run_id : str or None
        MLflow id of the run above it, if that is known.

    is_above_elsewhere : bool
        Whether the run above it is in the journal of another machine.

    is_parent_spread : bool
        Whether other machines may have runs below the same parent.

    is_signed : bool
        Whether a process of the user has signed its address.
    """

    key: str
    parent: str | None
    parent_run_id: str | None
    is_above_elsewhere: bool
    is_parent_spread: bool
    record: RunRecord
    last_event: int
    address: Address
    is_signed: bool
    deliverer: str
    origin: str
    is_spread: bool
    was_killed: bool
    run_id: str | None
    lacks_files: bool
    n_tries: int

    @property
    def is_foreign(self) -> bool:
        """Whether it is fitted for another process than the one that delivers it."""
        return self.origin not in ("", self.deliverer)

    @property
    def may_be_repeated(self) -> bool:
        """Whether another machine may have fitted the same task and stored its run."""
        return self.is_foreign or self.is_parent_spread


def _as_texts(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()}


def _as_integer(value: Any) -> int:
    if abs(int(value)) > _MAX_INTEGER:
        raise ValueError(f"{value} is too large")
    return int(value)


def as_time(value: Any) -> int:
    """Return a time in milliseconds since 1970.

    Raises
    ------
    ValueError, TypeError, OverflowError
        When the value is not one.
    """
    if not 0 <= int(value) <= _MAX_TIME:
        raise ValueError(f"{value} is no time")
    return int(value)


def as_status(value: Any) -> Status:
    """Return a status, or raise a `ValueError` when the value is not one."""
    if value not in get_args(Status):
        raise ValueError(f"{value!r} is no status")
    status: Status = value
    return status


def as_address(value: Any) -> Address:
    """Return the address of a run.

    Raises
    ------
    TypeError, AttributeError
        When the value is not one.
    """
    address: Address = {name: value.get(name) for name in ADDRESS}
    if not all(v is None or isinstance(v, str) for v in address.values()):
        raise TypeError("an address is made of text")
    return address


def may_describe(new: str | None, old: str | None) -> bool:
    """Tell whether a description replaces none that somebody else has written."""
    is_ours = new is not None and new.endswith(DESCRIPTION_END)
    return not is_ours or old is None or old.endswith(DESCRIPTION_END)


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
