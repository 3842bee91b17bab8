"""What the user's code tells MLflow in a study lands in the runs of the study."""

import json
import os
import shutil
import threading
import warnings

import mlflow
import optuna
import pytest
from sklearn.datasets import load_iris

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import TrackingWarning, flush, study_run_id, track_study
from tests.tracking.test_studies import tracked_study, tree_of

pytestmark = pytest.mark.usefixtures("without_models")
X, y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _quiet_optuna():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    yield
    optuna.logging.set_verbosity(before)
    while mlflow.active_run():
        mlflow.end_run()


def fit(step_size=0.1):
    return HillClimbPerceptron(max_iter=5, step_size=step_size).fit(X, y).score(X, y)


def plain(trial):
    mlflow.log_metric("own", trial.number)
    return trial.suggest_float("x", 0, 1)


def assert_own_metric_is_in_each(trials):
    for number, run in trials.items():
        assert run.latest("own") == number


def test_what_an_objective_logs_is_in_the_run_of_its_trial(runs, tmp_path):
    (tmp_path / "note.txt").write_text("a note")

    def objective(trial):
        mlflow.log_param("batch", trial.number)
        mlflow.set_tag("by", "me")
        mlflow.log_artifact(tmp_path / "note.txt")
        mlflow.log_metric("own", trial.number)
        value = fit(trial.suggest_float("step_size", 0.05, 1))
        mlflow.log_metric("late", value)
        return value

    tracked_study(objective, n_trials=2)
    assert mlflow.active_run() is None
    fit()
    found = runs()
    _, trials, fits = tree_of(found)
    assert len(found) == 1 + 2 + 2 + 1
    assert_own_metric_is_in_each(trials)
    for number, run in trials.items():
        assert run.params["batch"] == str(number)
        assert run.tags["by"] == "me"
        assert run.latest("late") == run.latest("value")
        artifacts = mlflow.MlflowClient().list_artifacts(run.run_id)
        assert [item.path for item in artifacts] == ["note.txt"]
        assert len(fits[number]) == 1
    assert {run.status for run in found} == {"FINISHED"}
    assert found[-1].parent is None  # the fit afterwards


def test_an_objective_that_logs_nothing_adds_nothing_to_its_run(runs):
    study = tracked_study(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    _, trials, _ = tree_of(runs())
    assert list(trials[0].metrics) == ["value"]
    assert trials[0].params == {"x": str(study.best_params["x"])}


def test_a_parameter_that_the_objective_logs_itself_stays_what_it_said(runs):
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        trial.suggest_int("n", 1, 3)
        mlflow.log_param("x", "about a half")
        return x

    study = tracked_study(objective, n_trials=2)
    assert flush() == 0
    _, trials, _ = tree_of(runs())
    for trial in study.trials:
        run = trials[trial.number]
        assert run.params == {"x": "about a half", "n": str(trial.params["n"])}
        assert run.latest("value") == trial.value
        assert run.status == "FINISHED"


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (optuna.TrialPruned, "KILLED")]
)
def test_nothing_stays_active_when_a_trial_fails_or_is_pruned(error, status, runs):
    def objective(trial):
        plain(trial)
        raise error("no")

    tracked_study(objective, n_trials=2, catch=ValueError)
    assert mlflow.active_run() is None
    _, trials, _ = tree_of(runs())
    assert_own_metric_is_in_each(trials)
    assert {run.status for run in trials.values()} == {status}


def test_nothing_stays_active_when_a_study_fails(runs):
    def objective(trial):
        plain(trial)
        raise SystemExit

    with pytest.raises(SystemExit):
        tracked_study(objective)
    assert mlflow.active_run() is None


def test_each_thread_logs_to_its_own_trial(runs):
    both = threading.Barrier(2)

    def objective(trial):
        both.wait(30)
        return plain(trial)

    study = optuna.create_study()
    with track_study(study):
        study.optimize(objective, n_trials=4, n_jobs=2)
    found = runs()
    _, trials, _ = tree_of(found)
    assert sorted(trials) == [0, 1, 2, 3]
    assert_own_metric_is_in_each(trials)
    assert len(found) == 5


