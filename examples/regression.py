"""Intervals and wrong targets.

A regressor predicts numbers. How far does the diabetes of a patient progress within a
year? A network that minimises the squared error answers with a mean. Other losses
answer other questions.

1. `loss="quantile"` learns a quantile. Between those at 10 % and 90 %, 80 % of the
   patients should be found. Whether that holds is seen on patients that had no part in
   the training.
2. Some of the training targets are multiplied by ten, as by a slip of the decimal
   point. The squared error follows them; the Huber loss and the absolute error, which
   grow linearly, hardly do.

The targets are standardised by their median and quartiles, which such slips do not move
much. Each fit is an MLflow run.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

from skperceptron import BackpropMLPRegressor

FIGURE = Path(__file__).with_name("figures") / "regression.png"
QUANTILES = (0.1, 0.5, 0.9)
LOSSES = ("squared_error", "huber", "absolute_error")
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)


def make_model(seed=0, **params) -> TransformedTargetRegressor:
    network = BackpropMLPRegressor(
        hidden_layer_sizes=(20,),
        alpha=0.3,
        batch_size=50,
        learning_rate_init=0.01,
        max_iter=60,
        random_state=seed,
    )
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), network.set_params(**params)),
        transformer=RobustScaler(),
    )


def predict_quantiles() -> tuple[np.ndarray, pd.DataFrame]:
    """Predict each patient's quantiles by networks that have not seen them."""
    X, y = load_diabetes(return_X_y=True)
    folds = KFold(5, shuffle=True, random_state=0)
    found = {
        q: cross_val_predict(make_model(loss="quantile", quantile=q), X, y, cv=folds)
        for q in QUANTILES
    }
    return y, pd.DataFrame(found)


def share_inside(y: np.ndarray, quantiles: pd.DataFrame) -> float:
    """Share of the patients between the outer quantiles."""
    return np.mean((quantiles[0.1] <= y) & (y <= quantiles[0.9]))


def compare(n_splits, shares=SHARES) -> pd.DataFrame:
    """Score each loss on right targets after training on some wrong ones."""
    X, y = load_diabetes(return_X_y=True)
    rows = []
    for seed in range(n_splits):
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed)
        order = np.random.default_rng(seed).permutation(len(y_train))
        for share in shares:
            spoilt = y_train.copy()
            spoilt[order[: round(share * len(order))]] *= 10
            for loss in LOSSES:
                model = make_model(seed, loss=loss).fit(X_train, spoilt)
                score = r2_score(y_test, model.predict(X_test))
                rows.append({"split": seed, "wrong": share, "loss": loss, "R2": score})
    return pd.DataFrame(rows)


def draw(y: np.ndarray, quantiles: pd.DataFrame, scores: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    order = quantiles[0.5].argsort()
    places = np.arange(len(y))
    left.fill_between(
        places,
        quantiles[0.1].iloc[order],
        quantiles[0.9].iloc[order],
        alpha=0.3,
        label="predicted 10 % to 90 %",
    )
    left.plot(places, quantiles[0.5].iloc[order], label="predicted median")
    left.plot(places, y[order], ".", ms=3, color="0.3", label="measured")
    left.set(xlabel="patients, by predicted median", ylabel="progression")
    left.legend(loc="upper left", fontsize="small")
    means = scores.groupby(["wrong", "loss"])["R2"].mean().unstack()
    for loss in LOSSES:
        right.plot(100 * means.index, means[loss], "o-", label=loss)
    right.axhline(0, color="0.7", lw=1)
    right.set(xlabel="training targets times ten, %", ylabel="R2 on right targets")
    right.set_ylim(-1, 0.6)
    right.legend()
    return figure


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)  # 60 epochs are meant
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="regression"):
        y, quantiles = predict_quantiles()
        scores = compare(n_splits=5)
        FIGURE.parent.mkdir(exist_ok=True)
        draw(y, quantiles, scores).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    print(f"Between the quantiles: {share_inside(y, quantiles):.3f} (aim 0.800)")
    print("R2 on right targets, mean of five splits, by the share of wrong ones:")
    print(scores.groupby(["wrong", "loss"])["R2"].mean().unstack()[[*LOSSES]].round(3))
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
