"""A rare class.

Stop early by a score that notices a class of 2 %.

A network that never names a class of 2 % is right for 98 % of the samples. In its first
epochs it does just that, the accuracy on the validation data stands still, and early
stopping ends the training before the network has learned anything about that class.
With `scoring`, early stopping watches something else: the loss, or any scorer of
scikit-learn. The average precision only depends on how far up the samples of the rare
class are ranked.

1. One fit with each of the three shows what early stopping sees, epoch by epoch.
2. The fits are repeated on the data of ten seeds. All three get the same validation
   data, as `X_val` and `y_val`. The test data have no part in any of this. Each fit is
   an MLflow run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score, recall_score
from sklearn.model_selection import train_test_split

from skperceptron import BackpropMLP

FIGURE = Path(__file__).with_name("figures") / "rare_class.png"
SCORES = {"accuracy": "C0", "loss": "C1", "average_precision": "C2"}


def make_data(seed) -> tuple:
    """Make samples, 2 % of them of one class, for training, validation and test."""
    X, y = make_classification(
        10_000, n_informative=10, weights=[0.98], flip_y=0, random_state=seed
    )
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.4, stratify=y, random_state=seed
    )
    X_train, X_val, y_train, y_val = train_test_split(
        X, y, test_size=1 / 3, stratify=y, random_state=seed
    )
    return X_train, X_val, X_test, y_train, y_val, y_test


def fit(seed, scoring) -> BackpropMLP:
    X_train, X_val, _, y_train, y_val, _ = make_data(seed)
    clf = BackpropMLP(
        (50,), max_iter=500, early_stopping=True, scoring=scoring, random_state=seed
    )
    return clf.fit(X_train, y_train, X_val=X_val, y_val=y_val)


def compare(n_seeds) -> pd.DataFrame:
    """Test what each score leads to."""
    rows = []
    for seed in range(n_seeds):
        _, _, X_test, _, _, y_test = make_data(seed)
        for scoring in SCORES:
            clf = fit(seed, scoring)
            of_class = clf.predict_proba(X_test)[:, 1]
            rows.append(
                {
                    "scoring": scoring,
                    "seed": seed,
                    "epochs": clf.n_iter_,
                    "test accuracy": clf.score(X_test, y_test),
                    "test recall": recall_score(y_test, clf.predict(X_test)),
                    "average precision": average_precision_score(y_test, of_class),
                }
            )
    return pd.DataFrame(rows)


def draw(fits: list[BackpropMLP], scores: pd.DataFrame) -> Figure:
    """Draw one fit by each of the scores, and what all of them led to."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    longest = max(fits, key=lambda clf: clf.n_iter_)
    left.plot(range(1, longest.n_iter_ + 1), longest.validation_loss_curve_, "0.3")
    left.set(title="What is learned", xlabel="epoch", ylabel="validation loss")
    for clf in fits:
        color, label = SCORES[clf.scoring], clf.scoring.replace("_", " ")
        best = 1 + clf.validation_scores_.index(clf.best_validation_score_)
        left.axvline(best, color=color, ls="--")
        if clf.scoring != "loss":
            middle.plot(range(1, clf.n_iter_ + 1), clf.validation_scores_, color)
        left.plot([], [], color, label=label)
    middle.set(title="What two scores see of it", xlabel="epoch")
    middle.set_ylabel("validation score")
    names, title = [label.replace("_", "\n") for label in SCORES], "best epoch by"
    figure.legend(loc="outside lower left", ncols=3, title=title, alignment="left")
    by_seed = scores.pivot(index="seed", columns="scoring", values="test recall")
    right.plot(names, by_seed[[*SCORES]].T, "o-", color="0.7")
    right.plot(names, by_seed[[*SCORES]].mean(), "ok-", lw=3)
    right.set(title="Ten seeds (grey), mean (black)", ylabel="test recall")
    right.set(xlim=(-0.3, 2.3), ylim=(-0.05, 1))
    return figure


def main() -> None:
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="a rare class"):
        fits = [fit(0, scoring) for scoring in SCORES]
        scores = compare(n_seeds=10)
        FIGURE.parent.mkdir(exist_ok=True)
        draw(fits, scores).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    print("Means over ten seeds:")
    columns = {"test accuracy": "accuracy", "test recall": "recall"}
    means = scores.groupby("scoring").mean().drop(columns="seed")
    print(means.rename(columns=columns).loc[[*SCORES]].round(3))
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
