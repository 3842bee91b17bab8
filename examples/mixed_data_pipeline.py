"""A pipeline on mixed data.

Search a pipeline on a table of numbers, categories and gaps, and load its model.

The diabetes data: age, sex and eight measurements of 442 patients, and whether a year
later the disease has progressed more than in the median patient. So that the table
looks like one from practice, this script writes sex as a word, sorts the body mass
index into its usual four classes, and deletes every tenth entry at random.

A `ColumnTransformer` fills the gaps, scales the numbers and encodes the categories. Its
parameters are searched together with those of the network. The search is one MLflow
run, with the runs of its candidates and their folds below it. Its model is the whole
pipeline: loaded from MLflow, it takes the raw table with its gaps.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skperceptron import BackpropMLP
from skperceptron.plotting import SearchHeatmapDisplay
from skperceptron.tracking import MLflowTracker

FIGURE = Path(__file__).with_name("figures") / "mixed_data_pipeline.png"
MEASUREMENTS = {
    "s1": "cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_by_hdl",
    "s5": "log_triglycerides",
    "s6": "glucose",
    "bp": "blood_pressure",
}
NUMBERS = ["age", *MEASUREMENTS.values()]
CATEGORIES = ["sex", "weight_class"]
GRID = {
    "columns__numbers__simpleimputer__strategy": ["mean", "median"],
    "network__hidden_layer_sizes": [(5,), (20,), (80,)],
    "network__alpha": [0.1, 1.0, 10.0],
}


def load_patients(seed=0) -> tuple[pd.DataFrame, pd.Series]:
    """Make a table with categories and gaps of the diabetes data."""
    data, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    patients = data.rename(columns=MEASUREMENTS)
    patients["sex"] = patients["sex"].map({1.0: "one", 2.0: "other"})
    patients["weight_class"] = pd.cut(
        patients.pop("bmi"),
        [0, 18.5, 25, 30, np.inf],
        right=False,
        labels=["underweight", "normal", "overweight", "obese"],
    ).astype(str)
    is_deleted = np.random.default_rng(seed).random(patients.shape) < 0.1
    course = np.where(progression > progression.median(), "worse", "better")
    return patients.mask(is_deleted), pd.Series(course, name="course")


def make_estimator() -> Pipeline:
    """Put what the columns need before the network."""
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="ignore")  # a gap is one more category
    columns = ColumnTransformer(
        [("numbers", numbers, NUMBERS), ("categories", categories, CATEGORIES)]
    )
    network = BackpropMLP(max_iter=50, learning_rate_init=0.01, random_state=0)
    return Pipeline([("columns", columns), ("network", network)])


def search_grid(X, y, grid=GRID) -> GridSearchCV:
    search = GridSearchCV(make_estimator(), grid, cv=5, n_jobs=2)
    return search.set_callbacks(MLflowTracker(run_name="search")).fit(X, y)


def load_model(parent_id: str) -> Pipeline:
    """Load what the search below a run has left in MLflow."""
    searches = mlflow.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{parent_id}'"
    )
    return mlflow.sklearn.load_model(f"runs:/{searches.loc[0, 'run_id']}/model")


def draw(search: GridSearchCV, importances: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    display = SearchHeatmapDisplay.from_search(
        search, x="alpha", y="hidden_layer_sizes", ax=left
    )
    display.colorbar_.set_label("cross-validated accuracy")
    right.barh(importances.index, importances["mean"], xerr=importances["std"])
    right.set(
        title="Permutation importance: mean, std. dev.",
        xlabel="loss of accuracy on the test data",
    )
    return figure


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)  # 50 epochs are meant
    X, y = load_patients()
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
    mlflow.set_experiment(Path(__file__).stem)
    with mlflow.start_run(run_name="patients") as parent:
        search = search_grid(X_train, y_train)
        model = load_model(parent.info.run_id)
        found = permutation_importance(
            model, X_test, y_test, n_repeats=20, random_state=0
        )
        importances = pd.DataFrame(
            {"mean": found.importances_mean, "std": found.importances_std},
            index=X.columns,
        ).sort_values("mean")
        FIGURE.parent.mkdir(exist_ok=True)
        draw(search, importances).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    print(X.head(3).to_string())
    print(f"\nCross-validated accuracy {search.best_score_:.3f} with")
    for name, value in search.best_params_.items():
        print(f"  {name} = {value}")
    is_same = np.array_equal(model.predict(X_test), search.predict(X_test))
    print(f"The model from MLflow predicts the same from the raw table: {is_same}")
    print(f"Its accuracy on the test data: {model.score(X_test, y_test):.3f}")
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main()
