"""What a fit keeps of its model needs neither MLflow to be written nor the user's code
to become MLflow's model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.dummy import DummyClassifier

from skperceptron.tracking.delivery import _model_building
from skperceptron.tracking.delivery._model_building import (
    NoModelError,
    built_model,
    replace_by_mlflow_model,
)
from skperceptron.tracking.recording._model import keep_model
from tests.tracking.models import ENVIRONMENT, X, perceptron, y

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
KEEPER = """
import sys
from pathlib import Path
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
import skperceptron
from skperceptron import HillClimbPerceptron
from skperceptron.tracking.recording._model import keep_model

class OfTheScript(StandardScaler):
    "A class that no other process can import."

skperceptron.set_config(tracking=False)
X, y = load_iris(return_X_y=True)
clf = HillClimbPerceptron(max_iter=5)
keep_model(clf.fit(X, y), X, Path("plain"))
assert "mlflow" not in sys.modules
pipeline = make_pipeline(OfTheScript(), clf).fit(X, y)
keep_model(pipeline, X, Path("foreign"), trusted_types=["__main__.OfTheScript"])
assert "mlflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """A folder in which a script has kept models."""
    folder = tmp_path_factory.mktemp("script")
    (folder / "script.py").write_text(KEEPER)
    command = [sys.executable, "script.py"]
    environment = {**ENVIRONMENT, "SKPERCEPTRON_JOURNAL": str(folder / "journal")}
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return folder


def test_fit_keeps_its_model_without_importing_mlflow(script):
    with built_model(script / "plain") as built:
        assert mlflow.sklearn.load_model(str(built)).predict(X).shape == (150,)


def test_classes_of_a_script_need_not_be_there_to_build_a_model(script):
    with built_model(script / "foreign") as built:
        description = yaml.safe_load((built / "MLmodel").read_text())
        trusted = description["flavors"]["sklearn"]["skops_trusted_types"]
        assert "__main__.OfTheScript" in trusted
        with zipfile.ZipFile(built / "model.skops") as archive:
            assert "OfTheScript" in archive.read("schema.json").decode()
        with pytest.raises(AttributeError, match="OfTheScript"):
            mlflow.sklearn.load_model(str(built))


@pytest.fixture
def kept(tmp_path):
    keep_model(perceptron().fit(X, y), X, tmp_path / "model")
    return tmp_path / "model"


def change(kept, **changes):
    file = kept / "description.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_model_names_the_versions_that_it_was_fitted_with(kept):
    versions = {"numpy": "2.1.0", "scikit-learn": "1.8.1", "skops": "0.15.0"}
    change(kept, versions={**versions, "skperceptron": "0.0.9"}, python="3.10.2")
    with built_model(kept) as built:
        files = {path.name: path.read_text() for path in built.glob("*[lt]")}
    description = yaml.safe_load(files["MLmodel"])
    assert description["flavors"]["sklearn"]["sklearn_version"] == "1.8.1"
    assert description["flavors"]["python_function"]["python_version"] == "3.10.2"
    assert yaml.safe_load(files["python_env.yaml"])["python"] == "3.10.2"
    assert "python=3.10.2" in yaml.safe_load(files["conda.yaml"])["dependencies"]
    assert set(files["requirements.txt"].split()) == {
        f"mlflow=={mlflow.__version__}",
        "numpy==2.1.0",
        "scikit-learn==1.8.1",
        "skops==0.15.0",
        "skperceptron==0.0.9",
    }


def test_without_its_example_nothing_of_the_data_is_kept(tmp_path):
    secret = "somebody's name"
    frame = pd.DataFrame(
        {
            "text": [secret] * 150,
            "object": pd.Series([secret, [secret], {"key": secret}] * 50, dtype=object),
            "category": pd.Categorical([secret] * 150),
            "number": np.full(150, 1234.5),
            "integer": pd.array([1234, None] * 75, dtype="Int64"),
            "day": pd.Timestamp("1234-05-06"),
        }
    )
    for i, data in enumerate((frame, frame.to_numpy())):
        folder = tmp_path / str(i)
        keep_model(DummyClassifier().fit(data, y), data, folder, with_example=False)
        description = (folder / "description.json").read_text()
        assert secret not in description
        assert "1234" not in description


class TestPuttingAside:
    def test_what_was_kept_becomes_a_model_of_mlflow(self, kept):
        replace_by_mlflow_model(kept)
        assert [path.name for path in kept.parent.iterdir()] == ["model"]
        assert not (kept / "description.json").exists()
        assert mlflow.sklearn.load_model(str(kept)).predict(X).shape == (150,)

    @pytest.mark.parametrize("error", [OSError(28, "disk full"), NoModelError("bad")])
    def test_nothing_is_lost_when_that_fails(self, error, kept, monkeypatch):
        def fail(*args):
            raise error

        before = sorted(os.listdir(kept))
        with monkeypatch.context() as patch:
            patch.setattr(_model_building, "_write_environment", fail)
            with pytest.raises(type(error)):
                replace_by_mlflow_model(kept)
        assert sorted(os.listdir(kept)) == before
        replace_by_mlflow_model(kept)
        assert (kept / "MLmodel").exists()


def test_model_that_was_half_built_is_built_again(kept):
    (kept / "mlflow").mkdir()
    (kept / "mlflow" / "half").touch()
    with built_model(kept) as built:
        assert not (built / "half").exists()
        assert (built / "MLmodel").exists()
    assert sorted(os.listdir(kept)) == ["description.json", "model.skops"]