def test_runs_that_an_objective_begins_are_below_its_trial_and_end_with_it(runs):
    def objective(trial):
        with mlflow.start_run(run_name="inner", nested=True):
            fit()
        mlflow.start_run(run_name="left", nested=True)
        return trial.suggest_float("x", 0, 1)

    tracked_study(objective, n_trials=2)
    assert mlflow.active_run() is None
    found = runs()
    _, trials, below = tree_of(found)
    assert [sorted(run.name for run in below[n]) for n in trials] == [
        ["inner", "left"]
    ] * 2
    inner = {run.run_id for run in found if run.name == "inner"}
    fits = [run for run in found if run.name == "HillClimbPerceptron"]
    assert {run.parent for run in fits} == inner
    assert {run.status for run in found} == {"FINISHED"}


def test_an_objective_may_end_the_run_itself(runs):
    def objective(trial):
        plain(trial)
        mlflow.end_run()
        mlflow.log_metric("stray", 1)
        return 1.0

    tracked_study(objective, n_trials=2)
    assert mlflow.active_run() is None
    _, trials, _ = tree_of(runs())
    assert_own_metric_is_in_each(trials)


def test_the_run_around_a_study_is_active_again_afterwards(runs):
    with mlflow.start_run() as around:
        tracked_study(plain, n_trials=2)
        assert mlflow.active_run().info.run_id == around.info.run_id
    above, trials, _ = tree_of(runs())
    assert above.parent == around.info.run_id
    assert {run.parent for run in trials.values()} == {above.run_id}
    assert_own_metric_is_in_each(trials)


def test_a_run_that_is_begun_in_the_block_is_not_above_fits_of_trials(runs):
    study = optuna.create_study()
    with track_study(study), mlflow.start_run() as inside:
        study.optimize(lambda trial: fit(), n_trials=1)
        assert mlflow.active_run().info.run_id == inside.info.run_id
        fit()
    found = runs()
    _, _, fits = tree_of(found)
    assert len(fits[0]) == 1
    assert [run.parent for run in found].count(inside.info.run_id) == 1


def log_after_trial(study, trial):
    mlflow.log_metric("of_callback", 1)


def test_a_run_that_a_callback_opens_ends_with_the_block(runs):
    study = optuna.create_study()
    with track_study(study):
        study.optimize(lambda trial: fit(), n_trials=2, callbacks=[log_after_trial])
    assert mlflow.active_run() is None
    found = runs()
    _, trials, fits = tree_of(found)
    assert [len(fits[n]) for n in trials] == [1, 1]
    assert {run.status for run in found} == {"FINISHED"}


def test_logging_goes_where_mlflow_says_if_the_study_goes_elsewhere(
    runs, tmp_path, new_store
):
    other = f"sqlite:///{shutil.copy(new_store, tmp_path / 'other.db')}"
    tracked_study(plain, n_trials=1, tracking_uri=other)
    (stray,) = runs()
    assert stray.latest("own") == 0
    assert mlflow.active_run() is None


def test_logging_goes_to_the_trial_in_another_experiment(runs):
    tracked_study(plain, n_trials=2, experiment_name="of logging studies")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("of logging studies")
    found = client.search_runs([experiment.experiment_id])
    trials = [run for run in found if "optuna_trial_number" in run.data.tags]
    for run in trials:
        number = float(run.data.tags["optuna_trial_number"])
        assert run.data.metrics["own"] == number
    assert len(trials) == 2
    assert runs() == []


def test_mlflow_run_id_of_the_environment_is_left_alone(runs, monkeypatch):
    given = mlflow.MlflowClient().create_run(
        mlflow.set_experiment("Default").experiment_id
    )
    monkeypatch.setenv("MLFLOW_RUN_ID", given.info.run_id)
    tracked_study(plain, n_trials=2)
    assert os.environ["MLFLOW_RUN_ID"] == given.info.run_id


