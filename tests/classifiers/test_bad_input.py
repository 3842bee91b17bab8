"""Wrong input is refused before any work starts, with what is allowed."""

import copy
import functools
import inspect
import re

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn import metrics
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import f1_score, log_loss, make_scorer, zero_one_loss
from sklearn.model_selection import GridSearchCV

import skperceptron
from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbMLPRegressor,
    HillClimbPerceptron,
)
from skperceptron.plotting import ActivationDisplay
from skperceptron.tracking import MLflowTracker

pytestmark = pytest.mark.usefixtures("untracked")
CLASSIFIERS = [HillClimbPerceptron, HillClimbMLP, BackpropMLP]
REGRESSORS = [HillClimbMLPRegressor, BackpropMLPRegressor]
every_classifier = pytest.mark.parametrize("cls", CLASSIFIERS)
X, y = load_iris(return_X_y=True)

COMMON = {
    "class_weight": ["heavy", 3],
    "random_state": ["seed", -1],
    "warm_start": ["yes"],
    "verbose": ["loud", -1],
    "early_stopping": ["yes"],
    "scoring": ["acuracy", 3],
    "validation_fraction": [-0.1, 1.0, "half"],
    "n_iter_no_change": [0, 2.5],
    "tol": [-1e-3, "small"],
}
CLIMB = {
    "max_iter": [-1, 1.5],
    "surrogate_iter": [-1, 1.5],
    "alpha": [-1.0, "small"],
    "step_size": [0, -1.0, "big"],
    "step_schedule": ["two_fifths", None],
    "mutation": [0.0, 1.5, "some"],
    "init": ["zeros", "he_normal"],
    "objective": ["acuracy", 3],
    "n_restarts": [-1, 1.5],
    "combine": ["mean", None],
    "n_jobs": [1.5, "all"],
}
LAYERS = {
    "hidden_layer_sizes": [0, -3, "ten"],
    "activation": ["relo", 3],
}
NOISE = {"noise_sign": ["up", None]}
BACKPROP = {
    "solver": ["sdg"],
    "alpha": [-1.0],
    "batch_size": [0, "large"],
    "learning_rate": ["fast"],
    "learning_rate_init": [0.0, -1],
    "power_t": [-0.5],
    "max_iter": [0, 1.5],
    "shuffle": ["yes"],
    "init": ["uniform"],
    "dropout": [-0.1, 1.0, "some"],
    "input_dropout": [-0.1, 1.0, "some"],
    "loss": ["hinge"],
    "max_grad_norm": [0, -1.0, "short"],
    "momentum": [-0.1, 1.1],
    "nesterovs_momentum": ["yes"],
    "beta_1": [-0.1, 1.0],
    "beta_2": [-0.1, 1.0],
    "epsilon": [0.0],
    "max_fun": [0],
}
OF_NUMBERS = {name: values for name, values in COMMON.items() if name != "class_weight"}
LOSSES = {
    "loss": ["log_loss"],
    "huber_epsilon": [0, -1.0, "far"],
    "quantile": [-0.1, 1.1, "median"],
}
WRONG = [
    (cls, name, value)
    for cls, table in (
        (HillClimbPerceptron, COMMON | CLIMB),
        (HillClimbMLP, COMMON | CLIMB | LAYERS | NOISE),
        (BackpropMLP, COMMON | LAYERS | BACKPROP),
        (HillClimbMLPRegressor, OF_NUMBERS | CLIMB | LAYERS | NOISE),
        (BackpropMLPRegressor, OF_NUMBERS | LAYERS | BACKPROP | LOSSES),
    )
    for name, values in table.items()
    for value in values
]


@pytest.mark.parametrize(("cls", "name", "value"), WRONG)
def test_wrong_parameter_is_named_with_the_allowed_values(cls, name, value):
    with pytest.raises((ValueError, TypeError), match=f"'{name}' parameter .* must be"):
        cls(**{name: value}).fit(X, y)


@pytest.mark.parametrize("cls", [*CLASSIFIERS, *REGRESSORS])
def test_every_parameter_has_its_wrong_values_tested(cls):
    tested = {name for c, name, _ in WRONG if c is cls}
    assert set(cls().get_params()) == tested


