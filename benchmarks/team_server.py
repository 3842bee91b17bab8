"""A tracking server for a team: ten processes that log to it at once.

Ours are tracked fits of a small classifier, theirs calls of MLflow's own client, which
log just what the run of such a fit holds, in as few requests as there are, and fit
nothing. Models are written to files by the same function for both. The two run in turn,
and every run is counted in the server's database.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Barrier, BrokenBarrierError

from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_iris

import skperceptron
from benchmarks._servers import mlflow_server, postgresql

N_PROCESSES = 10
# Of each kind in each round: 2000 in all, and fewer where each has a model.
N_RUNS = 500
N_RUNS_WITH_MODEL = 100
N_ROUNDS = 4
N_WORKERS = 2
AIM = 0.9
# Seconds in which every process must have got ready, or have logged what it was to log.
PATIENCE = 3600
KEY_TAG = "skperceptron.key"
Log = Callable[[], object]


@dataclass(frozen=True)
class Team:
    """A tracking server, and the database in which it keeps runs.

    Attributes
    ----------
    uri : str
        Address of the server.

    database : str
        Address of the database.
    """

    uri: str
    database: str

    def new_experiment(self) -> str:
        """Create an experiment; processes that do so at once may log to another one."""
        import mlflow

        return mlflow.MlflowClient(self.uri).create_experiment(uuid.uuid4().hex)


@dataclass(frozen=True)
class Task:
    """What all processes do at once.

    Attributes
    ----------
    logger : {"fits", "client"}
        Which side logs.

    n_runs : int
        How many each process logs.

    with_model : bool
        Whether each run has a model.

    experiment_id : str
        Where to.
    """

    logger: str
    n_runs: int
    with_model: bool
    experiment_id: str


@contextmanager
def team_server() -> Iterator[Team]:
    """Start a tracking server on a database server."""
    with (
        postgresql("secret") as database,
        tempfile.TemporaryDirectory() as folder,
        mlflow_server(database, Path(folder), n_workers=N_WORKERS) as uri,
    ):
        yield Team(uri, database)


def main() -> None:
    table = Table(title=f"{N_PROCESSES} processes that log to one server at once")
    table.add_column("work")
    for heading in ("runs", "ours, runs/s", "client's, runs/s", "ratio", "aim"):
        table.add_column(heading, justify="right")
    with team_server() as team:
        table.add_row("fits", *compare(team, N_RUNS, with_model=False))
        table.add_row("with models", *compare(team, N_RUNS_WITH_MODEL, with_model=True))
    console = Console(width=110)
    console.print(table)
    console.print(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores "
        f"for clients, server ({N_WORKERS} workers) and PostgreSQL; medians of "
        f"{N_ROUNDS} rounds in turn; no run is lost and none doubled"
    )


def compare(team: Team, n_runs: int, *, with_model: bool) -> list[str]:
    """Log a number of runs in each round, and say how fast that was."""
    tasks = [
        Task(logger, n_runs // N_PROCESSES, with_model, team.new_experiment())
        for _ in range(N_ROUNDS)
        for logger in LOGGERS
    ]
    times = log_at_once(team, tasks)
    for task in tasks:
        check(team, task)
    ours, theirs = times[::2], times[1::2]
    ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
    return [
        f"{N_ROUNDS} x {n_runs}",
        f"{n_runs / median(ours):.1f}",
        f"{n_runs / median(theirs):.1f}",
        f"{ratio:.2f}",
        f"{AIM:g}",
    ]


def log_at_once(
    team: Team, tasks: list[Task], n_processes: int = N_PROCESSES
) -> list[float]:
    """Log to a server from several processes.

    Parameters
    ----------
    team : Team
        The server.

    tasks : list of Task
        What all of them do, one after the other.

    n_processes : int, default=10
        How many there are.

    Returns
    -------
    list of float
        Seconds that each task took, from when all processes were ready for it until
        all runs were in MLflow.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(n_processes + 1)
    with tempfile.TemporaryDirectory() as journal:
        processes = [
            context.Process(target=_work, args=(barrier, journal, team.uri, tasks))
            for _ in range(n_processes)
        ]
        for process in processes:
            process.start()
        try:
            return [_time(barrier) for _ in tasks]
        except BrokenBarrierError:
            raise RuntimeError("a process has failed; its error is above") from None
        finally:
            for process in processes:
                process.join()


def _time(barrier: Barrier) -> float:
    barrier.wait(PATIENCE)  # all are ready
    started = time.perf_counter()
    barrier.wait(PATIENCE)  # all have logged
    barrier.wait(PATIENCE)  # all has been delivered
    return time.perf_counter() - started


