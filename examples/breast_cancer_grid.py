"""How much of a ranking is luck.

Search 216 small networks on breast cancer, and repeat the search in another order.

The networks have one hidden layer of 1, 32 or 64 identity or relu units, and drop none,
30 % or 60 % of the inputs while training (N. Srivastava et al., "Dropout: a simple way
to prevent neural networks from overfitting", 2014). They are trained on standardised
data for 25 epochs of plain stochastic gradient descent with balanced class weights, in
mini-batches of 4, 16 or 32 and with learning rates from 0.01 to 1.

1. The usual way is cross-validation, here in three folds. The search is one MLflow run;
   below it are the 216 networks, and below those their folds.
2. Differences as small as those of the best networks may be due to the order of the
   samples alone. So every network is trained ten times more from the same start
   weights, each time on the same samples in another order, and scored on the same
   validation data: the standard deviation of these scores is that of the shuffling
   alone. In MLflow, this is another search, whose 216 runs have means and deviations.
3. The figure shows how batch size and input dropout interact: with the other
   hyperparameters of the best network, and averaged over the others.

A fifth of the data takes no part in this. It is used once for each of the two networks
that the searches choose.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP
from skperceptron.plotting import SearchHeatmapDisplay
from skperceptron.tracking import MLflowTracker

FIGURE = Path(__file__).with_name("figures") / "breast_cancer_grid.png"
GRID = {
    "backpropmlp__activation": ["identity", "relu"],
    "backpropmlp__batch_size": [4, 16, 32],
    "backpropmlp__hidden_layer_sizes": [(1,), (32,), (64,)],
    "backpropmlp__input_dropout": [0.0, 0.3, 0.6],
    "backpropmlp__learning_rate_init": [0.01, 0.1, 0.5, 1.0],
}
N_EPOCHS = 25
N_REPETITIONS = 10
N_BEST = 12


def make_network() -> Pipeline:
    """Put a scaler before a network that trains for all of its epochs."""
    network = BackpropMLP(
        solver="sgd",
        momentum=0,
        max_iter=N_EPOCHS,
        tol=0,
        n_iter_no_change=N_EPOCHS,
        class_weight="balanced",
        random_state=0,
    )
    return make_pipeline(StandardScaler(), network)


def search_grid(X, y, cv, tracker, grid=GRID, *, refit) -> GridSearchCV:
    """Score every network of a grid on every split; nan where its weights overflow."""
    search = GridSearchCV(
        make_network(), grid, cv=cv, refit=refit, error_score=np.nan, n_jobs=2
    )
    search.set_callbacks(tracker)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the test scores")
        return search.fit(X, y)


def make_repetitions(y, n_repetitions, seed=0):
    """Set validation data aside, and order the other samples again and again.

    A network with an integer `random_state` starts each time from the same weights, but
    samples in another order come together in other mini-batches.
    """
    fitted, validation = train_test_split(
        np.arange(len(y)), test_size=0.2, stratify=y, random_state=seed
    )
    rng = np.random.default_rng(seed)
    return [(rng.permutation(fitted), validation) for _ in range(n_repetitions)]


def as_table(by_folds: GridSearchCV, repeated: GridSearchCV) -> pd.DataFrame:
    """List the networks of both searches, the best in cross-validation first."""
    params = pd.DataFrame(by_folds.cv_results_["params"])
    params.columns = [name.removeprefix("backpropmlp__") for name in params.columns]
    scores = {
        "3 folds": by_folds.cv_results_["mean_test_score"],
        "repetitions": repeated.cv_results_["mean_test_score"],
        "std": repeated.cv_results_["std_test_score"],
    }
    return params.assign(**scores).sort_values(
        "3 folds", ascending=False, kind="stable"
    )


def draw(repeated: GridSearchCV) -> Figure:
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    norm = Normalize(0.9, 1)  # one colour means one accuracy in both maps
    for ax, reduce in zip(figure.subplots(1, 2), ("best", "mean"), strict=True):
        display = SearchHeatmapDisplay.from_search(
            repeated,
            x="batch_size",
            y="input_dropout",
            reduce=reduce,
            ax=ax,
            norm=norm,
        )
        display.colorbar_.set_label("validation accuracy")
    return figure


def main() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=0
    )
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="216 networks"):
        by_folds = search_grid(
            X, y, 3, MLflowTracker(run_name="3-fold cross-validation"), refit=True
        )
        repeated = search_grid(
            X,
            y,
            make_repetitions(y, N_REPETITIONS),
            # The repetitions are no runs of their own: nobody looks at 2160 of them.
            MLflowTracker(run_name="repetitions", log_folds=False),
            refit=False,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            steadiest = make_network().set_params(**repeated.best_params_).fit(X, y)
        table = as_table(by_folds, repeated)
        mlflow.log_table(table, "networks.json")
        FIGURE.parent.mkdir(exist_ok=True)
        draw(repeated).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    best = table.head(N_BEST)
    print(f"The best {N_BEST} of {len(table)} in cross-validation:")
    print(best.round(3).to_string(index=False))
    gap = best["3 folds"].iloc[0] - best["3 folds"].iloc[-1]
    print(f"\nCross-validation tells first and last of these apart by {gap:.3f},")
    print(f"shuffling alone moves an accuracy by {table['std'].median():.3f} (median).")
    agreement = table["3 folds"].corr(table["repetitions"], method="spearman")
    print(f"Rank correlation of both columns, over all networks: {agreement:.2f}")
    print(f"\nAccuracy on {len(y_test)} test samples, used once for each:")
    print(f"  the best in cross-validation {by_folds.score(X_test, y_test):.3f}")
    print(f"  the best in the repetitions  {steadiest.score(X_test, y_test):.3f}")
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
