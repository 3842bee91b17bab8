"""The files in which a fit keeps its model until MLflow has it.

One is the model as skops has written it. Another one describes it in JSON, which cannot
run code. The third one, if the user wants it, is the same model as ONNX.
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skperceptron.tracking.journal._values import Plain, from_plain

MODEL_FILE = "model.skops"
DESCRIPTION_FILE = "description.json"
ONNX_FILE = "model.onnx"
OURS = "skperceptron"
# The packages that a model needs in the same version.
PACKAGES = ("numpy", "scikit-learn", "skops", OURS)
# Maximum size of a description, enough for thousands of named columns.
_MAX_DESCRIPTION = 16_000_000
_VERSION = re.compile(r"\d[\w.+!-]*", re.ASCII)


class NoModelError(ValueError):
    """A folder is not a model that a fit has kept."""


@dataclass(frozen=True)
class KeptModel:
    """The description of a model.

    Attributes
    ----------
    estimator : str
        Name of its class; of a pipeline, those of its steps.

    trusted_types : list of str
        Qualified names of types that skops may load, beyond those it always trusts.

    versions : dict of str
        Version of each package that it needs.

    python : str
        Version of Python that it was fitted with.

    predicts : bool
        Whether it has a method `predict`.

    inputs, outputs : object
        Specimens of the input and output of `predict`, or None. To be written, they are
        in the types of JSON; after reading, they have their own types.

    example : object
        The input example, in the same form.
    """

    estimator: str
    trusted_types: list[str]
    versions: dict[str, str]
    python: str
    predicts: bool
    inputs: Any
    outputs: Any
    example: Any

    @property
    def is_ours(self) -> bool:
        """Whether there is an estimator of this package in it."""
        return OURS in self.versions

    def write(self, folder: Path) -> None:
        """Write the description of a model into its folder."""
        text = json.dumps(asdict(self))
        (folder / DESCRIPTION_FILE).write_text(text, encoding="utf-8")


def read_kept_model(folder: Path) -> KeptModel:
    """Read the description of a model, which somebody may have forged.

    Raises
    ------
    NoModelError
        When it is not a valid one.
    """
    file = folder / DESCRIPTION_FILE
    try:
        if file.stat().st_size > _MAX_DESCRIPTION:
            raise NoModelError(f"has a {DESCRIPTION_FILE} that is too large")
        kept = _as_kept_model(json.loads(file.read_text(encoding="utf-8")))
    except NoModelError:
        raise
    except Exception as error:  # any error that a forged description can cause
        reason = type(error).__name__
        raise NoModelError(
            f"has no {DESCRIPTION_FILE} that can be read ({reason})"
        ) from error
    if not zipfile.is_zipfile(folder / MODEL_FILE):
        raise NoModelError(f"has no {MODEL_FILE} that skops has written")
    return kept


def _as_kept_model(told: Plain) -> KeptModel:
    versions = {
        str(name): _as_version(told["versions"][name]) for name in told["versions"]
    }
    if {*versions, OURS} != set(PACKAGES):
        raise ValueError(f"it needs {', '.join(PACKAGES)}, and nothing else")
    return KeptModel(
        str(told["estimator"]),
        [str(name) for name in told["trusted_types"]],
        versions,
        _as_version(told["python"]),
        bool(told["predicts"]),
        *(from_plain(told[name]) for name in ("inputs", "outputs", "example")),
    )


def _as_version(text: Plain) -> str:
    if not _VERSION.fullmatch(text):
        raise ValueError(f"{text!r} is no version")
    return str(text)
