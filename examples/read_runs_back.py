"""Reading runs back from MLflow.

Compare what was logged, without fitting anything again:

1. Two searches over the step size of a hill climb on breast cancer are logged: in one
   every step moves all weights, in the other those of one unit.
2. From here on, nothing but the store is read. `mlflow.search_runs` finds the searches
   below their parent, the candidates below a search and the folds below a candidate, as
   tables with a column for each parameter, metric and tag.
3. `MlflowClient.get_metric_history` has the curve of every fold, and
   `mlflow.sklearn.load_model` the refitted best of each search.

Reading starts from the id of a run. You find it in MLflow's UI, in `run_id_` of a
fitted classifier or of a tracker, and by any other filter of `mlflow.search_runs`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import HillClimbMLP
from skperceptron.tracking import MLflowTracker

FIGURE = Path(__file__).with_name("figures") / "read_runs_back.png"
PARAMETER = "hillclimbmlp__step_size"
STEP_SIZES = [0.003, 0.03, 0.3, 3.0]


def load_split():
    X, y = load_breast_cancer(return_X_y=True)
    return train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)


def make_runs(X, y, max_iter=5000) -> None:
    """Log two searches."""
    for mutation in ("all", "unit"):
        clf = HillClimbMLP(
            (10,),
            max_iter=max_iter,
            mutation=mutation,
            step_schedule="constant",
            random_state=0,
        )
        pipeline = make_pipeline(StandardScaler(), clf)
        search = GridSearchCV(pipeline, {PARAMETER: STEP_SIZES}, cv=3, n_jobs=2)
        search.set_callbacks(MLflowTracker(run_name=f"moves {mutation}")).fit(X, y)


def read_children(run_id: str) -> pd.DataFrame:
    """Read the runs right below a run."""
    return mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{run_id}'")


def read_candidates(parent_id: str) -> pd.DataFrame:
    """Read the candidates of all searches below a run."""
    tables = []
    for _, search in read_children(parent_id).iterrows():
        children = read_children(search["run_id"])
        # The refit is a child of the search, too, but has no scores of folds.
        candidates = children.dropna(subset="metrics.mean_test_score")
        tables.append(candidates.assign(search=search["tags.mlflow.runName"]))
    table = pd.concat(tables).rename(
        columns={
            f"params.{PARAMETER}": "step size",  # parameters are text
            "metrics.mean_test_score": "mean",
            "metrics.std_test_score": "std",
        }
    )
    columns = ["search", "step size", "mean", "std", "run_id"]
    table = table[columns].astype({"step size": float})
    return table.sort_values(["search", "step size"], ignore_index=True)


def read_curves(candidate_id: str) -> pd.DataFrame:
    """Read the objective of a candidate's folds: a row per step, a column per fold."""
    client = MlflowClient()
    curves = {}
    for _, fold in read_children(candidate_id).iterrows():
        points = client.get_metric_history(fold["run_id"], "objective")
        values = {point.step: point.value for point in points}
        curves[fold["tags.mlflow.runName"]] = values
    return pd.DataFrame(curves).sort_index()


def score_models(parent_id: str, X, y) -> dict[str, float]:
    """Load the model of each search and score it."""
    return {
        search["tags.mlflow.runName"]: mlflow.sklearn.load_model(
            f"runs:/{search['run_id']}/model"
        ).score(X, y)
        for _, search in read_children(parent_id).iterrows()
    }


def draw(candidates: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for i, (name, rows) in enumerate(candidates.groupby("search")):
        left.errorbar(
            rows["step size"] * 1.1**i,  # beside each other
            rows["mean"],
            rows["std"],
            fmt="o-",
            capsize=3,
            label=name,
        )
        best = rows.loc[rows["mean"].idxmax()]
        for fold, curve in read_curves(best["run_id"]).items():
            label = f"{name}, {best['step size']:g}" if fold == "fold 0" else None
            points = curve.dropna()  # steps that other folds have
            right.plot(points.index, -points, color=f"C{i}", label=label)
    left.set(
        title="Three folds: mean, standard deviation",
        xscale="log",
        xlabel="step size",
        ylabel="cross-validated accuracy",
    )
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    right.set(
        title="Each fold with the best step size",
        xlabel="iteration",
        ylabel="log loss, training data",
        yscale="log",
    )
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return figure


def main() -> None:
    X_train, X_test, y_train, y_test = load_split()
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="two searches") as parent:
        make_runs(X_train, y_train)

        candidates = read_candidates(parent.info.run_id)
        accuracies = score_models(parent.info.run_id, X_test, y_test)
        FIGURE.parent.mkdir(exist_ok=True)
        draw(candidates).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    print(candidates.round(3).to_string(index=False))
    print("\nTest accuracy of the models that the searches have left in MLflow:")
    for name, accuracy in accuracies.items():
        print(f"  {name}: {accuracy:.3f}")
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
