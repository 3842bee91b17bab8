"""Builds a folder with MLflow's model from the model that a fit has kept.

The result is what `mlflow.sklearn.save_model` writes. That function needs the estimator
itself. Loading it could run code of whoever has written to the journal, and would need
the user's classes and scikit-learn, which are not imported here.

This is the one module that uses a private function of MLflow: no public function writes
an input example.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from skperceptron.tracking import pyfunc
from skperceptron.tracking.delivery._mlflow_import import import_mlflow
from skperceptron.tracking.journal._kept_model import (
    MODEL_FILE,
    ONNX_FILE,
    KeptModel,
    NoModelError,
    read_kept_model,
)

# Subfolder of a kept model in which MLflow's model is built.
_BUILT = "mlflow"
_CONDA_FILE, _PYTHON_FILE = "conda.yaml", "python_env.yaml"
# Packages with which the packages of a model are installed.
_TOOLS = ("pip", "setuptools", "wheel")


@contextmanager
def built_model(folder: Path) -> Iterator[Path]:
    """Build MLflow's model beside the kept one, for the duration of the block.

    Raises
    ------
    NoModelError
        When the folder is not a model that a fit has kept.

    OSError
        When the model cannot be written.
    """
    if not is_plain(folder):
        raise NoModelError("is not made of plain files")
    kept = read_kept_model(folder)
    built = folder / _BUILT
    shutil.rmtree(built, ignore_errors=True)  # left by an attempt that was killed
    try:
        build_model(folder, kept, built)
        yield built
    finally:
        shutil.rmtree(built, ignore_errors=True)


def replace_by_mlflow_model(folder: Path) -> None:
    """Replace a kept model by MLflow's model, for the user.

    It raises the errors of `built_model`, and then changes nothing.
    """
    new = folder.with_name(f"{folder.name}.{_BUILT}")
    with built_model(folder) as built:
        built.replace(new)
    shutil.rmtree(folder)
    new.rename(folder)


def is_plain(folder: Path) -> bool:
    """Return whether a folder holds only plain files and folders of its own.

    Links could lead out of the journal, and pipes or devices never end.
    """
    if folder.is_symlink() or not folder.is_dir():
        return False
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            status = os.lstat(os.path.join(where, name))
            is_file = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
            if not (is_file or stat.S_ISDIR(status.st_mode)):
                return False
    return True


def build_model(folder: Path, kept: KeptModel, built: Path) -> None:
    """Write MLflow's model of a kept model to the new folder `built`.

    It raises the errors of `built_model`.
    """
    import_mlflow()
    import mlflow.pyfunc
    from mlflow.models import Model
    from mlflow.models.utils import _save_example

    built.mkdir()
    try:
        description = Model(signature=_signature(kept))
        _save_example(description, kept.example, str(built))
    except OSError:
        raise
    except Exception as error:  # any error of MLflow about made-up values
        raise NoModelError(f"cannot be described to MLflow ({error})") from error
    shutil.copyfile(folder / MODEL_FILE, built / MODEL_FILE)
    if kept.predicts:
        mlflow.pyfunc.add_to_model(
            description,
            loader_module=pyfunc.__name__ if kept.is_ours else "mlflow.sklearn",
            model_path=MODEL_FILE,
            conda_env=_CONDA_FILE,
            python_env=_PYTHON_FILE,
            predict_fn="predict",
        )
        description.flavors["python_function"]["python_version"] = kept.python
    description.add_flavor(
        "sklearn",
        pickled_model=MODEL_FILE,
        sklearn_version=kept.versions["scikit-learn"],
        serialization_format="skops",
        code=None,
        skops_trusted_types=kept.trusted_types,
    )
    if (folder / ONNX_FILE).is_file():
        shutil.copyfile(folder / ONNX_FILE, built / ONNX_FILE)
        description.add_flavor("onnx", data=ONNX_FILE, code=None)
    description.model_size_bytes = sum(p.stat().st_size for p in built.iterdir())
    description.save(built / "MLmodel")
    _write_environment(kept, built)


def _write_environment(kept: KeptModel, folder: Path) -> None:
    """Write the requirements of a model, for conda and for pip."""
    import mlflow
    import yaml

    versions = {"mlflow": mlflow.__version__, **kept.versions}
    packages = [f"{name}=={needed}" for name, needed in versions.items()]
    (folder / "requirements.txt").write_text("\n".join(packages), encoding="utf-8")
    conda = {
        "channels": ["conda-forge"],
        "dependencies": [
            f"python={kept.python}",
            _pinned("pip", "<="),  # conda may not have the newest one
            {"pip": packages},
        ],
        "name": "mlflow-env",
    }
    python = {
        "python": kept.python,
        "build_dependencies": [_pinned(tool, "==") for tool in _TOOLS],
        "dependencies": ["-r requirements.txt"],
    }
    for name, content in {_CONDA_FILE: conda, _PYTHON_FILE: python}.items():
        with (folder / name).open("w", encoding="utf-8") as file:
            yaml.safe_dump(content, file, sort_keys=False)


def _pinned(package: str, sign: str) -> str:
    try:
        return f"{package}{sign}{version(package)}"
    except PackageNotFoundError:
        return package


def _signature(kept: KeptModel) -> Any:
    from mlflow.models import infer_signature

    has_params = kept.predicts and kept.is_ours
    params = {pyfunc.METHOD_PARAM: pyfunc.METHODS[0]} if has_params else None
    return infer_signature(kept.inputs, kept.outputs, params)
