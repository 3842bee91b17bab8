"""Workers that share an Optuna study share its run, also when some of them are killed.

A machine is a folder here: its journal and its temporary files are its own, so that
workers on different machines know of each other only what the study and MLflow tell.
"""

import io
import logging
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import mlflow
import optuna
import psycopg
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sklearn.datasets import load_iris

from benchmarks._servers import find_postgresql, mlflow_server, postgresql
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import flush, track_study
from skperceptron.tracking.recording import _study, _study_agreement

X, y = load_iris(return_X_y=True)
SECONDS_TO_START = 240
SECONDS_TO_WORK = 600

WORKER = """
import sys
import time
from pathlib import Path

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sklearn.datasets import load_iris

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import track_study

address, name, n_trials, waits_for_failure, hangs_at = sys.argv[1:]
X, y = load_iris(return_X_y=True)


def objective(trial):
    step_size = trial.suggest_float("step_size", 0.05, 1)
    clf = HillClimbPerceptron(max_iter=20, step_size=step_size).fit(X, y)
    if hangs_at:
        Path(hangs_at).touch()
        time.sleep(3600)
    return clf.score(X, y)


if address.endswith(".log"):
    storage = JournalStorage(JournalFileBackend(address))
else:
    storage = RDBStorage(address, heartbeat_interval=1, grace_period=10)
study = optuna.load_study(study_name=name, storage=storage)
with track_study(study, run_name="shared"):
    study.optimize(objective, n_trials=int(n_trials))
    while waits_for_failure and not any(t.state.name == "FAIL" for t in study.trials):
        time.sleep(1)
        study.optimize(objective, n_trials=1)
"""


@dataclass(frozen=True)
class Machine:
    """Where processes know the same journal.

    Attributes
    ----------
    folder : Path
        What is its own.

    store : str
        Address of MLflow's store.

    experiment : str
        Name of the experiment.
    """

    folder: Path
    store: str
    experiment: str

    def start(self, *command, **variables):
        self.folder.mkdir(exist_ok=True)
        env = {
            **{k: v for k, v in os.environ.items() if k != "MLFLOW_EXPERIMENT_ID"},
            "MLFLOW_TRACKING_URI": self.store,
            "MLFLOW_EXPERIMENT_NAME": self.experiment,
            "SKPERCEPTRON_JOURNAL": str(self.folder / "journal"),
            "TMPDIR": str(self.folder),
            "XDG_STATE_HOME": str(self.folder),
            **variables,
        }
        return subprocess.Popen(
            [sys.executable, *command], env=env, stderr=subprocess.PIPE, text=True
        )

    def start_worker(
        self, address, study, n_trials, *, waits_for_failure=False, hangs_at=""
    ):
        waits = "yes" if waits_for_failure else ""
        arguments = [address, study, str(n_trials), waits, str(hangs_at)]
        return self.start("-c", WORKER, *arguments)

    def runs(self):
        client = mlflow.MlflowClient(self.store)
        experiment = client.get_experiment_by_name(self.experiment)
        if experiment is None:
            return []
        return client.search_runs([experiment.experiment_id])


def wait_until(is_so, process=None):
    deadline = time.monotonic() + SECONDS_TO_START
    while not is_so():
        if process is not None and process.poll() is not None:
            raise AssertionError(process.stderr.read())
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.1)


