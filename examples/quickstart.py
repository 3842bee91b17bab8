"""Three classifiers, tuned and compared.

On breast cancer (two classes) and handwritten digits (ten), the two hill climbers are
tuned by a grid search and BackpropMLP by an Optuna study, each with 3-fold
cross-validation on the training part only. A fifth of the data is held out for the
last accuracy in the table that the script ends with, and in its figure: tuning never
sees it.

    python examples/quickstart.py
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import mlflow
import optuna
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.callback import ProgressBar
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, track_study

RUNS = Path(__file__).resolve().parents[1] / "mlruns"
FIGURE = Path(__file__).resolve().with_name("figures") / "quickstart.png"
DATA = {"breast cancer": load_breast_cancer, "digits": load_digits}
SEED = 0
TEST_SHARE = 0.2
N_FOLDS = 3
N_TRIALS = 4
N_EPOCHS = 50

PERCEPTRON_GRID = {
    "hillclimbperceptron__alpha": [1.0, 10.0],
}
MLP_GRID = {
    "hillclimbmlp__hidden_layer_sizes": [(15,), (30,)],
    "hillclimbmlp__activation": ["logistic", "relu"],
}


@dataclass
class Result:
    """A row of the table."""

    data: str
    classifier: str
    parameters: dict[str, object]
    cv_accuracy: float
    test_accuracy: float
    seconds: float
    n_runs: int


def main() -> None:
    # BackpropMLP trains for a fixed number of epochs here, converged or not.
    warnings.simplefilter("ignore", ConvergenceWarning)
    # Without a terminal to ask, a width in which the table is not folded.
    console = Console(width=None if sys.stdout.isatty() else 100)
    compile_kernels(console)
    experiment_id = use_new_experiment()
    results = []
    for name, load in DATA.items():
        X, y = load(return_X_y=True)
        split = train_test_split(
            X, y, test_size=TEST_SHARE, stratify=y, random_state=SEED
        )
        for tune in (tune_perceptron, tune_hill_climb_mlp, tune_backprop_mlp):
            results.append(compare(name, tune, split, experiment_id, console))
    FIGURE.parent.mkdir(exist_ok=True)
    draw(results).savefig(FIGURE)
    console.print(as_table(results))
    console.print(f"Figure: {FIGURE}", soft_wrap=True)
    mlflow_command = Path(sys.executable).with_name("mlflow")
    console.print(
        "\nTo look at the runs in MLflow's UI, start\n\n"
        f"    {mlflow_command} ui --backend-store-uri {mlflow.get_tracking_uri()}\n\n"
        f"and open http://127.0.0.1:5000/#/experiments/{experiment_id}/runs"
        "?workflowType=machine_learning\n\n"
        "Below each search or study are its candidates or trials, and below those "
        "their fits.",
        soft_wrap=True,
    )


def compile_kernels(console: Console) -> None:
    """Fit once for a moment: the first fit on a machine compiles.

    Otherwise the first candidate would take half a minute, and both processes of the
    grid search would compile the same.
    """
    console.print("Compiling (half a minute on the first run on a machine)")
    with skperceptron.config_context(tracking=False):
        for load in DATA.values():
            X, y = load(return_X_y=True)
            HillClimbPerceptron(max_iter=100).fit(X, y)
            BackpropMLP(max_iter=1).fit(X, y)


def use_new_experiment() -> str:
    """Let MLflow log to a new experiment in the folder mlruns/ of the repository."""
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(f"sqlite:///{RUNS / 'mlflow.db'}")
    experiment_id = mlflow.create_experiment(
        f"quickstart {datetime.now():%Y-%m-%d %H:%M:%S}",
        artifact_location=(RUNS / "artifacts").as_uri(),
    )
    mlflow.set_experiment(experiment_id=experiment_id)
    return experiment_id


def compare(data, tune, split, experiment_id, console) -> Result:
    """Tune one classifier on one data set."""
    X_train, X_test, y_train, y_test = split
    started = time.perf_counter()
    n_runs = count_runs(experiment_id)
    pipeline, parameters, cv_accuracy = tune(X_train, y_train, data, console)
    return Result(
        data,
        type(pipeline[-1]).__name__,
        parameters,
        cv_accuracy,
        pipeline.score(X_test, y_test),
        seconds=time.perf_counter() - started,
        n_runs=count_runs(experiment_id) - n_runs,
    )


def count_runs(experiment_id: str) -> int:
    return len(mlflow.search_runs([experiment_id], output_format="list"))


def tune_perceptron(X, y, data, console):
    return grid_search(
        HillClimbPerceptron(random_state=SEED), PERCEPTRON_GRID, X, y, data, console
    )


def tune_hill_climb_mlp(X, y, data, console):
    return grid_search(HillClimbMLP(random_state=SEED), MLP_GRID, X, y, data, console)


def grid_search(classifier, grid, X, y, data, console):
    name = f"{type(classifier).__name__} on {data}"
    console.rule(f"{name}: grid search")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier), grid, cv=N_FOLDS, n_jobs=2
    )
    search.set_callbacks(
        ProgressBar(max_propagation_depth=0), MLflowTracker(run_name=name)
    )
    search.fit(X, y)
    return search.best_estimator_, search.best_params_, search.best_score_


def tune_backprop_mlp(X, y, data, console):
    name = f"BackpropMLP on {data}"
    console.rule(f"{name}: Optuna study")

    def suggest(trial: optuna.Trial) -> Pipeline:
        classifier = BackpropMLP(
            hidden_layer_sizes=(trial.suggest_int("hidden_units", 64, 256, log=True),),
            activation=trial.suggest_categorical("activation", ["relu", "silu"]),
            alpha=trial.suggest_float("alpha", 1e-2, 1e1, log=True),
            learning_rate_init=trial.suggest_float(
                "learning_rate_init", 1e-3, 1e-2, log=True
            ),
            max_iter=N_EPOCHS,
            random_state=SEED,
        )
        return make_pipeline(StandardScaler(), classifier)

    def objective(trial: optuna.Trial) -> float:
        # Of the folds, nobody will want the models.
        with skperceptron.config_context(log_models="none"):
            return cross_val_score(suggest(trial), X, y, cv=N_FOLDS).mean()

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED)
    )
    with track_study(study, run_name=name):
        study.optimize(objective, n_trials=N_TRIALS, show_progress_bar=True)
        best = suggest(optuna.trial.FixedTrial(study.best_params)).fit(X, y)
    return best, study.best_params, study.best_value


def as_table(results: list[Result]) -> Table:
    table = Table(title="Accuracy of the tuned classifiers", box=box.SIMPLE)
    table.add_column("classifier", no_wrap=True)
    table.add_column("best parameters", overflow="fold")
    for heading in ("cross-\nvalidated", "held\nout", "seconds", "runs\nlogged"):
        table.add_column(heading, justify="right", no_wrap=True)
    previous = None
    for r in results:
        if r.data != previous:
            table.add_section()
            table.add_row(f"[bold]{r.data}")
            previous = r.data
        table.add_row(
            r.classifier,
            "\n".join(as_text(*item) for item in r.parameters.items()),
            f"{r.cv_accuracy:.3f}",
            f"{r.test_accuracy:.3f}",
            f"{r.seconds:.1f}",
            str(r.n_runs),
        )
    return table


def draw(results: list[Result]) -> Figure:
    """Draw the accuracies on held-out data beside those of the cross-validation."""
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    panels = figure.subplots(1, len(DATA), sharey=True)
    for ax, data in zip(panels, DATA, strict=True):
        rows = [result for result in results if result.data == data]
        names = [result.classifier for result in rows]
        ax.plot([r.cv_accuracy for r in rows], names, "o", label="cross-validated")
        ax.plot([r.test_accuracy for r in rows], names, "*", ms=12, label="held out")
        ax.set(title=data, xlabel="accuracy")
        ax.grid(axis="x", color="0.9")
        ax.locator_params(axis="x", nbins=5)
    panels[0].margins(y=0.3)
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def as_text(name: str, value: object) -> str:
    short = name.rpartition("__")[2]
    return f"{short}={value:.2g}" if isinstance(value, float) else f"{short}={value}"


if __name__ == "__main__":
    main()
