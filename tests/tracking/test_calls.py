"""Calls of scikit-learn that make several fits: one run above them."""

import signal
import threading
import time
import weakref
from collections import Counter
from contextlib import suppress

import mlflow
import numpy as np
import pytest
from joblib import parallel_config
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import (
    RFE,
    RFECV,
    SelectFromModel,
    SequentialFeatureSelector,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

import skperceptron
from skperceptron import BackpropMLP, HillClimbPerceptron
from skperceptron.tracking import flush
from tests.tracking.faults import rows, statuses_of, within

X, y = load_iris(return_X_y=True)
BINARY = y == 2
BOTH = np.column_stack([y > 0, y > 1]).astype(int)
SOME = np.where(np.arange(len(y)) % 3, y, -1)
CLF = HillClimbPerceptron(max_iter=10, random_state=0)
MLP = BackpropMLP((4,), max_iter=3, random_state=0)
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:y_pred contains classes"
)


def parts_of(runs):
    """Take the one run at the top from the others, which are below it."""
    (above,) = [run for run in runs if run.parent is None]
    below = [run for run in runs if run is not above]
    assert {run.parent for run in below} == {above.run_id}
    return above, below


def names_of(runs):
    return [run.name for run in runs]


def models_of(runs):
    client = mlflow.MlflowClient()
    return [run for run in runs if client.get_run(run.run_id).outputs.model_outputs]


def is_settled(runs):
    found = runs.at_once()
    return bool(found) and "RUNNING" not in {run.status for run in found}


FUNCTIONS = [
    (cross_validate, {"cv": 3}, 3),
    (cross_val_score, {"cv": 3}, 3),
    (cross_val_predict, {"cv": 3}, 3),
    (permutation_test_score, {"cv": 2, "n_permutations": 2}, 2 * 3),
    (learning_curve, {"cv": 2, "train_sizes": [0.5, 1.0], "shuffle": True}, 4),
    (
        learning_curve,
        {
            "cv": 2,
            "train_sizes": [0.5, 1.0],
            "shuffle": True,
            "exploit_incremental_learning": True,
        },
        2,
    ),
    (
        validation_curve,
        {"cv": 2, "param_name": "step_size", "param_range": [0.1, 0.2]},
        4,
    ),
]
# With the fits that each makes, and the models that it keeps.
ESTIMATORS = [
    (RFE(CLF, n_features_to_select=3), y, 2, 1),
    (RFECV(CLF, cv=2, min_features_to_select=4), y, 2 * 1 + 1 + 1, 1),
    (SelectFromModel(CLF), y, 1, 1),
    (SequentialFeatureSelector(CLF, n_features_to_select=1, cv=2), y, 4 * 2, 0),
    (TunedThresholdClassifierCV(MLP, cv=2), BINARY, 2 + 1, 1),
    (FixedThresholdClassifier(MLP), BINARY, 1, 1),
    (CalibratedClassifierCV(CLF, cv=2), y, 2, 0),
    (CalibratedClassifierCV(CLF, cv=2, ensemble=False), y, 2 + 1, 0),
    (BaggingClassifier(CLF, n_estimators=2), y, 2, 0),
    (AdaBoostClassifier(MLP, n_estimators=1, random_state=0), y, 1, 0),
    (VotingClassifier([("a", CLF), ("b", MLP)]), y, 2, 0),
    (StackingClassifier([("a", CLF)], MLP, cv=2), y, 1 + 2 + 1, 0),
    (OneVsRestClassifier(CLF), y, 3, 0),
    (OneVsOneClassifier(CLF), y, 3, 0),
    (OutputCodeClassifier(CLF, code_size=1, random_state=3), y, 3, 0),
    (ClassifierChain(CLF), BOTH, 2, 0),
    (MultiOutputClassifier(CLF), BOTH, 2, 0),
    (SelfTrainingClassifier(MLP, max_iter=1), SOME, 2, 0),
]


