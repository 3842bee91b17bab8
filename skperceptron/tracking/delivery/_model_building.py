"""From what a fit has kept of its model to a folder with MLflow's model.

It is what `mlflow.sklearn.save_model` writes, which would want the estimator. To load
that could run code, of the user's classes or of whoever has written to the journal, and
those classes need not be here. Nor is scikit-learn imported for it.

This is the one module that uses a private function of MLflow's: nothing public writes
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

# Where a model is built, in the folder of what was kept.
_BUILT = "mlflow"
_CONDA_FILE, _PYTHON_FILE = "conda.yaml", "python_env.yaml"
# What the packages of a model are installed with.
_TOOLS = ("pip", "setuptools", "wheel")


@contextmanager
def built_model(folder: Path) -> Iterator[Path]:
    """Build MLflow's model beside what was kept, as long as the block lasts.

    Raises
    ------
    NoModelError
        When no fit can have kept what is there.

    OSError
        When the model cannot be written.
    """
    if not is_plain(folder):
        raise NoModelError("is not made of plain files")
    kept = read_kept_model(folder)
    built = folder / _BUILT
    shutil.rmtree(built, ignore_errors=True)  # of an attempt that was killed
    try:
        build_model(folder, kept, built)
        yield built
    finally:
        shutil.rmtree(built, ignore_errors=True)


def replace_by_mlflow_model(folder: Path) -> None:
    """Turn what was kept into MLflow's model, for the user.

    It raises the errors of `built_model`. Nothing has changed then.
    """
    new = folder.with_name(f"{folder.name}.{_BUILT}")
    with built_model(folder) as built:
        built.replace(new)
    shutil.rmtree(folder)
    new.rename(folder)


def is_plain(folder: Path) -> bool:
    """Tell whether all in a folder is in the journal, and can be read to its end."""
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
    """Write MLflow's model of what is kept in a folder to another one, which is new.

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
    except Exception as error:  # whatever MLflow says of values that are made up
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
    """Write what has to be installed for a model, as conda and as pip take it."""
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
