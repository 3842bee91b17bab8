"""What scikit-learn expects of any estimator, for all of them, with tracking on."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, csr_matrix
from sklearn import config_context as sklearn_config
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris, make_blobs
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - by its import
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    cross_validate,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import skperceptron
from skperceptron import (
    BackpropMLP,
    BackpropMLPRegressor,
    HillClimbMLP,
    HillClimbMLPRegressor,
    HillClimbPerceptron,
)

CLASSIFIERS = [HillClimbPerceptron, HillClimbMLP, BackpropMLP]
REGRESSORS = [HillClimbMLPRegressor, BackpropMLPRegressor]
every_classifier = pytest.mark.parametrize("cls", CLASSIFIERS)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([cls() for cls in CLASSIFIERS])
def test_estimator_checks_pass_with_tracking_on(estimator, check, without_models):
    assert skperceptron.get_config()["tracking"]
    check(estimator)


# They are tracked by the same code.
@parametrize_with_checks([cls() for cls in REGRESSORS])
def test_estimator_checks_pass(estimator, check, untracked):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([cls() for cls in [*CLASSIFIERS, *REGRESSORS]])
def test_estimator_checks_pass_with_models_kept(estimator, check):
    check(estimator)


MAX_ITER = {HillClimbPerceptron: 300, HillClimbMLP: 1500, BackpropMLP: 60}


def small(cls, **params):
    """A classifier whose fit takes a moment and still learns something."""
    return cls(max_iter=MAX_ITER[cls], random_state=0, **params)


@pytest.fixture
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@every_classifier
def test_learns_two_and_more_classes(cls, iris, cancer, untracked):
    assert cls(random_state=0).fit(*cancer).score(*cancer) > 0.95
    assert cls(random_state=0).fit(*iris).score(*iris) > 0.93


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_perceptron_reaches_the_score_that_its_poor_score_tag_excuses(dtype, untracked):
    X, y = make_blobs(n_samples=300, random_state=0)
    X = StandardScaler().fit_transform(X).astype(dtype)
    for keep in (y >= 0, y != 2):
        clf = HillClimbPerceptron(random_state=0).fit(X[keep], y[keep])
        assert clf.score(X[keep], y[keep]) > 0.83


@every_classifier
def test_string_labels_are_only_names(cls, iris, untracked):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])
    by_number, by_name = small(cls).fit(X, y), small(cls).fit(X, names[y])
    assert_array_equal(by_name.classes_, names)
    assert_array_equal(by_name.predict(X), names[by_number.predict(X)])


@every_classifier
@pytest.mark.parametrize("container", [csr_matrix, csr_array])
def test_sparse_input_equals_dense_input(cls, container, iris, untracked):
    X, y = iris
    X = np.where(X > 0, X, 0)
    dense, sparse = small(cls).fit(X, y), small(cls).fit(container(X), y)
    assert_allclose(sparse.decision_function(container(X)), dense.decision_function(X))


@every_classifier
def test_dataframes_keep_their_names(cls, untracked):
    data = load_iris(as_frame=True)
    clf = small(cls).fit(data.data, data.target)
    assert_array_equal(clf.feature_names_in_, data.feature_names)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(data.data.rename(columns=str.upper))


@every_classifier
@pytest.mark.parametrize(
    ("given", "used"),
    [(np.float32, np.float32), (np.float64, np.float64), (np.int32, np.float64)],
)
def test_float32_stays_and_all_else_becomes_float64(cls, given, used, iris, untracked):
    X, y = iris
    clf = small(cls).fit((10 * X).astype(given), y)
    assert clf.decision_function((10 * X).astype(given)).dtype == used
    assert clf._get_weights()[0][0].dtype == used


@every_classifier
def test_class_weights_equal_the_same_sample_weights(cls, iris, untracked):
    X, y = iris
    by_class = small(cls, class_weight={0: 1.0, 1: 5.0, 2: 0.5}).fit(X, y)
    by_sample = small(cls).fit(X, y, sample_weight=np.array([1.0, 5.0, 0.5])[y])
    assert_array_equal(by_class.decision_function(X), by_sample.decision_function(X))


@every_classifier
def test_balanced_weights_undo_an_imbalance(cls, iris, untracked):
    X, y = iris
    keep = np.r_[0:50, 50:60, 100:150]
    X, y = X[keep], y[keep]
    balanced = small(cls, class_weight="balanced").fit(X, y)
    by_hand = {k: len(y) / (3 * np.sum(y == k)) for k in range(3)}
    weighted = small(cls, class_weight=by_hand).fit(X, y)
    assert_array_equal(balanced.decision_function(X), weighted.decision_function(X))


@every_classifier
def test_balanced_weights_leave_out_a_class_without_weight(cls, iris, untracked):
    X, y = iris
    weight = np.where(y == 1, 0.0, 1.0)
    balanced = small(cls, class_weight="balanced").fit(X, y, sample_weight=weight)
    others_alike = small(cls).fit(X, y, sample_weight=weight)
    assert_array_equal(balanced.predict(X), others_alike.predict(X))


@every_classifier
def test_weights_change_what_is_learned(cls, untracked):
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = (X[:, 0] + np.random.default_rng(1).normal(size=200) > 0).astype(int)
    plain = cls(random_state=0).fit(X, y)
    weighted = cls(random_state=0, class_weight={0: 1, 1: 20}).fit(X, y)
    assert weighted.predict(X).mean() > plain.predict(X).mean() + 0.1


@every_classifier
def test_sample_weight_is_routed_to_fit_and_score(cls, iris, untracked):
    X, y = iris
    weight = np.where(y == 0, 0.0, 1.0)
    with sklearn_config(enable_metadata_routing=True):
        clf = small(cls).set_fit_request(sample_weight=True)
        clf.set_score_request(sample_weight=True)
        search = GridSearchCV(clf, {"tol": [1e-4]}, cv=3, error_score="raise")
        search.fit(X, y, sample_weight=weight)
        assert small(cls).set_partial_fit_request(sample_weight=True)
    direct = small(cls).fit(X, y, sample_weight=weight)
    assert_array_equal(
        search.best_estimator_.decision_function(X), direct.decision_function(X)
    )


@every_classifier
def test_clone_is_unfitted_and_learns_the_same(cls, iris, untracked):
    X, y = iris
    fitted = small(cls).fit(X, y)
    copy = clone(fitted)
    with pytest.raises(NotFittedError):
        copy.predict(X)
    assert_array_equal(copy.fit(X, y).predict(X), fitted.predict(X))


@every_classifier
def test_pickle_and_joblib_keep_the_predictions(cls, iris, tmp_path):
    X, y = iris
    fitted = small(cls).fit(X, y)
    joblib.dump(fitted, tmp_path / "model.joblib")
    for copy in (
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "model.joblib"),
    ):
        assert_array_equal(copy.decision_function(X), fitted.decision_function(X))
        assert copy.run_id_ == fitted.run_id_


@every_classifier
def test_fitted_twice_with_one_seed_gives_one_result(cls, iris, untracked):
    X, y = iris
    first, second = small(cls).fit(X, y), small(cls).fit(X, y)
    assert_array_equal(first.decision_function(X), second.decision_function(X))


@every_classifier
def test_works_in_a_grid_search_over_a_pipeline_in_two_processes(cls, iris):
    name = cls.__name__.lower()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), small(cls)),
        {f"{name}__tol": [1e-4, 1e-3], f"{name}__class_weight": [None, "balanced"]},
        cv=3,
        n_jobs=2,
        error_score="raise",
    ).fit(*iris)
    assert search.best_score_ > 0.6
    assert search.predict(iris[0]).shape == (150,)


@every_classifier
def test_works_in_a_halving_search(cls, iris, untracked):
    search = HalvingRandomSearchCV(
        small(cls),
        {"tol": [1e-5, 1e-4, 1e-3]},
        resource="n_samples",
        min_resources=40,
        random_state=0,
        error_score="raise",
    ).fit(*iris)
    assert search.n_iterations_ > 1


@every_classifier
def test_works_in_cross_validation(cls, iris, untracked):
    scores = cross_validate(small(cls), *iris, cv=3, n_jobs=2, error_score="raise")
    assert scores["test_score"].min() > 0.5


@every_classifier
def test_works_calibrated(cls, iris, untracked):
    clf = CalibratedClassifierCV(small(cls), cv=3).fit(*iris)
    assert_allclose(clf.predict_proba(iris[0]).sum(axis=1), 1)


@every_classifier
def test_works_bagged_in_two_processes(cls, iris, untracked):
    clf = BaggingClassifier(small(cls), n_estimators=4, n_jobs=2, random_state=0)
    assert clf.fit(*iris).score(*iris) > 0.6


@every_classifier
@pytest.mark.parametrize("enable_pruning", [False, True])
def test_works_in_an_optuna_search(cls, enable_pruning, iris, untracked):
    import optuna
    from optuna_integration import OptunaSearchCV

    with warnings.catch_warnings():
        # Of OptunaSearchCV itself.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "`optuna.terminator`", FutureWarning)
        search = OptunaSearchCV(
            small(cls),
            {"tol": optuna.distributions.FloatDistribution(1e-5, 1e-3, log=True)},
            cv=3,
            enable_pruning=enable_pruning,
            max_iter=15,
            n_trials=6,
            random_state=0,
            error_score="raise",
        ).fit(*iris)
    assert search.best_score_ > 0.4
    if enable_pruning:
        reported = [len(trial.intermediate_values) for trial in search.trials_]
        assert max(reported) == 15


def test_an_optuna_search_prunes_what_does_not_learn(iris, untracked):
    import optuna
    from optuna_integration import OptunaSearchCV

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "`optuna.terminator`", FutureWarning)
        rates = optuna.distributions.FloatDistribution(1e-6, 1e-1, log=True)
        search = OptunaSearchCV(
            BackpropMLP(random_state=0),
            {"learning_rate_init": rates},
            cv=3,
            enable_pruning=True,
            max_iter=15,
            n_trials=15,
            random_state=0,
            error_score="raise",
        ).fit(*iris)
    pruned = [t for t in search.trials_ if t.state == optuna.trial.TrialState.PRUNED]
    assert pruned
    assert all(len(trial.intermediate_values) < 15 for trial in pruned)
    assert search.best_score_ > 0.9


@every_classifier
def test_several_outputs_need_a_wrapper(cls, iris, untracked):
    X, y = iris
    columns = np.column_stack([y, (y + 1) % 3])
    with pytest.raises(ValueError, match=r"(?i)multi-?output|1d array"):
        small(cls).fit(X, columns)
    assert MultiOutputClassifier(small(cls)).fit(X, columns).predict(X).shape == (
        150,
        2,
    )


@every_classifier
def test_parameters_show_in_the_representation(cls):
    assert f"max_iter={MAX_ITER[cls]}" in repr(small(cls))


@every_classifier
def test_pandas_series_and_lists_are_labels_too(cls, iris, untracked):
    X, y = iris
    expected = small(cls).fit(X, y).predict(X)
    for labels in (pd.Series(y), list(y), y.reshape(-1, 1)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "A column-vector y was passed")
            assert_array_equal(small(cls).fit(X, labels).predict(X), expected)
