"""An Optuna study is a run, above those of its trials, above those of their fits."""

import copy
import csv
import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
import uuid
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import mlflow
import optuna
import pytest
from joblib.externals.loky import get_reusable_executor
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna_integration import OptunaSearchCV
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score

import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker, TrackingWarning, track_study
from skperceptron.tracking.recording import _study
from skperceptron.tracking.recording._figures import as_png
from tests.tracking.conftest import read_runs

pytestmark = pytest.mark.usefixtures("without_models", "empty_figures")
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
    assert len(found) == 1 + 3 + 9
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


def plane(trial):
    return trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)


def test_study_holds_the_best_trial_and_figures(runs, monkeypatch):
    monkeypatch.setattr(_study, "as_png", as_png)
    study = tracked_study(plane, n_trials=6)
    above, _, _ = tree_of(runs())
    assert above.latest("best_score") == study.best_value
    assert above.latest("best_trial") == study.best_trial.number
    assert above.latest("n_trials_complete") == 6
    for name, value in study.best_params.items():
        assert above.tags[f"best_{name}"] == str(value)
    artifacts = mlflow.MlflowClient().list_artifacts(above.run_id)
    assert {item.path for item in artifacts} == {"history.png", "importances.png"}


def test_importances_need_values_that_differ(runs, monkeypatch):
    monkeypatch.setattr(_study, "as_png", as_png)
    tracked_study(lambda trial: 0 * plane(trial), n_trials=6)
    above, _, _ = tree_of(runs())
    artifacts = mlflow.MlflowClient().list_artifacts(above.run_id)
    assert [item.path for item in artifacts] == ["history.png"]


def test_figures_have_the_name_of_the_run(runs, monkeypatch):
    titles = []

    def note(figure):
        titles.append(figure.axes[0].get_title())
        return b""

    monkeypatch.setattr(_study, "as_png", note)
    tracked_study(plane, n_trials=6, run_name="step sizes")
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
    assert trials[0].status == "KILLED"
    assert trials[0].tags["optuna_trial_state"] == "FAIL"  # as Optuna sees it


def test_trials_in_threads(runs):
    study = optuna.create_study(direction="maximize")
    with track_study(study):
        study.optimize(objective, n_trials=6, n_jobs=2)
    found = runs()
    _, trials, fits = tree_of(found)
    assert sorted(trials) == [0, 1, 2, 3, 4, 5]
    assert {len(of_trial) for of_trial in fits.values()} == {3}
    assert len(found) == 1 + 6 + 18


def test_fits_in_worker_processes_are_below_their_trial(runs):
    def has_mlflow(clf, X, y):
        return "mlflow" in sys.modules

    # Those of other tests may have imported a module of tests that imports MLflow.
    get_reusable_executor().shutdown()

    def in_workers(trial):
        mlflow.log_metric("n_folds", 3)
        scores = cross_val_score(
            suggest(trial), X, y, cv=3, n_jobs=2, scoring=has_mlflow
        )
        return scores.sum()

    study = tracked_study(in_workers, n_trials=2)
    _, _, fits = tree_of(runs())
    assert [len(of_trial) for of_trial in fits.values()] == [3, 3]
    assert [trial.value for trial in study.trials] == [0, 0]


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
    for of_trial in fits.values():
        names = sorted(run.name for run in of_trial)
        assert names == ["fold 0", "fold 1", "fold 2"]
    (refit,) = [
        run
        for run in found
        if run.parent == above.run_id and run not in trials.values()
    ]
    assert refit.name == "refit"


def test_options(runs, tmp_path, new_store):
    store = f"sqlite:///{shutil.copy(new_store, tmp_path / 'other.db')}"
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
    assert len(found) == 1 + 1 + 3
    (study,) = [run for run in found if run.info.run_name == "by name"]
    assert study.data.tags["data"] == "iris"


