"""An Optuna study is a run, above those of its trials, above those of their fits."""

import json
import os
import subprocess
import sys
from collections import Counter

import mlflow
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna_integration import OptunaSearchCV
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score

import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import (
    MLflowTracker,
    TrackingWarning,
    _study,
    track_study,
)

X, y = load_iris(return_X_y=True)

CALLS = ("cross_val_score", "cross_validate")


@pytest.fixture(autouse=True)
def _quiet_optuna():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    yield
    optuna.logging.set_verbosity(before)


def suggest(trial):
    return HillClimbPerceptron(
        max_iter=20,
        step_size=trial.suggest_float("step_size", 0.05, 1),
        init=trial.suggest_categorical("init", ["glorot", "normal"]),
    )


def objective(trial):
    return cross_val_score(suggest(trial), X, y, cv=3).mean()


def tracked_study(function=objective, n_trials=3, study=None, catch=(), **options):
    study = optuna.create_study(direction="maximize") if study is None else study
    with track_study(study, **options):
        study.optimize(function, n_trials=n_trials, catch=catch)
    return study


def tree_of(found):
    """The study's run, its trials by number, and the fits by trial.

    Between a trial and its fits there is the run of the cross-validation.
    """
    (study,) = [run for run in found if "optuna_study_name" in run.tags]
    trials = {
        int(run.tags["optuna_trial_number"]): run
        for run in found
        if "optuna_trial_number" in run.tags
    }
    above = {run.run_id: run.parent for run in found if run.name in CALLS}
    fits = {
        number: [
            run
            for run in found
            if run.name not in CALLS
            and above.get(run.parent, run.parent) == trial.run_id
        ]
        for number, trial in trials.items()
    }
    return study, trials, fits


def test_study_is_above_its_trials_and_these_above_their_fits(runs):
    study = tracked_study()
    found = runs.at_once()  # everything is there when the block ends
    above, trials, fits = tree_of(found)
    assert len(found) == 1 + 3 + 3 + 9
    assert {run.status for run in found} == {"FINISHED"}
    assert above.parent is None
    assert above.name == study.study_name
    assert {run.parent for run in trials.values()} == {above.run_id}
    assert {number: len(of_trial) for number, of_trial in fits.items()} == {
        0: 3,
        1: 3,
        2: 3,
    }


def test_trial_holds_parameters_and_value(runs):
    study = tracked_study()
    _, trials, _ = tree_of(runs())
    for trial in study.trials:
        run = trials[trial.number]
        assert run.params == {k: str(v) for k, v in trial.params.items()}
        assert run.latest("value") == pytest.approx(trial.value)
        assert run.tags["optuna_trial_state"] == "COMPLETE"


def test_study_holds_the_best_trial_and_figures(runs):
    study = tracked_study(n_trials=6)
    above, _, _ = tree_of(runs())
    assert above.latest("best_value") == study.best_value
    assert above.latest("best_trial") == study.best_trial.number
    assert above.latest("n_trials_complete") == 6
    for name, value in study.best_params.items():
        assert above.tags[f"best_{name}"] == str(value)
    artifacts = mlflow.MlflowClient().list_artifacts(above.run_id)
    assert {item.path for item in artifacts} == {"history.png", "importances.png"}


def test_figures_have_the_name_of_the_run(runs, monkeypatch):
    titles = []

    def note(figure):
        titles.append(figure.axes[0].get_title())
        return b""

    monkeypatch.setattr(_study, "as_png", note)
    tracked_study(run_name="step sizes")
    assert titles == ["step sizes", "step sizes"]


def test_pruned_and_failed_trials_are_marked(runs):
    def fragile(trial):
        trial.report(0.5, step=3)
        if trial.number == 1:
            raise optuna.TrialPruned
        if trial.number == 2:
            raise ValueError("no")
        return objective(trial)

    tracked_study(fragile, catch=ValueError)
    above, trials, _ = tree_of(runs())
    assert [trials[n].status for n in range(3)] == ["FINISHED", "KILLED", "FAILED"]
    states = [trials[n].tags["optuna_trial_state"] for n in range(3)]
    assert states == ["COMPLETE", "PRUNED", "FAIL"]
    assert trials[1].metrics["intermediate_value"] == [(3, 0.5)]
    assert above.status == "FINISHED"
    assert above.latest("n_trials_pruned") == 1


