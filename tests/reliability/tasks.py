"""Strategies for what a classifier may be asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.reliability.classifiers import classifiers, options_of, some_params
from tests.reliability.data import (
    BAD_LABELS,
    BAD_SAMPLES,
    BAD_WEIGHTS,
    KINDS_OF_NAMES,
    N_FEATURES,
    N_ROWS,
    NAMES,
    codes,
    good_labels,
    good_samples,
    good_weights,
    indicators,
    name_classes,
    numbers,
)


@dataclass
class Task:
    """A classifier and what it is to learn."""

    classifier: Any
    X: Any
    y: Any
    sample_weight: Any


@st.composite
def tasks(draw: st.DrawFn, *, may_be_bad: bool = True) -> Task:
    """Classifiers with valid parameters, and data of which one part may be unusable."""
    n_rows, n_features = draw(N_ROWS), draw(N_FEATURES)
    y, names = draw(good_labels(n_rows))
    sample_weight = draw(st.none() | good_weights(n_rows))
    X = draw(good_samples(n_rows, n_features))
    bad = draw(st.sampled_from([None, None, None, "X", "y", "sample_weight"]))
    if may_be_bad and bad == "X":
        X = draw(st.sampled_from(BAD_SAMPLES))(draw(numbers(n_rows, n_features)))
    elif may_be_bad and bad == "y":
        y = draw(st.sampled_from(BAD_LABELS))(draw(codes(n_rows)))
    elif may_be_bad and bad == "sample_weight":
        sample_weight = draw(st.sampled_from(BAD_WEIGHTS))(n_rows)
    return Task(draw(classifiers(names)), X, y, sample_weight)


@dataclass
class Step:
    """A call of a classifier that is trained step by step."""

    method: str
    rows: np.ndarray
    params: dict[str, Any]


@dataclass
class Course:
    """A classifier, data, and calls that take parts of it."""

    classifier: Any
    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None
    classes: np.ndarray
    steps: list[Step]


@st.composite
def steps(draw: st.DrawFn, n_rows: int, cls: type) -> Step:
    """Calls of `fit` and `partial_fit`, before which some parameters may change."""
    rows = np.arange(draw(st.integers(0, n_rows - 1)), n_rows)
    params = draw(some_params(options_of(cls), 2))
    method = draw(st.sampled_from(["partial_fit", "fit"]))
    return Step(method, draw(st.sampled_from([rows, np.arange(n_rows)])), params)


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """Classifiers that are trained in several steps, and the data for it."""
    n_rows, n_features = draw(N_ROWS), draw(N_FEATURES)
    kind = draw(KINDS_OF_NAMES)
    y = draw(codes(n_rows, most=len(NAMES[kind])))
    n_classes = draw(st.integers(y.max() + 1, len(NAMES[kind])))
    classes = name_classes(np.arange(n_classes), kind)
    classifier = draw(classifiers(classes.tolist()))
    calls = st.lists(steps(n_rows, type(classifier)), min_size=2, max_size=4)
    y = indicators(y) if draw(st.integers(0, 9)) == 9 else name_classes(y, kind)
    X = draw(numbers(n_rows, n_features))
    weight = draw(st.none() | good_weights(n_rows).map(np.asarray))
    return Course(classifier, X, y, weight, classes, draw(calls))