@every_classifier
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity(cls, value):
    spoiled = X.copy()
    spoiled[3, 2] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        cls().fit(spoiled, y)
    clf = cls(max_iter=100, tol=1e9, n_iter_no_change=1).fit(X, y)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        clf.predict(spoiled)


# BackpropMLP learns it, as MLPClassifier does.
@pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
def test_one_class(cls):
    with pytest.raises(ValueError, match=r"at least two classes.*only one class"):
        cls().fit(X, np.zeros(len(X)))


@every_classifier
@pytest.mark.parametrize(
    ("bad_X", "bad_y", "message"),
    [
        (X, y[:-1], "inconsistent numbers of samples"),
        (X[0], y, "Expected 2D array"),
        (X[:0], y[:0], "0 sample"),
        (X[:, :0], y, "0 feature"),
        (X.astype(str) + "x", y, "could not convert|dtype"),
        (X, np.linspace(0, 1, len(X)), "Unknown label type"),
        (X + 1j, y, "Complex data not supported"),
    ],
)
def test_wrong_shapes_and_types(cls, bad_X, bad_y, message):
    with pytest.raises(ValueError, match=message):
        cls().fit(bad_X, bad_y)


@every_classifier
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(7), "sample_weight.shape"),
        (-np.ones(len(X)), "[Nn]egative"),
        (np.full(len(X), np.nan), "NaN"),
    ],
)
def test_wrong_sample_weights(cls, weight, message):
    with pytest.raises(ValueError, match=message):
        cls().fit(X, y, sample_weight=weight)


@every_classifier
@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({7: 2}, r"names only classes that do not occur: \[7\].*\[0, 1, 2\]"),
        ({"0": 2}, r"names only classes that do not occur: \['0'\].*\[0, 1, 2\]"),
        ({"0": 2}, r"names only .* of dtype int"),
        ({0: 1, 7: -1.0}, r"class_weight\[7\] must be a finite number"),
        ({0: -1.0}, r"class_weight\[0\] must be a finite number that is at least 0"),
        ({0: "heavy"}, r"class_weight\[0\] must be a finite number"),
        ({0: np.inf}, r"class_weight\[0\] must be a finite number"),
    ],
)
def test_wrong_class_weights(cls, class_weight, message):
    with pytest.raises(ValueError, match=message):
        cls(class_weight=class_weight).fit(X, y)


class TestPartialFit:
    @every_classifier
    def test_first_call_needs_the_classes(self, cls):
        with pytest.raises(ValueError, match="classes must be passed"):
            cls().partial_fit(X, y)

    @every_classifier
    def test_unseen_class(self, cls):
        clf = cls().partial_fit(X, y, classes=[0, 1, 2])
        with pytest.raises(ValueError, match="classes not in"):
            clf.partial_fit(X, y + 1)

    @pytest.mark.parametrize("unseen", [-1, 2, 3, 9])
    @pytest.mark.parametrize("kind", [int, np.uint8, float, str, "datetime64[D]"])
    def test_unseen_class_of_any_kind(self, unseen, kind):
        classes = np.array([0, 1, 4]).astype(kind)
        labels = classes[y]
        clf = BackpropMLP((3,)).partial_fit(X, labels, classes=classes)
        labels[7] = np.array(unseen).astype(kind)
        with pytest.raises(ValueError, match="classes not in"):
            clf.partial_fit(X, labels)

    @pytest.mark.parametrize("kind", [np.uint8, np.int64, float, str])
    def test_labels_of_any_kind_mean_the_same_in_later_calls(self, kind):
        classes = np.array([7, 10, 20]).astype(kind)  # in another order as strings
        clf = BackpropMLP((3,), random_state=0)
        expected = BackpropMLP((3,), random_state=0)
        rank = np.argsort(np.argsort(classes))
        for chunk in (slice(0, 150, 2), slice(1, 150, 2), slice(0, 80)):
            clf.partial_fit(X[chunk], classes[y[chunk]], classes=classes)
            expected.partial_fit(X[chunk], rank[y[chunk]], classes=[0, 1, 2])
        np.testing.assert_array_equal(clf.coefs_[0], expected.coefs_[0])

    def test_labels_of_another_kind_are_those_that_are_equal(self):
        clf = BackpropMLP((3,), random_state=0).partial_fit(X, y, classes=[0, 1, 2])
        other = copy.deepcopy(clf).partial_fit(X, y.astype(float))
        np.testing.assert_array_equal(other.coefs_[0], clf.partial_fit(X, y).coefs_[0])

    @every_classifier
    def test_other_classes(self, cls):
        clf = cls().partial_fit(X, y, classes=[0, 1, 2])
        with pytest.raises(ValueError, match="is not the same as"):
            clf.partial_fit(X, y, classes=[0, 1, 2, 3])

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    def test_single_class(self, cls):
        with pytest.raises(ValueError, match="at least two classes"):
            cls().partial_fit(X, np.zeros(len(X)), classes=[0])

    @every_classifier
    def test_early_stopping(self, cls):
        with pytest.raises(ValueError, match="early_stopping"):
            cls(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])

    @every_classifier
    def test_balanced_weights(self, cls):
        with pytest.raises(ValueError, match="compute_class_weight"):
            cls(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])

    @every_classifier
    def test_chunk_with_some_of_the_classes(self, cls):
        clf = cls(class_weight={0: 2.0}).partial_fit(X, y, classes=[0, 1, 2])
        assert clf.partial_fit(X[y == 1], y[y == 1]).predict(X).shape == (150,)

    def test_lbfgs_has_none(self):
        assert not hasattr(BackpropMLP(solver="lbfgs"), "partial_fit")