def check(team: Team, task: Task, n_processes: int = N_PROCESSES) -> None:
    """Check that every run of a task is in the database, and only once.

    Raises
    ------
    AssertionError
        When a run is missing, was created twice, or has not ended.
    """
    import psycopg

    query = (
        "SELECT tags.value, runs.status FROM runs LEFT JOIN tags "
        "ON tags.run_uuid = runs.run_uuid AND tags.key = %s "
        "WHERE runs.experiment_id = %s"
    )
    with psycopg.connect(team.database) as connection:
        found = connection.execute(query, (KEY_TAG, int(task.experiment_id)))
        runs = found.fetchall()
    n_runs = n_processes * task.n_runs
    assert len(runs) == n_runs, f"{len(runs)} runs instead of {n_runs}"
    times = Counter(key for key, _ in runs)
    assert len(times) == n_runs, f"runs that are there twice: {times.most_common(3)}"
    statuses = {status for _, status in runs}
    assert statuses == {"FINISHED"}, f"runs that have not ended: {statuses}"


# What runs in each of the processes


def _work(barrier: Barrier, journal: str, uri: str, tasks: list[Task]) -> None:
    os.environ |= {"SKPERCEPTRON_JOURNAL": journal, "MLFLOW_DISABLE_TELEMETRY": "true"}
    import mlflow

    from skperceptron.tracking import flush

    try:
        mlflow.set_tracking_uri(uri)
        # Each logs once to the experiment "Default": that imports, and connects.
        logs: dict[tuple[str, bool], Log] = {}
        for task in tasks:
            kind = task.logger, task.with_model
            if kind not in logs:
                logs[kind] = LOGGERS[task.logger](task.with_model)
                logs[kind]()
        for task in tasks:
            mlflow.set_experiment(experiment_id=task.experiment_id)
            barrier.wait(PATIENCE)
            for _ in range(task.n_runs):
                logs[task.logger, task.with_model]()
            barrier.wait(PATIENCE)
            # Nothing waits, unless a fit had to for more than ten seconds.
            assert flush() == 0
            barrier.wait(PATIENCE)
    except BrokenBarrierError:  # another one has failed, and says why
        raise SystemExit(1) from None
    except BaseException:
        barrier.abort()
        raise


def _fits(with_model: bool) -> Log:
    """Prepare a tracked fit, which returns when its run is in MLflow."""
    X, y = load_iris(return_X_y=True)
    clf = skperceptron.HillClimbPerceptron(max_iter=20)
    log_models = "best" if with_model else "none"

    def fit() -> skperceptron.HillClimbPerceptron:
        with skperceptron.config_context(tracking=True, log_models=log_models):
            return clf.fit(X, y)

    return fit


def _client(with_model: bool) -> Log:
    """Prepare calls of MLflow's client that log what is in the run of such a fit."""
    import mlflow
    from mlflow.entities import LoggedModelOutput, Param

    from skperceptron.tracking.delivery._model_building import built_model
    from skperceptron.tracking.recording._model import keep_model

    # It would ask the server for each run once more, to print its address.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    fitted = _fits(with_model)()
    client = mlflow.MlflowClient()
    run = client.get_run(fitted.run_id_)
    X, _ = load_iris(return_X_y=True)
    metrics = [
        metric
        for name in run.data.metrics
        for metric in client.get_metric_history(fitted.run_id_, name)
    ]
    params = [Param(name, value) for name, value in run.data.params.items()]

    def log() -> None:
        experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID", "0")
        tags = {**run.data.tags, KEY_TAG: uuid.uuid4().hex}
        new = client.create_run(experiment_id, tags=tags, run_name=run.info.run_name)
        client.log_batch(new.info.run_id, metrics, params)
        log_inputs(new.info.run_id)
        if with_model:
            log_model(new.info.run_id, experiment_id)
        client.set_terminated(new.info.run_id)

    def log_inputs(run_id: str) -> None:
        try:
            client.log_inputs(run_id, run.inputs.dataset_inputs)
        except mlflow.MlflowException:
            # The server fails when two processes are the first to log the same dataset.
            client.log_inputs(run_id, run.inputs.dataset_inputs)

    def log_model(run_id: str, experiment_id: str) -> None:
        model = client.create_logged_model(
            experiment_id, "model", run_id, params=run.data.params
        )
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        with tempfile.TemporaryDirectory() as folder:
            keep_model(fitted, X, kept := Path(folder) / "model")
            with built_model(kept) as built:
                client.log_model_artifacts(model.model_id, str(built))
        client.finalize_logged_model(model.model_id, "READY")

    return log


LOGGERS: dict[str, Callable[[bool], Log]] = {"fits": _fits, "client": _client}