def test_relative_store_stays_where_it_is(runs, tmp_path, monkeypatch, new_store):
    def move(trial):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        return trial.suggest_float("x", 0, 1)

    other = shutil.copy(new_store, tmp_path / "other.db")
    monkeypatch.chdir(tmp_path)
    tracked_study(move, n_trials=1, tracking_uri="sqlite:///other.db")
    client = mlflow.MlflowClient(f"sqlite:///{other}")
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


# The sampler


def as_pickled(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("copied", [as_pickled, copy.deepcopy, copy.copy])
def test_sampler_and_study_can_be_copied(copied, runs):
    own = optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(sampler=own)
    with track_study(study):
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        sampler = copied(study.sampler)
        other = copied(study)
    assert type(sampler) is type(own)
    assert type(other) is optuna.Study
    if copied is not copy.copy:  # that has the sampler of the original
        assert type(other.sampler) is type(own)
        other.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        assert len(study.trials) == 1
    assert len(runs()) == 2
    assert type(study) is optuna.Study
    assert study.sampler is own


@pytest.mark.slow
def test_study_works_in_a_pool_of_processes(runs, storage_in):
    study = optuna.create_study(storage=storage_in("database", "study"))
    with track_study(study), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(study.enqueue_trial, {"x": 0.5}).result()
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert study.best_params == {"x": 0.5}


def test_sampler_looks_like_the_users_own(runs):
    own = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(sampler=own)
    with track_study(study):
        assert isinstance(study, optuna.Study)
        assert isinstance(study.sampler, optuna.samplers.RandomSampler)
        assert not isinstance(study.sampler, optuna.samplers.TPESampler)
        assert str(study.sampler) == str(own)
    (above,) = runs()
    assert above.tags["optuna_sampler"] == "RandomSampler"


def one_fit(trial):
    return suggest(trial).fit(X, y).score(X, y)


def one_more(study):
    study.optimize(one_fit, n_trials=1)


def test_trials_of_a_sampler_that_is_assigned_have_runs(runs):
    study = optuna.create_study(direction="maximize")
    with track_study(study):
        one_more(study)
        own = study.sampler = optuna.samplers.RandomSampler(seed=0)
        study.optimize(one_fit, n_trials=2)
    assert study.sampler is own
    _, _, fits = tree_of(runs())
    assert [len(fits[n]) for n in range(3)] == [1, 1, 1]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_sampler_may_be_changed_for_a_while(runs, storage_in):
    own = optuna.samplers.TPESampler()
    storage = storage_in("database", "study")
    study = optuna.create_study(direction="maximize", sampler=own, storage=storage)
    with track_study(study):
        before = study.sampler
        study.sampler = optuna.samplers.RandomSampler()
        one_more(study)
        study.sampler = optuna.samplers.PartialFixedSampler({"step_size": 0.5}, before)
        one_more(study)
        study.sampler = before
        one_more(study)
    assert study.sampler is own
    _, trials, fits = tree_of(runs())
    assert [len(fits[n]) for n in range(3)] == [1, 1, 1]
    assert trials[1].params["step_size"] == "0.5"


def test_sampler_is_assigned_while_threads_are_at_work(runs):
    own = optuna.samplers.RandomSampler()

    def change(study, trial):
        study.sampler = own

    study = optuna.create_study(direction="maximize")
    with track_study(study):
        study.optimize(one_fit, n_trials=4, n_jobs=2, callbacks=[change])
    assert study.sampler is own
    _, _, fits = tree_of(runs())
    assert [len(fits[n]) for n in range(4)] == [1] * 4


def test_sampler_that_is_assigned_stays_after_an_error(runs):
    own = optuna.samplers.RandomSampler()
    study = optuna.create_study()

    def change_and_fail():
        with track_study(study):
            study.sampler = own
            study.optimize(lambda trial: 1 / 0, n_trials=1)

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert study.sampler is own
    assert type(study) is optuna.Study
    _, trials, _ = tree_of(runs())
    assert trials[0].tags["error"] == "ZeroDivisionError: division by zero"


def test_blocks_in_blocks(runs):
    study = optuna.create_study(direction="maximize")
    with track_study(study):
        one_more(study)
        with track_study(study):
            own = study.sampler = optuna.samplers.RandomSampler()
            one_more(study)
        one_more(study)
    assert study.sampler is own
    found = runs()
    above, _, fits = tree_of(found)
    assert [len(fits[n]) for n in range(3)] == [1] * 3
    assert len(found) == 1 + 3 + 3
    assert above.latest("n_trials_complete") == 3


def test_study_in_a_trial_of_another_one(runs):
    def outer(trial):
        def inner(trial):
            mlflow.log_metric("depth", 2)
            return one_fit(trial)

        value = tracked_study(inner, n_trials=1, run_name="inner").best_value
        mlflow.log_metric("depth", 1)
        return value

    tracked_study(outer, n_trials=2, run_name="outer")
    found = runs()
    names = {run.run_id: run.name for run in found}
    of_depth = {
        depth: [run for run in found if run.metrics.get("depth") == [(0, depth)]]
        for depth in (1, 2)
    }
    assert [names[run.parent] for run in of_depth[1]] == ["outer", "outer"]
    assert [names[run.parent] for run in of_depth[2]] == ["inner", "inner"]
    inner = [run for run in found if run.name == "inner"]
    assert {run.parent for run in inner} == {run.run_id for run in of_depth[1]}
    fits = [run for run in found if run.name == "HillClimbPerceptron"]
    assert {run.parent for run in fits} == {run.run_id for run in of_depth[2]}
    assert len(fits) == 2


# Studies without a best trial


def pruned(trial):
    raise optuna.TrialPruned


def failing(trial):
    raise ValueError("no")


def not_a_number(trial):
    return float("nan")


@pytest.mark.parametrize(
    ("function", "n_trials"),
    [(pruned, 1), (failing, 1), (not_a_number, 1), (not_a_number, 0)],
)
def test_study_without_a_best_trial_ends(function, n_trials, runs):
    tracked_study(function, n_trials=n_trials, catch=ValueError)
    ends_without_a_best_trial(n_trials, runs)


def test_study_without_a_feasible_trial_ends(runs):
    with warnings.catch_warnings():
        # An experiment in Optuna 4, and in Optuna 5 there is another way.
        warnings.simplefilter("ignore")
        infeasible = optuna.samplers.TPESampler(constraints_func=lambda trial: (1.0,))
    study = optuna.create_study(sampler=infeasible)
    tracked_study(lambda trial: trial.suggest_float("x", 0, 1), 2, study)
    ends_without_a_best_trial(2, runs)


def ends_without_a_best_trial(n_trials, runs):
    above, trials, _ = tree_of(runs())
    assert above.status == "FINISHED"
    assert above.latest("n_trials_running") == 0
    assert len(trials) == n_trials
    assert not [name for name in above.metrics if name.startswith("best")]
    assert not [name for name in above.tags if name.startswith("best")]


def test_run_of_a_study_ends_though_its_result_cannot_be_told(runs, monkeypatch):
    def broken(study):
        raise ArithmeticError("no")

    monkeypatch.setattr(optuna.Study, "best_trial", property(broken))
    with pytest.warns(TrackingWarning, match="ArithmeticError: no"):
        tracked_study(n_trials=1)
    above, _, _ = tree_of(runs())
    assert above.status == "FINISHED"
    assert above.latest("n_trials_complete") == 1


# Why trials have failed


def test_failed_trials_tell_why(runs):
    def fragile(trial):
        if trial.number == 0:
            raise ValueError("no such host: http://me:secret@host/")
        if trial.number == 1:
            raise optuna.TrialPruned("not good enough")
        return [1.0, float("nan"), None, "text"][trial.number - 2]

    try:
        raise RuntimeError("something earlier")
    except RuntimeError:
        tracked_study(fragile, n_trials=6, catch=ValueError)
    _, trials, _ = tree_of(runs())
    errors = [trials[n].tags.get("error") for n in range(6)]
    assert errors == [
        "ValueError: no such host: http://***@host/",
        None,
        None,
        "ValueError: nan is not a valid value of an objective",
        "ValueError: None is not a valid value of an objective",
        "ValueError: 'text' is not a valid value of an objective",
    ]


def test_failed_trials_tell_why_in_threads(runs):
    def fragile(trial):
        raise ValueError(trial.number)

    study = optuna.create_study()
    with track_study(study):
        study.optimize(fragile, n_trials=4, n_jobs=2, catch=ValueError)
    _, trials, _ = tree_of(runs())
    assert {n: run.tags["error"] for n, run in trials.items()} == {
        n: f"ValueError: {n}" for n in range(4)
    }


def test_trials_that_are_told_to_have_failed(runs):
    study = optuna.create_study()
    with track_study(study):
        trial = study.ask()
        try:
            raise ValueError("no")
        except ValueError:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            with pytest.warns(UserWarning, match="not acceptable"):
                study.tell(study.ask(), float("nan"))
        study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    _, trials, _ = tree_of(runs())
    assert [trials[n].tags.get("error") for n in range(3)] == [
        "ValueError: no",
        "ValueError: nan is not a valid value of an objective",
        None,
    ]


# Several objectives


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("named", [False, True])
def test_pareto_front_of_several_objectives(named, runs):
    names = ["loss", "hit rate"] if named else ["value_0", "value_1"]
    study = optuna.create_study(directions=["minimize", "maximize"])
    values = [(0.5, 0.5), (0.4, 0.6), (0.2, 0.3), (0.3, 0.2)]
    with track_study(study):
        if named:
            study.set_metric_names(names)
        study.optimize(
            lambda trial: (trial.suggest_int("n", 1, 9), values[trial.number])[1],
            n_trials=4,
        )
    above, trials, _ = tree_of(runs())
    assert above.status == "FINISHED"
    assert above.latest("n_trials_on_pareto_front") == 2
    assert above.latest(f"best_{names[0]}") == 0.2
    assert above.latest(f"best_{names[1]}") == 0.6
    for number, run in trials.items():
        assert tuple(run.latest(name) for name in names) == values[number]
        assert set(run.metrics) == set(names)
    artifacts = mlflow.MlflowClient().list_artifacts(above.run_id)
    assert {item.path for item in artifacts} == {"pareto_front.csv", "pareto_front.png"}
    path = mlflow.artifacts.download_artifacts(
        run_id=above.run_id, artifact_path="pareto_front.csv"
    )
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    n = [str(trial.params["n"]) for trial in study.trials]
    assert rows == [
        ["trial", *names, "n"],
        ["1", "0.4", "0.6", n[1]],
        ["2", "0.2", "0.3", n[2]],
    ]


@pytest.mark.parametrize("n_trials", [0, 1])
def test_three_objectives_have_no_figure(n_trials, runs):
    study = optuna.create_study(directions=["minimize"] * 3)
    tracked_study(lambda trial: (1, 2, 3), study=study, n_trials=n_trials)
    above, _, _ = tree_of(runs())
    assert above.status == "FINISHED"
    assert above.latest("n_trials_on_pareto_front") == n_trials
    artifacts = mlflow.MlflowClient().list_artifacts(above.run_id)
    assert [item.path for item in artifacts] == ["pareto_front.csv"] * n_trials


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_name_of_the_only_objective(runs):
    study = optuna.create_study(direction="maximize")
    study.set_metric_names(["accuracy"])
    tracked_study(study=study, n_trials=1)
    above, trials, _ = tree_of(runs())
    assert trials[0].latest("accuracy") == trials[0].latest("value") == study.best_value
    assert above.latest("best_accuracy") == above.latest("best_score")


def test_several_objectives(runs):
    study = optuna.create_study(directions=["minimize", "maximize"])
    tracked_study(
        lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)),
        study=study,
    )
    above, trials, _ = tree_of(runs())
    assert [trials[0].latest(f"value_{i}") for i in range(2)] == study.trials[0].values
    assert "best_score" not in above.metrics