def test_store_that_is_away_is_waited_for_once(tracking_uri):
    tracking_uri("http://127.0.0.1:9")

    def objective(trial):
        mlflow.log_metric("own", 1)

    with pytest.warns(TrackingWarning, match="could not be logged") as caught:
        study = tracked_study(objective, n_trials=3, catch=Exception)
    assert len(study.trials) == 3
    assert len(caught) == 1
    assert mlflow.active_run() is None


# Several trials at once


def test_fits_and_logs_between_ask_and_tell_are_of_the_only_open_trial(runs):
    study = optuna.create_study()
    with track_study(study):
        for _ in range(2):
            trial = study.ask()
            study.tell(trial, plain(trial) + fit())
        fit()
    found = runs()
    above, trials, fits = tree_of(found)
    assert [len(fits[n]) for n in (0, 1)] == [1, 1]
    assert_own_metric_is_in_each(trials)
    assert [run.parent for run in found].count(above.run_id) == 2 + 1


def test_fits_while_several_trials_are_open_are_of_the_study(runs):
    study = optuna.create_study()
    with track_study(study):
        first, second = study.ask(), study.ask()
        fit()
        assert mlflow.active_run() is None
        study.tell(second, fit())
        plain(first)
        study.tell(first, fit())
        third = study.ask()
        fit()
        study.tell(third, 1.0)
    assert mlflow.active_run() is None
    found = runs()
    above, trials, fits = tree_of(found)
    assert [len(fits[n]) for n in (0, 1, 2)] == [1, 0, 1]
    assert trials[0].latest("own") == 0
    assert "own" not in trials[1].metrics
    in_study = [run for run in found if run.parent == above.run_id]
    assert len(in_study) == 3 + 2


def test_a_trial_that_another_thread_tells_is_over_in_this_one(runs):
    study = optuna.create_study()
    with track_study(study):
        trial = study.ask()
        fit()
        teller = threading.Thread(target=study.tell, args=(trial, 1.0))
        teller.start()
        teller.join()
        fit()
    assert mlflow.active_run() is None
    found = runs()
    above, _, fits = tree_of(found)
    assert len(fits[0]) == 1
    assert [run.parent for run in found].count(above.run_id) == 1 + 1


def test_threads_that_ask_and_tell_have_their_own_trials(runs):
    study = optuna.create_study()
    both = threading.Barrier(2)

    def work():
        trial = study.ask()
        both.wait(30)
        study.tell(trial, plain(trial) + fit())

    with track_study(study):
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    _, trials, fits = tree_of(runs())
    assert [len(fits[n]) for n in (0, 1)] == [1, 1]
    assert_own_metric_is_in_each(trials)


def test_trial_that_is_never_told_leaves_nothing_active(runs):
    study = optuna.create_study()
    with track_study(study):
        plain(study.ask())
    assert mlflow.active_run() is None
    fit()
    found = runs()
    assert found[-1].parent is None


# The run of the study


def test_run_of_a_study_is_known(runs):
    study = optuna.create_study()
    assert study_run_id(study) is None
    with track_study(study) as same:
        assert same is study
        inside = study_run_id(study)
        mlflow.log_metric("own", 3, run_id=inside)
        study.optimize(lambda trial: 1.0, n_trials=1)
    above, _, _ = tree_of(runs())
    assert inside == study_run_id(study) == above.run_id
    assert above.latest("own") == 3


def test_run_of_a_study_is_not_known_while_the_store_is_away(journal):
    study = optuna.create_study()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrackingWarning)
        with track_study(study, tracking_uri="http://127.0.0.1:9"):
            assert study_run_id(study) is None


def test_attributes_of_a_study_are_tags_of_its_run(runs):
    study = optuna.create_study()
    study.set_user_attr("team", "blue")
    with track_study(study):
        study.set_user_attr("sizes", [1, 2])
    (above,) = runs()
    assert above.tags["team"] == "blue"
    assert above.tags["sizes"] == "[1, 2]"
    assert not [name for name in above.tags if name.startswith("skperceptron.run")]
    assert json.loads(study.user_attrs["skperceptron.run"])[0] in above.tags.values()