class TestLayers:
    @pytest.mark.parametrize("cls", [HillClimbMLP, BackpropMLP])
    @pytest.mark.parametrize("sizes", [(5, 0), (5, -1), (5.5,), ("ten",)])
    def test_sizes_are_positive_integers(self, cls, sizes):
        with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0"):
            cls(sizes).fit(X, y)

    @pytest.mark.parametrize("cls", [HillClimbMLP, BackpropMLP])
    def test_one_activation_per_hidden_layer(self, cls):
        with pytest.raises(ValueError, match="got 1 names for 2 hidden layers"):
            cls((5, 5), ["tanh"]).fit(X, y)

    @pytest.mark.parametrize("cls", [HillClimbMLP, BackpropMLP])
    def test_unknown_activation_in_a_list(self, cls):
        with pytest.raises(ValueError, match=r"unknown names \['relo'\]; allowed are"):
            cls((5, 5), ["tanh", "relo"]).fit(X, y)

    def test_flat_activations_have_no_gradient(self):
        with pytest.raises(ValueError, match=r"unknown names \['step'\]"):
            BackpropMLP((5,), ["step"]).fit(X, y)

    @pytest.mark.parametrize("cls", [HillClimbMLP, BackpropMLP])
    def test_warm_start_needs_the_same_network(self, cls):
        clf = cls((5,), max_iter=300, tol=1e9, n_iter_no_change=1, warm_start=True)
        clf.fit(X, y)
        with pytest.raises(ValueError, match="warm_start=False to start over"):
            clf.set_params(hidden_layer_sizes=(6,)).fit(X, y)


def test_log_loss_needs_probabilities():
    with pytest.raises(ValueError, match="'objective' parameter"):
        HillClimbPerceptron(objective="log_loss").fit(X, y)


def test_scorer_of_probabilities_is_named_on_the_perceptron():
    with pytest.raises(
        ValueError, match="objective='neg_log_loss' cannot be evaluated"
    ):
        HillClimbPerceptron(objective="neg_log_loss").fit(X, y)


