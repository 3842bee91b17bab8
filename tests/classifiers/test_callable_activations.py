"""Functions as activations of HillClimbMLP, beside those that have a name."""

from __future__ import annotations

import pickle
from functools import partial

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV

from skperceptron import BackpropMLP, HillClimbMLP

pytestmark = pytest.mark.usefixtures("untracked")
X, y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)


def rectifier(z):
    return np.maximum(z, 0)


def textbook_logistic(z):
    return 1 / (1 + np.exp(-z))  # overflows on the way, not in the end


def in_place(z):
    return np.tanh(z, out=z)


def in_double(z):
    return np.maximum(z, 0).astype(np.float64)


def bump(z):
    return np.exp(-z * z)


@numba.njit
def jitted(z):
    return np.maximum(z, 0)


@numba.vectorize
def vectorized(z):
    return max(z, 0.0)


def f1_macro(y_true, y_pred):
    return f1_score(y_true, y_pred, average="macro")


def accuracy(y_true, y_pred):
    return accuracy_score(y_true, y_pred)


def climber(activation, hidden_layer_sizes=(6,), **params):
    params = {"max_iter": 40, "surrogate_iter": 0, "random_state": 0, **params}
    return HillClimbMLP(hidden_layer_sizes, activation, **params)


def assert_same_fit(found, expected):
    assert found.n_accepted_ == expected.n_accepted_
    assert_array_equal(found.objective_curve_, expected.objective_curve_)
    for weights, others in zip(found.coefs_, expected.coefs_, strict=True):
        assert weights.dtype == others.dtype
        assert_array_equal(weights, others)
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


every_function = pytest.mark.parametrize(
    ("function", "name"),
    [
        (np.tanh, "tanh"),
        (expit, "logistic"),
        (rectifier, "relu"),
        (lambda z: z, "identity"),
        (partial(np.maximum, 0), "relu"),
        (in_place, "tanh"),
        (jitted, "relu"),
        (vectorized, "relu"),
    ],
)


class TestFunction:
    @every_function
    def test_fits_as_its_name_does(self, function, name):
        # On a function of ours, both are climbs without compiled code.
        fits = [climber(a, objective=f1_macro).fit(X, y) for a in (function, name)]
        assert_same_fit(*fits)

    @every_function
    def test_decides_as_compiled_code_does(self, function, name):
        fits = [climber(a, mutation="all").fit(X, y) for a in (function, name)]
        found, expected = fits
        assert found.n_accepted_ == expected.n_accepted_
        assert_allclose(found.objective_curve_, expected.objective_curve_)

    @pytest.mark.parametrize(
        ("objective", "literal"),
        [("log_loss", "neg_log_loss"), ("accuracy", accuracy)],
    )
    def test_climbs_on_built_in_objectives(self, objective, literal):
        plain = {"alpha": 0, "noise_sign": "random"}
        found = climber(rectifier, objective=objective, **plain).fit(X, y)
        expected = climber("relu", objective=literal).fit(X, y)
        assert found.n_accepted_ == expected.n_accepted_
        assert_allclose(found.objective_curve_, expected.objective_curve_)

    @pytest.mark.parametrize("function", [rectifier, in_double, jitted, vectorized])
    def test_keeps_float32(self, function):
        samples = X.astype(np.float32)
        fits = [
            climber(a, objective=f1_macro).fit(samples, y) for a in (function, "relu")
        ]
        assert fits[0].coefs_[0].dtype == np.float32
        assert fits[0].predict_proba(samples).dtype == np.float32
        assert_same_fit(*fits)

    def test_that_overflows_on_the_way_is_no_overflow(self):
        params = {"objective": f1_macro, "max_iter": 20}
        found = climber(textbook_logistic, **params).fit(1e4 * X, y)
        expected = climber("logistic", **params).fit(1e4 * X, y)
        assert found.n_accepted_ == expected.n_accepted_
        assert_allclose(found.predict_proba(X), expected.predict_proba(X))

    def test_that_becomes_nan_later_makes_a_worse_candidate(self):
        def short(z):
            return np.where(np.abs(z) < 8, z, np.nan)

        clf = climber(short, step_size=3.0, step_schedule="constant").fit(X, y)
        assert clf.n_accepted_ < climber("identity").fit(X, y).n_accepted_
        assert np.isfinite(clf.predict_proba(X)).all()
        with pytest.raises(ValueError, match="overflows on these samples"):
            clf.predict(1e3 * X)


def test_layers_may_mix_names_and_functions():
    mixed = [rectifier, "step", jitted]
    names = ["relu", "step", "relu"]
    for given in (mixed, tuple(mixed)):
        fits = [
            climber(a, (6, 5, 4), objective=f1_macro).fit(X, y) for a in (given, names)
        ]
        assert_same_fit(*fits)


def test_no_name_has_that_one():
    clf = climber(bump, (10,), max_iter=2000).fit(X, y)
    assert clf.score(X, y) > 0.9


