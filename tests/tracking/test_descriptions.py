"""What MLflow's pages of searches, studies and models say of themselves."""

import re

import mlflow
import optuna
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import HillClimbPerceptron
from skperceptron.tracking import (
    MLflowTracker,
    flush,
    study_run_id,
    track_study,
)
from tests.tracking.tracked_searches import CLF, STEPS, Tree, make_search

X, y = load_iris(return_X_y=True)
TAG = "mlflow.note.content"
LOAD = re.compile(r'mlflow\.sklearn\.load_model\("(runs:/\w+/model)"\)')
NAME = "hillclimbperceptron__step_size"
PREFIXED = {NAME: [0.1, 0.2, 0.4]}
pytestmark = pytest.mark.usefixtures("empty_figures")


def load_as_described(text):
    (address,) = LOAD.findall(text)
    return mlflow.sklearn.load_model(address)


def cells(text):
    """Read the table of a description."""
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if "|" in line]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows[2:]}


class TestOfSearch:
    def test_it_tells_what_was_tried_and_what_was_best(self, runs):
        search = make_search(make_pipeline(StandardScaler(), CLF), PREFIXED).fit(X, y)
        text = Tree(runs()).search.tags[TAG]
        assert text.startswith("`GridSearchCV` of `HillClimbPerceptron`: 3 candidates")
        best = search.best_params_[NAME]
        assert cells(text) == {NAME: ["0.1, 0.2, 0.4", str(best)]}
        assert f"{search.best_score_:.4g}" in text

    def test_its_model_is_loaded_as_it_says(self, runs):
        search = make_search(tracker=MLflowTracker()).fit(X, y)
        loaded = load_as_described(Tree(runs()).search.tags[TAG])
        assert (loaded.predict(X) == search.predict(X)).all()

    def test_without_refit_it_promises_no_model(self, runs):
        make_search(refit=False).fit(X, y)
        assert not LOAD.findall(Tree(runs()).search.tags[TAG])

    def test_without_models_it_promises_none(self, runs):
        make_search().fit(X, y)
        assert not LOAD.findall(Tree(runs()).search.tags[TAG])

    def test_own_description_stays(self, runs):
        tracker = MLflowTracker(log_models="none", tags={TAG: "mine"})
        make_search(tracker=tracker).fit(X, y)
        assert Tree(runs()).search.tags[TAG] == "mine"

    def test_many_values_are_told_by_their_range(self, runs):
        steps = [0.1 + i / 100 for i in range(7)]
        make_search(CLF, {"step_size": steps}).fit(X, y)
        assert cells(Tree(runs()).search.tags[TAG])["step_size"][0] == "0.1 to 0.16"

    def test_hostile_values_keep_the_table_whole(self, runs):
        grid = {"clf": [Hostile(max_iter=5), CLF]}
        make_search(Pipeline([("clf", CLF)]), grid, refit=False).fit(X, y)
        (text,) = [run.tags[TAG] for run in runs() if TAG in run.tags]
        (row,) = [line for line in text.splitlines() if "`clf`" in line]
        assert row.replace("\\|", "").count("|") == 4
        assert len(row) < 250


class Hostile(HillClimbPerceptron):
    def __repr__(self):
        return "a | b `c`\n" * 100


def objective(trial):
    return -((trial.suggest_float("x", -1, 1) - 0.5) ** 2)


