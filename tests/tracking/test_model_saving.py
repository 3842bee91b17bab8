"""A model that was saved predicts as the estimator did, wherever it is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from zipfile import ZipFile

import joblib
import mlflow
import numpy as np
import pandas as pd
import pytest
import sklearn
import skops
import yaml
from mlflow.exceptions import MlflowException
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import coo_array, csr_matrix
from scipy.special import expit
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.compose import make_column_transformer
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skperceptron
from skperceptron import BackpropMLP, HillClimbMLP
from skperceptron.tracking.delivery._models import log_model
from tests.tracking.models import (
    ENVIRONMENT,
    Service,
    X,
    bump,
    jitted,
    perceptron,
    save_model,
    vectorized,
    y,
)

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # As in the process that delivers, whose warnings nobody sees.
    pytest.mark.filterwarnings("ignore:Hint. Inferred schema contains integer"),
]
NAMES = np.array(["setosa", "versicolor", "virginica"])[y]
FRAME = pd.DataFrame(
    {
        "length": X[:, 0],
        "count": np.arange(150) % 7,
        "gap": np.where(np.arange(150) % 5 == 2, np.nan, X[:, 2]),
        "flag": X[:, 3] > 1,
        "color": pd.Categorical(np.array(["red", "green", "blue"])[y]),
        "text": np.array(["a", "b"])[np.arange(150) % 2],
    }
)


def climber(hidden_layer_sizes=(5,), **params):
    return HillClimbMLP(hidden_layer_sizes, max_iter=50, random_state=0, **params)


def backprop(hidden_layer_sizes=(5,), **params):
    params = {"max_iter": 15, "random_state": 0, **params}
    return BackpropMLP(hidden_layer_sizes, **params)


MAKERS = {"perceptron": perceptron, "climber": climber, "backprop": backprop}


def of_frame(clf):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    encode = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer(
        (numbers, ["length", "count", "gap"]),
        (encode, ["color", "text"]),
        ("passthrough", ["flag"]),
    )
    return make_pipeline(columns, clf)


class Derived(BackpropMLP):
    """A class of a user's own."""


def plain_metric(y_true, y_pred):
    return float(np.mean(y_true == y_pred))


def listened_to(clf):
    return clf.set_callbacks(ScoringMonitor(scoring="accuracy"))


def trained_in_chunks(clf):
    for rows in (slice(0, None, 2), slice(1, None, 2)):
        clf.partial_fit(X[rows], y[rows], classes=np.unique(y))
    return clf


def routed():
    with sklearn.config_context(enable_metadata_routing=True):
        scale = StandardScaler().set_fit_request(sample_weight=False)
        clf = backprop().set_fit_request(sample_weight=True)
        return make_pipeline(scale, clf).fit(X, y, sample_weight=np.ones(150))


def searched():
    pipeline = make_pipeline(StandardScaler(), listened_to(backprop()))
    search = GridSearchCV(pipeline, {"backpropmlp__alpha": [0.1, 0.2]}, cv=2)
    return search.fit(X, y).best_estimator_


def voting():
    members = [("a", climber(objective=plain_metric)), ("b", listened_to(backprop()))]
    return VotingClassifier(members, voting="soft").fit(X, y)


