"""The example reads back from the store what two searches have logged."""

import mlflow
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.model_selection import cross_val_score

import skperceptron
from examples import read_runs_back as example


@pytest.fixture(scope="module")
def split():
    return example.load_split()


@pytest.fixture(scope="module")
def parent_id(split):
    X_train, _, y_train, _ = split
    with mlflow.start_run() as parent:
        example.make_runs(X_train, y_train, max_iter=200)
    return parent.info.run_id


@pytest.fixture(scope="module")
def candidates(parent_id):
    return example.read_candidates(parent_id)


def test_candidates_are_those_of_both_searches_in_order(candidates):
    n = len(example.STEP_SIZES)
    assert candidates["search"].tolist() == ["moves all"] * n + ["moves unit"] * n
    assert candidates["step size"].tolist() == 2 * example.STEP_SIZES


def test_scores_that_are_read_are_those_of_a_cross_validation(split, candidates):
    X_train, _, y_train, _ = split
    row = candidates.iloc[-1]
    with skperceptron.config_context(tracking=False):
        clf = example.make_pipeline(
            example.StandardScaler(),
            example.HillClimbMLP(
                (10,),
                max_iter=200,
                mutation="unit",
                step_size=row["step size"],
                step_schedule="constant",
                random_state=0,
            ),
        )
        scores = cross_val_score(clf, X_train, y_train, cv=3)
    assert_allclose([row["mean"], row["std"]], [scores.mean(), scores.std()])


def test_curves_never_fall_and_end_with_the_last_iteration(candidates):
    curves = example.read_curves(candidates["run_id"].iloc[0])
    assert sorted(curves) == ["fold 0", "fold 1", "fold 2"]
    assert curves.index[0] == 0
    assert curves.index[-1] == 200
    for _, curve in curves.items():  # of the steps that there was time to keep
        assert (np.diff(curve.dropna()) >= 0).all()


def test_models_are_loaded_and_scored(split, parent_id):
    _, X_test, _, y_test = split
    accuracies = example.score_models(parent_id, X_test, y_test)
    assert set(accuracies) == {"moves all", "moves unit"}
    assert min(accuracies.values()) > 0.8


def test_figure_has_a_line_per_search_and_a_curve_per_fold(candidates):
    left, right = example.draw(candidates).axes
    assert len(left.containers) == 2
    assert len(right.lines) == 2 * 3
    for line in right.lines:  # whole curves, whatever steps there are
        assert line.get_xdata()[0] == 0
        assert line.get_xdata()[-1] == 200
        assert np.isfinite(line.get_ydata()).all()
