"""What tracking costs: against the same work untracked, and against MLflow's own.

Everything is logged to a new SQLite store in a temporary folder. What needs a process
of its own runs in one: this module is also the script that these run.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

import skperceptron
from benchmarks._timing import seconds
from skperceptron import BackpropMLP
from skperceptron.tracking import MLflowTracker, flush, pending, track_study

N_ROUNDS = 20
GRID = {
    "alpha": np.logspace(-5, 1, 7).tolist(),
    "learning_rate_init": np.logspace(-5, 1, 7).tolist(),
}
N_FOLDS = 5
N_RUNS = 1 + 49 + 245 + 1
N_SEARCHES = 9
N_FIRST = 5
N_TRIALS = 1000
Row = tuple[str, str, str]


def main() -> None:
    rows = [*first_fit(), *fits(), *grid(), *study(), *imports()]
    table = Table(title="What tracking costs, on SQLite")
    for heading in ("work", "measured", "aim"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)


def first_fit() -> list[Row]:
    """Track a first fit in new processes, and log a first run by MLflow's client."""
    results = [
        (in_new_process("first_tracked_fit"), in_new_process("first_run_of_client"))
        for _ in range(N_FIRST)
    ]
    ours, client = (median(r[i]["seconds"] for r in results) for i in (0, 1))
    ratio = median(a["seconds"] / b["seconds"] for a, b in results)
    memory = median(ours["memory"] for ours, _ in results)
    return [
        (
            "first tracked fit of a new process, over an untracked one",
            f"{ours:.2f} s, {ratio:.2f}x the client's first run ({client:.2f} s)",
            "1.0x",
        ),
        ("memory that tracking takes where the fits are", f"{memory:.0f} MB", "30 MB"),
    ]


def fits() -> list[Row]:
    """Single fits of 20 epochs, in this process and in a worker."""
    result = in_new_process("single_fits")
    without, with_model = result["without_model"], result["with_model"]
    worker, write, autolog = result["worker"], result["write"], result["autolog"]
    return [
        ("tracked fit over untracked, 20 epochs", f"{without:.1f} ms", "20 ms"),
        (
            "MLflow's client alone, called with the same",
            f"{result['client']:.1f} ms",
            "",
        ),
        ("the same with the model", f"{with_model:.1f} ms", "80 ms"),
        (
            "mlflow.sklearn.autolog() over none, MLPClassifier",
            f"{autolog:.0f} ms, {autolog / with_model:.0f}x ours with model",
            "20x",
        ),
        (
            "journal, writing the run of a fit in a worker process",
            f"{write:.2f} ms",
            "1 ms",
        ),
        ("all that tracking adds to a fit there", f"{worker:.2f} ms", ""),
        ("mlflow imported in the worker", result["worker_imports"], "no"),
    ]


def grid() -> list[Row]:
    """Search 7x7 candidates in 5 folds, 100 epochs each, two processes."""
    pairs = [
        (in_new_process("search", "0"), in_new_process("search", "1"))
        for _ in range(N_SEARCHES)
    ]
    untracked = median(plain["seconds"] for plain, _ in pairs)
    more = median(tracked["seconds"] - plain["seconds"] for plain, tracked in pairs)
    fits = median(
        tracked["fit_seconds"] / plain["fit_seconds"] for plain, tracked in pairs
    )
    n_runs = min(tracked["n_runs"] for _, tracked in pairs)
    took = f"{untracked:.1f} s + {1e3 * more / N_RUNS:.1f} ms a run"
    return [
        ("7x7x5 grid on digits, 100 epochs, n_jobs=2", took, "12 ms a run"),
        ("runs in MLflow at the end", f"{n_runs}", f"{N_RUNS}"),
        ("the fits themselves", f"{fits:.3f}x", "1.02x"),
    ]


def study() -> list[Row]:
    """Run a study whose objective takes no time."""
    result = in_new_process("trials")
    took = f"{result['tracked']:.1f} ms a trial (untracked {result['untracked']:.1f})"
    return [(f"study of {N_TRIALS} trials, trivial objective", took, "15 ms")]