def test_going_on_with_a_study_goes_on_with_its_run(runs):
    study = tracked_study(n_trials=2)
    tracked_study(n_trials=2, study=study)
    above, trials, _ = tree_of(runs())
    assert sorted(trials) == [0, 1, 2, 3]
    assert above.latest("n_trials_complete") == 4
    assert above.latest("best_score") == study.best_value


def test_store_that_cannot_be_reached_does_no_harm(journal):
    with pytest.warns(TrackingWarning, match="could not be logged") as caught:
        study = tracked_study(tracking_uri="http://127.0.0.1:9", n_trials=2)
    assert len(study.trials) == 2
    assert len(caught) == 1


# Copies, and other places


def study_runs(found):
    return [run for run in found if "optuna_study_name" in run.tags]


def numbers_below(found, above):
    return sorted(
        int(run.tags["optuna_trial_number"])
        for run in found
        if run.parent == above.run_id and "optuna_trial_number" in run.tags
    )


def simple(trial):
    return trial.suggest_float("x", 0, 1)


@pytest.fixture
def storage_in(tmp_path):
    """Make storages of studies, and close the connections to those in databases."""
    engines = []

    def make(kind, name):
        if kind == "memory":
            return optuna.storages.InMemoryStorage()
        if kind == "journal":
            return JournalStorage(JournalFileBackend(str(tmp_path / f"{name}.log")))
        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / name}.db")
        engines.append(storage.engine)
        return storage

    yield make
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize(
    ("kind", "to_kind", "first_on"),
    [
        ("memory", "same", "original"),
        ("memory", "memory", "copy"),
        ("memory", "journal", "copy"),
        ("journal", "same", "copy"),
        ("journal", "journal", "original"),
        pytest.param("sqlite", "same", "original", marks=pytest.mark.slow),
        ("sqlite", "sqlite", "copy"),
    ],
)
def test_copy_of_a_study_has_a_run_of_its_own(
    kind, to_kind, first_on, runs, storage_in
):
    storage = storage_in(kind, "from")
    to_storage = storage
    if to_kind != "same":
        to_storage = storage_in(to_kind, "to")
    name = "b" if to_kind == "same" else "a"
    study = optuna.create_study(study_name="a", storage=storage)
    tracked_study(simple, study=study, n_trials=2)
    optuna.copy_study(
        from_study_name="a",
        from_storage=storage,
        to_storage=to_storage,
        to_study_name=name,
    )
    copied = optuna.load_study(study_name=name, storage=to_storage)
    both = [(study, 1), (copied, 2)]
    for one, n_trials in both if first_on == "original" else both[::-1]:
        tracked_study(simple, study=one, n_trials=n_trials)
    tracked_study(simple, study=copied, n_trials=1)
    found = runs()
    above = sorted(study_runs(found), key=lambda run: run.start_time)
    assert [run.status for run in above] == ["FINISHED"] * 2
    assert [numbers_below(found, run) for run in above] == [[0, 1, 2], [2, 3, 4]]
    assert len(found) == 2 + 3 + 3


