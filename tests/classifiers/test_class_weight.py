"""Weights of the classes, by labels of every type, in all classifiers."""

import datetime
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
every_classifier = pytest.mark.parametrize(
    "cls", [HillClimbPerceptron, HillClimbMLP, BackpropMLP]
)
X, y = make_classification(
    60, 4, n_informative=3, n_redundant=0, n_classes=3, random_state=0
)
WEIGHTS = [1.0, 4.0, 0.25]
BOTH = y < 2  # the samples of the first two classes


def make(cls, **params):
    sizes = {} if cls is HillClimbPerceptron else {"hidden_layer_sizes": (3,)}
    return cls(max_iter=10, random_state=0, **sizes, **params)


def weights(clf):
    return np.concatenate([np.ravel(w) for part in clf._get_weights() for w in part])


def train(clf, method, X, labels, sample_weight=None):
    if method == "fit":
        return clf.fit(X, labels, sample_weight=sample_weight)
    for _ in range(10):
        clf.partial_fit(X, labels, sample_weight, classes=np.unique(labels))
    return clf


def assert_counts(cls, labels, class_weight, method="fit", factors=WEIGHTS):
    """Compare with sample weights, and with none."""
    labels = np.asarray(labels)
    codes = np.unique(labels, return_inverse=True)[1]
    samples = X[: len(labels)]
    clf = train(make(cls, class_weight=class_weight), method, samples, labels)
    weight = np.take(factors, codes)
    same = train(make(cls), method, samples, labels, weight)
    assert_array_equal(weights(clf), weights(same))
    without = train(make(cls), method, samples, labels)
    if cls is BackpropMLP:  # a short climb may make the same decisions
        assert not np.array_equal(weights(clf), weights(without))


LABELS = {
    "int64": np.array([0, 1, 2]),
    "uint8": np.array([0, 1, 2], np.uint8),
    "float32": np.array([0, 1, 2], np.float32),
    "float64": np.array([-1.0, 0.0, 5.0]),
    "str": np.array(["a", "b", "c"]),
    "object": np.array(["a", "b", "c"], dtype=object),
}


@every_classifier
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", LABELS)
def test_numbers_and_texts(kind, method, cls):
    labels = LABELS[kind]
    as_items = dict(zip(labels, WEIGHTS, strict=True))
    as_objects = dict(zip(labels.tolist(), WEIGHTS, strict=True))
    for class_weight in (as_items, as_objects):
        assert_counts(cls, labels[y], class_weight, method)


@every_classifier
def test_booleans(cls):
    for keys in ((False, True), (np.False_, np.True_), (0, 1)):
        class_weight = dict(zip(keys, WEIGHTS, strict=False))
        assert_counts(cls, y > 0, class_weight)


DAYS = [
    datetime.date(2019, 5, 1),
    datetime.date(2020, 1, 1),
    datetime.date(2024, 2, 29),
]
POINTS_IN_TIME = {
    "date": lambda day: day,
    "datetime": lambda day: datetime.datetime(day.year, day.month, day.day),
    "pandas": pd.Timestamp,
    **{
        f"datetime64[{unit}]": lambda day, unit=unit: np.datetime64(day).astype(
            f"M8[{unit}]"
        )
        for unit in ("D", "h", "s", "ms", "us", "ns")
    },
}
DURATIONS = {
    "timedelta": lambda day: day - DAYS[0],
    "pandas": lambda day: pd.Timedelta(day - DAYS[0]),
    **{
        f"timedelta64[{unit}]": lambda day, unit=unit: np.timedelta64(
            day - DAYS[0]
        ).astype(f"m8[{unit}]")
        for unit in ("D", "h", "s", "ms", "us", "ns")
    },
}


@pytest.mark.parametrize("unit", ["D", "h", "m", "s", "ms", "us", "ns"])
@pytest.mark.parametrize(
    ("kind", "types"), [("M", POINTS_IN_TIME), ("m", DURATIONS)], ids=["point", "span"]
)
def test_times(kind, types, unit):
    values = [
        np.datetime64(day)
        if kind == "M"
        else np.datetime64(day) - np.datetime64(DAYS[0])
        for day in DAYS
    ]
    labels = np.array(values).astype(f"{kind}8[{unit}]")
    for name, as_type in types.items():
        class_weight = dict(zip(map(as_type, DAYS), WEIGHTS, strict=True))
        try:
            assert_counts(BackpropMLP, labels[y], class_weight)
        except ValueError as error:
            raise AssertionError(name) from error
    assert_counts(BackpropMLP, labels[y], dict(zip(labels, WEIGHTS, strict=True)))
    as_listed = dict(zip(labels.tolist(), WEIGHTS, strict=True))
    assert_counts(BackpropMLP, labels[y], as_listed)


