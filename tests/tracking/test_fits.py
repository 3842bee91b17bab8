"""A fit is one finished run with everything in it."""

import contextlib
import functools
import gc
import itertools
import json
import platform
import threading
import time
import tracemalloc
import warnings

import mlflow
import numpy as np
import pandas as pd
import pytest
import sklearn
from mlflow.exceptions import MlflowException
from numpy.testing import assert_allclose
from scipy.sparse import csc_array, csr_matrix, random_array
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.tracking import TrackingWarning, flush, pending
from skperceptron.tracking.delivery import _runs
from skperceptron.tracking.recording import _fingerprint
from tests.tracking.models import bump, jitted, vectorized

pytestmark = [
    pytest.mark.usefixtures("without_models"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = load_iris(return_X_y=True)
CLASSIFIERS = [
    HillClimbPerceptron(max_iter=50, random_state=0),
    HillClimbMLP(max_iter=300, random_state=0),
    BackpropMLP(max_iter=20, random_state=0),
]
every_classifier = pytest.mark.parametrize(
    "clf", CLASSIFIERS, ids=lambda clf: type(clf).__name__
)


@pytest.fixture(autouse=True)
def _fresh(request):
    if "clf" in request.fixturenames:
        request.node.funcargs["clf"] = sklearn.base.clone(
            request.getfixturevalue("clf")
        )


@every_classifier
def test_run_is_finished_when_fit_returns(clf, runs):
    before = time.time()
    clf.fit(X, y)
    after = time.time()
    (run,) = runs.at_once()
    assert run.run_id == clf.run_id_
    assert run.status == "FINISHED"
    assert run.name == type(clf).__name__
    assert before - 1 < run.start_time / 1000 <= run.end_time / 1000 <= after + 1
    assert run.parent is None


@every_classifier
def test_every_constructor_parameter_is_a_param(clf, runs):
    clf.fit(X, y)
    assert runs()[0].params == {k: str(v) for k, v in clf.get_params().items()}


class TestDataset:
    def dataset(self, X, y, clf=None):
        clf = HillClimbPerceptron(max_iter=1) if clf is None else clf
        (logged,) = mlflow.get_run(clf.fit(X, y).run_id_).inputs.dataset_inputs
        return logged

    @every_classifier
    def test_training_data_is_an_input_of_the_run(self, clf, runs):
        logged = self.dataset(X, y, clf)
        assert {tag.key: tag.value for tag in logged.tags} == {
            "mlflow.data.context": "training"
        }
        profile = json.loads(logged.dataset.profile)
        assert profile["features_shape"] == [150, 4]
        assert (profile["num_rows"], profile["num_elements"]) == (150, 600)

    def test_digest_tells_data_apart(self, runs):
        changed = X.copy()
        changed[77, 1] += 1e-9
        variants = [(X, y), (changed, y), (X, y[::-1].copy()), (X[:149], y[:149])]
        digests = {self.dataset(*data).dataset.digest for data in variants}
        assert len(digests) == len(variants)
        assert self.dataset(X.copy(), y.copy()).dataset.digest in digests

    @pytest.mark.parametrize("form", [csr_matrix, pd.DataFrame, np.ndarray.tolist])
    def test_data_of_any_form_has_one(self, form, runs):
        assert json.loads(self.dataset(form(X), y).dataset.profile)["num_rows"] == 150

    def test_many_samples_are_looked_at_in_part(self, runs):
        many, labels = np.tile(X, (100, 1)), np.tile(y, 100)
        logged = self.dataset(many, labels)
        assert json.loads(logged.dataset.profile)["num_rows"] == 15_000
        assert logged.dataset.digest == self.dataset(many, labels).dataset.digest

    @pytest.mark.usefixtures("delivery_here")
    def test_another_fit_may_log_the_same_data_at_the_same_time(
        self, runs, monkeypatch
    ):
        log_inputs, calls = mlflow.MlflowClient.log_inputs, []

        def log_late(self, *args):
            calls.append(args)
            if len(calls) == 1:
                raise MlflowException("UNIQUE constraint failed: datasets")
            log_inputs(self, *args)

        monkeypatch.setattr(mlflow.MlflowClient, "log_inputs", log_late)
        self.dataset(X, y)
        assert len(calls) == 2
        assert [run.status for run in runs()] == ["FINISHED"]

    def test_chunks_of_partial_fit_are_none(self, runs):
        clf = HillClimbPerceptron(max_iter=1).partial_fit(X, y, classes=[0, 1, 2])
        flush()
        assert not mlflow.get_run(clf.run_id_).inputs.dataset_inputs


@every_classifier
def test_tags_name_the_estimator_and_the_versions(clf, runs):
    clf.fit(X, y)
    tags = runs()[0].tags
    cls = type(clf)
    assert tags["estimator_name"] == cls.__name__
    assert tags["estimator_class"] == f"{cls.__module__}.{cls.__name__}"
    assert tags["skperceptron_version"] == skperceptron.__version__
    assert tags["scikit_learn_version"] == sklearn.__version__
    assert tags["numpy_version"] == np.__version__
    assert tags["python_version"] == platform.python_version()


@every_classifier
def test_final_metrics(clf, runs):
    started = time.perf_counter()
    clf.fit(X, y)
    seconds = time.perf_counter() - started
    run = runs()[0]
    assert run.latest("training_score") == pytest.approx(clf.score(X, y))
    assert run.latest("n_iter") == clf.n_iter_
    assert 0 < run.latest("fit_time") < seconds


@pytest.mark.parametrize("max_iter", [0, 5, 300])
def test_objective_by_iteration(max_iter, runs):
    clf = HillClimbMLP(max_iter=max_iter, random_state=0).fit(X, y)
    chunk = max(max_iter // 100, 1)
    steps = range(0, max_iter + 1, chunk)
    expected = [(step, clf.objective_curve_[step]) for step in steps]
    assert_allclose(runs()[0].metrics["objective"], expected)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_loss_by_epoch(solver, runs):
    clf = BackpropMLP(solver=solver, max_iter=20, random_state=0).fit(X, y)
    assert_allclose(
        runs()[0].metrics["loss"], list(enumerate(clf.loss_curve_, start=1))
    )


@pytest.mark.parametrize("cls", [HillClimbMLP, BackpropMLP])
def test_validation_score_by_step_where_there_is_one(cls, runs):
    clf = cls(early_stopping=True, max_iter=100, random_state=0).fit(X, y)
    metrics = runs()[0].metrics
    logged = metrics["validation_score"]
    assert_allclose([value for _, value in logged], clf.validation_scores_)
    if cls is BackpropMLP:
        logged = metrics["validation_loss"]
        assert_allclose([value for _, value in logged], clf.validation_loss_curve_)
    cls(max_iter=100, random_state=0).fit(X, y)
    assert "validation_score" not in runs()[1].metrics


def test_curve_longer_than_one_batch_of_mlflow_is_complete(runs):
    BackpropMLP((2,), max_iter=2500, tol=0, n_iter_no_change=5000).fit(X[:100], y[:100])
    assert len(runs()[0].metrics["loss"]) == 2500


@every_classifier
def test_refitting_is_a_new_run(clf, runs):
    first = clf.fit(X, y).run_id_
    second = clf.fit(X, y).run_id_
    assert [run.run_id for run in runs()] == [first, second]


OTHER = X + 0.01  # never trained on


def with_one_column_permuted(X, column=0):
    permuted = X.copy()
    permuted[:, column] = np.random.default_rng(0).permutation(permuted[:, column])
    return permuted


def categories(n_samples, n_values):
    drawn = np.random.default_rng(0).integers(0, n_values, (n_samples, 3))
    return OneHotEncoder(sparse_output=False).fit_transform(drawn)


# Data as different as can be: measurements with equal rows, pictures, few categories.
DATA = {
    "iris": load_iris().data,
    "digits": load_digits().data,
    "breast cancer": load_breast_cancer().data,
    "64 categories": categories(400, 4),
    "8 categories": categories(200, 2),
    "one column": np.random.default_rng(0).normal(size=(500, 1)),
    "text": random_array((500, 3000), density=0.02, random_state=0).tocsr(),
}
# What a user may score that is nothing but training data.
SUBSETS = {
    "all": lambda X, rng: X,
    "first rows": lambda X, rng: X[:20],
    "rows of a mask": lambda X, rng: X[rng.random(X.shape[0]) < 0.5],
    "shuffled": lambda X, rng: X[rng.permutation(X.shape[0])],
    "in float32": lambda X, rng: X.astype(np.float32),
    "shuffled in float32": lambda X, rng: X.astype(np.float32)[
        rng.permutation(X.shape[0])
    ],
}
FORMS = [csr_matrix, csc_array, pd.DataFrame, np.ndarray.tolist, np.asfortranarray]


class TestTestScore:
    @pytest.fixture(autouse=True)
    def _runs(self, runs):
        """None that other tests make."""

    def scored(self, clf):
        """Whether a test score was logged."""
        flush()
        return "test_score" in mlflow.get_run(clf.run_id_).data.metrics

    def fitted(self, X):
        labels = np.arange(X.shape[0]) % 2
        return HillClimbPerceptron(max_iter=1).fit(X, labels)

    def score(self, clf, X):
        return clf.score(X, np.zeros(X.shape[0], int))

    def test_is_none_on_the_data_of_early_stopping(self):
        clf = BackpropMLP((2,), max_iter=1, early_stopping=True)
        clf.fit(X[::3], y[::3], X_val=X[1::3], y_val=y[1::3])
        clf.score(X[1::3], y[1::3])
        assert not self.scored(clf)
        clf.score(X[2::3], y[2::3])
        assert self.scored(clf)

    @every_classifier
    def test_is_the_first_score_on_other_data(self, clf, runs):
        clf.fit(X[::2], y[::2])
        clf.score(X[::2], y[::2])
        assert "test_score" not in runs()[0].metrics
        expected = clf.score(X[1::2], y[1::2])
        clf.score(OTHER, y)
        run = runs()[0]
        assert run.metrics["test_score"] == [(0, pytest.approx(expected))]
        assert run.status == "FINISHED"

    @pytest.mark.parametrize("data", DATA)
    def test_is_that_of_rows_held_out(self, data):
        for seed in range(2):
            train, test = train_test_split(DATA[data], random_state=seed)
            clf = self.fitted(train)
            self.score(clf, test)
            assert self.scored(clf)

    @pytest.mark.parametrize("data", DATA)
    def test_is_none_of_the_training_data(self, data):
        train, _ = train_test_split(DATA[data], random_state=0)
        clf = self.fitted(train)
        for subset in SUBSETS.values():
            self.score(clf, subset(train, np.random.default_rng(0)))
        assert not self.scored(clf)

    @pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
    def test_is_none_of_the_training_data_in_another_form(self, form):
        for first, then, labels in (
            (X, form(X), y),
            (form(X), X, y),
            (form(X), X[:70], y[:70]),
            (X, form(X[::2]), y[::2]),
        ):
            clf = HillClimbPerceptron(max_iter=1).fit(first, y)
            clf.score(then, labels)
            assert not self.scored(clf)

    @pytest.mark.parametrize("data", ["iris", "digits", "breast cancer"])
    @pytest.mark.parametrize("max_samples", [1.0, 0.4])
    def test_is_none_of_a_permutation_importance(self, data, max_samples):
        train = DATA[data][:, :12]
        clf = self.fitted(train)
        labels = np.zeros(len(train), int)
        permutation_importance(
            clf, train, labels, n_repeats=2, max_samples=max_samples, random_state=0
        )
        assert not self.scored(clf)

    @pytest.mark.parametrize("data", DATA)
    def test_is_none_of_a_copy_with_a_permuted_column(self, data):
        train = DATA[data] if data != "text" else DATA[data][:, :50].toarray()
        clf = self.fitted(train)
        self.score(clf, with_one_column_permuted(train))
        assert not self.scored(clf)

    def test_is_none_of_permuted_data_behind_encoder_and_scaler(self):
        drawn = np.random.default_rng(0).integers(0, 4, (300, 4))
        clf = HillClimbPerceptron(max_iter=1)
        encoder = OneHotEncoder(sparse_output=False)
        pipeline = make_pipeline(encoder, StandardScaler(), clf)
        pipeline.fit(drawn, drawn[:, 0])
        for column in range(4):
            pipeline.score(with_one_column_permuted(drawn, column), drawn[:, 0])
        assert not self.scored(clf)

    def test_is_that_of_a_permutation_importance_on_other_data(self):
        train, test = train_test_split(DATA["breast cancer"], random_state=0)
        clf = self.fitted(train)
        labels = np.zeros(len(test), int)
        permutation_importance(clf, test, labels, n_repeats=1)
        assert self.scored(clf)

    def test_is_none_of_data_most_of_which_is_training_data(self):
        train, _ = train_test_split(X, random_state=0)
        clf = self.fitted(train)
        self.score(clf, X)
        assert not self.scored(clf)

    def test_is_none_of_chunks_that_were_trained_on(self):
        clf = HillClimbPerceptron(max_iter=1)
        order = np.random.default_rng(0).permutation(len(X))
        for epoch in range(3):
            for rows in np.array_split(np.roll(order, epoch), 5):
                clf.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
                clf.score(X[rows], y[rows])
        clf.score(X, y)
        clf.score(X[::3], y[::3])
        clf.score(with_one_column_permuted(X), y)
        assert not self.scored(clf)
        clf.score(OTHER, y)
        assert self.scored(clf)

    @pytest.mark.parametrize("trains_on", ["fit", "partial_fit"])
    def test_is_none_of_the_data_of_a_fit_that_goes_on(self, trains_on):
        clf = HillClimbPerceptron(max_iter=1, warm_start=True).fit(X[::2], y[::2])
        getattr(clf, trains_on)(X[1::2], y[1::2])
        clf.score(X[::2], y[::2])
        assert not self.scored(clf)

    def test_is_that_of_earlier_training_data_after_a_fit_from_the_start(self):
        clf = HillClimbPerceptron(max_iter=1).fit(X[::2], y[::2])
        clf.fit(X[1::2], y[1::2])
        clf.score(X[::2], y[::2])
        assert self.scored(clf)

    def test_of_many_rows_some_are_looked_at(self, monkeypatch):
        monkeypatch.setattr(_fingerprint, "MAX_ROWS", 300)
        train, test = train_test_split(DATA["digits"], random_state=0)
        for X_scored in (train, train[::-1], with_one_column_permuted(train, 30)):
            clf = self.fitted(train)
            self.score(clf, X_scored)
            assert not self.scored(clf)
        self.score(clf, test)
        assert self.scored(clf)

    def test_memory_maps_stay_on_disk(self, tmp_path):
        data = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", shape=(20_000, 100))
        data[:] = np.random.default_rng(0).normal(size=data.shape)
        fingerprint = _fingerprint.Fingerprint()
        tracemalloc.start()
        try:
            fingerprint.add(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < data.nbytes / 2
        assert fingerprint.covers(data[::3])

    @pytest.mark.parametrize(
        "odd", [X * 1e300, X * 1e-300, np.ones((50, 3)), X * 0, X[:2], X > 1]
    )
    def test_odd_data_is_known_again_without_a_word(self, odd):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fingerprint = _fingerprint.Fingerprint()
            fingerprint.add(odd)
            assert fingerprint.covers(odd)

    def test_is_not_what_a_callback_computes_on_the_training_data(self, runs):
        class Scoring:
            def setup(self, estimator, context): ...

            def teardown(self, estimator, context): ...

            def on_fit_task_begin(self, estimator, context): ...

            def on_fit_task_end(self, estimator, context, *, X=None, y=None):
                estimator.score(X, y)

        clf = HillClimbPerceptron(max_iter=5).set_callbacks(Scoring()).fit(X, y)
        assert "test_score" not in runs()[0].metrics
        clf.score(OTHER, y)
        assert "test_score" in runs()[0].metrics

    def test_is_not_logged_when_tracking_is_off(self, runs):
        clf = HillClimbPerceptron(max_iter=5).fit(X, y)
        with skperceptron.config_context(tracking=False):
            clf.score(OTHER, y)
        assert "test_score" not in runs()[0].metrics

    def test_does_not_move_the_end_of_the_run(self, runs):
        clf = HillClimbPerceptron(max_iter=10).fit(X, y)
        end_time = runs()[0].end_time
        time.sleep(0.05)
        clf.score(OTHER, y)
        run = runs()[0]
        assert run.end_time == end_time
        assert "test_score" in run.metrics

    def test_training_data_is_known_again_behind_a_transformer(self, runs):
        clf = HillClimbPerceptron(max_iter=10)
        # PCA's fit_transform and transform differ by rounding.
        pipeline = make_pipeline(StandardScaler(), PCA(), clf).fit(X, y)
        pipeline.score(X, y)
        pipeline.score(X[::2], y[::2])
        # A linear transformer leaves the sums of the columns as they are.
        pipeline.score(with_one_column_permuted(X), y)
        assert "test_score" not in runs()[0].metrics
        pipeline.score(OTHER, y)
        assert "test_score" in runs()[0].metrics


def f2(y_true, y_pred, *, sample_weight=None):
    return 0.5


class Rectifier:
    def __call__(self, z):
        return np.maximum(z, 0)


def test_function_as_objective_is_logged_by_its_name(runs):
    HillClimbPerceptron(objective=f2, max_iter=5).fit(X, y)
    assert runs()[0].params["objective"] == f"{f2.__module__}.f2"


class TestFunctionAsActivation:
    @pytest.fixture(autouse=True)
    def _with_models(self, without_models):
        with skperceptron.config_context(log_models="best"):
            yield

    @pytest.mark.parametrize(
        ("activation", "name"),
        [
            (bump, f"{bump.__module__}.bump"),
            (np.tanh, "numpy.tanh"),
            (vectorized, f"{bump.__module__}.vectorized"),
            (["tanh", jitted], f"['tanh', {bump.__module__}.jitted]"),
        ],
    )
    def test_is_logged_by_its_name_and_in_the_model(self, activation, name, runs):
        sizes = (5,) * (2 if isinstance(activation, list) else 1)
        clf = HillClimbMLP(sizes, activation, max_iter=5, random_state=0)
        clf = sklearn.base.clone(clf).fit(X, y)
        assert runs()[0].params["activation"] == name
        loaded = mlflow.sklearn.load_model(f"runs:/{clf.run_id_}/model")
        assert loaded.activation == activation
        assert_allclose(loaded.predict_proba(X), clf.predict_proba(X))

    @pytest.mark.parametrize(
        ("activation", "name"),
        [
            (lambda z: z, "TestFunctionAsActivation.<lambda>"),
            (functools.partial(np.maximum, 0), "functools.partial(numpy.maximum, 0)"),
            (Rectifier(), "Rectifier"),
        ],
    )
    def test_that_cannot_be_imported_costs_the_model(self, activation, name, runs):
        clf = HillClimbMLP((5,), activation, max_iter=5)
        with pytest.warns(TrackingWarning, match="cannot be imported") as caught:
            clf.fit(X, y)
        assert len(caught) == 1
        assert "Define it at the top level of a module" in str(caught[0].message)
        (run,) = runs()
        assert run.status == "FINISHED"
        assert run.params["activation"].endswith(name)
        assert "0x" not in run.params["activation"]
        with pytest.raises(MlflowException):
            mlflow.sklearn.load_model(f"runs:/{run.run_id}/model")


def test_parameter_too_long_for_mlflow_is_cut(runs):
    labels = np.array([f"{name} {'x' * 3000}" for name in "abc"])[y]
    class_weight = dict.fromkeys(np.unique(labels).tolist(), 1.0)
    HillClimbPerceptron(max_iter=5, class_weight=class_weight).fit(X, labels)
    assert runs()[0].params["class_weight"] == str(class_weight)[:5997] + "..."


@every_classifier
class TestPartialFit:
    def test_all_calls_are_one_run(self, clf, runs):
        for call in range(7):
            clf.partial_fit(X, y, classes=[0, 1, 2] if call == 0 else None)
        flush()
        run_id = clf.run_id_
        clf.fit(X, y)  # which ends the run of the calls before
        run, _ = runs()
        assert run.run_id == run_id
        assert run.status == "FINISHED"
        key = "loss" if "loss" in run.metrics else "objective"
        steps = [step for step, _ in run.metrics[key]]
        assert steps == sorted(set(steps))
        assert len(steps) == (7 if key == "loss" else 8)

    @pytest.mark.parametrize("in_between", [flush, lambda: None])
    def test_many_calls_are_one_run(self, in_between, clf, runs):
        for _ in range(30):
            clf.partial_fit(X, y, classes=[0, 1, 2])
            in_between()
        (run,) = runs()
        assert run.status == "RUNNING"
        assert pending() == 0
        n_iter, curve = clf._last_step, "loss" if "loss" in run.metrics else "objective"
        clf.fit(X, y)
        run, _ = runs()
        assert run.status == "FINISHED"
        assert run.latest("n_iter") == n_iter
        steps = [step for step, _ in run.metrics[curve]]
        assert steps == sorted(set(steps))
        assert len(steps) == (30 if curve == "loss" else 31)

    @pytest.mark.usefixtures("delivery_here")
    def test_calls_do_not_wait_for_the_store(self, clf, runs, monkeypatch):
        def hang(*args, **kwargs):
            may_go_on.wait()
            return deliver(*args, **kwargs)

        deliver, may_go_on = _runs.deliver, threading.Event()
        monkeypatch.setattr(_runs, "deliver", hang)
        for _ in range(50):
            clf.partial_fit(X, y, classes=[0, 1, 2])
        assert clf.run_id_ is None
        may_go_on.set()
        n_iter = clf._last_step
        assert runs()[0].latest("n_iter") == n_iter

    def test_run_goes_on_until_the_next_fit(self, clf, runs):
        clf.partial_fit(X, y, classes=[0, 1, 2])
        assert [run.status for run in runs()] == ["RUNNING"]
        clf.partial_fit(X, y)
        clf.fit(X, y)
        assert [run.status for run in runs()] == ["FINISHED", "FINISHED"]

    def test_rest_is_delivered_when_the_estimator_is_gone(self, clf, runs):
        copy = sklearn.base.clone(clf)
        for _ in range(5):
            copy.partial_fit(X, y, classes=[0, 1, 2])
        n_iter = copy._last_step
        del copy
        gc.collect()
        clf.fit(X, y)
        assert runs()[0].latest("n_iter") == n_iter

    def test_next_fit_is_another_run(self, clf, runs):
        clf.partial_fit(X, y, classes=[0, 1, 2])
        clf.partial_fit(X, y)
        flush()
        first = clf.run_id_
        second = clf.fit(X, y).run_id_
        clf.partial_fit(X, y)
        flush()
        third = clf.run_id_
        assert [run.run_id for run in runs()] == [first, second, third]


def test_scalar_sample_weight(runs):
    clf = HillClimbPerceptron(max_iter=20).fit(X, y, sample_weight=2.0)
    assert runs()[0].latest("training_score") == pytest.approx(clf.score(X, y))


def test_partial_fits_cost_the_same_however_many_there_were(runs, monkeypatch):
    monkeypatch.setattr(_fingerprint, "MAX_ROWS", 50 * len(X))
    clf = HillClimbPerceptron(max_iter=1)
    for call in range(300):
        clf.partial_fit(X + call, y, classes=[0, 1, 2])
    assert clf._tracked_run.training_data.n_kept <= 50 * len(X)


class TestFailedFit:
    def test_ends_as_failed_with_the_error(self, runs):
        clf = BackpropMLP(activation="identity", solver="sgd", learning_rate_init=1e200)
        with pytest.raises(ValueError, match="non-finite"):
            clf.fit(X, y)
        (run,) = runs()
        assert run.status == "FAILED"
        assert run.tags["error"].startswith("ValueError: Solver produced non-finite")
        assert run.run_id == clf.run_id_

    def test_tells_no_password_of_an_address(self, runs):
        calls = itertools.count()

        def objective(y_true, y_pred):
            if next(calls) > 5:
                raise OSError("no answer from postgresql://me:s3cr%40t@host/db")
            return 0.0

        with pytest.raises(ValueError, match="s3cr"):
            HillClimbPerceptron(objective=objective).fit(X, y)
        (run,) = runs()
        told = "OSError: no answer from postgresql://***@host/db"
        assert run.tags["error"].endswith(told)

    def test_in_partial_fit_fails_the_run_of_the_calls_before(self, runs):
        clf = BackpropMLP(activation="identity", solver="sgd")
        clf.partial_fit(X, y, classes=[0, 1, 2])
        clf._solver.moments[0][:] = np.inf
        with pytest.raises(ValueError, match="non-finite"):
            clf.partial_fit(X, y)
        (run,) = runs()
        assert run.status == "FAILED"
        assert run.tags["error"].startswith("ValueError")

    def test_partial_fit_after_a_failed_one_finishes_the_run(self, runs):
        clf = BackpropMLP(activation="identity", solver="sgd")
        clf.partial_fit(X, y, classes=[0, 1, 2])
        clf._solver.moments[0][:] = np.inf
        with pytest.raises(ValueError, match="non-finite"):
            clf.partial_fit(X, y)
        clf.partial_fit(X, y)
        flush()
        run_id = clf.run_id_
        clf.fit(X, y)
        assert {run.run_id: run.status for run in runs()}[run_id] == "FINISHED"

    def test_keeps_the_curve_up_to_the_failure(self, runs):
        class Failing:
            def setup(self, estimator, context): ...

            def teardown(self, estimator, context): ...

            def on_fit_task_begin(self, estimator, context):
                if estimator.n_iter_ == 5:
                    raise RuntimeError("boom")

            def on_fit_task_end(self, estimator, context): ...

        clf = BackpropMLP(random_state=0).set_callbacks(Failing())
        with pytest.raises(RuntimeError):
            clf.fit(X, y)
        (run,) = runs()
        assert run.tags["error"] == "RuntimeError: boom"
        assert len(run.metrics["loss"]) == 5

    @pytest.mark.parametrize("solver", ["adam", "lbfgs"])
    def test_interrupted_by_the_user_it_ends_as_killed(self, solver, runs):
        class Interrupt:
            def setup(self, estimator, context): ...

            def teardown(self, estimator, context): ...

            def on_fit_task_begin(self, estimator, context):
                if estimator.loss_curve_[3:]:
                    raise KeyboardInterrupt

            def on_fit_task_end(self, estimator, context): ...

        clf = BackpropMLP(solver=solver, random_state=0).set_callbacks(Interrupt())
        with contextlib.suppress(KeyboardInterrupt), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Training interrupted")
            clf.fit(X, y)
        (run,) = runs()
        assert run.status == "KILLED"
        assert "error" not in run.tags
        assert len(run.metrics["loss"]) == 4
        assert run.run_id == clf.run_id_

    def test_refused_input_is_no_run(self, runs):
        with pytest.raises(ValueError, match="NaN"):
            BackpropMLP().fit(X * np.nan, y)
        with pytest.raises(ValueError, match="alpha"):
            BackpropMLP(alpha=-1).fit(X, y)
        assert runs() == []


def test_active_run_becomes_the_parent(runs):
    with mlflow.start_run() as parent:
        HillClimbPerceptron(max_iter=5).fit(X, y)
    HillClimbPerceptron(max_iter=5).fit(X, y)
    parents = {run.parent for run in runs() if run.run_id != parent.info.run_id}
    assert parents == {parent.info.run_id, None}


def test_experiment_of_the_active_run_counts(runs):
    experiment_id = mlflow.create_experiment(f"elsewhere {time.time_ns()}")
    with mlflow.start_run(experiment_id=experiment_id):
        clf = HillClimbPerceptron(max_iter=5).fit(X, y)
    assert runs() == []
    assert mlflow.get_run(clf.run_id_).info.experiment_id == experiment_id


def test_experiment_named_in_the_environment(runs, monkeypatch):
    name = f"by name {time.time_ns()}"
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    for _ in range(2):  # created by the first, found by the second
        clf = HillClimbPerceptron(max_iter=5).fit(X, y)
        experiment_id = mlflow.get_run(clf.run_id_).info.experiment_id
        assert mlflow.get_experiment(experiment_id).name == name
