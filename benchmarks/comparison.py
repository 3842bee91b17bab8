"""Show one claim of the page that compares this package with others.

    .venv/bin/python benchmarks/comparison.py CLAIM

Each claim is a function of this script, which prints what it finds. Those about
another package need an environment in which that is installed; the page says which.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

GRID = {"alpha": [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]}


def cancer():
    """Split standardised breast cancer data."""
    X, y = load_breast_cancer(return_X_y=True)
    parts = train_test_split(X, y, stratify=y, random_state=0)
    scaler = StandardScaler().fit(parts[0])
    return scaler.transform(parts[0]), scaler.transform(parts[1]), *parts[2:]


def runs():
    """Read all runs of MLflow's store."""
    import mlflow

    return mlflow.search_runs(search_all_experiments=True)


def show_runs() -> None:
    """Print how many runs there are, and how many of them are below another."""
    table = runs()
    column = "tags.mlflow.parentRunId"
    n_below = table[column].notna().sum() if column in table else 0
    print(f"{len(table)} runs, {n_below} of them below another one")


# Where others are better


def first_fit() -> None:
    """Time new processes that import a classifier and fit it once."""
    for name, line in {
        "MLPClassifier": "from sklearn.neural_network import MLPClassifier as C",
        "BackpropMLP": "from skperceptron import BackpropMLP as C",
    }.items():
        code = (
            "from sklearn.datasets import load_iris\n"
            f"{line}\nC(max_iter=5, tol=10).fit(*load_iris(return_X_y=True))"
        )
        for tracking in ("0",) if name == "MLPClassifier" else ("0", "1"):
            env = {**os.environ, "SKPERCEPTRON_TRACKING": tracking}
            elapsed = []
            for _ in range(5):
                started = time.perf_counter()
                command = [sys.executable, "-W", "ignore", "-c", code]
                subprocess.run(command, env=env, check=True)
                elapsed.append(time.perf_counter() - started)
            label = f"{name}, tracking {'on' if tracking == '1' else 'off'}"
            print(f"{label:26} {np.median(elapsed):.2f} s")


def any_estimator() -> None:
    """Log an estimator that is neither ours nor MLflow's."""
    import mlflow
    from sklearn.ensemble import RandomForestClassifier

    X, X_test, y, y_test = cancer()
    RandomForestClassifier().fit(X, y)
    print("skperceptron:", end=" ")
    show_runs()
    mlflow.sklearn.autolog(silent=True)
    forest = RandomForestClassifier().fit(X, y)
    forest.score(X_test, y_test)
    print("mlflow.sklearn.autolog:", end=" ")
    show_runs()
    print(sorted(mlflow.last_active_run().data.metrics))


def training_metrics() -> None:
    """List the metrics of one fit."""
    import mlflow
    from sklearn.neural_network import MLPClassifier

    from skperceptron import BackpropMLP

    X, _, y, _ = cancer()
    clf = BackpropMLP(max_iter=5, tol=10).fit(X, y)
    print("skperceptron:", sorted(mlflow.get_run(clf.run_id_).data.metrics))
    mlflow.sklearn.autolog(silent=True)
    MLPClassifier(max_iter=5, tol=10).fit(X, y)
    metrics = mlflow.last_active_run().data.metrics
    print("mlflow.sklearn.autolog:", sorted(metrics))


def convolution() -> None:
    """Train a network with convolutions."""
    import torch
    from skorch import NeuralNetClassifier
    from torch import nn

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU()]
    net = NeuralNetClassifier(
        nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10)),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        max_epochs=20,
        verbose=0,
    )
    print(f"accuracy {net.fit(X, y).score(X_test, y_test):.3f}")


def graphics_card() -> None:
    """Show how skorch is told where to compute."""
    import torch
    from skorch import NeuralNetClassifier
    from torch import nn

    net = NeuralNetClassifier(nn.Linear(2, 2), device="cuda")
    print("skorch:", net.get_params(deep=False)["device"])
    print("here:", torch.cuda.is_available() and torch.cuda.get_device_name())


