"""What a fit keeps of its model until MLflow has it: two or three files.

One is what skops has written. Another one describes it in JSON, and says nothing that
could run code. The third one, if the user wants it, is the same model as ONNX.
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
# The packages of which a model needs the same version.
PACKAGES = ("numpy", "scikit-learn", "skops", OURS)
# Bytes of a description, that of a model with thousands of named columns included.
_MAX_DESCRIPTION = 16_000_000
_VERSION = re.compile(r"\d[\w.+!-]*", re.ASCII)


class NoModelError(ValueError):
    """A folder is none that a fit has kept."""


@dataclass(frozen=True)
class KeptModel:
    """What there is to say of a model beside the model itself.

    Attributes
    ----------
    estimator : str
        Name of its class; of a pipeline, those of its steps.

    trusted_types : list of str
        Qualified names of what skops may load, beyond what it trusts anyway.

    versions : dict of str
        Version of each package that it needs.

    python : str
        Version of Python that it was fitted with.

    predicts : bool
        Whether it has a method `predict`.

    inputs, outputs : object
        Specimens of what `predict` takes and gives, or None. As read, values of these
        types; to be written, in the types of JSON.

    example : object
        The input example, likewise.
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
    """Read the description of a model, which anybody may have made up.

    Raises
    ------
    NoModelError
        When it is none.
    """
    file = folder / DESCRIPTION_FILE
    try:
        if file.stat().st_size > _MAX_DESCRIPTION:
            raise NoModelError(f"has a {DESCRIPTION_FILE} that is too large")
        kept = _as_kept_model(json.loads(file.read_text(encoding="utf-8")))
    except NoModelError:
        raise
    except Exception as error:  # whatever comes of reading anything as a description
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