class TestIndicators:
    """Indicators of a multilabel problem are 0 and 1, in whatever type."""

    Y = np.column_stack([y == 0, y > 0])
    wrong = pytest.mark.parametrize(
        ("no", "yes", "dtype"),
        [
            (-1, 1, int),
            (-1, 1, float),
            (1, 2, int),
            (0, 255, np.uint8),
            (0, 2, float),
            (-1, 0, np.int8),
        ],
    )
    message = r"indicators in y must be 0 or 1, got .*\(y == {}.*\)\.astype\(int\)"

    @wrong
    @pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist, pd.DataFrame])
    def test_other_codes_are_refused_with_a_remedy(self, form, no, yes, dtype):
        codes = np.where(self.Y, yes, no).astype(dtype)
        message = self.message.format(yes)
        with pytest.raises(ValueError, match=message):
            BackpropMLP().fit(X, form(codes))
        with pytest.raises(ValueError, match=message):
            BackpropMLP().partial_fit(X, form(codes), classes=[0, 1])
        clf = BackpropMLP((3,), random_state=0).partial_fit(X, self.Y, classes=[0, 1])
        with pytest.raises(ValueError, match=message):
            clf.partial_fit(X, form(codes))
        with pytest.raises(ValueError, match=message):
            clf.score(X, form(codes))

    @pytest.mark.parametrize("value", [-1, 2, 255])
    def test_other_codes_in_sparse_indicators_are_refused(self, value):
        codes = csr_array(self.Y * value)
        clf = BackpropMLP((3,), max_iter=1, tol=1e9, random_state=0)
        with pytest.raises(ValueError, match="must be 0 or 1"):
            clf.fit(X, codes)
        clf.partial_fit(X, self.Y, classes=[0, 1])
        with pytest.raises(ValueError, match="must be 0 or 1"):
            clf.score(X, codes)

    @pytest.mark.parametrize("dtype", [bool, np.uint8, int, np.float32, float])
    def test_types_of_0_and_1_make_no_difference(self, dtype):
        expected = BackpropMLP((3,), random_state=0)
        expected.partial_fit(X, self.Y.astype(int), classes=[0, 1])
        for form in (np.asarray, csr_array):
            codes = form(self.Y.astype(dtype))
            clf = BackpropMLP((3,), random_state=0)
            clf.partial_fit(X, codes, classes=[0, 1])
            np.testing.assert_array_equal(clf.coefs_[0], expected.coefs_[0])
            assert clf.score(X, codes) == expected.score(X, self.Y)

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    def test_the_climbers_take_none(self, cls):
        with pytest.raises(ValueError, match="1d array"):
            cls().fit(X, np.where(self.Y, 1, -1))


def objects(*labels):
    """An array that holds labels as they are, one for each sample."""
    values = np.empty(len(X), object)
    values[:] = [labels[i % len(labels)] for i in range(len(X))]
    return values


MISSING = {
    "None beside strings": objects("a", "b", None),
    "None beside numbers": objects(1, 2, None),
    "NaN beside strings": objects("a", "b", np.nan),
    "NaN of NumPy": objects("a", "b", np.float32("nan")),
    "NaN in a list of strings": objects("a", "b", np.nan).tolist(),
    "None in a list of numbers": objects(1, 2, None).tolist(),
    "NA": objects("a", "b", pd.NA),
    "NA in a series": pd.Series(objects("a", "b", pd.NA)),
    "NA of strings": pd.Series(objects("a", "b", pd.NA), dtype="string"),
    "NA of integers": pd.Series(objects(1, 2, pd.NA), dtype="Int64"),
    "NA of booleans": pd.Series(objects(True, False, pd.NA), dtype="boolean"),
    "category": pd.Series(objects("a", "b", None), dtype="category"),
    "index": pd.Index(objects("a", "b", None)),
    "NaT": objects("2020", "2021", "NaT").astype("M8[D]"),
    "NaT of pandas": objects(pd.Timestamp("2020"), pd.NaT),
    "NaT of durations": objects(1, 2, "NaT").astype("m8[s]"),
    "NaN": objects(0.0, 1.0, np.nan).astype(float),
    "NaN in float32": objects(0.0, 1.0, np.nan).astype(np.float32),
}
IN_OBJECTS = {
    "integers": ((1, 2, 3), "int"),
    "booleans": ((True, False), "bool"),
    "floats": ((1.0, 2.0), "float"),
    "integers of NumPy": ((np.int8(1), np.int8(2)), "int8"),
    "numbers of two kinds": ((1, 2.0), "float and int"),
}