def test_deep_copy_of_a_study_has_a_run_of_its_own(runs):
    study = tracked_study(simple, n_trials=1)
    copied = copy.deepcopy(study)
    tracked_study(simple, study=copied, n_trials=1)
    tracked_study(simple, study=study, n_trials=1)
    found = runs()
    first, second = study_runs(found)
    assert numbers_below(found, first) == [0, 1]
    assert numbers_below(found, second) == [1]


def test_study_that_is_moved_goes_on_with_its_run(runs, tmp_path, storage_in):
    storage = storage_in("database", "study")
    study = optuna.create_study(study_name="a", storage=storage)
    tracked_study(simple, study=study, n_trials=1)
    (tmp_path / "study.db").rename(tmp_path / "moved.db")
    moved = storage_in("database", "moved")
    study = optuna.load_study(study_name="a", storage=moved)
    tracked_study(simple, study=study, n_trials=1)
    found = runs()
    (above,) = study_runs(found)
    assert numbers_below(found, above) == [0, 1]


def test_pickled_study_goes_on_with_its_run(runs):
    study = tracked_study(simple, n_trials=1)
    pickled = pickle.dumps(study)
    del study
    gc.collect()
    study = pickle.loads(pickled)
    tracked_study(simple, study=study, n_trials=1)
    found = runs()
    (above,) = study_runs(found)
    assert numbers_below(found, above) == [0, 1]