class TestOfStudy:
    def test_it_tells_what_was_tried_and_what_was_best(self, runs):
        study = optuna.create_study(direction="maximize")
        with track_study(study):
            study.optimize(objective, n_trials=4)
        (text,) = [run.tags[TAG] for run in runs.at_once() if TAG in run.tags]
        best = study.best_trial
        assert text.startswith("Optuna study (maximize): 4 finished trials")
        assert cells(text)["x"][1] == f"{best.params['x']:.4g}"
        assert f"trial {best.number}, reached {best.value:.4g}" in text

    def test_hundreds_of_hyperparameters_fit_into_a_tag(self, runs):
        def objective(trial):
            names = [f"{'a' * 100}{i}" for i in range(300)]
            return sum(trial.suggest_categorical(n, ["b" * 300]) == "b" for n in names)

        study = optuna.create_study()
        with track_study(study):
            study.optimize(objective, n_trials=2)
        (text,) = [run.tags[TAG] for run in runs.at_once() if TAG in run.tags]
        assert "285 more" in text
        assert not text.endswith("...")

    def test_it_follows_a_study_that_goes_on(self, client):
        study = optuna.create_study(direction="maximize")
        for _ in range(2):
            with track_study(study):
                study.optimize(objective, n_trials=3)
        flush()
        text = client.get_run(study_run_id(study)).data.tags[TAG]
        assert "6 finished trials" in text

    def test_what_somebody_has_written_instead_stays(self, client):
        study = optuna.create_study(direction="maximize")
        with track_study(study):
            study.optimize(objective, n_trials=1)
        flush()
        client.set_tag(study_run_id(study), TAG, "mine")
        with track_study(study):
            study.optimize(objective, n_trials=1)
        flush()
        assert client.get_run(study_run_id(study)).data.tags[TAG] == "mine"

    @pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"]])
    def test_without_one_best_trial_it_names_none(self, directions, runs):
        study = optuna.create_study(directions=directions)
        with track_study(study):
            for number in range(2):
                study.ask({"x": optuna.distributions.IntDistribution(0, 3)})
                if len(directions) == 1:
                    study.tell(number, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(number, [1.0, 2.0])
        (text,) = [run.tags[TAG] for run in runs.at_once() if TAG in run.tags]
        assert f"({', '.join(directions)})" in text
        assert "best one" not in text


class TestOfModel:
    def models(self, run_id):
        client = mlflow.MlflowClient()
        outputs = client.get_run(run_id).outputs.model_outputs
        return [client.get_logged_model(output.model_id) for output in outputs]

    def test_it_tells_its_estimator_and_how_to_load_it(self):
        clf = HillClimbPerceptron(max_iter=5).fit(X, y)
        (model,) = self.models(clf.run_id_)
        assert model.tags[TAG].startswith("`HillClimbPerceptron`, the model of the run")
        assert (load_as_described(model.tags[TAG]).predict(X) == clf.predict(X)).all()

    def test_it_names_the_steps_of_a_pipeline(self):
        tracker = MLflowTracker(run_name="steps")
        pipeline = make_pipeline(StandardScaler(), CLF).set_callbacks(tracker)
        pipeline.fit(X, y)
        (model,) = self.models(tracker.run_id_)
        told = "`StandardScaler, HillClimbPerceptron`, the model of the run steps"
        assert model.tags[TAG].startswith(told)

    def test_it_has_the_metrics_of_its_run_on_its_data(self, client):
        clf = HillClimbPerceptron(max_iter=5).fit(X, y)
        (model,) = self.models(clf.run_id_)
        run = client.get_run(clf.run_id_)
        assert {m.key: m.value for m in model.metrics} == run.data.metrics
        (told,) = run.inputs.dataset_inputs
        digests = {(m.dataset_name, m.dataset_digest) for m in model.metrics}
        assert digests == {(told.dataset.name, told.dataset.digest)}
        assert len(client.get_metric_history(clf.run_id_, "training_score")) == 1

    def test_it_has_the_score_on_other_data(self, client):
        clf = HillClimbPerceptron(max_iter=5).fit(X[::2], y[::2])
        score = clf.score(X[1::2], y[1::2])
        flush()
        (model,) = self.models(clf.run_id_)
        (told,) = [m for m in model.metrics if m.key == "test_score"]
        assert (told.value, told.dataset_name) == (score, None)

    def test_that_of_a_search_has_its_score_on_other_data(self, client):
        tracker = MLflowTracker()
        search = make_search(CLF, STEPS, tracker=tracker).fit(X[::2], y[::2])
        score = search.score(X[1::2], y[1::2])
        flush()
        (model,) = self.models(tracker.run_id_)
        assert {m.key: m.value for m in model.metrics}["test_score"] == score
        assert model.tags[TAG].startswith("`HillClimbPerceptron`")