class Pruner:
    """A callback that ends any fit at its first report."""

    def setup(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...
    def teardown(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        raise optuna.TrialPruned


@pytest.mark.parametrize("trackers", [[], [MLflowTracker()]], ids=["without", "with"])
def test_fit_that_is_pruned_has_not_failed(trackers, runs):
    def pruned(trial):
        suggest(trial).set_callbacks(Pruner(), *trackers).fit(X, y)

    tracked_study(pruned, n_trials=1)
    _, _, fits = tree_of(runs())
    assert [fit.status for fit in fits[0]] == ["KILLED"]


def test_study_that_fails_ends_as_failed(runs):
    def broken(trial):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        tracked_study(broken)
    above, trials, _ = tree_of(runs())
    assert above.status == trials[0].status == "FAILED"
    assert above.tags["error"] == "ValueError: no"


def test_interrupted_study_ends_as_killed(runs):
    def interrupted(trial):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tracked_study(interrupted)
    above, trials, _ = tree_of(runs())
    assert above.status == "KILLED"
    assert trials[0].status == "FAILED"  # as Optuna sees it


def test_trials_in_threads(runs):
    study = optuna.create_study(direction="maximize")
    with track_study(study):
        study.optimize(objective, n_trials=6, n_jobs=2)
    found = runs()
    _, trials, fits = tree_of(found)
    assert sorted(trials) == [0, 1, 2, 3, 4, 5]
    assert {len(of_trial) for of_trial in fits.values()} == {3}
    assert len(found) == 1 + 6 + 6 + 18


def test_fits_in_worker_processes_are_below_their_trial(runs):
    def in_workers(trial):
        return cross_val_score(suggest(trial), X, y, cv=3, n_jobs=2).mean()

    tracked_study(in_workers, n_trials=2)
    _, _, fits = tree_of(runs())
    assert [len(of_trial) for of_trial in fits.values()] == [3, 3]


def test_tracked_search_in_a_trial_is_below_it(runs):
    def search(trial):
        grid = {"step_size": [0.1, trial.suggest_float("step_size", 0.2, 1)]}
        found = GridSearchCV(HillClimbPerceptron(max_iter=20), grid, cv=3)
        return found.set_callbacks(MLflowTracker()).fit(X, y).best_score_

    tracked_study(search, n_trials=1)
    found = runs()
    _, _, fits = tree_of(found)
    assert [run.name for run in fits[0]] == ["GridSearchCV"]
    assert len(found) == 1 + 1 + (1 + 2 + 6 + 1)


# Its own, and what it imports.
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.filterwarnings("ignore:.optuna.terminator. module:FutureWarning")
def test_search_of_optuna_works_inside(runs):
    study = optuna.create_study(direction="maximize")
    distributions = {"step_size": optuna.distributions.FloatDistribution(0.05, 1)}
    with track_study(study):
        OptunaSearchCV(
            HillClimbPerceptron(max_iter=20),
            distributions,
            cv=3,
            n_trials=4,
            study=study,
            enable_pruning=False,
        ).fit(X, y)
    found = runs()
    above, trials, fits = tree_of(found)
    assert [len(of_trial) for of_trial in fits.values()] == [3] * 4
    (refit,) = [
        run
        for run in found
        if run.parent == above.run_id and run not in trials.values()
    ]
    assert refit.name == "HillClimbPerceptron"


def test_options(runs, tmp_path):
    store = f"sqlite:///{tmp_path / 'other.db'}"
    tracked_study(
        n_trials=1,
        experiment_name="of the study",
        tracking_uri=store,
        run_name="by name",
        tags={"data": "iris"},
    )
    assert runs() == []
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("of the study")
    found = client.search_runs([experiment.experiment_id])
    assert len(found) == 1 + 1 + 1 + 3
    (study,) = [run for run in found if run.info.run_name == "by name"]
    assert study.data.tags["data"] == "iris"


def test_relative_store_stays_where_it_is(runs, tmp_path, monkeypatch):
    def move(trial):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        return trial.suggest_float("x", 0, 1)

    monkeypatch.chdir(tmp_path)
    tracked_study(move, n_trials=1, tracking_uri="sqlite:///other.db")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'other.db'}")
    assert len(client.search_runs(["0"])) == 2


def test_active_run_is_above_the_study(runs):
    with mlflow.start_run() as parent:
        tracked_study(n_trials=1)
    above, _, _ = tree_of(runs())
    assert above.parent == parent.info.run_id


def test_study_is_tracked_where_fits_are_not(runs):
    with skperceptron.config_context(tracking=False):
        tracked_study(n_trials=2)
    assert Counter(run.status for run in runs()) == {"FINISHED": 3}


def test_trials_outside_the_block_are_not_tracked(runs):
    study = optuna.create_study()
    sampler = study.sampler
    tracked_study(lambda trial: trial.suggest_float("x", 0, 1), study=study, n_trials=1)
    assert study.sampler is sampler
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert len(runs()) == 2


def test_trials_are_those_of_an_untracked_study(runs):
    def quadratic(trial):
        return (trial.suggest_float("x", -1, 1) - 0.3) ** 2

    studies = [
        optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
        for _ in range(2)
    ]
    studies[0].optimize(quadratic, n_trials=20)
    tracked_study(quadratic, n_trials=20, study=studies[1])
    first, second = ([trial.params for trial in study.trials] for study in studies)
    assert first == second


def test_several_objectives(runs):
    study = optuna.create_study(directions=["minimize", "maximize"])
    tracked_study(
        lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)),
        study=study,
    )
    above, trials, _ = tree_of(runs())
    assert [trials[0].latest(f"value_{i}") for i in range(2)] == study.trials[0].values
    assert "best_value" not in above.metrics


