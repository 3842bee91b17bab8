"""Decision boundaries: hard thresholds on F2.

Two moons overlap, and the blue one is rare. Missing one of its points is worse than a
false alarm: F2 counts a missed case four times as much. Two networks with 20 hidden
units learn from the same 400 points:

- `BackpropMLP` has relu units and minimises the log loss by backpropagation. F2 plays
  no part in that, and a part of the rare moon ends up on the wrong side.
- `HillClimbMLP` has hard thresholds, through which no gradient goes, and climbs on F2
  itself. Its boundary is made of straight pieces, one for each threshold that matters.

The figure shows both boundaries. One picture proves little, so the script ends with the
mean F2 on new points over ten data sets. It also scores a network on the log loss whose
threshold is tuned for F2. If a network has probabilities, that is often the best way.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import TunedThresholdClassifierCV

import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP

FIGURE = Path(__file__).with_name("figures") / "decision_boundaries.png"
F2 = make_scorer(fbeta_score, beta=2)
COLORS = ("#D55E00", "#0072B2")  # of the frequent and of the rare class
N_DATA_SETS = 10


def make_points(n_samples, seed):
    """Draw two overlapping moons, of which one has a seventh of the points."""
    n_rare = n_samples // 7
    X, y = make_moons((n_samples - n_rare, n_rare), noise=0.3, random_state=seed)
    return X, y


def make_networks(seed) -> dict:
    """Make the networks to compare, by what they are called."""
    gradients = BackpropMLP((20,), learning_rate_init=0.01, random_state=seed)
    thresholds = HillClimbMLP((20,), "step", objective=F2, random_state=seed)
    return {
        "relu, log loss, backpropagation": gradients,
        "hard thresholds, F2, hill climbing": thresholds,
        "relu, log loss, threshold tuned for F2": TunedThresholdClassifierCV(
            gradients, scoring=F2
        ),
    }


def compare(n_data_sets=N_DATA_SETS) -> pd.DataFrame:
    """Score all networks on new points: a row for each data set."""
    rows = []
    for seed in range(n_data_sets):
        X, y = make_points(400, seed)
        X_test, y_test = make_points(10_000, seed + 1000)
        rows.append(
            {
                name: F2(network.fit(X, y), X_test, y_test)
                for name, network in make_networks(seed).items()
            }
        )
    return pd.DataFrame(rows)


def draw(fitted: dict, X, y, scores: dict) -> Figure:
    """Draw the boundaries of some networks, and the points that they learned from."""
    figure = Figure(figsize=(3.6 * len(fitted), 3.9), layout="constrained")
    panels = figure.subplots(1, len(fitted), sharex=True, sharey=True)
    for ax, (name, network) in zip(panels, fitted.items(), strict=True):
        DecisionBoundaryDisplay.from_estimator(
            network,
            X,
            response_method="predict",
            cmap=ListedColormap(COLORS),
            alpha=0.25,
            grid_resolution=500,
            eps=0.4,
            ax=ax,
        )
        for label, color in enumerate(COLORS):
            ax.scatter(*X[y == label].T, s=12, color=color, edgecolor="white", lw=0.3)
        what, objective, way = name.split(", ")
        ax.set_title(f"{way}\n{what}, {objective}")
        ax.set(xticks=(), yticks=(), xlabel=f"F2 on new points: {scores[name]:.2f}")
        ax.set_ylabel("")
    handles = [
        Line2D([], [], marker="o", linestyle="", color=color, label=label)
        for color, label in zip(COLORS, ("frequent", "rare"), strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    mlflow.set_experiment(Path(__file__).stem)
    X, y = make_points(400, seed=0)
    with mlflow.start_run(run_name="boundaries"):
        networks = make_networks(seed=0)
        fitted = {name: networks[name].fit(X, y) for name in list(networks)[:2]}
        X_test, y_test = make_points(10_000, seed=1000)
        drawn = {name: F2(clf, X_test, y_test) for name, clf in fitted.items()}
        FIGURE.parent.mkdir(exist_ok=True)
        draw(fitted, X, y, drawn).savefig(FIGURE, dpi=150)
        mlflow.log_artifact(FIGURE)
    with skperceptron.config_context(tracking=False):
        scores = compare()

    print("F2 on new points, of the networks in the figure:")
    for name, score in drawn.items():
        print(f"  {name:40} {score:.3f}")
    print(f"\nMean over {len(scores)} data sets, standard error:")
    for name, values in scores.items():
        print(f"  {name:40} {values.mean():.3f} ± {values.sem():.3f}")
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