def finish(*processes):
    """Wait for processes, which must end by themselves."""
    try:
        ends = [process.communicate(timeout=SECONDS_TO_WORK) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    errors = "".join(errors for _, errors in ends)
    assert [process.returncode for process in processes] == [0] * len(ends), errors


def kill_in_the_middle_of_a_trial(machine, address, study, mark):
    process = machine.start_worker(address, study, 1, hangs_at=mark)
    try:
        wait_until(mark.exists, process)
        # Delivered, so that others can see that it goes on.
        wait_until(lambda: len(trials_of(machine.runs())) > 0, process)
    finally:
        process.kill()
        process.communicate()


def trials_of(runs):
    return [run for run in runs if "optuna_trial_number" in run.data.tags]


def fits_below(runs, above):
    return [
        run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == above.info.run_id
        and run not in trials_of(runs)
    ]


STATUS_OF = {"COMPLETE": "FINISHED", "FAIL": "FAILED"}


def assert_runs_are_those_of(study, runs, n_fits_per_trial=1):
    """Compare MLflow with Optuna: no run is lost, none is there twice."""
    (above,) = [run for run in runs if "optuna_study_name" in run.data.tags]
    trials = {int(run.data.tags["optuna_trial_number"]): run for run in trials_of(runs)}
    assert len(trials_of(runs)) == len(trials) == len(study.trials)
    n_fits = 0
    for trial in study.trials:
        run = trials[trial.number]
        assert run.data.tags["mlflow.parentRunId"] == above.info.run_id
        assert run.data.tags["optuna_trial_state"] == trial.state.name
        assert run.info.status == STATUS_OF[trial.state.name]
        assert run.data.params == {k: str(v) for k, v in trial.params.items()}
        fits = fits_below(runs, run)
        n_fits += len(fits)
        if trial.state == TrialState.COMPLETE:
            statuses = [fit.info.status for fit in fits]
            assert statuses == ["FINISHED"] * n_fits_per_trial
            assert run.data.metrics["value"] == trial.value
    assert len(runs) == 1 + len(trials) + n_fits
    assert above.info.status == "FINISHED"
    assert above.data.metrics["best_score"] == study.best_value
    # Of several that are equally good, the storage names any.
    best = study.trials[int(above.data.metrics["best_trial"])]
    assert best.value == study.best_value
    for name, value in best.params.items():
        assert above.data.tags[f"best_{name}"] == str(value)
    for state in TrialState:
        n_trials = len(study.get_trials(states=[state]))
        assert above.data.metrics[f"n_trials_{state.name.lower()}"] == n_trials
    return above


def numbers_of(study, state):
    return [trial.number for trial in study.get_trials(states=[state])]


@pytest.fixture(autouse=True)
def _quiet_optuna():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def in_journal(tmp_path, monkeypatch):
    """A study in a file, and a machine on which this process is, too."""
    address = str(tmp_path / "study.log")
    storage = JournalStorage(JournalFileBackend(address))
    study = optuna.create_study(
        storage=storage, study_name="shared", direction="maximize"
    )
    here = Machine(tmp_path, os.environ["MLFLOW_TRACKING_URI"], uuid.uuid4().hex)
    monkeypatch.setenv("SKPERCEPTRON_JOURNAL", str(here.folder / "journal"))
    mlflow.set_experiment(here.experiment)
    yield study, address, here
    mlflow.set_experiment("Default")


def load_again(study):
    """Load a study as another process does."""
    return optuna.load_study(study_name=study.study_name, storage=study._storage)


def objective(trial):
    step_size = trial.suggest_float("step_size", 0.05, 1)
    return HillClimbPerceptron(max_iter=20, step_size=step_size).fit(X, y).score(X, y)


def test_trial_of_a_killed_process_fails_when_another_one_works_on(
    in_journal, tmp_path
):
    study, address, here = in_journal
    kill_in_the_middle_of_a_trial(here, address, "shared", tmp_path / "mark")
    with track_study(study, run_name="shared"):
        assert numbers_of(study, TrialState.FAIL) == [0]
        study.optimize(objective, n_trials=2)
    above = assert_runs_are_those_of(study, here.runs())
    assert flush() == 0  # of what the other one had left
    assert_runs_are_those_of(study, here.runs())
    artifacts = mlflow.MlflowClient(here.store).list_artifacts(above.info.run_id)
    assert "history.png" in {item.path for item in artifacts}


def test_trial_of_a_living_process_goes_on(in_journal):
    study, _, here = in_journal
    asked, is_over = threading.Event(), threading.Event()

    def work():
        own = load_again(study)
        with track_study(own, run_name="shared"):
            trial = own.ask()
            asked.set()
            is_over.wait(SECONDS_TO_START)
            own.tell(trial, objective(trial))

    worker = threading.Thread(target=work)
    worker.start()
    assert asked.wait(SECONDS_TO_START)
    with track_study(study, run_name="shared"):
        pass
    assert numbers_of(study, TrialState.RUNNING) == [0]
    is_over.set()
    worker.join()
    flush()
    assert_runs_are_those_of(study, here.runs())


def test_failed_trials_from_before_the_block_are_not_tracked(in_journal):
    study, _, here = in_journal
    study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
    with track_study(study):
        pass
    assert trials_of(here.runs()) == []


def test_result_is_reported_again_if_another_process_was_faster(
    in_journal, monkeypatch
):
    study, _, here = in_journal
    others = iter([0.5, 1.0])

    def deliver_slowly(*arguments, deliver=_study.deliver_all):
        deliver(*arguments)
        if (value := next(others, None)) is not None:
            params = {"step_size": value}
            distributions = {"step_size": optuna.distributions.FloatDistribution(0, 1)}
            study.add_trial(
                optuna.trial.create_trial(
                    value=value, params=params, distributions=distributions
                )
            )

    with track_study(study):
        monkeypatch.setattr(_study, "deliver_all", deliver_slowly)
    (above,) = here.runs()
    assert above.data.metrics["best_score"] == 1.0
    assert above.data.tags["best_step_size"] == "1.0"
    assert above.data.metrics["n_trials_complete"] == 2


def agree(study, found):
    identity = _study_agreement.agree_on_run(study)
    found.append(identity)
    if identity.is_new:
        identity.announce(study)


def test_one_of_many_processes_begins_the_run(in_journal):
    study, _, _ = in_journal
    found = []
    threads = [
        threading.Thread(target=agree, args=(load_again(study), found))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({identity.key for identity in found}) == 1
    assert [identity.is_new for identity in found].count(True) == 1


def test_another_process_begins_the_same_run_if_the_first_one_does_not(
    in_journal, monkeypatch
):
    study, _, _ = in_journal
    killed = _study_agreement.agree_on_run(study)  # and nothing more
    assert killed.is_new
    monkeypatch.setattr(_study_agreement, "_SECONDS_TO_BEGIN", 0.3)
    found = []
    agree(load_again(study), found)
    agree(load_again(study), found)
    assert [identity.is_new for identity in found] == [True, False]
    assert {identity.key for identity in found} == {killed.key}


def test_process_that_is_stopped_before_it_proposes_joins_who_was_faster(
    in_journal, monkeypatch
):
    study, _, _ = in_journal
    found = []
    lock = _study_agreement._lock

    def lock_late(own, *, breaks):
        monkeypatch.setattr(_study_agreement, "_lock", lock)
        agree(load_again(study), found)
        return lock(own, breaks=breaks)

    monkeypatch.setattr(_study_agreement, "_lock", lock_late)
    agree(study, found)
    assert [identity.is_new for identity in found] == [True, False]
    assert len({identity.key for identity in found}) == 1


def test_process_killed_while_it_proposes_keeps_nobody_up_for_long(
    in_journal, monkeypatch
):
    study, _, _ = in_journal
    lock = _study_agreement._lock(study, breaks=False)
    assert lock.__enter__()
    monkeypatch.setattr(_study_agreement, "_SECONDS_TO_BEGIN", 0.3)
    assert _study_agreement.agree_on_run(load_again(study)).is_new


@pytest.fixture
def told():
    """What Optuna tells the user."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logger, verbosity = logging.getLogger("optuna"), optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    logger.addHandler(handler)
    yield text
    logger.removeHandler(handler)
    optuna.logging.set_verbosity(verbosity)


def test_user_sees_and_hears_nothing_of_the_agreement(in_journal, told):
    study, _, _ = in_journal
    agree(study, [])
    optuna.create_study(storage=study._storage, study_name="another")
    names = optuna.get_all_study_names(study._storage)
    assert sorted(names) == sorted([study.study_name, "another"])
    (line,) = told.getvalue().splitlines()
    assert line.endswith("another")


# Databases


@pytest.fixture(scope="module")
def databases():
    """Addresses of an empty database for Optuna and one for MLflow."""
    if find_postgresql() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgresql("correct-horse") as address:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE DATABASE optuna")
            connection.execute("CREATE DATABASE mlflow")
        base = address.rpartition("/")[0].replace("postgresql", "postgresql+psycopg", 1)
        mlflow.MlflowClient(f"{base}/mlflow").search_experiments()  # makes its tables
        yield f"{base}/optuna", f"{base}/mlflow"


@pytest.fixture
def storage(databases):
    """Optuna's storage in a database."""
    storage = RDBStorage(databases[0])
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def in_database(databases, storage, tmp_path):
    """A study in a database, and four machines."""
    address, store = databases
    study = optuna.create_study(
        storage=storage, study_name=uuid.uuid4().hex, direction="maximize"
    )
    experiment = uuid.uuid4().hex
    return (
        study,
        address,
        [Machine(tmp_path / f"machine {i}", store, experiment) for i in range(4)],
    )


def deliver_journal_of(machine):
    finish(machine.start("-m", "skperceptron.tracking"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_workers_on_many_machines_share_one_run(in_database):
    study, address, machines = in_database
    finish(*[m.start_worker(address, study.study_name, 3) for m in machines])
    assert len(study.trials) == 12
    assert numbers_of(study, TrialState.COMPLETE) == list(range(12))
    assert_runs_are_those_of(study, machines[0].runs())


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("is_alone", [True, False], ids=["alone", "beside others"])
def test_other_machines_go_on_when_a_worker_is_killed(is_alone, in_database, tmp_path):
    study, address, (first, *others) = in_database

    def start(machine):
        return machine.start_worker(
            address, study.study_name, 2, waits_for_failure=True
        )

    others_at_work = [] if is_alone else [start(machine) for machine in others]
    kill_in_the_middle_of_a_trial(first, address, study.study_name, tmp_path / "mark")
    finish(*(others_at_work or [start(machine) for machine in others]))
    (number,) = numbers_of(study, TrialState.FAIL)
    assert not is_alone or number == 0  # it has begun the study
    # Without anything from the journal of the first machine ...
    assert_runs_are_those_of(study, first.runs())
    # ... and with it.
    deliver_journal_of(first)
    runs = first.runs()
    assert_runs_are_those_of(study, runs)
    (failed,) = [run for run in trials_of(runs) if run.info.status == "FAILED"]
    assert [fit.info.status for fit in fits_below(runs, failed)] == ["FINISHED"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_without_heartbeats_a_delivered_journal_tells_who_was_killed(
    databases, tmp_path
):
    address = str(tmp_path / "study.log")
    storage = JournalStorage(JournalFileBackend(address))
    study = optuna.create_study(
        storage=storage, study_name="shared", direction="maximize"
    )
    first, other = (
        Machine(tmp_path / name, databases[1], uuid.UUID(int=0).hex)
        for name in ("first", "other")
    )
    kill_in_the_middle_of_a_trial(first, address, "shared", tmp_path / "mark")
    finish(other.start_worker(address, "shared", 2))
    assert numbers_of(study, TrialState.RUNNING) == [0]  # for all that anybody knows
    deliver_journal_of(first)
    finish(other.start_worker(address, "shared", 0))
    assert numbers_of(study, TrialState.FAIL) == [0]
    assert_runs_are_those_of(study, first.runs())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_recipe_of_the_documentation(databases, storage, tmp_path):
    page = Path(__file__).parents[2] / "docs" / "scaling.md"
    fence = re.compile(r"^```text\n(# worker\.py\n.*?)^```$", re.MULTILINE | re.DOTALL)
    (text,) = fence.findall(page.read_text())
    script = tmp_path / "worker.py"
    script.write_text(text)
    address, backend = databases
    folder = tmp_path / "server"
    folder.mkdir()

    def work(machine, n_trials):
        return machine.start(str(script), str(n_trials), OPTUNA_STORAGE=address)

    with mlflow_server(backend, folder) as store:
        first, other = (Machine(tmp_path / str(i), store, "digits") for i in range(2))
        finish(work(first, 0))
        finish(work(first, 1), work(other, 1))
        finish(work(first, 0))
        study = optuna.load_study(study_name="digits", storage=storage)
        assert numbers_of(study, TrialState.COMPLETE) == [0, 1]
        assert_runs_are_those_of(study, first.runs(), n_fits_per_trial=3)
