"""Pruning an Optuna study.

Search with Optuna, and stop fits early that are not promising.

A study of 40 trials chooses the hyperparameters of a network on the digits.
`suggest_params` has a search space for each classifier. `PruningCallback` reports the
score on held-out training data after each epoch, and a median pruner stops a trial that
is behind the others at the same epoch. `track_study` logs a tree of MLflow runs: the
study, below it the trials with their curves (pruned ones have the status KILLED), and
below these the fits.

The figure shows the curves and how many epochs were saved. The best network is fitted
once more, and scored on test data that the study has not seen.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow
import optuna
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from optuna.trial import TrialState
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skperceptron import BackpropMLP
from skperceptron.tracking import track_study
from skperceptron.tuning import PruningCallback, suggest_params

FIGURE = Path(__file__).with_name("figures") / "optuna_pruning.png"
N_TRIALS = 40
N_EPOCHS = 60


def load_split():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, test_size=0.2, stratify=y, random_state=0)


def make_network(**params) -> BackpropMLP:
    """Make a network that holds out data, but trains for all of its epochs."""
    network = BackpropMLP(
        early_stopping=True,
        validation_fraction=0.25,
        max_iter=N_EPOCHS,
        n_iter_no_change=N_EPOCHS,
        random_state=0,
    )
    return network.set_params(**params)


def run_study(X, y, n_trials=N_TRIALS) -> optuna.Study:
    """Let each trial fit one network, and end it when it is behind the others."""

    def objective(trial: optuna.Trial) -> float:
        network = make_network()
        network.set_params(**suggest_params(trial, network))
        network.set_callbacks(PruningCallback(trial)).fit(X, y)
        return network.best_validation_score_

    study = optuna.create_study(
        study_name="digits",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
    )
    with track_study(study):
        study.optimize(objective, n_trials=n_trials)
    return study


def draw(study: optuna.Study) -> Figure:
    """Draw the score of every trial by epoch, and how long it was trained."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for trial in study.trials:
        is_pruned = trial.state == TrialState.PRUNED
        color = "C3" if is_pruned else "C0"
        epochs, scores = zip(*trial.intermediate_values.items(), strict=True)
        left.plot(epochs, scores, color=color, alpha=0.5)
        right.bar(trial.number, len(epochs), color=color)
    left.set(
        title="Learning curve of each trial",
        xlabel="epoch",
        ylabel="validation accuracy",
    )
    right.set(title="Epochs of each trial", xlabel="trial", ylabel="epochs")
    handles = [
        Patch(color="C0", label="complete trials"),
        Patch(color="C3", label="pruned trials"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    X_train, X_test, y_train, y_test = load_split()
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="study and best network"):
        study = run_study(X_train, y_train)
        best = make_network(**study.best_params).fit(X_train, y_train)
        accuracy = best.score(X_test, y_test)
        FIGURE.parent.mkdir(exist_ok=True)
        draw(study).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    n_pruned = len(study.get_trials(states=[TrialState.PRUNED]))
    n_epochs = sum(len(trial.intermediate_values) for trial in study.trials)
    print(f"{n_pruned} of {N_TRIALS} trials were pruned,")
    print(f"{n_epochs} epochs trained in place of {N_TRIALS * N_EPOCHS}")
    print(f"best trial: {study.best_value:.3f} on the validation data, with")
    for name, value in study.best_params.items():
        print(f"  {name} = {value}")
    print(f"its accuracy on the test data: {accuracy:.3f}")
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