class TestWhatFollows:
    def test_is_the_same_for_a_clone_and_after_pickle(self):
        fitted = climber([jitted, "tanh"], (6, 5)).fit(X, y)
        for other in (clone(fitted).fit(X, y), pickle.loads(pickle.dumps(fitted))):
            assert_same_fit(other, fitted)
        loaded = pickle.loads(pickle.dumps(fitted))
        assert_same_fit(loaded.partial_fit(X, y), fitted.partial_fit(X, y))

    def test_clone_of_a_vectorized_function(self):
        fitted = climber(vectorized).fit(X, y)
        other = pickle.loads(pickle.dumps(clone(fitted).fit(X, y)))
        assert_same_fit(other, fitted)
        assert_same_fit(other.partial_fit(X, y), fitted.partial_fit(X, y))

    def test_grid_search_of_names_and_functions(self):
        grid = {"activation": ["relu", rectifier, jitted, np.tanh, "tanh"]}
        clf = climber("relu", objective=f1_macro)
        search = GridSearchCV(clf, grid, cv=2, n_jobs=2, error_score="raise")
        scores = search.fit(X, y).cv_results_["mean_test_score"]
        assert scores[0] == scores[1] == scores[2]
        assert scores[3] == scores[4]
        assert search.score(X, y) == search.best_estimator_.score(X, y)

    @pytest.mark.parametrize("function", [rectifier, jitted])
    def test_training_goes_on(self, function):
        fits = []
        for activation in (function, "relu"):
            clf = climber(activation, objective=f1_macro, warm_start=True)
            fits.append(clf.fit(X, y).partial_fit(X, y).fit(X, y))
        assert_same_fit(*fits)

    def test_training_does_not_go_on_with_another_function(self):
        clf = climber(rectifier, warm_start=True).fit(X, y)
        with pytest.raises(ValueError, match="warm_start=False to start over"):
            clf.set_params(activation=np.tanh).fit(X, y)

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_restarts_and_early_stopping(self, n_jobs):
        params = {
            "objective": f1_macro,
            "n_restarts": 3,
            "n_jobs": n_jobs,
            "early_stopping": True,
        }
        fits = [climber(a, **params).fit(X, y) for a in (rectifier, "relu")]
        assert_same_fit(*fits)
        assert fits[0].validation_scores_ == fits[1].validation_scores_

    def test_sparse_samples(self):
        fits = [
            climber(a, objective=f1_macro).fit(csr_matrix(X), y)
            for a in (jitted, "relu")
        ]
        assert_same_fit(*fits)
        clf = fits[0]
        assert_allclose(clf.predict_proba(csr_matrix(X)), clf.predict_proba(X))

    def test_memory_mapped_samples(self, tmp_path):
        np.save(tmp_path / "X.npy", X)
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        assert_same_fit(climber(bump).fit(mapped, y), climber(bump).fit(X, y))


def raising(z):
    raise KeyError("gone")


def of_two_dimensions_only(z, other):
    return z


class TestRefused:
    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (lambda z: z[:, :1], r"returned an array of shape \(150, 1\), for float64"),
            (lambda z: z.ravel(), r"shape \(900,\), for float64 sums of shape \(150, "),
            (lambda z: z.sum(), "returned the scalar .* of type float64, not an array"),
            (lambda z: 1.0, "returned the scalar 1.0 of type float, not an array"),
            (lambda z: None, "returned None of type NoneType, not an array"),
            (lambda z: z.tolist(), "of type list, not an array"),
            (lambda z: z + 1j, "dtype complex128, .*must return an array of floats"),
            (lambda z: z.astype(object), "array of dtype object"),
            (lambda z: z.astype(str), "array of dtype <U"),
            (lambda z: z > 0, r"dtype bool \(add .astype\(z.dtype\)"),
            (lambda z: np.sign(z).astype(int), r"dtype int64 \(add .astype\(z.dtype\)"),
            (
                raising,
                r"raising at .*> cannot be evaluated .*KeyError: 'gone'\. A function",
            ),
            (of_two_dimensions_only, "TypeError: .*missing 1 required positional"),
            (
                np.log,
                r"<ufunc 'log'> returned NaN for the sum -\d.* negative",
            ),
            (float, r"<class 'float'> cannot be evaluated"),
        ],
    )
    @pytest.mark.parametrize("place", ["all", "last"])
    def test_before_training(self, function, message, place):
        activation = function if place == "all" else ["tanh", function]
        clf = HillClimbMLP((6, 6), activation, max_iter=10**9, random_state=0)
        with pytest.raises(ValueError, match=f"activation=.*{message}"):
            clf.fit(X, y)
        assert not hasattr(clf, "coefs_")

    def test_function_that_is_infinite_at_the_start(self):
        with pytest.raises(ValueError, match="overflows already with its start"):
            climber(lambda z: np.exp(1e6 * z)).fit(X, y)

    @pytest.mark.parametrize("value", [3, None, np.array(["relu"]), {"relu"}])
    def test_what_is_no_function(self, value):
        with pytest.raises(ValueError, match=r"a callable.* Got"):
            climber(value).fit(X, y)

    @pytest.mark.parametrize("value", [3, None, np.array([1.0, 2.0]), "relo"])
    def test_what_is_no_function_in_a_list(self, value):
        with pytest.raises(ValueError, match=r"allowed are .*'tanh'.*and functions of"):
            climber(["tanh", value], (5, 5)).fit(X, y)

    def test_one_for_each_layer(self):
        with pytest.raises(ValueError, match="got 2 names or functions for 1 hidden"):
            climber([np.tanh, "tanh"]).fit(X, y)

    def test_cause_is_kept(self):
        with pytest.raises(ValueError, match="gone") as caught:
            climber(raising).fit(X, y)
        assert isinstance(caught.value.__cause__, KeyError)

    @pytest.mark.parametrize(
        ("activation", "message"),
        [
            (np.tanh, "must be a str among .* Got"),
            ([np.tanh], r"unknown names \[numpy.tanh\]"),
            (("relu", rectifier), r"unknown names \[.*rectifier\]"),
        ],
    )
    def test_by_gradients_that_need_derivatives(self, activation, message):
        expected = f"{message}.*HillClimbMLP, which needs no gradients, for functions"
        with pytest.raises(ValueError, match=expected):
            BackpropMLP((5,) * np.size(activation), activation).fit(X, y)