class TestLabels:
    """Errors say what is wrong with which labels, and what to do."""

    @every_classifier
    @pytest.mark.parametrize("labels", MISSING.values(), ids=list(MISSING))
    def test_that_are_missing(self, cls, labels):
        missing = "must not contain missing labels .* Leave these samples out"
        for early_stopping in (False, True):
            with pytest.raises(ValueError, match=f"^y {missing}"):
                cls(early_stopping=early_stopping).fit(X, labels)
        with pytest.raises(ValueError, match=f"^y {missing}"):
            cls().partial_fit(X, labels, classes=np.unique(y))
        with pytest.raises(ValueError, match=f"^classes {missing}"):
            cls().partial_fit(X, y, classes=labels)
        with pytest.raises(ValueError, match=f"^y {missing}"):
            cls(max_iter=1).partial_fit(X, y, classes=[0, 1, 2]).score(X, labels)

    def test_that_are_masked(self):
        with pytest.raises(ValueError, match="y must not contain missing labels"):
            BackpropMLP().fit(X, np.ma.array(y, mask=y == 1))

    def test_that_are_called_nan_by_the_user(self):
        labels = np.array(["nan", "None", "NA"])[y]
        clf = HillClimbMLP(max_iter=5, random_state=0).fit(X, labels.tolist())
        assert set(clf.classes_) == {"nan", "None", "NA"}

    @every_classifier
    @pytest.mark.parametrize(("labels", "kind"), IN_OBJECTS.values(), ids=IN_OBJECTS)
    def test_numbers_in_an_array_of_objects(self, cls, labels, kind):
        labels = objects(*labels)
        what = f"y is an array of objects of type {kind}. Convert it"
        with pytest.raises(ValueError, match=what):
            cls().fit(X, labels)
        with pytest.raises(ValueError, match=what):
            cls().partial_fit(X, labels, classes=[1, 2, 3])
        # The remedies that the message names.
        for remedy in (np.array(labels.tolist()), labels.astype(str)):
            clf = cls(max_iter=1, tol=1e9).partial_fit(
                X, remedy, classes=np.unique(remedy)
            )
            assert len(clf.classes_) == len(set(labels.tolist()))

    @every_classifier
    @pytest.mark.parametrize("labels", [("a", 1), (1, "a"), ("a", b"a")])
    def test_of_types_that_cannot_be_sorted(self, cls, labels):
        with pytest.raises(TypeError, match="labels in y must be all numbers or"):
            cls().fit(X, objects(*labels))
        with pytest.raises(TypeError, match="labels in classes must be all"):
            cls().partial_fit(X, y, classes=objects(*labels))

    @every_classifier
    def test_bytes(self, cls):
        labels = np.array([b"a", b"b", b"c"])[y]
        with pytest.raises(TypeError, match=r"strings, by np.char.decode\(y\)"):
            cls().fit(X, labels)
        cls(max_iter=1).partial_fit(X, np.char.decode(labels), classes=["a", "b", "c"])

    @every_classifier
    def test_complex_numbers(self, cls):
        with pytest.raises(ValueError, match="y must contain class labels, which can"):
            cls().fit(X, y + 1j)

    @every_classifier
    @pytest.mark.parametrize(
        ("convert", "to"), [("tz_localize", "UTC"), ("to_period", "Y")]
    )
    def test_dates_that_numpy_does_not_have(self, cls, convert, to):
        dates = pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"])
        labels = getattr(dates, convert)(to)[y]
        with pytest.raises(ValueError, match=r"strings of others, as by y.astype\(str"):
            cls().fit(X, labels)
        names = labels.astype(str)
        cls(max_iter=1).partial_fit(X, names, classes=np.unique(names))

    @every_classifier
    def test_classes_that_are_measurements(self, cls):
        with pytest.raises(ValueError, match="Unknown label type: continuous"):
            cls().partial_fit(X, y, classes=X[:, 0])

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    @pytest.mark.parametrize("names", [["a", "b", "c"], [10, 20, 30], [-1.0, 0, 2]])
    def test_class_of_one_sample_with_early_stopping(self, cls, names):
        labels = np.array(names)[np.where(y == 2, 1, y)]
        labels[0] = names[2]
        label = re.escape(repr(np.array(names)[2].item()))
        with pytest.raises(ValueError, match=f"only one has the label {label}. Add"):
            cls(early_stopping=True).fit(X, labels)

    @pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
    @pytest.mark.parametrize("fraction", [0.01, 0.99])
    def test_more_classes_than_samples_in_a_part(self, cls, fraction):
        clf = cls(early_stopping=True, validation_fraction=fraction)
        with pytest.raises(ValueError, match=r"as there are classes, 3\. Change valid"):
            clf.fit(X, y)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize("learning_rate_init", [1e30, 1e150, 1e300])