@every_classifier
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", ["M8[D]", "M8[ns]", "m8[s]"])
def test_times_in_every_classifier(kind, method, cls):
    labels = np.array([1, 2, 3]).astype(kind)
    assert_counts(cls, labels[y], dict(zip(labels, WEIGHTS, strict=True)), method)
    pickled = pickle.loads(pickle.dumps(dict(zip(labels, WEIGHTS, strict=True))))
    assert_counts(cls, labels[y], pickled, method)


@pytest.mark.parametrize(
    ("labels", "key"),
    [
        (np.array(["2020", "2021"], "M8[D]"), np.datetime64("2020-01-01T12")),
        (np.array(["2020", "2021"], "M8[ns]"), np.datetime64("NaT", "ns")),
        (np.array(["2020", "2021"], "M8[us]"), pd.Timestamp("2020-01-01", tz="UTC")),
        (
            np.array(["2020", "2021"], "M8[us]"),
            pd.Timestamp("2020-01-01") + pd.Timedelta(1, "ns"),
        ),
        (np.array([1, 2], "m8[D]"), datetime.timedelta(days=1, seconds=1)),
        (np.array([1, 2], "m8[Y]"), np.timedelta64(365, "D")),
        (np.array([1, 2], "m8[ns]"), np.timedelta64(1, "ps")),
        (np.array(["2020", "2021"], "M8[D]"), np.timedelta64(1, "D")),
        (np.array(["2020", "2021"], "M8[D]"), "another day"),
        (np.array([1, 2]), np.datetime64("2020")),
    ],
)
def test_times_that_no_class_is(labels, key):
    clf = make(BackpropMLP, class_weight={key: 2.0})
    with pytest.raises(ValueError, match="names only classes that do not occur"):
        clf.fit(X[BOTH], labels[y[BOTH]])


@every_classifier
@pytest.mark.parametrize("kind", [*LABELS, "M8[D]", "M8[ns]"])
def test_classes_that_do_not_occur_are_ignored(kind, cls):
    labels = LABELS[kind] if kind in LABELS else np.array([1, 2, 3]).astype(kind)
    all_weights = dict(zip(labels, WEIGHTS, strict=True))
    for class_weight in (
        all_weights,
        {labels[1]: 4.0, labels[2]: 0.25},  # none for the first class
        {labels[1]: 4.0, "a label of another type": 0.25},
    ):
        clf = make(cls, class_weight=class_weight).fit(X[BOTH], labels[y[BOTH]])
        weight = np.where(y[BOTH] == 1, 4.0, 1.0)
        same = make(cls).fit(X[BOTH], labels[y[BOTH]], sample_weight=weight)
        assert_array_equal(weights(clf), weights(same))


@every_classifier
def test_classes_are_those_of_all_chunks_in_partial_fit(cls):
    # A chunk may even have none of the weighted classes.
    clf = make(cls, class_weight={2: 5.0, 3: 2.0})
    clf.partial_fit(X[BOTH], y[BOTH], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="do not occur"):
        clf.set_params(class_weight={3: 2.0}).partial_fit(X, y)


@every_classifier
def test_one_dictionary_for_folds_with_some_of_the_classes(cls):
    # Classes turn up one after the other.
    rng = np.random.default_rng(0)
    late = np.where(np.arange(60) < 30, rng.integers(2, size=60), y)
    clf = make(cls, class_weight={0: 1, 1: 2, 2: 5})
    split = TimeSeriesSplit(4)
    assert len({tuple(np.unique(late[train])) for train, _ in split.split(X)}) > 1
    scores = cross_val_score(clf, X, late, cv=split, error_score="raise")
    assert np.isfinite(scores).all()
    grid = {"class_weight": [{0: 1, 1: 2, 2: 5}, {1: 3}, None]}
    search = GridSearchCV(clf, grid, cv=split, error_score="raise").fit(X, late)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_single_class_of_several():
    clf = make(BackpropMLP, class_weight={"a": 2.0, "b": 1.0})
    assert_array_equal(clf.fit(X, np.full(60, "a")).predict(X), np.full(60, "a"))
