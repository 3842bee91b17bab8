"""OptunaSearchCV searches the spaces, and prunes by calling partial_fit."""

import optuna
import pytest
from optuna_integration import OptunaSearchCV
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.tuning import param_distributions

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Its own, and what it imports.
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:.optuna.terminator. module:FutureWarning"),
]
X, y = load_iris(return_X_y=True)
CV = StratifiedKFold(3, shuffle=True, random_state=0)
CLASSIFIERS = {
    "perceptron": HillClimbPerceptron(max_iter=500, random_state=0),
    "climb": HillClimbMLP(max_iter=500, random_state=0),
    "backprop": BackpropMLP(max_iter=20, random_state=0),
}


@pytest.fixture(params=CLASSIFIERS)
def clf(request):
    return clone(CLASSIFIERS[request.param])


def search_of(estimator, *, study=None, n_trials=5, **options):
    return OptunaSearchCV(
        estimator,
        param_distributions(estimator),
        cv=CV,
        n_trials=n_trials,
        random_state=0,
        study=study,
        error_score="raise",
        **options,
    )


def test_search_finds_parameters_of_a_classifier(clf):
    search = search_of(clf).fit(X, y)
    assert search.best_estimator_.get_params().items() >= search.best_params_.items()
    assert search.best_score_ > 0.8
    assert search.score(X, y) > 0.8


def test_search_finds_parameters_in_a_pipeline(clf):
    pipeline = make_pipeline(StandardScaler(), clf)
    search = search_of(pipeline).fit(X, y)
    assert set(search.best_params_) == set(param_distributions(pipeline))
    assert search.score(X, y) > 0.8


def test_search_can_be_cloned(clf):
    search = search_of(clf)
    assert clone(search).param_distributions == search.param_distributions


def test_search_prunes_by_partial_fit(clf):
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2)
    study = optuna.create_study(
        direction="maximize", pruner=pruner, sampler=optuna.samplers.TPESampler(seed=0)
    )
    search = search_of(clf, study=study, n_trials=10, enable_pruning=True, max_iter=10)
    search.fit(X, y)
    n_steps = {"COMPLETE": [], "PRUNED": []}
    for trial in study.trials:
        n_steps[trial.state.name].append(len(trial.intermediate_values))
    assert set(n_steps["COMPLETE"]) == {10}
    assert min(n_steps["PRUNED"]) < 10
    assert search.score(X, y) > 0.5