def test_training_that_diverges_is_not_blamed_on_the_data(
    learning_rate_init, activation, early_stopping
):
    clf = BackpropMLP((5, 5), activation, solver="sgd", early_stopping=early_stopping)
    clf.set_params(learning_rate_init=learning_rate_init, random_state=0)
    # A warning, if there are weights that have been validated.
    reactions = (ValueError, ConvergenceWarning) if early_stopping else ValueError
    with pytest.raises(reactions, match=r"learning_rate_init=.* is too large") as told:
        clf.fit(X, y)
    assert "these samples" not in str(told.value)
    assert all(np.isfinite(weights).all() for weights in clf.coefs_)


def test_class_weights_of_multilabel_targets():
    labels = np.column_stack([y == 0, y > 0]).astype(int)
    with pytest.raises(ValueError, match="multilabel"):
        BackpropMLP(class_weight="balanced").fit(X, labels)


@every_classifier
def test_validation_set_that_is_too_small(cls):
    clf = cls(early_stopping=True, validation_fraction=0.001)
    with pytest.raises(ValueError, match=r"validation|test_size"):
        clf.fit(X, y)


class TestRefusedFit:
    """A fit that is refused leaves the classifier as it was."""

    @pytest.mark.parametrize(
        ("cls", "wrong"),
        [
            (HillClimbPerceptron, {"objective": "neg_log_loss"}),
            (HillClimbPerceptron, {"class_weight": {"no such label": 1.0}}),
            (HillClimbMLP, {"activation": ["relo"]}),
            (HillClimbMLP, {"objective": lambda y_true, y_pred: np.nan}),
            (BackpropMLP, {"activation": ["relo"]}),
            (BackpropMLP, {"early_stopping": True, "validation_fraction": 1e-3}),
        ],
    )
    def test_keeps_what_was_learned(self, cls, wrong):
        clf = cls(max_iter=200, tol=1e-2, random_state=0).fit(X, y)
        expected = clf.decision_function(X)
        before = set(vars(clf))
        names = np.array(["a", "b", "c"])[y]
        with pytest.raises(ValueError, match=r".+"):
            clf.set_params(**wrong).fit(X[:, :3], names)
        assert set(vars(clf)) == before
        np.testing.assert_array_equal(clf.decision_function(X), expected)

    @every_classifier
    def test_leaves_a_new_classifier_unfitted(self, cls):
        clf = cls(class_weight={7: 1.0})
        with pytest.raises(ValueError, match="do not occur"):
            clf.fit(X, y)
        with pytest.raises(NotFittedError):
            clf.predict(X)


@every_classifier
def test_weights_that_cancel_out(cls):
    clf = cls(class_weight={0: 0.0})
    with pytest.raises(ValueError, match="must add up to a positive number"):
        clf.partial_fit(X[y == 0], y[y == 0], classes=[0, 1, 2])


@every_classifier
def test_weights_whose_sum_overflows(cls):
    with pytest.raises(ValueError, match="add up to a positive number, got inf in"):
        cls().fit(X, y, sample_weight=np.full(len(X), 1e308))


@every_classifier
def test_weights_that_are_too_large_for_the_precision_of_the_samples(cls):
    with pytest.raises(ValueError, match="infinity"):
        cls().fit(X.astype(np.float32), y, sample_weight=np.full(len(X), 1e300))


@every_classifier
def test_early_stopping_needs_weight_in_both_parts(cls):
    clf = cls(early_stopping=True, validation_fraction=0.5)
    weight = np.arange(len(X)) == 7
    with pytest.raises(ValueError, match=r"the (training|validation) part have weight"):
        clf.fit(X, y, sample_weight=weight)


@every_classifier
def test_labels_of_several_types(cls):
    with pytest.raises(TypeError, match="all numbers or all strings"):
        cls().fit(X, np.where(y == 0, "setosa", y.astype(object)))


