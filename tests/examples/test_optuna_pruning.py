"""The example of a pruned study keeps its promise."""

import mlflow
import optuna
import pytest
from optuna.trial import TrialState

from examples import optuna_pruning as example

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def split():
    return example.load_split()


@pytest.fixture(scope="module")
def parent_and_study(split):
    X_train, _, y_train, _ = split
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with mlflow.start_run() as parent:
        study = example.run_study(X_train[:500], y_train[:500], n_trials=12)
    yield parent, study
    optuna.logging.set_verbosity(optuna.logging.INFO)


def test_pruned_trials_end_before_their_last_epoch(parent_and_study):
    _, study = parent_and_study
    pruned = study.get_trials(states=[TrialState.PRUNED])
    assert pruned
    for trial in study.trials:
        n_epochs = len(trial.intermediate_values)
        assert (n_epochs < example.N_EPOCHS) == (trial in pruned)


def test_best_trial_is_the_best_score_on_validation_data(split, parent_and_study):
    X_train, _, y_train, _ = split
    _, study = parent_and_study
    best = example.make_network(**study.best_params).fit(X_train[:500], y_train[:500])
    assert best.best_validation_score_ == study.best_value > 0.85


def test_study_is_a_tree_of_runs(parent_and_study):
    parent, study = parent_and_study

    def runs_below(run_id):
        return mlflow.search_runs(
            [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'"
        )

    (study_run,) = runs_below(parent.info.run_id).itertuples()
    trials = runs_below(study_run.run_id)
    assert len(trials) == len(study.trials)
    n_pruned = len(study.get_trials(states=[TrialState.PRUNED]))
    assert trials["status"].value_counts()["KILLED"] == n_pruned
    for run_id in trials["run_id"]:
        assert len(runs_below(run_id)) == 1


def test_figure_has_a_curve_and_a_bar_for_each_trial(parent_and_study):
    _, study = parent_and_study
    left, right = example.draw(study).axes
    assert len(left.lines) == len(right.patches) == len(study.trials)
    heights = [bar.get_height() for bar in right.patches]
    assert heights == [len(trial.intermediate_values) for trial in study.trials]