def _cases():
    for name, make in MAKERS.items():
        yield name, lambda make=make: (make().fit(X, y), X)
        yield (
            f"{name} in a pipeline",
            lambda make=make: (make_pipeline(StandardScaler(), make()).fit(X, y), X),
        )
        yield (
            f"{name} on a dataframe",
            lambda make=make: (of_frame(make()).fit(FRAME, NAMES), FRAME),
        )
        yield (
            f"{name} in float32",
            lambda make=make: (make().fit(X.astype("float32"), y), X.astype("float32")),
        )
        yield f"{name} of strings", lambda make=make: (make().fit(X, NAMES), X)
        yield (
            f"{name} on sparse data",
            lambda make=make: (make().fit(csr_matrix(X), y), csr_matrix(X)),
        )
        yield (
            f"{name} with callbacks",
            lambda make=make: (listened_to(make()).fit(X, y), X),
        )
        yield f"{name} in chunks", lambda make=make: (trained_in_chunks(make()), X)
    yield "multilabel", lambda: (backprop().fit(X, X.mean(axis=0) < X), X)
    yield "lbfgs", lambda: (backprop(solver="lbfgs").fit(X, y), X)
    objectives = {
        "function": plain_metric,
        "lambda": lambda y_true, y_pred: float(np.mean(y_true == y_pred)),
        "scorer": make_scorer(f1_score, average="macro"),
    }
    for name, objective in objectives.items():
        yield name, lambda o=objective: (climber(objective=o).fit(X, y), X)
    yield (
        "early stopping",
        lambda: (
            backprop(early_stopping=True, scoring=objectives["scorer"]).fit(X, y),
            X,
        ),
    )
    yield (
        "random state",
        lambda: (
            climber().set_params(random_state=np.random.RandomState(3)).fit(X, y),
            X,
        ),
    )
    yield (
        "weights of classes",
        lambda: (backprop(class_weight={0: 1.0, 1: 2}).fit(X, y), X),
    )
    activations = {
        "activation": bump,
        "ufunc": np.tanh,
        "ufunc of scipy": expit,
        "activations": ["tanh", jitted, vectorized],
    }
    for name, activation in activations.items():
        sizes = (5,) * (len(activation) if isinstance(activation, list) else 1)
        clf = climber(sizes, activation=activation)
        yield name, lambda clf=clf: (clone(clf).fit(X, y), X)
    yield "routing", lambda: (routed(), X)
    yield "search", lambda: (searched(), X)
    yield "voting", lambda: (voting(), X)
    words = ["aa bb", "cc dd", "aa cc"] * 5
    text = make_pipeline(TfidfVectorizer(), backprop())
    yield "list of texts", lambda: (clone(text).fit(words, [0, 1, 2] * 5), words)
    series = pd.Series(words)
    yield "series of texts", lambda: (clone(text).fit(series, [0, 1, 2] * 5), series)
    yield "sparse array", lambda: (backprop().fit(coo_array(X), y), coo_array(X))
    yield "lists", lambda: (backprop().fit(X.tolist(), y), X.tolist())


CASES = dict(_cases())
every_case = pytest.mark.parametrize("case", CASES)
LOADER = """
import sys, joblib, mlflow
folder = sys.argv[1]
cases = joblib.load(f"{folder}/cases")
for case in cases.values():
    X = case.pop("X")
    model = mlflow.sklearn.load_model(case["uri"])
    case["prediction"] = model.predict(X)
    if hasattr(model, "predict_proba"):
        case["proba"] = model.predict_proba(X)
joblib.dump(cases, f"{folder}/results")
"""


@pytest.fixture(scope="module")
def fitted():
    with skperceptron.config_context(tracking=False):
        return {name: make() for name, make in CASES.items()}