@pytest.mark.parametrize(
    "clf",
    [
        HillClimbPerceptron(init="normal", max_iter=9, random_state=0),
        HillClimbMLP(activation="relu", init="normal", max_iter=9, random_state=0),
        BackpropMLP(init="normal", tol=1e9, n_iter_no_change=1, random_state=0),
    ],
)
@pytest.mark.parametrize("method", ["decision_function", "predict", "predict_proba"])
def test_samples_on_which_the_network_overflows(clf, method):
    clf.fit(X, y)
    if hasattr(clf, method):
        with pytest.raises(ValueError, match="overflows on these samples"):
            getattr(clf, method)(np.full((2, 4), 1.7e308))


@pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])
def test_objective_that_is_undefined_on_the_validation_part(cls):
    def metric(y_true, y_pred):
        return np.nan if len(y_true) < 20 else np.mean(y_true == y_pred)

    with pytest.raises(ValueError, match="must return one finite number, got nan"):
        cls(objective=metric, early_stopping=True).fit(X, y)


climbers = pytest.mark.parametrize("cls", [HillClimbPerceptron, HillClimbMLP])


class TestLosses:
    """An objective is maximised, which must not happen to a loss."""

    @climbers
    @pytest.mark.parametrize(
        "name",
        [n for n in dir(metrics) if n.endswith(("_loss", "_error", "_deviance"))],
    )
    def test_are_refused(self, cls, name):
        with pytest.raises(
            ValueError, match=rf"{name} is a loss.*(make_scorer\({name}|')"
        ):
            cls(objective=getattr(metrics, name)).fit(X, y)

    @climbers
    @pytest.mark.parametrize(
        "loss",
        [
            functools.partial(zero_one_loss, normalize=False),
            functools.partial(functools.partial(zero_one_loss)),
            inspect.unwrap(zero_one_loss),
            make_scorer(zero_one_loss),
            make_scorer(functools.partial(zero_one_loss)),
        ],
    )
    def test_are_recognised_in_other_forms(self, cls, loss):
        with pytest.raises(ValueError, match=r"zero_one_loss is a loss.*'accuracy'"):
            cls(objective=loss).fit(X, y)

    @pytest.mark.parametrize(
        ("loss", "scorer"),
        [
            (metrics.hamming_loss, "accuracy"),
            (metrics.brier_score_loss, "neg_brier_score"),
            (log_loss, "neg_log_loss"),
            (metrics.mean_squared_error, "neg_mean_squared_error"),
        ],
    )
    def test_a_scorer_is_named(self, loss, scorer):
        with pytest.raises(
            ValueError, match=f"Use objective='{scorer}' or make_scorer"
        ):
            HillClimbMLP(objective=loss).fit(X, y)

    def test_the_perceptron_has_no_probabilities_for_some(self):
        with pytest.raises(ValueError, match="Use HillClimbMLP, which has probabil"):
            HillClimbPerceptron(objective=log_loss).fit(X, y)

    @climbers
    def test_are_minimised_by_scorers_that_know_what_they_are(self, cls):
        loss = make_scorer(zero_one_loss, greater_is_better=False)
        clf = cls(objective=loss, max_iter=300, random_state=0).fit(X, y)
        expected = cls(objective="accuracy", max_iter=300, random_state=0).fit(X, y)
        curve = expected.objective_curve_ - 1
        assert curve[-1] > curve[0]
        np.testing.assert_allclose(clf.objective_curve_, curve, atol=1e-12)

    def test_a_function_that_wraps_one_is_the_users_own(self):
        @functools.wraps(zero_one_loss)
        def negated(y_true, y_pred):
            return -zero_one_loss(y_true, y_pred)

        clf = HillClimbPerceptron(objective=negated, max_iter=300, random_state=0)
        assert clf.fit(X, y == 0).score(X, y == 0) > 0.8


