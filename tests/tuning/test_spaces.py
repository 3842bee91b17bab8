"""Search spaces contain what users would try, the defaults among it."""

import numpy as np
import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, load_wine
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.tuning import param_distributions, suggest_params

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = load_iris(return_X_y=True)
CLASSIFIERS = {
    "perceptron": HillClimbPerceptron(),
    "climb": HillClimbMLP(),
    "adam": BackpropMLP(),
    "adamw": BackpropMLP(solver="adamw"),
    "rmsprop": BackpropMLP(solver="rmsprop"),
    "sgd": BackpropMLP(solver="sgd"),
    "lbfgs": BackpropMLP(solver="lbfgs"),
    "two layers": BackpropMLP((20, 10), dropout=[0.1, 0.2]),
    "two climbing layers": HillClimbMLP((20, 10), activation=["relu", "step"]),
    "no hidden layer": BackpropMLP(()),
}


@pytest.fixture(params=CLASSIFIERS)
def clf(request):
    return clone(CLASSIFIERS[request.param]).set_params(random_state=0)


def defaults_of(clf, space):
    defaults = type(clf)().get_params()
    assert defaults.pop("hidden_layer_sizes", (100,)) == (100,)
    # One hidden layer can also be given as a number, which is what Optuna can vary.
    return {name: {**defaults, "hidden_layer_sizes": 100}[name] for name in space}


def random_trials(n, seed=0):
    study = optuna.create_study(sampler=RandomSampler(seed=seed))
    return [study.ask() for _ in range(n)]


# What is in them


def test_space_contains_the_defaults(clf):
    space = param_distributions(clf)
    # Refuses parameters outside of their distributions.
    optuna.create_trial(value=0, params=defaults_of(clf, space), distributions=space)


def test_space_is_small(clf):
    assert 1 <= len(param_distributions(clf)) <= 6


def test_whatever_is_suggested_can_be_fitted(clf):
    limit = {"max_iter": 3, "n_restarts": 1}
    for trial in random_trials(30):
        one = clone(clf).set_params(**suggest_params(trial, clf))
        limited = {k: v for k, v in limit.items() if k in one.get_params()}
        assert one.set_params(**limited).fit(X, y).predict(X).shape == (150,)


def test_goals_and_budgets_are_not_varied(clf):
    chosen_by_the_caller = {
        "objective",
        "loss",
        "class_weight",
        "solver",
        "max_iter",
        "early_stopping",
        "n_iter_no_change",
        "tol",
        "random_state",
    }
    assert not chosen_by_the_caller & set(param_distributions(clf))


def test_lbfgs_has_no_parameters_of_mini_batches():
    space = param_distributions(CLASSIFIERS["lbfgs"])
    assert set(space) == {"hidden_layer_sizes", "activation", "alpha"}


@pytest.mark.parametrize("case", ["two layers", "two climbing layers"])
def test_several_hidden_layers_keep_their_sizes(case):
    clf = CLASSIFIERS[case]
    space = param_distributions(clf)
    assert "hidden_layer_sizes" not in space
    assert "activation" in space
    params = suggest_params(random_trials(1)[0], clf)
    assert clone(clf).set_params(**params).hidden_layer_sizes == (20, 10)


@pytest.mark.parametrize("sizes", [30, [30], (30,), np.array([30])])
def test_one_hidden_layer_is_varied_however_it_is_given(sizes):
    space = param_distributions(HillClimbMLP(sizes))
    assert isinstance(space["hidden_layer_sizes"], IntDistribution)


def test_network_without_hidden_layers_has_no_parameters_of_them():
    assert set(param_distributions(CLASSIFIERS["no hidden layer"])) == {
        "alpha",
        "batch_size",
        "learning_rate_init",
    }


def test_space_belongs_to_the_caller():
    space = param_distributions(BackpropMLP())
    space.clear()
    assert param_distributions(BackpropMLP())


# Where they are found


def test_names_in_a_pipeline_are_those_of_its_parameters(clf):
    pipeline = make_pipeline(StandardScaler(), clf)
    name = type(clf).__name__.lower()
    bare = param_distributions(clf)
    assert param_distributions(pipeline) == {
        f"{name}__{param}": distribution for param, distribution in bare.items()
    }


def test_classifiers_are_found_at_any_depth():
    scaling = make_column_transformer((StandardScaler(), [0, 1]))
    inner = make_pipeline(scaling, HillClimbPerceptron())
    voting = VotingClassifier(
        [("a", inner), ("b", BackpropMLP()), ("c", LogisticRegression())]
    )
    space = param_distributions(make_pipeline(voting))
    assert {name.rpartition("__")[0] for name in space} == {
        "votingclassifier__a__hillclimbperceptron",
        "votingclassifier__b",
    }
    pipeline = make_pipeline(voting)
    pipeline.set_params(**suggest_params(random_trials(1)[0], pipeline))


def test_estimators_without_our_classifiers_are_refused():
    with pytest.raises(TypeError, match="This GridSearchCV contains no estimator of"):
        param_distributions(GridSearchCV(LogisticRegression(), {"C": [1]}))


@pytest.mark.parametrize("estimator", [BackpropMLP, "adam", None])
def test_other_things_than_estimators_are_refused(estimator):
    with pytest.raises(TypeError, match="must be a scikit-learn estimator, got"):
        param_distributions(estimator)


# Suggestions


def test_suggestions_are_the_trials_own_parameters(clf):
    pipeline = make_pipeline(StandardScaler(), clf)
    (trial,) = random_trials(1)
    params = suggest_params(trial, pipeline)
    assert params == trial.params
    assert trial.distributions == param_distributions(pipeline)
    tuned = pipeline.set_params(**params).get_params()
    assert {name: tuned[name] for name in params} == params


def test_fixed_trial_suggests_what_it_is_given():
    params = {
        "alpha": 0.5,
        "mutation": "unit",
        "n_restarts": 2,
        "combine": "average",
    }
    trial = optuna.trial.FixedTrial(params)
    assert suggest_params(trial, HillClimbPerceptron()) == params


def test_suggestions_need_a_trial():
    with pytest.raises(TypeError, match="must be an Optuna trial, got BackpropMLP"):
        suggest_params(BackpropMLP(), BackpropMLP())


@pytest.mark.parametrize(
    "case", [pytest.param("perceptron", marks=pytest.mark.slow), "climb", "adam"]
)
def test_twenty_trials_find_something_better_than_the_defaults(case):
    X, y = load_wine(return_X_y=True)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    clf = make_pipeline(
        StandardScaler(), clone(CLASSIFIERS[case]).set_params(random_state=0)
    )

    def score(trial):
        params = {} if trial is None else suggest_params(trial, clf)
        return cross_val_score(clone(clf).set_params(**params), X, y, cv=cv).mean()

    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=0))
    study.optimize(score, n_trials=20)
    assert study.best_value > score(None)