def test_going_on_with_a_study_goes_on_with_its_run(runs):
    study = tracked_study(n_trials=2)
    tracked_study(n_trials=2, study=study)
    above, trials, _ = tree_of(runs())
    assert sorted(trials) == [0, 1, 2, 3]
    assert above.latest("n_trials_complete") == 4
    assert above.latest("best_value") == study.best_value


def test_store_that_cannot_be_reached_does_no_harm(journal):
    with pytest.warns(TrackingWarning, match="could not be logged") as caught:
        study = tracked_study(tracking_uri="http://127.0.0.1:9", n_trials=2)
    assert len(study.trials) == 2
    assert len(caught) == 1


SCRIPT = """
import sys
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from skperceptron.tracking import track_study

def load(storage):
    if storage.endswith(".log"):
        storage = JournalStorage(JournalFileBackend(storage))
    return optuna.load_study(study_name="shared", storage=storage)

study = load(sys.argv[1])
with track_study(study):
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=4)
"""


@pytest.mark.parametrize(
    "kind", ["journal", pytest.param("sqlite", marks=pytest.mark.slow)]
)
def test_processes_that_share_a_study_share_its_run(kind, runs, tmp_path):
    address = str(tmp_path / "study.log")
    storage = JournalStorage(JournalFileBackend(address))
    if kind == "sqlite":
        storage = address = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(storage=storage, study_name="shared")
    processes = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, address], env=dict(os.environ))
        for _ in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    above, trials, _ = tree_of(runs())
    assert above.status == "FINISHED"
    assert sorted(trials) == list(range(8))
    assert {run.parent for run in trials.values()} == {above.run_id}
    assert above.latest("n_trials_complete") == 8
    study = optuna.load_study(storage=storage, study_name="shared")
    (key, _) = json.loads(study.user_attrs["skperceptron.run"])
    assert above.tags["skperceptron.key"] == key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"study": None}, "study must be an Optuna study, got None"),
        ({"study": "my study"}, r"optuna\.load_study"),
        ({"tags": ["a"]}, "tags must be a dict of str or None"),
        ({"tracking_uri": 5000}, "tracking_uri must be a str or None, got 5000"),
        ({"experiment_name": 3}, "experiment_name must be a str or None"),
        ({"run_name": 3}, "run_name must be a str or None"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    arguments = {"study": optuna.create_study(), **arguments}
    with pytest.raises(TypeError, match=message), track_study(**arguments):
        raise AssertionError("the block is not entered")