def imports() -> list[Row]:
    """Import the package and scikit-learn's networks in turn."""
    modules = "skperceptron.classifiers", "sklearn.neural_network"
    times = [
        [seconds_to_import(module) for module in modules] for _ in range(N_ROUNDS // 2)
    ]
    ratio = median(ours / theirs for ours, theirs in times)
    ours = median(own for own, _ in times)
    return [
        ("import of the classifiers", f"{ours:.2f} s, {ratio:.2f}x sklearn's", "1.4x")
    ]


def seconds_to_import(module: str) -> float:
    code = (
        "import time; t = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - t)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


# What runs in processes of their own


def in_new_process(name: str, *arguments: str) -> dict:
    """Call a function below in a new process with a new store and a new journal."""
    with tempfile.TemporaryDirectory() as folder:
        env = {
            **os.environ,
            "MLFLOW_TRACKING_URI": f"sqlite:///{Path(folder) / 'mlflow.db'}",
            "SKPERCEPTRON_JOURNAL": str(Path(folder) / "journal"),
            "SKPERCEPTRON_TRACKING": "1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.tracking", name, *arguments],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])


def make_store() -> None:
    """Have the store made, by a process that is gone then."""
    code = "import mlflow; mlflow.MlflowClient().search_experiments()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def first_tracked_fit() -> dict:
    make_store()
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    clf = BackpropMLP((20,), max_iter=20, random_state=0)
    with skperceptron.config_context(tracking=False):
        untracked = median(seconds(lambda: clf.fit(X, y)) for _ in range(N_ROUNDS))
    before = peak_memory()
    with skperceptron.config_context(log_models="none"):
        first = seconds(lambda: clf.fit(X, y))
        for _ in range(N_ROUNDS):
            clf.fit(X, y)
    assert pending() == 0
    return {"seconds": first - untracked, "memory": peak_memory() - before}


def first_run_of_client() -> dict:
    make_store()
    return {"seconds": seconds(log_plainly)}


def single_fits() -> dict:
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    clf = BackpropMLP((20,), max_iter=20, random_state=0)
    peer = MLPClassifier((20,), max_iter=20, random_state=0)

    def fit() -> None:
        clf.fit(X, y)

    def untracked() -> None:
        with skperceptron.config_context(tracking=False):
            clf.fit(X, y)

    def without_model() -> None:
        with skperceptron.config_context(log_models="none"):
            clf.fit(X, y)

    result = {
        "without_model": milliseconds_over(without_model, untracked),
        "with_model": milliseconds_over(fit, untracked),
        "autolog": autolog_over_none(lambda: peer.fit(X, y)),
        "client": 1e3 * median(seconds(log_plainly) for _ in range(N_ROUNDS)),
    }
    tracked = [clone(clf) for _ in range(N_ROUNDS + 1)]
    with skperceptron.config_context(tracking=False):
        untracked_clones = [clone(clf) for _ in range(N_ROUNDS + 1)]
    pairs = list(zip(tracked, untracked_clones, strict=True))
    (worker,) = Parallel(n_jobs=2)([delayed(fit_in_worker)(pairs, X, y)])
    assert flush() == 0
    return {**result, **worker}


def log_plainly() -> None:
    """Log what the run of such a fit holds, by MLflow's client and nothing else."""
    import mlflow
    from mlflow.entities import Metric, Param

    client = mlflow.MlflowClient()
    now = int(1000 * time.time())
    tags = {f"tag_{i}": str(i) for i in range(10)}
    run_id = client.create_run("0", tags=tags, run_name="plain").info.run_id
    curve = [Metric("loss", 1 / (i + 1), now, i) for i in range(20)]
    final = [Metric(f"final_{i}", i, now, 0) for i in range(3)]
    params = [
        Param(f"param_{i}", str(i)) for i in range(len(BackpropMLP().get_params()))
    ]
    client.log_batch(run_id, [*curve, *final], params, synchronous=True)
    data = mlflow.data.from_numpy(np.zeros((300, 64)), name="data")
    dataset = mlflow.entities.DatasetInput(data._to_mlflow_entity(), [])
    client.log_inputs(run_id, [dataset])
    client.set_terminated(run_id)


