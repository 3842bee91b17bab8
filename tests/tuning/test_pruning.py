"""A fit reports to its trial, and ends when the trial is pruned."""

import copy
import pickle

import numpy as np
import optuna
import pytest
from numpy.testing import assert_array_equal
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
)
from optuna.trial import TrialState
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron
from skperceptron.classifiers import _climber
from skperceptron.tuning import PruningCallback, suggest_params

pytestmark = [
    pytest.mark.usefixtures("untracked"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
X, y = load_iris(return_X_y=True)

# Classifier, what is monitored, the attribute that holds it, and the steps of a fit.
CASES = {
    "perceptron": (
        HillClimbPerceptron(max_iter=300, early_stopping=True, n_iter_no_change=np.inf),
        "validation_score",
        lambda clf: clf.validation_scores_,
        range(3, 301, 3),
    ),
    "perceptron, objective": (
        HillClimbPerceptron(max_iter=50),
        "objective",
        lambda clf: clf.objective_curve_[1:],
        range(1, 51),
    ),
    "climb": (
        HillClimbMLP(max_iter=1010, early_stopping=True, n_iter_no_change=np.inf),
        "validation_score",
        lambda clf: clf.validation_scores_,
        [*range(11, 1010, 11), 1010],
    ),
    "climb, objective": (
        HillClimbMLP(max_iter=500),
        "objective",
        lambda clf: clf.objective_curve_[5::5],
        range(5, 501, 5),
    ),
    "backprop": (
        BackpropMLP(max_iter=20, early_stopping=True, n_iter_no_change=np.inf),
        "validation_score",
        lambda clf: clf.validation_scores_,
        range(1, 21),
    ),
    "backprop, validation loss": (
        BackpropMLP(max_iter=20, early_stopping=True, n_iter_no_change=np.inf),
        "validation_loss",
        lambda clf: clf.validation_loss_curve_,
        range(1, 21),
    ),
    "backprop, loss": (
        BackpropMLP(max_iter=20),
        "loss",
        lambda clf: clf.loss_curve_,
        range(1, 21),
    ),
    "lbfgs": (
        BackpropMLP(max_iter=20, solver="lbfgs"),
        "loss",
        lambda clf: clf.loss_curve_,
        range(1, 21),
    ),
}
MINIMIZED = ("loss", "validation_loss")


class PruneAt(BasePruner):
    """Prunes a trial that has reached a step."""

    def __init__(self, step):
        self.step = step

    def prune(self, study, trial):
        return trial.last_step >= self.step


@pytest.fixture(params=CASES)
def case(request):
    clf, monitor, curve, steps = CASES[request.param]
    return clone(clf).set_params(random_state=0), monitor, curve, list(steps)


def new_study(monitor="validation_score", pruner=None):
    return optuna.create_study(
        study_name="tuning",  # by which Hyperband assigns trials to its brackets
        direction="minimize" if monitor in MINIMIZED else "maximize",
        pruner=optuna.pruners.NopPruner() if pruner is None else pruner,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )


def new_trial(monitor="validation_score", pruner=None):
    return new_study(monitor, pruner).ask()


def reported(trial):
    return trial.study.get_trials()[trial.number].intermediate_values


def early(max_iter=10, **params):
    """A classifier with validation scores."""
    return BackpropMLP(max_iter=max_iter, early_stopping=True, random_state=0, **params)


def search_of(clf, **options):
    return GridSearchCV(clf, {"alpha": [0, 1]}, cv=2, **options)


# What is reported


def test_every_step_is_reported_with_its_value(case):
    clf, monitor, curve, steps = case
    trial = new_trial(monitor)
    clf.set_callbacks(PruningCallback(trial, monitor)).fit(X, y)
    assert list(reported(trial)) == steps
    assert_array_equal(list(reported(trial).values()), curve(clf))


def test_fit_that_is_not_pruned_is_that_without_pruning(case):
    clf, monitor, curve, _ = case
    plain = curve(clone(clf).fit(X, y))
    clf.set_callbacks(PruningCallback(new_trial(monitor), monitor)).fit(X, y)
    assert_array_equal(curve(clf), plain)


def test_pruned_fit_ends_at_the_step_at_which_it_is_pruned(case):
    clf, monitor, _, steps = case
    trial = new_trial(monitor, PruneAt(steps[4]))
    clf.set_callbacks(PruningCallback(trial, monitor))
    with pytest.raises(optuna.TrialPruned, match=f"at step {steps[4]}: {monitor} is"):
        clf.fit(X, y)
    assert clf.n_iter_ == steps[4]
    assert list(reported(trial)) == steps[:5]


def test_slow_climb_reports_at_the_same_steps(monkeypatch):
    # As if an evaluation took so long that there are callbacks between two reports.
    monkeypatch.setattr(_climber, "SECONDS_PER_REPORT", 1e-12)
    clf = HillClimbMLP(max_iter=300, random_state=0)
    trial = new_trial()
    clf.set_callbacks(PruningCallback(trial, "objective")).fit(X, y)
    assert list(reported(trial)) == list(range(3, 301, 3))


def test_restarts_that_end_early_report_no_step_twice():
    clf = HillClimbMLP(max_iter=500, n_restarts=3, early_stopping=True, random_state=0)
    trial = new_trial()
    clf.set_callbacks(PruningCallback(trial)).fit(X, y)
    assert reported(trial)[clf.n_iter_] == clf.validation_scores_[-1]


def test_warm_start_goes_on_with_new_steps():
    clf = BackpropMLP(max_iter=5, warm_start=True, random_state=0)
    trial = new_trial("loss")
    clf.set_callbacks(PruningCallback(trial, "loss")).fit(X, y).fit(X, y)
    assert list(reported(trial)) == list(range(1, 11))
    assert list(reported(trial).values()) == clf.loss_curve_


def test_folds_have_steps_of_their_own():
    trial = new_trial()
    clf = early(n_iter_no_change=2).set_callbacks(PruningCallback(trial))
    lengths = []
    for fold in range(3):
        clf.fit(X[fold::3], y[fold::3])
        lengths.append(clf.n_iter_)
    assert list(reported(trial)) == [
        10 * fold + epoch for fold in range(3) for epoch in range(1, 1 + lengths[fold])
    ]


def test_fixed_trial_is_never_pruned():
    trial = optuna.trial.FixedTrial({})
    clf = early().set_callbacks(PruningCallback(trial)).fit(X, y)
    assert_array_equal(clf.coefs_[0], early().fit(X, y).coefs_[0])


# Inside other estimators


@pytest.mark.parametrize("where", ["pipeline", "classifier", "both"])
def test_classifier_in_a_pipeline_is_followed(where):
    trial = new_trial(pruner=PruneAt(4))
    callback = PruningCallback(trial)
    pipeline = make_pipeline(StandardScaler(), early())
    if where != "classifier":
        pipeline.set_callbacks(callback)
    if where != "pipeline":
        pipeline[-1].set_callbacks(callback)
    with pytest.raises(optuna.TrialPruned):
        pipeline.fit(X, y)
    assert list(reported(trial)) == [1, 2, 3, 4]


def test_pipeline_gives_its_classifier_back_without_the_callback():
    pipeline = make_pipeline(StandardScaler(), early())
    pipeline.set_callbacks(PruningCallback(new_trial(pruner=PruneAt(2))))
    with pytest.raises(optuna.TrialPruned):
        pipeline.fit(X, y)
    assert pipeline[-1].fit(X, y).n_iter_ == 10


def test_pipeline_leaves_the_classifier_its_own_callbacks(capsys):
    pipeline = make_pipeline(StandardScaler(), early())
    trial = new_trial()
    pipeline[-1].set_callbacks(PruningCallback(trial))
    pipeline.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    pipeline.set_callbacks(PruningCallback(other := new_trial())).fit(X, y)
    assert list(reported(trial)) == list(range(1, 21))
    assert list(reported(other)) == list(range(1, 11))
    assert "BackpropMLP" in capsys.readouterr().out


def test_classifier_deep_inside_is_followed():
    trial = new_trial(pruner=PruneAt(4))
    voting = VotingClassifier([("a", LogisticRegression()), ("b", early())])
    pipeline = make_pipeline(StandardScaler(), make_pipeline(voting))
    with pytest.raises(optuna.TrialPruned):
        pipeline.set_callbacks(PruningCallback(trial)).fit(X, y)
    assert list(reported(trial)) == [1, 2, 3, 4]


@pytest.mark.parametrize("where", ["pipeline", "classifier"])
def test_folds_of_a_cross_validation_are_pruned(where):
    trial = new_trial(pruner=PruneAt(14))
    pipeline = make_pipeline(StandardScaler(), early())
    followed = pipeline if where == "pipeline" else pipeline[-1]
    followed.set_callbacks(PruningCallback(trial))
    with pytest.raises(optuna.TrialPruned):
        cross_val_score(pipeline, X, y, cv=3, error_score="raise")
    assert list(reported(trial)) == list(range(1, 15))


def test_folds_of_a_search_are_pruned():
    trial = new_trial(pruner=PruneAt(14))
    search = search_of(early(), error_score="raise")
    with pytest.raises(optuna.TrialPruned):
        search.set_callbacks(PruningCallback(trial)).fit(X, y)
    assert list(reported(trial)) == list(range(1, 15))


# Pruners


@pytest.mark.parametrize(
    "pruner",
    [
        MedianPruner(n_startup_trials=3),
        PercentilePruner(40, n_startup_trials=3),
        SuccessiveHalvingPruner(min_resource=5, reduction_factor=2),
        HyperbandPruner(min_resource=5, max_resource=30, reduction_factor=2),
        ThresholdPruner(lower=0.6, n_warmup_steps=20),
    ],
    ids=lambda pruner: type(pruner).__name__,
)
@pytest.mark.parametrize(
    ("clf", "good", "bad"),
    [
        (
            early(30),
            {"learning_rate_init": 0.02},
            {"learning_rate_init": 1e-9},
        ),
        (
            HillClimbMLP(
                objective="accuracy", early_stopping=True, step_schedule="constant"
            ),
            {"max_iter": 30, "step_size": 0.3},
            {"max_iter": 30, "step_size": 1e-9},
        ),
        (
            HillClimbPerceptron(early_stopping=True, step_schedule="constant"),
            {"max_iter": 30, "step_size": 0.3},
            {"max_iter": 30, "step_size": 1e-9},
        ),
    ],
    ids=["backprop", "climb", "perceptron"],
)
def test_every_pruner_ends_a_fit_that_learns_nothing(pruner, clf, good, bad):
    def objective(trial):
        pipeline = make_pipeline(StandardScaler(), clone(clf))
        params = good if trial.number < 8 else bad
        pipeline[-1].set_params(
            random_state=trial.number, n_iter_no_change=np.inf, **params
        )
        pipeline.set_callbacks(PruningCallback(trial)).fit(X, y)
        return pipeline[-1].best_validation_score_

    study = new_study(pruner=copy.deepcopy(pruner))
    study.optimize(objective, n_trials=10)
    good_trials, bad_trials = study.trials[:8], study.trials[8:]
    assert TrialState.COMPLETE in {trial.state for trial in good_trials}
    assert {trial.state for trial in bad_trials} == {TrialState.PRUNED}
    assert all(trial.last_step < 30 for trial in bad_trials)


@pytest.mark.slow
def test_pruning_saves_half_of_the_epochs_at_an_equal_score():
    X, y = load_digits(return_X_y=True)
    X /= 16

    def objective(trial):
        clf = early(200, validation_fraction=0.3)
        clf.set_params(**suggest_params(trial, clf))
        return (
            clf.set_callbacks(PruningCallback(trial)).fit(X, y).best_validation_score_
        )

    n_epochs, best_scores = [], []
    for pruner in optuna.pruners.NopPruner(), MedianPruner():
        study = optuna.create_study(
            direction="maximize",
            pruner=pruner,
            sampler=optuna.samplers.TPESampler(seed=0),
        )
        study.optimize(objective, n_trials=50)
        n_epochs.append(sum(len(trial.intermediate_values) for trial in study.trials))
        best_scores.append(study.best_value)
    assert n_epochs[1] <= n_epochs[0] / 2
    assert best_scores[1] >= best_scores[0] - 0.005


# What is refused


def test_other_things_than_trials_are_refused():
    with pytest.raises(TypeError, match="must be an Optuna trial, got 3"):
        PruningCallback(3)


def test_unknown_monitors_are_refused():
    with pytest.raises(ValueError, match=r"one of \['loss', 'objective', 'valid.*'f1'"):
        PruningCallback(new_trial(), "f1")


@pytest.mark.parametrize("monitor", ["validation_score", "objective"])
def test_scores_are_refused_where_the_study_minimizes(monitor):
    with pytest.raises(ValueError, match=r"direction='maximize', .*\['validation_loss"):
        PruningCallback(new_trial("loss"), monitor)


@pytest.mark.parametrize("monitor", ["validation_loss", "loss"])
def test_losses_are_refused_where_the_study_maximizes(monitor):
    with pytest.raises(ValueError, match=r"direction='minimize', .*\['validation_sco"):
        PruningCallback(new_trial(), monitor)


def test_studies_with_several_objectives_are_refused():
    trial = optuna.create_study(directions=["maximize", "minimize"]).ask()
    with pytest.raises(ValueError, match="with one objective, and this one has 2"):
        PruningCallback(trial)


@pytest.mark.parametrize(
    ("clf", "monitor", "message"),
    [
        (BackpropMLP(), "validation_score", r"but \['loss'\]. .* early_stopping=True"),
        (BackpropMLP(), "objective", r"no 'objective' to monitor, but \['loss'\]"),
        (HillClimbMLP(), "validation_score", r"but \['objective'\].*early_stopping"),
        (HillClimbPerceptron(), "loss", r"no 'loss' to monitor, but \['objective'\]"),
        (
            HillClimbMLP(early_stopping=True),
            "validation_loss",
            r"but \['validation_score', 'objective'\]",
        ),
        (
            BackpropMLP(solver="lbfgs", early_stopping=True),
            "validation_score",
            r"but \['loss'\]. .* a solver other than 'lbfgs'",
        ),
    ],
)
def test_monitors_that_a_fit_does_not_have_are_refused(clf, monitor, message):
    clf.set_callbacks(PruningCallback(new_trial(monitor), monitor))
    with pytest.raises(ValueError, match=message):
        clf.fit(X, y)


def test_estimators_without_our_classifiers_are_refused():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    with pytest.raises(TypeError, match="contains no estimator of skperceptron"):
        pipeline.set_callbacks(PruningCallback(new_trial())).fit(X, y)


def test_partial_fit_is_refused():
    clf = BackpropMLP().set_callbacks(PruningCallback(new_trial("loss"), "loss"))
    with pytest.raises(ValueError, match="follows fit, not partial_fit"):
        clf.partial_fit(X, y, classes=[0, 1, 2])


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_folds_elsewhere_are_refused(backend):
    import joblib

    clf = early().set_callbacks(PruningCallback(trial := new_trial()))
    with (
        joblib.parallel_config(backend),
        pytest.raises(ValueError, match="Fit there: leave n_jobs at None or 1"),
    ):
        cross_val_score(clf, X, y, cv=3, error_score="raise", n_jobs=2)
    assert reported(trial) == {}


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda clf: pickle.loads(pickle.dumps(clf))]
)
def test_copies_are_refused(copied):
    clf = copied(early().set_callbacks(PruningCallback(new_trial())))
    with pytest.raises(ValueError, match="no copy of it does"):
        clf.fit(X, y)


@pytest.mark.parametrize(
    "fit",
    [
        lambda clf, callback: cross_val_score(clf.set_callbacks(callback), X, y, cv=3),
        lambda clf, callback: search_of(clf.set_callbacks(callback)).fit(X, y),
        lambda clf, callback: search_of(clf).set_callbacks(callback).fit(X, y),
    ],
    ids=["cross-validation", "search", "search with callback"],
)
def test_what_swallows_exceptions_is_refused(fit):
    callback = PruningCallback(trial := new_trial())
    # scikit-learn quotes the errors of the folds.
    with pytest.raises(ValueError, match="set it to 'raise'"):
        fit(early(), callback)
    assert reported(trial) == {}


def test_another_fit_after_the_trial_was_pruned_is_refused():
    clf = early().set_callbacks(PruningCallback(new_trial(pruner=PruneAt(2))))
    with pytest.raises(optuna.TrialPruned):
        clf.fit(X, y)
    with pytest.raises(ValueError, match="catches the exception that ends a pruned"):
        clf.fit(X, y)
