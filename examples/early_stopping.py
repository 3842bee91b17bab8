"""Early stopping.

Stop training when held-out data say so, and keep the weights of the best epoch.

Does the diabetes of a patient progress more than that of the median patient? Within 300
epochs, a network of 50 units memorises the training data: the loss on them keeps
falling, while the loss on other data rises again. With `early_stopping`, a part of the
training data is held out, training ends when the accuracy on it has not improved for
`n_iter_no_change` epochs, and the weights of the best epoch are kept.

1. One long fit, which only watches its validation data, shows both losses.
2. Networks with and without early stopping are compared on the test data of ten splits.
   Test data have no part in the decision when to stop. Each fit is an MLflow run.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP

FIGURE = Path(__file__).with_name("figures") / "early_stopping.png"
N_EPOCHS = 300
WAYS = {
    "300 epochs": {"tol": 0, "n_iter_no_change": N_EPOCHS},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.25},
}


def load_patients(seed):
    """Split the patients into training and test data."""
    X, progression = load_diabetes(return_X_y=True)
    y = (progression > np.median(progression)).astype(int)
    return train_test_split(X, y, test_size=0.4, stratify=y, random_state=seed)


def make_network(seed, **params) -> Pipeline:
    network = BackpropMLP(
        (50,),
        batch_size=50,
        learning_rate_init=0.01,
        max_iter=N_EPOCHS,
        random_state=seed,
    )
    return make_pipeline(StandardScaler(), network.set_params(**params))


def watch(seed=0) -> BackpropMLP:
    """Train for all of the epochs, with an eye on validation data."""
    X_train, _, y_train, _ = load_patients(seed)
    both = {**WAYS["early stopping"], **WAYS["300 epochs"]}
    return make_network(seed, **both).fit(X_train, y_train)[-1]


def compare(n_splits) -> pd.DataFrame:
    """Score both ways on the same splits."""
    rows = []
    for seed in range(n_splits):
        X_train, X_test, y_train, y_test = load_patients(seed)
        for way, params in WAYS.items():
            clf = make_network(seed, **params).fit(X_train, y_train)
            rows.append(
                {
                    "way": way,
                    "split": seed,
                    "test accuracy": clf.score(X_test, y_test),
                    "test log loss": log_loss(y_test, clf.predict_proba(X_test)),
                    "epochs": clf[-1].n_iter_,
                }
            )
    return pd.DataFrame(rows)


def draw(watched: BackpropMLP, scores: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    epochs = range(1, watched.n_iter_ + 1)
    best = 1 + int(np.argmax(watched.validation_scores_))
    left.semilogy(epochs, watched.loss_curve_, "C0", label="training data")
    left.semilogy(epochs, watched.validation_loss_curve_, "C1", label="validation data")
    left.set(title="One fit of 300 epochs", xlabel="epoch", ylabel="log loss")
    middle.plot(epochs, watched.validation_scores_, "C1", label="validation data")
    middle.set(title="The same fit", xlabel="epoch", ylabel="accuracy")
    for ax in (left, middle):
        ax.axvline(best, color="0.5", ls=":", label=f"best epoch: {best}")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3)

    by_split = scores.pivot(index="split", columns="way", values="test accuracy")
    right.plot(list(WAYS), by_split[list(WAYS)].T, "o-", color="0.7")
    right.plot(list(WAYS), by_split[list(WAYS)].mean(), "ok-", lw=3)
    right.set(
        title="Ten splits (grey), mean (black)",
        ylabel="test accuracy",
        xlim=(-0.3, 1.3),
    )
    return figure


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)  # 300 epochs are meant
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="early stopping"):
        watched = watch()
        scores = compare(n_splits=10)
        FIGURE.parent.mkdir(exist_ok=True)
        draw(watched, scores).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    print("Means over ten splits:")
    print(scores.groupby("way", sort=False).mean().drop(columns="split").round(3))
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
