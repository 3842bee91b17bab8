"""Searches with a tracker, and the tree of runs that each leaves."""

import re

import mlflow
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import MLflowTracker

X, y = load_iris(return_X_y=True)
CLF = HillClimbPerceptron(max_iter=10, random_state=0)
STEPS = {"step_size": [0.1, 0.2, 0.4]}
PREFIXED = {"hillclimbperceptron__step_size": [0.1, 0.2, 0.4]}
BACKENDS = ["loky", "threading"]


def make_search(
    estimator=CLF, grid=STEPS, /, kind=GridSearchCV, tracker=None, **kwargs
):
    """Make a search whose tracker keeps no model, unless it is given one that does."""
    search = kind(clone(estimator), grid, **{"cv": 2, **kwargs})
    return search.set_callbacks(tracker or MLflowTracker(log_models="none"))


def make_pca_search(n_components=(1, 20, 2), **kwargs):
    """Of its candidates, that with 20 components of 4 features fails."""
    pipeline = make_pipeline(PCA(), CLF)
    return make_search(pipeline, {"pca__n_components": n_components}, **kwargs)


class Tree:
    """The runs of one search, by their places."""

    def __init__(self, found):
        by_id = {run.run_id: run for run in found}
        (self.search,) = [run for run in found if run.parent not in by_id]
        below = [run for run in found if run.parent == self.search.run_id]
        self.refits = [run for run in below if run.name == "refit"]
        candidates = [run for run in below if run.name != "refit"]
        given_up = [run for run in candidates if "candidate" not in run.tags]
        # Their names end with the value that was tried, or with their number.
        given_up.sort(key=lambda run: float(re.split("[= ]", run.name)[-1]))
        self.candidates = dict(enumerate(given_up)) | {
            int(run.tags["candidate"]): run for run in candidates if run not in given_up
        }
        rows = {run.run_id: row for row, run in self.candidates.items()}
        self.folds = {
            (rows[run.parent], int(run.name.removeprefix("fold "))): run
            for run in found
            if run is not self.search and run.parent != self.search.run_id
        }
        n_placed = 1 + len(self.refits) + len(self.candidates) + len(self.folds)
        assert n_placed == len(found)

    @property
    def statuses(self):
        """Of the search, of its candidates and of their folds, in order."""
        return (
            self.search.status,
            [self.candidates[row].status for row in sorted(self.candidates)],
            [self.folds[place].status for place in sorted(self.folds)],
        )


def assert_logged(tree, search):
    """Compare the runs with what the search found."""
    results = search.cv_results_
    n_rows = len(results["params"])
    assert {run.status for run in tree.folds.values()} == {"FINISHED"}
    assert {run.status for run in tree.candidates.values()} == {"FINISHED"}
    assert [run.status for run in tree.refits] == ["FINISHED"] * bool(search.refit)
    assert tree.search.status == "FINISHED"
    assert sorted(tree.candidates) == list(range(n_rows))
    folds = [(row, k) for row in range(n_rows) for k in range(search.n_splits_)]
    assert sorted(tree.folds) == folds
    for row, run in tree.candidates.items():
        params = results["params"][row]
        assert run.params == {name: str(value) for name, value in params.items()}
        for name, column in results.items():
            if name.startswith(("mean", "std", "rank", "iter", "n_resources")):
                assert run.latest(name) == column[row]
    for (row, k), run in tree.folds.items():
        for name, column in results.items():
            if name.startswith(f"split{k}_"):
                score = run.latest(f"split_{name.removeprefix(f'split{k}_')}")
                assert score == column[row]
    if hasattr(search, "best_params_"):
        logged = {k: v for k, v in tree.search.params.items() if k.startswith("best_")}
        best = {f"best_{k}": str(v) for k, v in search.best_params_.items()}
        assert logged == best
        assert tree.search.tags["best_index"] == str(search.best_index_)
    if hasattr(search, "best_score_"):
        assert tree.search.latest("best_score") == search.best_score_


def artifacts_of(run):
    return {item.path for item in mlflow.MlflowClient().list_artifacts(run.run_id)}


def model_of(run):
    return mlflow.sklearn.load_model(f"runs:/{run.run_id}/model")


def has_model(run):
    return bool(mlflow.get_run(run.run_id).outputs.model_outputs)