def fit_in_worker(
    pairs: list[tuple[BackpropMLP, BackpropMLP]], X: np.ndarray, y: np.ndarray
) -> dict:
    """Fit clones that know from their maker whether they are tracked, in turn."""
    from skperceptron.tracking.recording._fit_run import TrackedRun

    warnings.simplefilter("ignore", ConvergenceWarning)
    writes: list[float] = []
    write = TrackedRun.write

    def timed_write(run: TrackedRun) -> object:
        started = time.perf_counter()
        try:
            return write(run)
        finally:
            writes.append(time.perf_counter() - started)

    TrackedRun.write = timed_write
    times = [
        (seconds(lambda a=a: a.fit(X, y)), seconds(lambda b=b: b.fit(X, y)))
        for a, b in pairs
    ]
    return {
        "worker": 1e3 * median(a - b for a, b in times[1:]),
        "write": 1e3 * median(writes[1:]),
        "worker_imports": "yes" if "mlflow" in sys.modules else "no",
    }


def search(mode: str) -> dict:
    warnings.simplefilter("ignore", ConvergenceWarning)
    make_store()
    X, y = load_digits(return_X_y=True)
    clf = BackpropMLP(
        (50,),
        "logistic",
        solver="sgd",
        batch_size=100,
        max_iter=100,
        n_iter_no_change=100,
        random_state=0,
    )
    with skperceptron.config_context(tracking=mode == "1"):
        clf.fit(X[:200], y[:200])
    # Starting the workers, and what delivers, is no part of the search.
    Parallel(n_jobs=2)(delayed(time.sleep)(1) for _ in range(2))
    search = GridSearchCV(clf, GRID, cv=N_FOLDS, n_jobs=2)
    started = time.perf_counter()
    if mode == "1":
        search.set_callbacks(MLflowTracker())
    with skperceptron.config_context(tracking=mode == "1"):
        search.fit(X / 16, y)
    took = time.perf_counter() - started
    assert pending() == 0
    return {
        "seconds": took,
        "fit_seconds": float(search.cv_results_["mean_fit_time"].sum()),
        "n_runs": n_runs() - 1,
    }


def n_runs() -> int:
    path = os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT count(*) FROM runs").fetchone()[0]


def peak_memory() -> float:
    """Most memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def trials() -> dict:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1)

    def untracked() -> None:
        random = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(sampler=random)
        study.optimize(objective, n_trials=N_TRIALS)

    def tracked() -> None:
        random = optuna.samplers.RandomSampler(seed=0)
        with track_study(optuna.create_study(sampler=random)) as study:
            study.optimize(objective, n_trials=N_TRIALS)

    with track_study(optuna.create_study()) as study:  # imports, creates the store
        study.optimize(objective, n_trials=1)
    result = {
        "untracked": 1e3 * seconds(untracked) / N_TRIALS,
        "tracked": 1e3 * seconds(tracked) / N_TRIALS,
    }
    assert pending() == 0
    return result


def autolog_over_none(fit: Callable[[], object]) -> float:
    import mlflow

    untracked = median(seconds(fit) for _ in range(3))
    mlflow.sklearn.autolog(silent=True)
    seconds(fit)  # the first one imports
    tracked = median(seconds(fit) for _ in range(3))
    mlflow.sklearn.autolog(disable=True)
    return 1e3 * (tracked - untracked)


def milliseconds_over(
    tracked: Callable[[], object], untracked: Callable[[], object]
) -> float:
    """Time the difference of two functions in turn, after one round for nothing."""
    pairs = [(seconds(tracked), seconds(untracked)) for _ in range(N_ROUNDS + 1)]
    return 1e3 * median(a - b for a, b in pairs[1:])


if __name__ == "__main__":
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    warnings.simplefilter("ignore", ConvergenceWarning)
    function, *arguments = sys.argv[1:]
    print(json.dumps(globals()[function](*arguments)))