@pytest.mark.parametrize(("function", "options", "n_fits"), FUNCTIONS)
def test_a_function_is_one_run_above_its_fits(function, options, n_fits, runs):
    function(CLF, X, y, **options)
    above, fits = parts_of(runs())
    assert above.name == function.__name__
    assert len(fits) == n_fits
    assert {run.status for run in [above, *fits]} == {"FINISHED"}
    assert above.start_time <= min(run.start_time for run in fits)
    assert above.end_time >= max(run.end_time for run in fits)
    assert above.tags["skperceptron_version"] == skperceptron.__version__
    assert models_of([above, *fits]) == []


class TestNamesOfFolds:
    @pytest.mark.parametrize(
        "function", [cross_validate, cross_val_score, cross_val_predict]
    )
    @pytest.mark.parametrize("backend", ["sequential", "loky", "threading"])
    def test_are_numbered_by_split(self, function, backend, runs):
        with parallel_config(backend=backend):
            function(make_pipeline(StandardScaler(), CLF), X, y, cv=4, n_jobs=2)
        _, fits = parts_of(runs())
        assert sorted(names_of(fits)) == [f"fold {split}" for split in range(4)]

    def test_follow_the_order_of_the_results(self, runs):
        results = cross_validate(CLF, X, y, cv=2, return_estimator=True)
        found = {run.run_id: run.name for run in runs()}
        names = [found[clf.run_id_] for clf in results["estimator"]]
        assert names == ["fold 0", "fold 1"]

    def test_are_shared_by_the_fits_of_a_curve_on_one_split(self, runs):
        learning_curve(CLF, X, y, cv=2, train_sizes=[0.5, 1.0], shuffle=True)
        _, fits = parts_of(runs())
        assert sorted(names_of(fits)) == ["fold 0"] * 2 + ["fold 1"] * 2

    def test_begin_anew_with_each_call(self, runs):
        cross_val_score(CLF, X, y, cv=2)
        cross_val_score(CLF, X, y, cv=2)
        names = Counter(run.name for run in runs())
        assert names == {"cross_val_score": 2, "fold 0": 2, "fold 1": 2}

    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_are_not_those_of_members_of_ensembles(self, n_jobs, runs):
        bagging = BaggingClassifier(CLF, n_estimators=2)
        cross_val_score(bagging, X, y, cv=2, n_jobs=n_jobs)
        _, fits = parts_of(runs())
        assert sorted(names_of(fits)) == ["HillClimbPerceptron"] * 4

    def test_are_not_those_of_later_fits(self, runs):
        results = cross_validate(CLF, X, y, cv=2, return_estimator=True)
        again = results["estimator"][1].fit(X, y)
        found = {run.run_id: run.name for run in runs()}
        assert found[again.run_id_] == "HillClimbPerceptron"


@pytest.mark.parametrize(
    ("estimator", "target", "n_fits", "n_models"),
    ESTIMATORS,
    ids=[type(estimator).__name__ for estimator, *_ in ESTIMATORS],
)
def test_an_estimator_is_one_run_above_its_fits(
    estimator, target, n_fits, n_models, runs
):
    estimator.fit(X, target)
    above, fits = parts_of(runs())
    assert above.name == type(estimator).__name__
    assert above.status == "FINISHED"
    assert len(fits) == n_fits
    assert len(models_of([above, *fits])) == n_models


def test_selector_keeps_the_model_that_it_predicts_with(runs):
    selector = RFECV(CLF, cv=2, min_features_to_select=3).fit(X, y)
    _, fits = parts_of(runs())
    (kept,) = models_of(fits)
    assert kept.run_id == selector.estimator_.run_id_


def test_selector_keeps_the_model_in_its_pipeline(runs):
    selector = RFE(
        make_pipeline(StandardScaler(), CLF),
        n_features_to_select=3,
        importance_getter="named_steps.hillclimbperceptron.coef_",
    ).fit(X, y)
    _, fits = parts_of(runs())
    (kept,) = models_of(fits)
    assert kept.run_id == selector.estimator_[-1].run_id_


def test_all_models_are_kept_on_demand(runs):
    with skperceptron.config_context(log_models="all"):
        cross_val_score(CLF, X, y, cv=2)
    _, fits = parts_of(runs())
    assert len(models_of(fits)) == 2


