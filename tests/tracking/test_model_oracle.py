"""Models of runs are what MLflow itself saves, file by file.

MLflow's `save_model` has the estimator and the data at hand. Delivery has neither, only
what a fit has kept.
"""

from __future__ import annotations

import datetime
import json
from importlib.metadata import version

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature
from scipy.sparse import csr_matrix
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skperceptron import BackpropMLP, HillClimbPerceptron
from skperceptron.tracking.recording._model import HARMLESS_TYPES
from skperceptron.tracking.recording._stripper import Stripper
from tests.tracking.models import X, save_model, y

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings(
        "ignore::sklearn.exceptions.ConvergenceWarning",
        "ignore:Hint. Inferred schema",
        "ignore:.*Any type hint",
    ),
]
N = len(y)
NAMES = np.array(["setosa", "versicolor", "virginica"])[y]


def every(values):
    return [values[i % len(values)] for i in range(N)]


def times(**options):
    return pd.Series(pd.date_range("2020-01-01", periods=N, **options))


def backprop():
    return BackpropMLP((5,), max_iter=5, random_state=0)


# Columns of dataframes

COLUMNS = {
    "float64": X[:, 0],
    "float32": X[:, 0].astype("float32"),
    "float64, some missing": every([0.5, np.nan]),
    "float64, one missing late": np.where(np.arange(N) == 70, np.nan, X[:, 0]),
    "int64": np.arange(N),
    "int8": np.arange(N).astype("int8"),
    "uint64": np.arange(N).astype("uint64"),
    "bool": y > 0,
    "Int64": pd.array(every([1, 2]), dtype="Int64"),
    "Int32, some missing": pd.array(every([1, None]), dtype="Int32"),
    "Float32, some missing": pd.array(every([1.5, None]), dtype="Float32"),
    "boolean, some missing": pd.array(every([True, None, False]), dtype="boolean"),
    "str": pd.Series(every(["a", "b"])),
    "str, some missing": pd.Series(every(["a", None])),
    "string, some missing": pd.array(every(["a", None]), dtype="string"),
    "object of texts": pd.Series(every(["a", "b"]), dtype=object),
    "object of texts, some missing": pd.Series(every(["a", None]), dtype=object),
    "object of integers": pd.Series(every([1, 2]), dtype=object),
    "object of integers, some missing": pd.Series(every([1, None]), dtype=object),
    "object of numbers of both kinds": pd.Series(every([1, 0.5]), dtype=object),
    "object of integers of NumPy": pd.Series(
        [np.int32(i) for i in range(N)], dtype=object
    ),
    "object of booleans": pd.Series(every([True, False]), dtype=object),
    "object of bytes": pd.Series(every([b"a", b"bc"]), dtype=object),
    "object of dates": pd.Series(every([datetime.date(2020, 2, 3)]), dtype=object),
    "object of times": pd.Series(every([datetime.datetime(2020, 2, 3)]), dtype=object),
    "object of lists": pd.Series(every([["a", "b"], ["c"]]), dtype=object),
    "object of lists of numbers": pd.Series(every([[1.0], []]), dtype=object),
    "object of arrays": pd.Series([np.arange(2.0) for _ in range(N)], dtype=object),
    "object of dicts": pd.Series(every([{"a": 1}, {"a": 2}]), dtype=object),
    "object of everything": pd.Series(every(["a", 1, 0.5]), dtype=object),
    "category of texts": pd.Categorical(NAMES),
    "category of texts, some missing": pd.Categorical(every(["a", None])),
    "category of integers": pd.Categorical(y),
    "times": times(),
    "times, some missing": times().where(np.arange(N) % 2 == 0),
    "times in nanoseconds": times(unit="ns"),
    "times in Berlin": times(tz="Europe/Berlin"),
    "sparse": pd.arrays.SparseArray(every([0.0, 1.0])),
}
NOT_KNOWN = {"uint64", "sparse", "object of everything"}
# MLflow finds no type for these, and cannot write them as an example.
UNKNOWN_COLUMNS = {
    "timedeltas": pd.Series(pd.to_timedelta(np.arange(N), unit="s")),
    "periods": pd.Series(pd.period_range("2020-01-01", periods=N)),
    "intervals": pd.cut(pd.Series(X[:, 0]), 3),
    "complex": X[:, 0] + 1j,
}


def frames():
    for name, column in COLUMNS.items():
        yield f"column of {name}", pd.DataFrame({"x": column, "y": X[:, 1]})
    yield "integers for names", pd.DataFrame(X)
    yield "odd integers for names", pd.DataFrame(X, columns=[3, 1, 4, 2])
    yield "pairs for names", pd.DataFrame(X, columns=[(0, c) for c in "abcd"])
    yield "rows with names", pd.DataFrame(X, index=[f"row {i}" for i in range(N)])
    # MLflow knows no column of a frame if it does not know one of them.
    known = {k: v for k, v in COLUMNS.items() if k not in NOT_KNOWN}
    yield "all columns", pd.DataFrame(known)