@pytest.fixture(scope="module")
def folders(fitted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    paths = {case: folder / str(i) for i, case in enumerate(fitted)}
    for case, (estimator, data) in fitted.items():
        save_model(estimator, data, paths[case])
    return paths


@pytest.fixture(scope="module")
def elsewhere(fitted, folders, client, experiment, tmp_path_factory):
    """What a fresh process predicts with the models of runs."""
    cases = {}
    for case, (_, data) in fitted.items():
        run_id = client.create_run(experiment).info.run_id
        log_model(client, run_id, folders[case])
        cases[case] = {"uri": f"runs:/{run_id}/model", "X": data}
    folder = tmp_path_factory.mktemp("elsewhere")
    joblib.dump(cases, folder / "cases")
    command = [sys.executable, "-c", LOADER, str(folder)]
    subprocess.run(command, check=True, env=ENVIRONMENT)
    return joblib.load(folder / "results")


class TestSaving:
    @every_case
    def test_loaded_elsewhere_it_predicts_the_same(self, case, fitted, elsewhere):
        estimator, data = fitted[case]
        found = elsewhere[case]
        assert_array_equal(found["prediction"], estimator.predict(data))
        assert found["prediction"].dtype == estimator.predict(data).dtype
        assert ("proba" in found) == hasattr(estimator, "predict_proba")
        if "proba" in found:
            assert_array_equal(found["proba"], estimator.predict_proba(data))

    @every_case
    def test_there_is_no_pickle(self, case, folders):
        folder = folders[case]
        files = {path.name for path in folder.rglob("*")}
        assert files == {
            "MLmodel",
            "conda.yaml",
            "input_example.json",
            "model.skops",
            "python_env.yaml",
            "requirements.txt",
            "serving_input_example.json",
        }
        flavors = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]
        assert flavors["sklearn"]["serialization_format"] == "skops"
        assert flavors["sklearn"]["pickled_model"] == "model.skops"  # just a key
        with ZipFile(folder / "model.skops") as archive:
            endings = {Path(name).suffix for name in archive.namelist()}
        assert endings <= {".json", ".npy", ".npz"}

    @every_case
    def test_it_predicts_its_example_when_served(self, case, fitted, folders):
        served = mlflow.pyfunc.load_model(str(folders[case]))
        example = served.input_example
        assert 0 < len(example) <= 5
        estimator, data = fitted[case]
        expected = estimator.predict(data)[: len(example)]
        assert_array_equal(served.predict(example), expected)

    @every_case
    def test_it_predicts_what_is_asked_for_when_served(self, case, fitted, folders):
        served = mlflow.pyfunc.load_model(str(folders[case]))
        estimator, _ = fitted[case]
        example = served.input_example
        for method in ("predict", "predict_proba", "decision_function"):
            params = {"predict_method": method}
            if hasattr(estimator, method):
                expected = getattr(estimator, method)(example)
                assert_array_equal(served.predict(example, params), expected)
            else:
                with pytest.raises(MlflowException, match=r"predict_method must be"):
                    served.predict(example, params)

    def test_served_it_refuses_what_it_does_not_have(self, folders):
        served = mlflow.pyfunc.load_model(str(folders["backprop"]))
        with pytest.raises(
            MlflowException, match=r"one of \['predict', 'predict_proba'"
        ):
            served.predict(X[:2], {"predict_method": "fit"})

    def test_models_of_other_packages_do_not_need_ours(self, tmp_path):
        save_model(LogisticRegression().fit(X, y), X, tmp_path / "m")
        description = mlflow.models.Model.load(str(tmp_path / "m"))
        loader = description.flavors["python_function"]["loader_module"]
        assert loader == "mlflow.sklearn"
        assert "skperceptron" not in (tmp_path / "m" / "requirements.txt").read_text()

    def test_models_of_derived_classes_predict_probabilities(self, tmp_path):
        clf = Derived((5,), max_iter=5).fit(X, y)
        save_model(clf, X, tmp_path / "m", trusted_types=[f"{__name__}.Derived"])
        served = mlflow.pyfunc.load_model(str(tmp_path / "m"))
        proba = served.predict(X, {"predict_method": "predict_proba"})
        assert_array_equal(proba, clf.predict_proba(X))

    def test_without_its_example_it_holds_no_row(self, tmp_path):
        clf = backprop().fit(X, y)
        save_model(clf, X, tmp_path / "m", with_example=False)
        assert not list((tmp_path / "m").glob("*input_example*"))
        served = mlflow.pyfunc.load_model(str(tmp_path / "m"))
        assert_array_equal(served.predict(X), clf.predict(X))
        assert served.metadata.get_input_schema() is not None

    def test_example_and_signature_of_a_dataframe_have_its_columns(self, folders):
        model = mlflow.models.Model.load(str(folders["backprop on a dataframe"]))
        example = model.load_input_example(str(folders["backprop on a dataframe"]))
        assert list(example) == list(FRAME)
        plain = ["length", "count", "gap", "flag"]
        pd.testing.assert_frame_equal(example[plain], FRAME[plain].head())
        types = {c["name"]: c["type"] for c in model.signature.inputs.to_dict()}
        assert types == {
            "length": "double",
            "count": "long",
            "gap": "double",
            "flag": "boolean",
            "color": "string",
            "text": "string",
        }

    @pytest.mark.parametrize(
        ("case", "dtype"),
        [
            ("climber in float32", "float32"),
            ("climber on sparse data", "float64"),
            ("sparse array", "float64"),
        ],
    )
    def test_signature_of_arrays_has_their_dtype(self, case, dtype, folders):
        signature = mlflow.models.get_model_info(str(folders[case])).signature
        (spec,) = signature.inputs.to_dict()
        assert spec["tensor-spec"] == {"dtype": dtype, "shape": (-1, 4)}

    def test_example_of_wide_data_is_short(self, tmp_path):
        wide = np.random.default_rng(0).normal(size=(20, 4000))
        save_model(perceptron().fit(wide, y[40:60]), wide, tmp_path / "m")
        model = mlflow.models.Model.load(str(tmp_path / "m"))
        example = model.load_input_example(str(tmp_path / "m"))
        assert_array_equal(example, wide[:2])

    def test_requirements_are_the_installed_versions(self, folders):
        requirements = folders["climber"] / "requirements.txt"
        assert set(requirements.read_text().split()) == {
            f"mlflow=={mlflow.__version__}",
            f"numpy=={np.__version__}",
            f"scikit-learn=={sklearn.__version__}",
            f"skops=={skops.__version__}",
            f"skperceptron=={skperceptron.__version__}",
        }

    @pytest.mark.parametrize("kind", [bool, np.bool_])
    def test_weights_of_classes_that_are_booleans_are_kept(self, kind, tmp_path):
        weights = {kind(False): 2.0, kind(True): 1.0}
        clf = perceptron().set_params(class_weight=weights)
        save_model(clf.fit(X, y > 0), X, tmp_path / "m")
        loaded = mlflow.sklearn.load_model(str(tmp_path / "m"))
        assert loaded.class_weight == weights
        assert clf.class_weight is weights

    def test_weights_of_classes_that_are_fractions_are_kept_as_floats(self, tmp_path):
        weights = {0: Fraction(1, 3), 1: 2}
        clf = perceptron().set_params(class_weight=weights)
        save_model(clf.fit(X, y > 0), X, tmp_path / "m")
        loaded = mlflow.sklearn.load_model(str(tmp_path / "m"))
        assert loaded.class_weight == {0: 1 / 3, 1: 2}

    def test_transformers_are_saved_too(self, tmp_path):
        scaler = StandardScaler().fit(X)
        save_model(scaler, X, tmp_path / "m")
        loaded = mlflow.sklearn.load_model(str(tmp_path / "m"))
        assert_array_equal(loaded.transform(X), scaler.transform(X))

    @pytest.mark.parametrize(
        "case", ["lambda", "voting", "search", "climber in chunks", "activation"]
    )
    def test_the_estimator_stays_as_it_is(self, case, tmp_path):
        estimator, data = CASES[case]()
        before = parts(estimator)
        save_model(estimator, data, tmp_path / "m")
        assert parts(estimator) == before

    @pytest.mark.parametrize(
        ("case", "name"),
        [
            ("function", f"{__name__}.plain_metric"),
            ("lambda", f"{__name__}._cases.<locals>.<lambda>"),
            (
                "scorer",
                "make_scorer(f1_score, response_method='predict', average=macro)",
            ),
            ("climber", "log_loss"),
        ],
    )
    def test_objective_is_named(self, case, name, folders):
        assert mlflow.sklearn.load_model(str(folders[case])).objective == name

    def test_score_of_early_stopping_is_named(self, folders):
        clf = mlflow.sklearn.load_model(str(folders["early stopping"]))
        assert clf.scoring.startswith("make_scorer(f1_score")

    @pytest.mark.parametrize(
        ("case", "activation"),
        [
            ("activation", bump),
            ("ufunc", np.tanh),
            ("ufunc of scipy", expit),
            ("activations", ["tanh", jitted, vectorized]),
        ],
    )
    def test_activations_are_imported(self, case, activation, folders):
        assert mlflow.sklearn.load_model(str(folders[case])).activation == activation

    def test_callbacks_and_runs_are_left_out(self, own_experiment, tmp_path):
        with skperceptron.config_context(tracking=True):
            clf = listened_to(climber()).fit(X, y)
        assert {"_skl_callbacks", "_tracked_run"} <= set(vars(clf))
        save_model(clf, X, tmp_path / "m")
        loaded = vars(mlflow.sklearn.load_model(str(tmp_path / "m")))
        missing = {"_skl_callbacks", "_tracked_run", "_run_ticket"}
        assert set(vars(clf)) - set(loaded) == missing