class TestNearMisses:
    """Errors ask for the name that was probably meant."""

    @pytest.mark.parametrize(
        ("clf", "meant"),
        [
            (HillClimbPerceptron(objective="f1_score"), "'f1'"),
            (HillClimbMLP(objective="Accuracy"), "'accuracy'"),
            (HillClimbMLP(objective="acuracy"), "'accuracy'"),
            (HillClimbMLP(objective="roc_auc_score"), "'roc_auc'"),
            (HillClimbMLP(objective="zero_one_loss"), "'accuracy'"),
            (HillClimbMLP(objective="brier_score_loss"), "'neg_brier_score'"),
            (HillClimbMLP(activation="sigmoid"), "'logistic'"),
            (BackpropMLP(activation="linear"), "'identity'"),
            (BackpropMLP(activation="swish"), "'silu'"),
            (BackpropMLP(activation="ReLU"), "'relu'"),
            (BackpropMLP((3, 3), ["relu", "sigmoid"]), "'logistic'"),
            (HillClimbMLP(activation="heaviside"), "'step'"),
            (HillClimbMLP(init="xavier"), "'glorot'"),
            (HillClimbMLP(step_schedule="one-fifth"), "'one_fifth'"),
            (HillClimbPerceptron(combine="mean"), "'average'"),
            (BackpropMLP(init="xavier"), "'glorot_uniform'"),
            (BackpropMLP(solver="Adam"), "'adam'"),
            (BackpropMLP(solver="L-BFGS"), "'lbfgs'"),
            (BackpropMLP(loss="cross_entropy"), "'log_loss'"),
            (BackpropMLP(class_weight="balance"), "'balanced'"),
        ],
    )
    def test_values(self, clf, meant):
        with pytest.raises(ValueError, match=rf"Did you mean {meant}\?$"):
            clf.fit(X, y)

    def test_nothing_is_suggested_for_what_is_like_nothing(self):
        with pytest.raises(ValueError, match="parameter") as refusal:
            BackpropMLP(solver="zzzzz").fit(X, y)
        assert "Did you mean" not in str(refusal.value)

    def test_the_log_loss_of_a_perceptron(self):
        with pytest.raises(ValueError, match=r"HillClimbMLP\(objective='log_loss'\)"):
            HillClimbPerceptron(objective="log_loss").fit(X, y)

    @pytest.mark.parametrize(
        ("clf", "name", "meant"),
        [
            (HillClimbMLP(), "hidden_nodes", "hidden_layer_sizes"),
            (BackpropMLP(), "hidden_layer_size", "hidden_layer_sizes"),
            (HillClimbPerceptron(), "metric", "objective"),
            (BackpropMLP(), "metric", "loss"),
            (HillClimbPerceptron(), "n_iter", "max_iter"),
            (BackpropMLP(), "optimizer", "solver"),
            (HillClimbMLP(), "learning_rate", "step_size"),
        ],
    )
    def test_parameters(self, clf, name, meant):
        with pytest.raises(ValueError, match=rf"{name}.*Did you mean '{meant}'\?$"):
            clf.set_params(**{name: 3})
        with pytest.raises(ValueError, match=f"Did you mean '{meant}'"):
            GridSearchCV(clf, {name: [3]}).fit(X, y)

    @every_classifier
    @pytest.mark.parametrize("container", [list, tuple])
    def test_callbacks_in_a_list(self, cls, container):
        with pytest.raises(TypeError, match=r"one by one.*set_callbacks\(tracker\)"):
            cls().set_callbacks(container([MLflowTracker()]))

    @climbers
    @pytest.mark.parametrize(
        "objective",
        ["f1", f1_score, make_scorer(f1_score), functools.partial(f1_score)],
    )
    def test_metrics_of_a_positive_class(self, cls, objective):
        two = np.where(y == 0, "no", "yes")
        remedy = r"make_scorer\(f1_score, pos_label='yes'\)"
        with pytest.raises(ValueError, match=remedy):
            cls(objective=objective).fit(X, two)
        remedy = r"make_scorer\(f1_score, average='macro'\)"
        with pytest.raises(ValueError, match=remedy):
            cls(objective=objective).fit(X, y)

    def test_switches_and_displays(self):
        with pytest.raises(ValueError, match="Did you mean 'best'"):
            skperceptron.set_config(log_models="Best")
        with pytest.raises(ValueError, match="Did you mean 'logistic'"):
            ActivationDisplay.from_names(["sigmoid"])