def algorithms() -> None:
    """List mlrose's algorithms and the problems that are no networks."""
    import mlrose_hiive

    for name in ("random_hill_climb", "simulated_annealing", "genetic_alg", "mimic"):
        print(name, callable(getattr(mlrose_hiive, name)))
    rng = np.random.default_rng(0)
    fitness = mlrose_hiive.TravellingSales(coords=rng.random((8, 2)).tolist())
    problem = mlrose_hiive.TSPOpt(length=8, fitness_fn=fitness, maximize=False)
    _, length, *_ = mlrose_hiive.genetic_alg(problem, random_state=1)
    print(f"a tour of eight cities, of length {length:.2f}")


def distributions() -> None:
    """List what Optuna's callback logs of a trial."""
    import optuna
    from optuna_integration import MLflowCallback

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        callback = MLflowCallback(metric_name="loss")
        study.optimize(
            lambda trial: trial.suggest_float("x", -1, 1) ** 2, 2, callbacks=[callback]
        )
    row = runs().iloc[0]
    ours = "tags.mlflow"
    tags = {k: v for k, v in row.items() if k.startswith("tags.") and ours not in k}
    print(tags)


# Where this package is better


def metric() -> None:
    """Maximise F2, beside a network that minimises its log loss."""
    from sklearn.metrics import fbeta_score, make_scorer
    from sklearn.neural_network import MLPClassifier

    from skperceptron import HillClimbPerceptron

    X, X_test, y, y_test = cancer()
    scorer = make_scorer(fbeta_score, beta=2, pos_label=0)
    clf = HillClimbPerceptron(objective=scorer, random_state=0).fit(X, y)
    print(f"skperceptron: test F2 {scorer(clf, X_test, y_test):.3f}")
    theirs = MLPClassifier(random_state=0, max_iter=1000).fit(X, y)
    print(f"MLPClassifier, on the log loss: {scorer(theirs, X_test, y_test):.3f}")


def metric_skorch() -> None:
    """Give skorch the same metric as its loss."""
    import torch
    from skorch import NeuralNetClassifier
    from torch import nn

    class NegativeF2(nn.Module):
        def forward(self, scores, y):
            guess = scores.argmax(dim=1)
            hits = ((guess == 0) & (y == 0)).sum()
            return -5.0 * hits / (4 * (y == 0).sum() + (guess == 0).sum())

    X, _, y, _ = cancer()
    net = NeuralNetClassifier(nn.Linear(30, 2), criterion=NegativeF2, verbose=0)
    try:
        net.fit(X.astype(np.float32), y)
    except RuntimeError as error:
        print(f"skorch, PyTorch {torch.__version__}: {error}")


def thresholds() -> None:
    """Train networks of hard thresholds."""
    from sklearn.neural_network import MLPClassifier

    from skperceptron import HillClimbMLP

    X, X_test, y, y_test = cancer()
    clf = HillClimbMLP((20,), "step", random_state=0).fit(X, y)
    print(f"HillClimbMLP: test accuracy {clf.score(X_test, y_test):.3f}")
    try:
        MLPClassifier((20,), activation="step").fit(X, y)
    except ValueError as error:
        print(f"MLPClassifier: {error}")


def thresholds_skorch() -> None:
    """Train hard thresholds with PyTorch: only the output layer has a gradient."""
    import torch
    from skorch import NeuralNetClassifier
    from torch import nn

    class Step(nn.Module):
        def forward(self, z):
            return torch.heaviside(z, torch.ones(()))

    X, X_test, y, y_test = cancer()
    torch.manual_seed(0)
    hidden = nn.Linear(30, 20)
    before = hidden.weight.detach().clone()
    net = NeuralNetClassifier(
        nn.Sequential(hidden, Step(), nn.Linear(20, 2)),
        criterion=nn.CrossEntropyLoss,
        verbose=0,
        max_epochs=100,
        lr=0.1,
    )
    try:
        net.fit(X.astype(np.float32), y)
    except RuntimeError as error:  # PyTorch may refuse what has no derivative
        print(f"skorch: {error}")
        return
    after = net.module_[0].weight.detach()
    accuracy = net.score(X_test.astype(np.float32), y_test)
    moved = float((after - before).abs().max())
    print(f"skorch: test accuracy {accuracy:.3f}, hidden weights moved by {moved}")


