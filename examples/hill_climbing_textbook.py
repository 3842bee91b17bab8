"""Hill climbing in its textbook form.

Train without backpropagation, and see how much of the result is luck.

The textbook form of the algorithm: start from random weights, add normal noise to them,
keep the new weights if the accuracy on the training data is not lower, and do so 1000
times. No gradient is needed, so it works for any activation and any architecture. The
data are 1000 samples of 5 features, a third of them held out; the networks are a
perceptron with a hard threshold and a network of 10 logistic units.

1. The curves of a few climbs, each of which is an MLflow run.
2. A single run says little. Teaching material shows the accuracies of one run; here
   they are compared with the distribution over 1000 splits and climbs. Some climbs of
   the MLP never leave the plateau on which they start.
3. An exercise in teaching material: each step moves only a random share of the weights.
   Where all weights must move to leave a plateau, that takes longer.

The climbs of 2 and 3 take milliseconds each, and there are thousands of them. They are
logged as one table of their accuracies instead of one run each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import percentileofscore
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

import skperceptron
from skperceptron import HillClimbMLP, HillClimbPerceptron
from skperceptron.plotting import LossCurveDisplay
from skperceptron.tracking import MLflowTracker

FIGURE = Path(__file__).with_name("figures") / "hill_climbing_textbook.png"
NETWORKS = {
    "perceptron": HillClimbPerceptron(step_size=0.05),
    "MLP 5-10-1": HillClimbMLP((10,), "logistic", step_size=0.1),
}
TEXTBOOK = {
    "objective": "accuracy",
    "init": "uniform",  # between 0 and 1
    "mutation": "all",
    "step_schedule": "constant",
    "max_iter": 1000,
}
KNOWN_RUNS = {
    "perceptron": {"train": 0.885, "test": 0.818},
    "MLP 5-10-1": {"train": 0.873, "test": 0.851},
}
SHARES = [0.05, 0.1, 0.2, 0.5, 1.0]


def fit(network: str, seed: int, tracker: MLflowTracker | None = None, **params):
    """Climb on one split; return the classifier and its accuracies."""
    X, y = make_classification(
        n_samples=1000, n_features=5, n_informative=2, n_redundant=1, random_state=1
    )
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.33, random_state=seed
    )
    clf = clone(NETWORKS[network])
    clf.set_params(**{**TEXTBOOK, **params}, random_state=seed)
    if tracker is not None:
        clf.set_callbacks(tracker)
    clf.fit(X_train, y_train)
    return clf, {
        "train": clf.score(X_train, y_train),
        "test": clf.score(X_test, y_test),
    }


def repeat(n_seeds: int, networks=tuple(NETWORKS), **params) -> pd.DataFrame:
    """Climb from many starts on as many splits, untracked; one row for each."""
    with skperceptron.config_context(tracking=False):
        rows = [
            {"network": network, "seed": seed, **fit(network, seed, **params)[1]}
            for network in networks
            for seed in range(n_seeds)
        ]
    return pd.DataFrame(rows)


def vary_shares(n_seeds: int, shares: list[float]) -> pd.DataFrame:
    """Climb with each step moving a share of the weights."""
    tables = [repeat(n_seeds, mutation=share).assign(share=share) for share in shares]
    return pd.concat(tables, ignore_index=True)


def describe(climbs: pd.DataFrame) -> pd.DataFrame:
    """Set the known runs beside the distributions: quantiles, and their ranks there."""
    rows = {}
    for network, known in KNOWN_RUNS.items():
        for part, accuracy in known.items():
            values = climbs.loc[climbs["network"] == network, part]
            rows[network, part] = {
                **values.quantile([0, 0.05, 0.5, 0.95, 1]),
                "known run": accuracy,
                "% below it": percentileofscore(values, accuracy, kind="strict"),
            }
    return pd.DataFrame(rows).T


def draw(curves: dict, climbs: pd.DataFrame, by_share: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    colors = dict(zip(NETWORKS, ("C0", "C1"), strict=True))
    handles = {}
    for name, clf in curves.items():
        network = name.partition(",")[0]
        display = LossCurveDisplay.from_estimator(clf, name=network, ax=left)
        display.line_.set(color=colors.get(network, "C2"), alpha=0.7)
        handles[network] = display.line_
    left.set(title="Three climbs of each", ylabel="training accuracy")
    left.legend(handles=handles.values(), loc="lower right")

    groups = [(network, part) for network in NETWORKS for part in ("train", "test")]
    middle.boxplot(
        [climbs.loc[climbs["network"] == network, part] for network, part in groups],
        tick_labels=[f"{network}\n{part}" for network, part in groups],
        whis=(0, 100),
    )
    known = [KNOWN_RUNS[network][part] for network, part in groups]
    (star,) = middle.plot(range(1, 5), known, "C3*", markersize=12)
    star.set_label("the one run that teaching material shows")
    middle.set(
        title="1000 splits and climbs of each",
        xlabel="box: quartiles; whiskers: lowest and highest",
        ylabel="accuracy",
    )
    figure.legend(handles=[star], loc="outside lower center")

    for network, rows in by_share.groupby("network", sort=False):
        by = rows.groupby("share")["test"]
        right.errorbar(
            by.mean().index,
            by.mean(),
            2 * by.sem(),
            fmt="o-",
            capsize=3,
            color=colors[network],
            label=network,
        )
    right.set(
        title="Mean of 100 climbs ± 2 standard errors",
        xscale="log",
        xlabel="share of the weights that a step moves",
        ylabel="test accuracy",
    )
    right.legend(loc="lower right")
    return figure


def main() -> None:
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="hill climbing"):
        curves = {}
        for network in NETWORKS:
            for seed in range(3):
                name = f"{network}, seed {seed}"
                curves[name], _ = fit(network, seed, MLflowTracker(run_name=name))

        starts = repeat(1000, max_iter=0)
        climbs = repeat(1000)
        by_share = vary_shares(100, SHARES)
        mlflow.log_table(climbs, "climbs.json")
        mlflow.log_table(by_share, "climbs_by_share.json")
        FIGURE.parent.mkdir(exist_ok=True)
        draw(curves, climbs, by_share).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    print("Test accuracy of the start weights, over 1000 of them:")
    by_network = starts.groupby("network", sort=False)["test"]
    print(by_network.describe()[["min", "mean", "max"]].round(3).to_string())
    print("\nAccuracy after 1000 steps, quantiles over 1000 splits and climbs:")
    print(describe(climbs).round(3).to_string())
    print("\nMean test accuracy by the share of the weights that a step moves:")
    means = by_share.pivot_table(index="network", columns="share", values="test")
    print(means.round(3).to_string())
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