@pytest.mark.parametrize("kind", ["memory", "journal"])
def test_study_has_a_run_in_each_experiment(kind, runs, storage_in):
    storage = storage_in(kind, "study")
    study = optuna.create_study(storage=storage)
    name = uuid.uuid4().hex
    tracked_study(simple, study=study, n_trials=1)
    for _ in range(2):
        tracked_study(simple, study=study, n_trials=1, experiment_name=name)
    tracked_study(simple, study=study, n_trials=1)
    found = runs()
    (first,) = study_runs(found)
    assert numbers_below(found, first) == [0, 3]
    experiment = mlflow.get_experiment_by_name(name)
    elsewhere = read_runs(experiment.experiment_id)
    (second,) = study_runs(elsewhere)
    assert numbers_below(elsewhere, second) == [1, 2]
    assert second.tags["skperceptron.continues"] == first.tags["skperceptron.key"]
    assert "skperceptron.continues" not in first.tags
    assert second.status == first.status == "FINISHED"
    assert second.latest("n_trials_complete") == 3


def test_study_has_a_run_in_each_store(runs, tmp_path, new_store):
    study = tracked_study(simple, n_trials=1)
    other = f"sqlite:///{shutil.copy(new_store, tmp_path / 'other.db')}"
    for _ in range(2):
        tracked_study(simple, study=study, n_trials=1, tracking_uri=other)
    (first,) = study_runs(runs())
    client = mlflow.MlflowClient(other)
    found = client.search_runs(["0"])
    (second,) = [run for run in found if "optuna_study_name" in run.data.tags]
    trials = [run for run in found if "optuna_trial_number" in run.data.tags]
    assert sorted(run.data.tags["optuna_trial_number"] for run in trials) == ["1", "2"]
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {
        second.info.run_id
    }
    continues = second.data.tags["skperceptron.continues"]
    assert continues == first.tags["skperceptron.key"]


def test_experiment_may_be_named_in_another_way(runs, storage_in, monkeypatch):
    storage = storage_in("journal", "study")
    study = optuna.create_study(storage=storage)
    tracked_study(simple, study=study, n_trials=1)
    experiment = mlflow.get_experiment(os.environ["MLFLOW_EXPERIMENT_ID"])
    tracked_study(simple, study=study, n_trials=1, experiment_name=experiment.name)
    found = runs()
    (above,) = study_runs(found)
    assert numbers_below(found, above) == [0, 1]


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["journal", "sqlite"])
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


def test_study_goes_on_here_after_another_process_has_ended_it(runs, tmp_path):
    address = str(tmp_path / "study.log")
    storage = JournalStorage(JournalFileBackend(address))
    study = optuna.create_study(storage=storage, study_name="shared")
    with track_study(study):
        subprocess.run([sys.executable, "-c", SCRIPT, address], check=True)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    above, trials, _ = tree_of(runs())
    assert sorted(trials) == list(range(5))
    assert {run.parent for run in trials.values()} == {above.run_id}


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
