"""From what a fit has kept of its model to a folder with MLflow's model.

MLflow writes all that belongs to a model, for a stand-in. The stand-in's file is then
replaced by the one that the fit has kept: to load that could run code, of the user's
classes or of whoever has written to the journal, and those classes need not be here.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skperceptron.tracking import pyfunc
from skperceptron.tracking.delivery._mlflow_import import import_mlflow
from skperceptron.tracking.journal._kept_model import (
    MODEL_FILE,
    KeptModel,
    NoModelError,
    read_kept_model,
)

if TYPE_CHECKING:
    from mlflow.models import Model

# Where a model is built, in the folder of what was kept.
_BUILT = "mlflow"
_PYTHON_FILES = ("conda.yaml", "python_env.yaml")


@contextmanager
def built_model(folder: Path) -> Iterator[Path]:
    """Build MLflow's model beside what was kept, as long as the block lasts.

    Parameters
    ----------
    folder : Path
        A folder of the journal with a model in it.

    Yields
    ------
    Path
        The folder with MLflow's model.

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

    Parameters
    ----------
    folder : Path
        A folder of the journal with a model in it.

    Raises
    ------
    NoModelError, OSError
        As `built_model`. Nothing has changed then.
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
    """Write MLflow's model.

    Parameters
    ----------
    folder : Path
        Where the fit has kept it.

    kept : KeptModel
        Its description.

    built : Path
        Where to write it: a folder that does not exist.

    Raises
    ------
    NoModelError
        When MLflow can make nothing of the description.

    OSError
        When it cannot be written.
    """
    _hide_hints()
    import_mlflow()
    import mlflow.sklearn

    try:
        mlflow.sklearn.save_model(
            _stand_in(kept),
            str(built),
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=kept.trusted_types,
            pip_requirements=_requirements(kept),
            signature=_signature(kept),
            input_example=kept.example,
        )
    except OSError:
        raise
    except Exception as error:  # whatever MLflow says of values that are made up
        raise NoModelError(f"cannot be described to MLflow ({error})") from error
    size = (folder / MODEL_FILE).stat().st_size - (built / MODEL_FILE).stat().st_size
    shutil.copyfile(folder / MODEL_FILE, built / MODEL_FILE)

    def describe(description: Model) -> None:
        before = description.model_size_bytes or 0
        description.model_size_bytes = before + size
        flavors = description.flavors
        flavors["sklearn"]["sklearn_version"] = kept.versions["scikit-learn"]
        if kept.predicts:
            flavors["python_function"]["python_version"] = kept.python
        if kept.predicts and kept.is_ours:
            flavors["python_function"]["loader_module"] = pyfunc.__name__

    edit_description(built, describe)
    _correct_python(built, kept.python)


def edit_description(folder: Path, edit: Callable[[Model], None]) -> None:
    """Change the description of a model.

    MLflow's own reader takes paths for URIs, and loses what follows a "#" or "?".
    """
    import yaml
    from mlflow.models import Model

    file = folder / "MLmodel"
    description = Model.from_dict(yaml.safe_load(file.read_text(encoding="utf-8")))
    edit(description)
    file.write_text(description.to_yaml(), encoding="utf-8")


def _stand_in(kept: KeptModel) -> Any:
    """Make the least model of which MLflow says the same."""
    from sklearn.dummy import DummyClassifier
    from sklearn.preprocessing import StandardScaler

    return DummyClassifier() if kept.predicts else StandardScaler()


def _requirements(kept: KeptModel) -> list[str]:
    import mlflow

    versions = {"mlflow": mlflow.__version__, **kept.versions}
    return [f"{name}=={version}" for name, version in versions.items()]


def _signature(kept: KeptModel) -> Any:
    from mlflow.models import infer_signature

    has_params = kept.predicts and kept.is_ours
    params = {pyfunc.METHOD_PARAM: pyfunc.METHODS[0]} if has_params else None
    return infer_signature(kept.inputs, kept.outputs, params)


def _hide_hints() -> None:
    """Let MLflow say nothing where users can do nothing about it."""
    # Integers cannot be missing: who trains on integers knows.
    warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer")
    # Of MLflow's own types, while it is imported.
    warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType")


def _correct_python(built: Path, python: str) -> None:
    """Name the Python that has fitted the model; another one may deliver it."""
    own = platform.python_version()
    for name in _PYTHON_FILES:
        text = (built / name).read_text(encoding="utf-8")
        for mark in ("python=", "python: "):
            text = text.replace(f"{mark}{own}\n", f"{mark}{python}\n")
        (built / name).write_text(text, encoding="utf-8")