ARRAYS = {
    "float64": X,
    "float32": X.astype("float32"),
    "float16": X.astype("float16"),
    "int64": X.astype("int64"),
    "int8": X.astype("int8"),
    "bool": X > 1,
    "some missing": np.where(X > 6, np.nan, X),
    "texts": NAMES.reshape(-1, 1),
    "bytes": NAMES.astype("S").reshape(-1, 1),
    "objects": pd.DataFrame({"x": X[:, 0], "y": NAMES, "z": None}).to_numpy(object),
    "times": times().to_numpy("datetime64[ns]").reshape(-1, 1),
    "in Fortran's order": np.asfortranarray(X),
    "of three dimensions": X.reshape(N, 2, 2),
    "one long text": np.array(every(["ab cd", "efg"])),
}
LABELS = {
    "integers": y,
    "texts": NAMES,
    "texts as objects": NAMES.astype(object),
    "booleans": y > 0,
    "floats": y.astype("float64"),
    "multilabel": (X.mean(axis=0) < X).astype(int),
    "two outputs": np.column_stack([NAMES, NAMES]),
    "sparse multilabel": csr_matrix(X.mean(axis=0) < X),
}


def cases():
    """Fitted estimators with their training data, and that as MLflow takes it."""
    dummy = DummyClassifier()
    for name, frame in frames():
        yield f"dataframe: {name}", (dummy, frame, y)
    for name, array in ARRAYS.items():
        yield f"array: {name}", (dummy, array, y)
    for name, labels in LABELS.items():
        yield f"labels: {name}", (dummy, X, labels)
    frame = pd.DataFrame({"color": pd.Categorical(NAMES), "flag": y > 0})
    encoder = OneHotEncoder()
    yield "ours", (HillClimbPerceptron(max_iter=5, random_state=0), X, y)
    yield "ours, labels are texts", (backprop(), X.astype("float32"), NAMES)
    yield "ours, multilabel", (backprop(), X, LABELS["multilabel"])
    yield "ours, in a pipeline", (make_pipeline(encoder, backprop()), frame, NAMES)
    scaled = make_pipeline(StandardScaler(), backprop())
    yield "ours, integers", (scaled, X.astype(int), y)
    texts = np.array(every(["aa bb", "cc dd", "aa cc"]))
    yield "ours, on texts", (make_pipeline(TfidfVectorizer(), backprop()), texts, y)
    yield "of scikit-learn", (LogisticRegression(max_iter=500), X, NAMES)
    yield "no predictions", (StandardScaler(), X, y)


CASES = dict(cases())


def save_with_mlflow(estimator, data, folder, *, with_example=True):
    stripper = Stripper()
    model = stripper.strip(estimator)
    packages = ["mlflow", "numpy", "scikit-learn", "skops"]
    outputs = params = None
    if hasattr(model, "predict"):
        outputs = model.predict(data[:1])
    if stripper.has_ours:
        packages.append("skperceptron")
        params = {"predict_method": "predict"}
    mlflow.sklearn.save_model(
        model,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=[*sorted(stripper.own_types), *HARMLESS_TYPES],
        signature=infer_signature(data[:100], outputs, params),
        input_example=data[:5] if with_example else None,
        pip_requirements=[f"{name}=={version(name)}" for name in packages],
    )
    return stripper.has_ours


def contents(folder):
    """What is in the files of a model, but what differs each time."""
    found = {p.name: p.read_bytes() for p in folder.iterdir()}
    del found["model.skops"]
    description = found["MLmodel"] = yaml.safe_load(found["MLmodel"])
    del description["model_uuid"], description["utc_time_created"]
    counted = [folder / "model.skops", *folder.glob("*.json")]
    size = description.pop("model_size_bytes")
    assert size == sum(path.stat().st_size for path in counted)
    return found


def assert_is_what_mlflow_saves(case, folder, **options):
    estimator, data, labels = CASES[case]
    estimator.fit(data, labels)
    is_ours = save_with_mlflow(estimator, data, folder / "theirs", **options)
    save_model(estimator, data, folder / "ours", **options)
    ours, theirs = contents(folder / "ours"), contents(folder / "theirs")
    if is_ours:
        flavor = theirs["MLmodel"]["flavors"]["python_function"]
        flavor["loader_module"] = "skperceptron.tracking.pyfunc"
    assert ours == theirs


@pytest.mark.parametrize("case", CASES)
def test_model_is_what_mlflow_saves(case, tmp_path):
    assert_is_what_mlflow_saves(case, tmp_path)


@pytest.mark.parametrize(
    "case", ["dataframe: all columns", "array: float64", "ours", "ours, on texts"]
)
def test_model_without_its_example_is_what_mlflow_saves(case, tmp_path):
    assert_is_what_mlflow_saves(case, tmp_path, with_example=False)


@pytest.mark.parametrize("name", UNKNOWN_COLUMNS)
def test_columns_that_mlflow_does_not_know_take_any_input(name, tmp_path):
    frame = pd.DataFrame({"x": UNKNOWN_COLUMNS[name], "y": X[:, 1]})
    estimator = DummyClassifier().fit(frame, y)
    save_with_mlflow(estimator, frame, tmp_path / "theirs", with_example=False)
    save_model(estimator, frame, tmp_path / "ours")
    ours, theirs = contents(tmp_path / "ours"), contents(tmp_path / "theirs")
    assert ours == theirs
    assert json.loads(ours["MLmodel"]["signature"]["inputs"])[0]["type"] == "any"


def test_sparse_data_is_described_as_if_it_were_dense(tmp_path):
    estimator = LogisticRegression(max_iter=500).fit(csr_matrix(X), y)
    save_with_mlflow(estimator, X, tmp_path / "theirs")
    save_model(estimator, csr_matrix(X), tmp_path / "ours")
    assert contents(tmp_path / "ours") == contents(tmp_path / "theirs")
