"""A tracking server with a PostgreSQL database, to which many processes log at once."""

import mlflow
import pytest

from benchmarks._servers import find_postgresql
from benchmarks.team_server import KEY_TAG, Task, check, log_at_once, team_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def team():
    if find_postgresql() is None:
        pytest.skip("PostgreSQL is not installed")
    with team_server() as team:
        yield team


@pytest.mark.parametrize(
    ("n_processes", "n_runs", "with_model"),
    [(3, 10, True), (10, 200, False)],
    ids=["30 runs with models", "2000 runs"],
)
def test_each_fit_of_each_process_is_one_run(team, n_processes, n_runs, with_model):
    task = Task("fits", n_runs, with_model, team.new_experiment())
    log_at_once(team, [task], n_processes)
    check(team, task, n_processes)


@pytest.mark.parametrize(
    ("keys", "status", "complaint"),
    [
        ("ab", "FINISHED", "2 runs instead of 3"),
        ("abcd", "FINISHED", "4 runs instead of 3"),
        ("aba", "FINISHED", "there twice"),
        ("abc", None, "not ended"),
    ],
    ids=["one is lost", "one too many", "one is there twice", "none has ended"],
)
def test_count_notices(team, keys, status, complaint):
    client = mlflow.MlflowClient(team.uri)
    task = Task("client", 1, False, team.new_experiment())
    for key in keys:
        run = client.create_run(task.experiment_id, tags={KEY_TAG: key})
        client.update_run(run.info.run_id, status)
    with pytest.raises(AssertionError, match=complaint):
        check(team, task, n_processes=3)
