"""Runs say where they come from, as those that MLflow begins itself do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import mlflow
import pytest

from tests.tracking.models import ENVIRONMENT

SCRIPT = """
import mlflow
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker

X, y = load_iris(return_X_y=True)
clf = HillClimbPerceptron(max_iter=5)
clf.fit(X, y)
search = GridSearchCV(clf, {"step_size": [0.1, 0.2]}, cv=2)
search.fit(X, y)
tracker = MLflowTracker(tags={"mlflow.source.name": "my own"})
search.set_callbacks(tracker).fit(X, y)
with mlflow.start_run(run_name="MLflow's own"):
    pass
"""
CONTEXT = {"mlflow.source.type": "JOB", "ticket": "42"}


def git(folder, *arguments):
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    command = ["git", *identity, *arguments]
    done = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory, new_store):
    """A git repository, and the runs of the program in it."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "train.py").write_text(SCRIPT)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "a program")
    shutil.copy(new_store, folder)
    environment = {
        **ENVIRONMENT,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_RUN_CONTEXT": json.dumps(CONTEXT),
        "SKPERCEPTRON_JOURNAL": str(folder / "journal"),
    }
    command = [sys.executable, "-W", "ignore", folder / "train.py"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    client = mlflow.MlflowClient(environment["MLFLOW_TRACKING_URI"])
    return folder, client.search_runs(["0"])


def tags_of(runs, name):
    return [r.data.tags for r in runs if r.info.run_name == name]


def test_fits_and_searches_carry_what_runs_of_mlflow_carry(repository):
    folder, runs = repository
    commit = git(folder, "rev-parse", "HEAD")
    (own,) = tags_of(runs, "MLflow's own")
    own.pop("mlflow.user")
    own.pop("mlflow.runName")
    assert own["mlflow.source.git.commit"] == commit
    assert CONTEXT.items() <= own.items()
    (fit, *_) = tags_of(runs, "HillClimbPerceptron")
    assert own.items() <= fit.items()
    of_searches = tags_of(runs, "GridSearchCV")
    assert len(of_searches) == 2
    for tags in of_searches:
        assert tags["mlflow.source.git.commit"] == commit
        assert CONTEXT.items() <= tags.items()


def test_tags_of_the_user_count(repository):
    _, runs = repository
    names = {tags["mlflow.source.name"] for tags in tags_of(runs, "GridSearchCV")}
    assert "my own" in names


def test_many_runs_of_a_search_leave_it_to_the_one_above(repository):
    _, runs = repository
    candidates = [run for run in runs if "candidate" in run.data.tags]
    ids = {run.info.run_id for run in candidates}
    folds = [run for run in runs if run.data.tags.get("mlflow.parentRunId") in ids]
    assert (len(candidates), len(folds)) == (2, 4)
    for run in candidates + folds:
        assert not any(name.startswith("mlflow.source") for name in run.data.tags)


def test_models_carry_it_too(repository):
    folder, runs = repository
    with_models = [r for r in runs if r.outputs and r.outputs.model_outputs]
    assert with_models
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    for run in with_models:
        model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
        commit = git(folder, "rev-parse", "HEAD")
        assert model.tags["mlflow.source.git.commit"] == commit