class TestOtherProcessesAndThreads:
    @pytest.mark.parametrize("backend", ["loky", "threading"])
    @pytest.mark.parametrize(
        "estimator",
        [
            RFECV(CLF, cv=2, min_features_to_select=3),
            # These make their clones there, ...
            BaggingClassifier(CLF, n_estimators=2),
            OneVsRestClassifier(CLF),
            # ... this one in the thread of the caller.
            VotingClassifier([("a", CLF), ("b", MLP)]),
        ],
        ids=lambda estimator: type(estimator).__name__,
    )
    def test_estimator(self, estimator, backend, runs):
        with parallel_config(backend=backend):
            estimator.set_params(n_jobs=2).fit(X, y)
        above, fits = parts_of(runs())
        assert above.name == type(estimator).__name__
        assert above.status == "FINISHED"
        assert len(fits) >= 2

    @pytest.mark.parametrize("backend", ["loky", "threading"])
    def test_scores_are_known_whoever_computes_them(self, backend, runs):
        pipeline = make_pipeline(StandardScaler(), CLF)
        with parallel_config(backend=backend):
            scores = cross_val_score(pipeline, X, y, cv=4, n_jobs=2, scoring="f1_macro")
        above, fits = parts_of(runs())
        assert len(fits) == 4
        assert above.latest("mean_test_score") == pytest.approx(scores.mean())
        assert above.latest("std_test_score") == pytest.approx(scores.std())

    def test_calls_of_several_threads_have_their_own_runs(self, runs):
        threads = [
            threading.Thread(target=cross_val_score, args=(CLF, X, y)) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = runs()
        above = [run for run in found if run.name == "cross_val_score"]
        assert len(above) == 2
        for parent in above:
            assert sum(run.parent == parent.run_id for run in found) == 5


class TestScores:
    def test_of_several_metrics_and_the_training_data(self, runs):
        results = cross_validate(
            CLF, X, y, cv=3, scoring=["f1_macro", "accuracy"], return_train_score=True
        )
        above, _ = parts_of(runs())
        for name, values in results.items():
            assert above.latest(f"mean_{name}") == pytest.approx(values.mean())
            assert above.latest(f"std_{name}") == pytest.approx(values.std())
        assert "mean_test_f1_macro" in above.metrics
        assert "mean_train_accuracy" in above.metrics

    def test_each_fit_keeps_its_own_beside_parameters_and_curve(self, runs):
        scores = cross_val_score(CLF, X, y, cv=3)
        _, fits = parts_of(runs())
        own = [run.latest("split_test_score") for run in fits]
        assert sorted(own) == pytest.approx(sorted(scores))
        assert {run.params["max_iter"] for run in fits} == {"10"}
        assert all(len(run.metrics["objective"]) > 1 for run in fits)

    def test_of_a_permutation_test(self, runs):
        score, permuted, pvalue = permutation_test_score(
            CLF, X, y, cv=2, n_permutations=3
        )
        above, _ = parts_of(runs())
        assert above.latest("mean_test_score") == pytest.approx(score)
        assert above.latest("mean_permutation_score") == pytest.approx(permuted.mean())
        assert above.latest("pvalue") == pytest.approx(pvalue)

    def test_of_a_learning_curve_by_the_size(self, runs):
        sizes, _, scores = learning_curve(
            CLF, X, y, cv=2, train_sizes=[0.5, 1.0], shuffle=True
        )
        above, _ = parts_of(runs())
        assert above.metrics["mean_test_score"] == [
            (size, pytest.approx(score))
            for size, score in zip(sizes, scores.mean(axis=1), strict=True)
        ]

    def test_of_a_validation_curve_by_the_place(self, runs):
        train, _ = validation_curve(
            CLF, X, y, cv=2, param_name="step_size", param_range=[0.1, 0.2]
        )
        above, _ = parts_of(runs())
        assert above.metrics["mean_train_score"] == [
            (place, pytest.approx(score)) for place, score in enumerate(train.mean(1))
        ]

    def test_of_selectors_and_tuners(self, runs):
        selector = RFECV(CLF, cv=2, min_features_to_select=3).fit(X, y)
        above, _ = parts_of(runs())
        results = selector.cv_results_
        assert above.metrics["mean_test_score"] == [
            (n_features, pytest.approx(score))
            for n_features, score in zip(
                results["n_features"], results["mean_test_score"], strict=True
            )
        ]
        assert above.latest("best_score") == max(results["mean_test_score"])
        assert above.latest("n_features") == selector.n_features_

    def test_that_are_missing_do_no_harm(self, runs):
        def fail_twice(estimator, X, y):
            raise ValueError("no score")

        with pytest.warns(UserWarning, match="Scoring failed"):
            cross_validate(CLF, X, y, cv=2, scoring=fail_twice)
        above, _ = parts_of(runs())
        assert above.status == "FINISHED"


class TestNesting:
    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_search_in_a_cross_validation(self, n_jobs, runs):
        search = GridSearchCV(CLF, {"step_size": [0.1, 0.2]}, cv=2)
        cross_validate(search, X, y, cv=2, n_jobs=n_jobs)
        assert within(9, lambda: is_settled(runs))
        found = runs()
        (above,) = [run for run in found if run.parent is None]
        assert above.name == "cross_validate"
        searches = [run for run in found if run.name == "GridSearchCV"]
        assert [run.parent for run in searches] == [above.run_id] * 2
        for one in searches:
            assert sum(run.parent == one.run_id for run in found) == 5
        assert models_of(found) == []

    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_selector_in_a_search(self, n_jobs, runs):
        selector = RFE(CLF, n_features_to_select=3)
        grid = {"estimator__step_size": [0.1, 0.2]}
        GridSearchCV(selector, grid, cv=2, n_jobs=n_jobs).fit(X, y)
        assert within(9, lambda: is_settled(runs))
        above, fits = parts_of(runs())
        assert above.name == "GridSearchCV"
        assert sorted(names_of(fits)) == ["HillClimbPerceptron"] * 10

    def test_below_an_active_run(self, runs):
        with mlflow.start_run() as active:
            cross_val_score(CLF, X, y, cv=2)
        (above,) = [run for run in runs() if run.name == "cross_val_score"]
        assert above.parent == active.info.run_id

    def test_in_a_pipeline_the_selector_alone_is_such_a_call(self, runs):
        make_pipeline(RFE(CLF, n_features_to_select=3), CLF).fit(X, y)
        found = runs()
        top = [run for run in found if run.parent is None]
        assert sorted(names_of(top)) == ["HillClimbPerceptron", "RFE"]
        (single,) = [run for run in top if run.name != "RFE"]
        assert single in models_of(found)


class TestEnd:
    def test_comes_soon_and_by_itself(self, runs):
        cross_val_score(CLF, X, y, cv=2)
        assert within(9, lambda: is_settled(runs))
        above, _ = parts_of(runs.at_once())
        assert "mean_test_score" in above.metrics

    def test_fits_know_their_runs_when_the_call_returns(self, runs):
        found = cross_validate(CLF, X, y, cv=2, return_estimator=True)["estimator"]
        assert None not in [clf.run_id_ for clf in found]
        _, fits = parts_of(runs.at_once())
        assert {clf.run_id_ for clf in found} == {run.run_id for run in fits}

    def test_search_that_was_given_up_has_failed(self, runs):
        def fail(estimator, X, y):
            raise ValueError("no score")

        search = GridSearchCV(CLF, {"step_size": [0.1]}, scoring=fail, cv=2)
        with pytest.raises(ValueError, match="no score"):
            search.set_params(error_score="raise").fit(X, y)
        assert within(9, lambda: is_settled(runs))
        above, _ = parts_of(runs())
        assert above.status == "FAILED"

    def test_says_what_was_raised(self, runs):
        def fail(estimator, X, y):
            raise ValueError("no score")

        try:
            cross_validate(CLF, X, y, scoring=fail, error_score="raise")
        except ValueError:
            flush()
        above, fits = parts_of(runs())
        assert above.status == "FAILED"
        assert above.tags["error"] == "ValueError: no score"
        assert [run.status for run in fits] == ["FINISHED"]
        assert "mean_test_score" not in above.metrics

    def test_repeats_what_a_fit_has_raised(self, runs):
        class Failing:
            def setup(self, estimator, context): ...

            def on_fit_task_begin(self, estimator, context): ...

            def on_fit_task_end(self, estimator, context, **kwargs):
                raise RuntimeError("in a fit")

            def teardown(self, estimator, context): ...

        clf = HillClimbPerceptron(max_iter=10).set_callbacks(Failing())
        with pytest.raises(RuntimeError):
            cross_validate(clf, X, y, error_score="raise")
        above, _ = parts_of(runs())
        assert above.status == "FAILED"
        assert above.tags["error"] == "RuntimeError: in a fit"

    def test_of_an_interrupted_call_is_killed(self, runs):
        def interrupt(estimator, X, y):
            raise KeyboardInterrupt

        try:
            cross_validate(CLF, X, y, scoring=interrupt)
        except KeyboardInterrupt:
            flush()
        above, _ = parts_of(runs())
        assert above.status == "KILLED"

    @pytest.mark.slow  # joblib ends its workers, and other tests need some
    def test_of_an_interrupted_call_in_other_processes_is_killed(self, runs, tmp_path):
        seen = tmp_path / "seen"

        def wait(estimator, X, y):
            seen.touch()
            time.sleep(0.2)
            return 0.0

        def interrupt():
            assert within(60, seen.exists)
            signal.raise_signal(signal.SIGINT)

        # A shell lets what it starts in the background ignore the signal.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        thread = threading.Thread(target=interrupt)
        thread.start()
        with suppress(KeyboardInterrupt):
            cross_validate(CLF, X, y, cv=50, scoring=wait, n_jobs=2)
        thread.join()
        signal.signal(signal.SIGINT, before)
        assert within(9, lambda: is_settled(runs))
        (above,) = [run for run in runs() if run.name == "cross_validate"]
        assert above.status == "KILLED"

    @pytest.mark.slow
    def test_of_the_process_is_that_of_the_call(self, script):
        script.run(
            """
            from sklearn.model_selection import cross_val_score
            def kill(estimator, X, y):
                os.kill(os.getpid(), signal.SIGKILL)
            clf = HillClimbPerceptron(max_iter=5)
            cross_val_score(clf, X, y, cv=2)
            flush()
            cross_val_score(clf, X, y, cv=2, scoring=kill)
            """,
            status=-signal.SIGKILL,
        )
        flush()
        query = "SELECT name, status FROM runs ORDER BY start_time"
        assert Counter(rows(script.store, query)) == {
            ("cross_val_score", "FINISHED"): 1,
            ("HillClimbPerceptron", "FINISHED"): 2 + 1,
            ("cross_val_score", "KILLED"): 1,
        }

    @pytest.mark.slow
    def test_is_written_down_by_a_process_that_ends_at_once(self, script):
        script.run(
            "from sklearn.model_selection import cross_val_score",
            "cross_val_score(HillClimbPerceptron(max_iter=5), X, y, cv=2)",
        )
        assert statuses_of(script.store) == {"FINISHED": 1 + 2}

    def test_nothing_is_left_of_a_call_without_fits(self, runs):
        with pytest.raises(ValueError, match="inconsistent numbers"):
            cross_validate(CLF, X, y[1:])
        with pytest.raises(ValueError, match="step_size"):
            RFE(HillClimbPerceptron(step_size=-1)).fit(X, y)
        assert runs() == []

    def test_data_are_kept_no_longer(self, runs):
        data = X.copy()
        copy = weakref.ref(data)
        cross_val_score(CLF, data, y, cv=2)
        del data
        assert within(9, lambda: copy() is None)


def test_with_other_estimators_nothing_is_logged(runs):
    cross_val_score(LogisticRegression(), X, y, cv=2)
    assert runs() == []


def test_each_fit_stands_alone_where_nothing_is_recognized(runs, monkeypatch):
    from skperceptron.tracking.recording import _sklearn_internals

    monkeypatch.setattr(_sklearn_internals, "_VALIDATION", "sklearn.elsewhere")
    cross_val_score(CLF, X, y, cv=2)
    assert [run.parent for run in runs()] == [None] * 2