def thresholds_mlrose() -> None:
    """Give mlrose a threshold as the activation."""
    import mlrose_hiive

    X, _, y, _ = cancer()
    try:
        mlrose_hiive.NeuralNetwork([20], activation="step", max_iters=10).fit(X, y)
    except Exception as error:  # it raises plain exceptions
        print(f"mlrose_hiive: {error}")


def same_weights() -> None:
    """Compare weights after the same training, and its time."""
    from sklearn.neural_network import MLPClassifier

    import skperceptron
    from skperceptron import BackpropMLP

    skperceptron.set_config(tracking=False)
    X, _, y, _ = cancer()
    params = {"max_iter": 50, "batch_size": 16, "random_state": 0}
    fitted, elapsed = {}, {}
    warnings.simplefilter("ignore")
    BackpropMLP(**params).fit(X, y)  # compiles, or loads what is compiled
    for kind in (MLPClassifier, BackpropMLP):
        started = time.perf_counter()
        fitted[kind] = kind(**params).fit(X, y)
        elapsed[kind] = time.perf_counter() - started
    theirs, ours = fitted.values()
    pairs = zip(ours.coefs_, theirs.coefs_, strict=True)
    difference = max(float(np.abs(a - b).max()) for a, b in pairs)
    print(f"largest difference of a weight: {difference:.1e}")
    print(f"times as fast: {elapsed[MLPClassifier] / elapsed[BackpropMLP]:.0f}")


def climb() -> None:
    """Time 1000 iterations of a climb with this package."""
    import skperceptron
    from skperceptron import HillClimbMLP

    skperceptron.set_config(tracking=False)
    X, _, y, _ = cancer()
    clf = HillClimbMLP((10,), "logistic", max_iter=1000, random_state=0).fit(X, y)
    started = time.perf_counter()
    clf.fit(X, y)
    elapsed = time.perf_counter() - started
    print(f"skperceptron: {1e3 * elapsed:.0f} ms, {clf.score(X, y):.3f} on its data")


def climb_mlrose() -> None:
    """Time the same with mlrose."""
    import mlrose_hiive

    X, _, y, _ = cancer()
    net = mlrose_hiive.NeuralNetwork(
        [10], activation="sigmoid", max_iters=1000, learning_rate=0.1, random_state=1
    )
    started = time.perf_counter()
    net.fit(X, y)
    elapsed = time.perf_counter() - started
    accuracy = np.mean(net.predict(X).ravel() == y)
    print(f"mlrose_hiive: {1e3 * elapsed:.0f} ms, {accuracy:.3f} on its data")


def contract() -> None:
    """Count scikit-learn's estimator checks that fail, in any package."""
    from sklearn.utils.estimator_checks import check_estimator

    import skperceptron

    skperceptron.set_config(tracking=False)
    for kind in ("HillClimbPerceptron", "HillClimbMLP", "BackpropMLP"):
        clf = getattr(skperceptron, kind)()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = check_estimator(clf, on_fail=None, on_skip=None)
        failed = [r["check_name"] for r in results if r["status"] == "failed"]
        print(f"{kind}: {len(failed)} of {len(results)} checks fail")


def contract_mlrose() -> None:
    """Clone mlrose's network and put it into a pipeline with labels in words."""
    import mlrose_hiive

    X, _, y, _ = cancer()
    words = np.array(["no", "yes"])[y]
    net = mlrose_hiive.NeuralNetwork([10], activation="sigmoid", max_iters=10)
    for what, labels in (("numbers", y), ("words", words)):
        try:
            score = make_pipeline(StandardScaler(), net).fit(X, labels).score(X, labels)
            print(f"labels that are {what}: {score:.3f}")
        except Exception as error:
            print(f"labels that are {what}: {type(error).__name__}: {error}")


def search_runs() -> None:
    """Log a search of seven candidates and three folds in worker processes."""
    from skperceptron import BackpropMLP
    from skperceptron.tracking import MLflowTracker

    X, _, y, _ = cancer()
    warnings.simplefilter("ignore")
    search = GridSearchCV(BackpropMLP(max_iter=5), GRID, cv=3, n_jobs=2)
    search.set_callbacks(MLflowTracker()).fit(X, y)
    print("MLflowTracker:", end=" ")
    show_runs()


