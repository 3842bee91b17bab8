"""What is to be said of a fit, in plain values."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

# MLflow refuses longer parameter values.
MAX_PARAM_LENGTH = 6000

Status = Literal["FINISHED", "FAILED", "KILLED"]
# What is said of a run at one moment, in the types of JSON.
Event = dict[str, Any]
# Where a run goes, as far as a file can say it.
Address = dict[str, str | None]


@dataclass(frozen=True)
class Metric:
    """A value of a metric.

    Attributes
    ----------
    key : str
        Name.

    value : float
        Value.

    step : int
        Iteration or epoch.

    timestamp : int
        Milliseconds since 1970.
    """

    key: str
    value: float
    step: int
    timestamp: int


@dataclass(frozen=True)
class Dataset:
    """What is told of the data of a run: not the data.

    Attributes
    ----------
    digest : str
        The same for the same samples and labels only.

    n_samples, n_features : int
        Shape of the samples.
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
        Its name, should it have to be created.

    start_time : int
        Milliseconds since 1970.

    is_managed : bool, default=False
        Whether somebody will tell when it ends.
    """

    key: str
    name: str
    start_time: int
    is_managed: bool = False


@dataclass
class RunRecord:
    """A run, or the part of it that is not in MLflow yet.

    Attributes
    ----------
    name : str
        Name of the run.

    start_time : int
        Milliseconds since 1970.

    params, tags : dict of str
        Parameters and tags.

    metrics : list of Metric
        Metrics.

    dataset : Dataset or None
        What the classifier was trained on.

    registered_model_name : str or None
        Name under which its model is to be registered.

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
        )

    def events(self) -> list[Event]:
        """Say what there is to log, for `take`."""
        found: list[Event] = []
        if not self.is_empty:
            found.append(
                {
                    "kind": "log",
                    "params": self.params,
                    "tags": self.tags,
                    "metrics": [
                        [m.key, m.value, m.step, m.timestamp] for m in self.metrics
                    ],
                    "dataset": None if self.dataset is None else asdict(self.dataset),
                    "registered_model_name": self.registered_model_name,
                }
            )
        if self.end_time is not None:
            found.append(
                {"kind": "end", "status": self.status, "end_time": self.end_time}
            )
        return found

    def merge(self, later: RunRecord) -> None:
        """Add what was said of the same run later."""
        for event in later.events():
            self.take(event)

    def take(self, event: Event) -> None:
        """Add what an event says."""
        if event["kind"] == "log":
            self.params.update(event["params"])
            self.tags.update(event["tags"])
            self.metrics += [Metric(*metric) for metric in event["metrics"]]
            if event["dataset"] is not None:
                self.dataset = Dataset(**event["dataset"])
            if event["registered_model_name"] is not None:
                self.registered_model_name = event["registered_model_name"]
        elif event["kind"] == "end":
            self.status, self.end_time = event["status"], event["end_time"]


def as_event(value: Any) -> Event:
    """Check what was read from a file, which anything may have written.

    Parameters
    ----------
    value : object
        Contents of a line.

    Returns
    -------
    dict
        The event; one of an unknown kind is kept as it is, and means nothing.

    Raises
    ------
    ValueError, TypeError, KeyError
        When it is none.
    """
    kind = value["kind"]
    if kind == "log":
        dataset = value["dataset"]
        if dataset is not None:
            dataset = {
                "digest": str(dataset["digest"]),
                "n_samples": int(dataset["n_samples"]),
                "n_features": int(dataset["n_features"]),
            }
        registered = value["registered_model_name"]
        return {
            "kind": kind,
            "params": {str(k): str(v) for k, v in value["params"].items()},
            "tags": {str(k): str(v) for k, v in value["tags"].items()},
            "metrics": [
                [str(key), float(number), int(step), int(timestamp)]
                for key, number, step, timestamp in value["metrics"]
            ],
            "dataset": dataset,
            "registered_model_name": None if registered is None else str(registered),
        }
    if kind == "end":
        if value["status"] not in get_args(Status):
            raise ValueError(f"{value['status']!r} is no status")
        end_time = int(value["end_time"])
        return {"kind": kind, "status": value["status"], "end_time": end_time}
    if kind == "created":
        return {"kind": kind, "run_id": str(value["run_id"])}
    if kind == "delivered":
        position = int(value["position"])
        return {"kind": kind, "run_id": str(value["run_id"]), "position": position}
    return {"kind": str(kind)}


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
