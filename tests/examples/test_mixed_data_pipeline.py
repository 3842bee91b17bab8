"""The example of mixed data searches a pipeline and loads it back."""

import mlflow
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from examples import mixed_data_pipeline as example

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {
    "columns__numbers__simpleimputer__strategy": ["median"],
    "network__hidden_layer_sizes": [(5,), (20,)],
    "network__alpha": [1.0, 10.0],
}


@pytest.fixture(scope="module")
def split():
    X, y = example.load_patients()
    return train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)


@pytest.fixture(scope="module")
def searched(split):
    X_train, _, y_train, _ = split
    with mlflow.start_run() as parent:
        return parent, example.search_grid(X_train, y_train, SMALL)


def test_table_has_numbers_categories_and_gaps():
    X, y = example.load_patients()
    assert set(X) == {*example.NUMBERS, *example.CATEGORIES}
    assert X[example.NUMBERS].dtypes.eq(float).all()
    assert set(X["weight_class"].dropna()) == {
        "underweight",
        "normal",
        "overweight",
        "obese",
    }
    assert X["sex"].nunique() == 2
    assert X.isna().to_numpy().mean() == pytest.approx(0.1, abs=0.01)
    assert y.value_counts(normalize=True).max() == pytest.approx(0.5, abs=0.01)


def test_entries_that_are_left_are_those_of_the_data():
    X, _ = example.load_patients()
    data = load_diabetes(as_frame=True, scaled=False).frame
    is_left = X["glucose"].notna()
    assert_array_equal(X["glucose"][is_left], data["s6"][is_left])
    obese = X["weight_class"] == "obese"
    assert data["bmi"][obese].min() >= 30


def test_search_is_better_than_chance_on_the_test_data(split, searched):
    _, X_test, _, y_test = split
    _, search = searched
    assert search.best_score_ > 0.65
    assert search.score(X_test, y_test) > 0.6


def test_model_from_mlflow_predicts_the_same_from_the_raw_table(split, searched):
    _, X_test, _, _ = split
    parent, search = searched
    model = example.load_model(parent.info.run_id)
    assert X_test.isna().any().any()
    assert_array_equal(model.predict(X_test), search.predict(X_test))
    assert_array_equal(model.predict_proba(X_test), search.predict_proba(X_test))


def test_unknown_category_is_no_error(split, searched):
    _, X_test, _, _ = split
    stranger = X_test.head(1).assign(sex="unheard of", weight_class="unheard of")
    assert searched[1].predict(stranger)[0] in {"better", "worse"}


def test_figure_shows_the_search_and_a_bar_per_column(searched):
    importances = pd.DataFrame(
        {"mean": [0.1, 0.2], "std": [0.01, 0.01]}, index=["age", "sex"]
    )
    left, right, *_ = example.draw(searched[1], importances).axes
    assert left.get_xlabel() == "alpha (log)"
    assert [tick.get_text() for tick in right.get_yticklabels()] == ["age", "sex"]