def search_runs_autolog() -> None:
    """Log the same search of MLPClassifier by MLflow's autologging."""
    import mlflow
    from sklearn.neural_network import MLPClassifier

    X, _, y, _ = cancer()
    warnings.simplefilter("ignore")
    mlflow.sklearn.autolog(silent=True)
    started = time.perf_counter()
    GridSearchCV(MLPClassifier(max_iter=5), GRID, cv=3, n_jobs=2).fit(X, y)
    print("mlflow.sklearn.autolog:", end=" ")
    show_runs()
    print(f"{time.perf_counter() - started:.1f} s")


def study_runs() -> None:
    """Log a study of three trials, each a cross-validation, both ways."""
    import optuna
    from optuna_integration import MLflowCallback
    from sklearn.model_selection import cross_val_score

    from skperceptron import BackpropMLP
    from skperceptron.tracking import track_study

    X, _, y, _ = cancer()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        clf = BackpropMLP(alpha=trial.suggest_float("alpha", 1e-4, 1, log=True))
        return cross_val_score(clf.set_params(max_iter=5), X, y, cv=3).mean()

    import skperceptron

    study = optuna.create_study(direction="maximize")
    with skperceptron.config_context(tracking=False):
        study.optimize(objective, 3, callbacks=[MLflowCallback()])
    print("MLflowCallback:", end=" ")
    show_runs()
    n_before = len(runs())
    study = optuna.create_study(direction="maximize")
    with track_study(study):
        study.optimize(objective, 3)
    table = runs().iloc[: len(runs()) - n_before]
    n_below = table["tags.mlflow.parentRunId"].notna().sum()
    print(f"track_study: {len(table)} runs, {n_below} of them below another one")


def server_down() -> None:
    """Fit while the tracking server refuses connections."""
    import mlflow

    from skperceptron import BackpropMLP

    X, _, y, _ = cancer()
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            started = time.perf_counter()
            BackpropMLP(max_iter=5, tol=10).fit(X, y)
        kinds = {warning.category.__name__ for warning in caught}
        print(f"skperceptron: {time.perf_counter() - started:.1f} s, {kinds or ''}")


def server_down_autolog() -> None:
    """Do the same with MLflow's autologging."""
    import mlflow
    from sklearn.neural_network import MLPClassifier

    X, _, y, _ = cancer()
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    mlflow.sklearn.autolog(silent=True)
    started = time.perf_counter()
    outcome = "the fit is done, without a run"
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            MLPClassifier(max_iter=5, tol=10).fit(X, y)
    except Exception as error:
        outcome = f"{type(error).__name__}"
    print(f"mlflow.sklearn.autolog: {time.perf_counter() - started:.0f} s, {outcome}")


def model_files() -> None:
    """List the files of logged models, and how long a fit takes with one."""
    import mlflow
    from sklearn.neural_network import MLPClassifier

    from skperceptron import BackpropMLP

    X, _, y, _ = cancer()
    clf = BackpropMLP(max_iter=5, tol=10).fit(X, y)
    clf.fit(X, y)
    started = time.perf_counter()
    clf.fit(X, y)
    ours = time.perf_counter() - started
    mlflow.sklearn.autolog(silent=True)
    theirs_clf = MLPClassifier(max_iter=5, tol=10).fit(X, y)
    started = time.perf_counter()
    theirs_clf.fit(X, y)
    theirs = time.perf_counter() - started
    for name, run_id, elapsed in (
        ("skperceptron", clf.run_id_, ours),
        ("mlflow.sklearn.autolog", mlflow.last_active_run().info.run_id, theirs),
    ):
        folder = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/model")
        files = sorted(path.name for path in Path(folder).iterdir())
        print(f"{name}: {elapsed:.2f} s, {files}")


CLAIMS = {
    claim.__name__: claim
    for claim in (
        first_fit,
        any_estimator,
        training_metrics,
        convolution,
        graphics_card,
        algorithms,
        distributions,
        metric,
        metric_skorch,
        thresholds,
        thresholds_skorch,
        thresholds_mlrose,
        same_weights,
        climb,
        climb_mlrose,
        contract,
        contract_mlrose,
        search_runs,
        search_runs_autolog,
        study_runs,
        server_down,
        server_down_autolog,
        model_files,
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("claim", choices=CLAIMS)
    claim = CLAIMS[parser.parse_args().claim]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # and the runs with it
        os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        claim()


if __name__ == "__main__":
    main()
