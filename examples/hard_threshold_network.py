"""A network of hard thresholds.

A unit of such a network returns 1 or 0, so a small change of a weight changes its
output either not at all or completely. Backpropagation cannot train it, because the
slope is 0 almost everywhere. Hill climbing needs no slope, only the objective: here the
log loss.

On breast cancer and on digits, both standardised, the network of thresholds is compared
with one of logistic units over three splits. Every fit is an MLflow run. At the end,
the script predicts with additions and comparisons only, which is all that such a
network needs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import HillClimbMLP
from skperceptron.tracking import MLflowTracker

FIGURE = Path(__file__).with_name("figures") / "hard_threshold_network.png"
DATA = {"breast cancer": load_breast_cancer, "digits": load_digits}
ACTIVATIONS = ["step", "logistic"]


def make_network(activation, seed, max_iter=20_000) -> Pipeline:
    """Let one unit move at a time, each with a step size that adapts itself."""
    network = HillClimbMLP(
        (100,),
        activation,
        max_iter=max_iter,
        mutation="unit",
        step_schedule="one_fifth",
        n_restarts=1,  # of two climbs the better one is kept
        n_jobs=2,
        random_state=seed,
    )
    return make_pipeline(StandardScaler(), network)


def compare(data, n_splits=3, max_iter=20_000) -> tuple[pd.DataFrame, dict]:
    """Fit both networks to the same splits of a data set.

    Returns
    -------
    scores : pandas.DataFrame
        Test accuracies: a row per split, a column per activation.

    fitted : dict of Pipeline
        Those of the first split, by activation.
    """
    X, y = DATA[data](return_X_y=True)
    scores, fitted = pd.DataFrame(columns=ACTIVATIONS, dtype=float), {}
    for seed in range(n_splits):
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.2, stratify=y, random_state=seed
        )
        for activation in ACTIVATIONS:
            clf = make_network(activation, seed, max_iter)
            name = f"{data}, {activation}, split {seed}"
            clf.set_callbacks(MLflowTracker(run_name=name)).fit(X_train, y_train)
            scores.loc[seed, activation] = clf.score(X_test, y_test)
            fitted.setdefault(activation, clf)
    return scores, fitted


def predict_by_hand(clf: HillClimbMLP, X):
    """Predict two classes with additions and comparisons only."""
    fires = X @ clf.coefs_[0] + clf.intercepts_[0] >= 0
    total = fires @ clf.coefs_[1] + clf.intercepts_[1]
    return clf.classes_[(total[:, 0] > 0).astype(int)]


def draw(results: dict) -> Figure:
    figure = Figure(figsize=(11, 7), layout="constrained")
    rows = figure.subplots(len(results), 2)
    for (left, right), (data, (scores, fitted)) in zip(
        rows, results.items(), strict=True
    ):
        for activation, clf in fitted.items():
            losses = -clf[-1].objective_curve_
            left.loglog(np.arange(1, len(losses) + 1), losses, label=activation)
        left.set(title=f"{data}, one split", xlabel="iteration")
        left.set_ylabel("log loss, training data")
        left.legend(loc="lower left")
        for i, activation in enumerate(ACTIVATIONS):
            values = scores[activation]
            right.plot(
                [activation] * len(values), values, "o", color=f"C{i}", alpha=0.5
            )
            right.plot(activation, values.mean(), "_", color="k", markersize=40)
        right.set(title=f"{data}: splits (dots), mean (line)", xlim=(-0.5, 1.5))
        right.set_ylabel("test accuracy")
    return figure


def main() -> None:
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="thresholds"):
        results = {data: compare(data) for data in DATA}
        FIGURE.parent.mkdir(exist_ok=True)
        draw(results).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    for data, (scores, _) in results.items():
        print(f"{data}, test accuracy: mean over {len(scores)} splits, standard error")
        for activation in ACTIVATIONS:
            values = scores[activation]
            print(f"  {activation:10} {values.mean():.3f} ± {values.sem():.3f}")
    X, _ = load_breast_cancer(return_X_y=True)
    clf = results["breast cancer"][1]["step"]
    by_hand = predict_by_hand(clf[-1], clf[:-1].transform(X))
    is_same = np.array_equal(by_hand, clf.predict(X))
    print(f"Additions and comparisons alone predict the same: {is_same}")
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