def parts(estimator, depth=6):
    """What an estimator consists of, by identity."""
    if isinstance(estimator, list | tuple):
        inside = enumerate(estimator)
    elif isinstance(estimator, dict):
        inside = estimator.items()
    else:
        inside = getattr(estimator, "__dict__", {}).items()
    return {
        key: (id(value), parts(value, depth - 1) if depth else None)
        for key, value in inside
    }


class TestTrainingOn:
    @pytest.mark.parametrize(
        "clf",
        [
            perceptron(mutation=0.5),
            climber(),
            climber((5, 5), activation=[vectorized, bump]),
            perceptron(n_restarts=2, combine="average"),
            climber(
                (5, 5), n_restarts=10, combine="average", activation=[bump, "step"]
            ),
            backprop(),
            backprop(solver="sgd", learning_rate="invscaling"),
            backprop(solver="rmsprop"),
        ],
        ids=[
            "perceptron",
            "climber",
            "functions",
            "average of perceptrons",
            "average of functions",
            "adam",
            "sgd",
            "rmsprop",
        ],
    )
    def test_it_goes_on_as_if_nothing_had_happened(self, clf, tmp_path):
        clf = trained_in_chunks(clone(clf))
        save_model(clf, X, tmp_path / "m")
        loaded = mlflow.sklearn.load_model(str(tmp_path / "m"))
        for one in (clf, loaded):
            one.partial_fit(X, y)
        assert_array_equal(loaded.decision_function(X), clf.decision_function(X))

    def test_after_a_long_fit(self, tmp_path):
        clf = backprop(max_iter=60, early_stopping=True, n_iter_no_change=60).fit(X, y)
        assert len(clf.loss_curve_) == 60
        save_model(clf, X, tmp_path / "m")
        with ZipFile(tmp_path / "m" / "model.skops") as archive:
            assert len(archive.namelist()) < 20
        loaded = mlflow.sklearn.load_model(str(tmp_path / "m"))
        for curve in ("loss_curve_", "validation_scores_", "validation_loss_curve_"):
            assert getattr(loaded, curve) == getattr(clf, curve)
            assert type(getattr(loaded, curve)) is list
        assert_array_equal(loaded.grad_norms_, clf.grad_norms_)
        loaded.set_params(early_stopping=False).partial_fit(X, y)
        loaded.partial_fit(X, y)
        assert loaded.grad_norms_.shape == (2, 2)


def test_mlflow_serves_models(tmp_path, folders, fitted):
    folder = folders["backprop on a dataframe"]
    example = json.loads((folder / "serving_input_example.json").read_text())
    answers = {}
    with Service(
        *(tmp_path, "/ping", "models", "serve", "--env-manager", "local"),
        *("--model-uri", str(folder)),
    ) as service:
        for method in (None, "predict_proba", "transform"):
            params = {} if method is None else {"predict_method": method}
            request = json.dumps({**example, "params": params})
            status, answer = service.ask("POST", "/invocations", request)
            answers[method] = status, json.loads(answer)
    estimator, data = fitted["backprop on a dataframe"]
    labels = estimator.predict(data[:5]).tolist()
    assert answers[None] == (200, {"predictions": labels})
    status, answer = answers["predict_proba"]
    assert status == 200, answer
    assert_allclose(answer["predictions"], estimator.predict_proba(data[:5]))
    status, answer = answers["transform"]
    assert status == 400, answer
    assert "predict_method must be one of" in answer["message"]
