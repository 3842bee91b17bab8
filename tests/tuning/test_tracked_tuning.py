"""What is tuned is tracked as usual."""

import gc
import uuid

import mlflow
import optuna
import pytest
from optuna.pruners import ThresholdPruner
from optuna_integration import OptunaSearchCV
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP
from skperceptron.tracking import MLflowTracker, flush, track_study
from skperceptron.tuning import PruningCallback, param_distributions

X, y = load_iris(return_X_y=True)


@pytest.fixture
def runs():
    """An experiment of the test's own; call it to read its runs."""
    experiment_id = mlflow.create_experiment(uuid.uuid4().hex)
    mlflow.set_experiment(experiment_id=experiment_id)

    def read():
        gc.collect()  # ends the runs of estimators that nobody needs any more
        flush()
        return mlflow.MlflowClient().search_runs([experiment_id])

    yield read
    mlflow.set_experiment("Default")


def study_of(pruner):
    return optuna.create_study(direction="maximize", pruner=pruner)


def trials_and_fits(found):
    trials = [run for run in found if "optuna_trial_number" in run.data.tags]
    fits = [run for run in found if "estimator_name" in run.data.tags]
    return trials, fits


@pytest.mark.parametrize("has_tracker", [False, True])
def test_run_of_a_pruned_fit_has_its_curve_up_to_there(has_tracker, runs):
    def objective(trial):
        clf = BackpropMLP(max_iter=9, early_stopping=True, random_state=0)
        callbacks = [PruningCallback(trial), *[MLflowTracker()] * has_tracker]
        make_pipeline(StandardScaler(), clf).set_callbacks(*callbacks).fit(X, y)

    study = study_of(ThresholdPruner(lower=2, n_warmup_steps=4))
    with track_study(study):
        study.optimize(objective, n_trials=1)
    (trial,), (fit,) = trials_and_fits(runs())
    assert trial.info.status == fit.info.status == "KILLED"
    assert fit.data.tags["mlflow.parentRunId"] == trial.info.run_id
    client = mlflow.MlflowClient()
    for run, name in (fit, "validation_score"), (trial, "intermediate_value"):
        curve = client.get_metric_history(run.info.run_id, name)
        assert {point.step: point.value for point in curve} == pytest.approx(
            study.trials[0].intermediate_values
        )


# OptunaSearchCV's own, and what it imports.
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.filterwarnings("ignore:.optuna.terminator. module:FutureWarning")
def test_runs_of_a_search_that_prunes_by_partial_fit_are_whole(runs):
    clf = BackpropMLP(random_state=0)
    study = study_of(ThresholdPruner(lower=2, n_warmup_steps=2))
    search = OptunaSearchCV(
        clf,
        param_distributions(clf),
        cv=3,
        enable_pruning=True,
        max_iter=9,
        n_trials=2,
        refit=False,
        study=study,
    )
    with track_study(study):
        search.fit(X, y)
    trials, fits = trials_and_fits(runs())
    assert {run.data.tags["optuna_trial_state"] for run in trials} == {"PRUNED"}
    assert {run.info.status for run in fits} == {"FINISHED"}
    assert [run.data.metrics["n_iter"] for run in fits] == [3] * 6  # steps 0, 1 and 2
    parents = [run.data.tags["mlflow.parentRunId"] for run in fits]
    assert sorted(parents) == sorted(3 * [run.info.run_id for run in trials])
