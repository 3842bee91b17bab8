"""Search spaces of the estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import BaseTrial

from skperceptron.classifiers import HillClimbPerceptron
from skperceptron.classifiers._base import BaseNetwork
from skperceptron.classifiers._base_backprop import BaseBackprop
from skperceptron.classifiers._find_networks import find_networks
from skperceptron.classifiers._mlp import BaseMLP
from skperceptron.tuning._arguments import check_trial

Space = dict[str, BaseDistribution]

_PERCEPTRON: Space = {
    "alpha": FloatDistribution(1e-3, 100, log=True),
    "mutation": CategoricalDistribution(["unit", 0.1]),
    "n_restarts": IntDistribution(0, 4),
    "combine": CategoricalDistribution(["best", "average"]),
}
_CLIMBING_MLP: Space = {
    "hidden_layer_sizes": IntDistribution(16, 256, log=True),
    "activation": CategoricalDistribution(["logistic", "tanh", "relu", "silu"]),
    "alpha": FloatDistribution(0.03, 30, log=True),
    "step_size": FloatDistribution(0.03, 1, log=True),
}
_BACKPROP: Space = {
    "hidden_layer_sizes": IntDistribution(16, 256, log=True),
    "activation": CategoricalDistribution(["relu", "silu", "tanh"]),
    "alpha": FloatDistribution(1e-6, 1, log=True),
}
# Of all solvers but "lbfgs". The batches are no larger than small data sets.
_MINI_BATCHES: Space = {
    "batch_size": CategoricalDistribution(["auto", 32, 64]),
    "dropout": FloatDistribution(0, 0.5),
}
_ADAPTIVE_RATE = FloatDistribution(3e-4, 1e-2, log=True)
_SGD_RATE = FloatDistribution(1e-3, 0.3, log=True)


def param_distributions(estimator: Any) -> Space:
    """Get a search space for the hyperparameters of an estimator.

    The spaces are small enough for some twenty trials, and contain the defaults:

    =======================  ======================================================
    `HillClimbPerceptron`
    ``alpha``                1e-3 to 100, logarithmic
    ``mutation``             "unit", 0.1
    ``n_restarts``           0 to 4
    ``combine``              "best", "average"
    -----------------------  ------------------------------------------------------
    `HillClimbMLP`
    `HillClimbMLPRegressor`
    ``hidden_layer_sizes``   16 to 256 units, logarithmic
    ``activation``           "logistic", "tanh", "relu", "silu"
    ``alpha``                0.03 to 30, logarithmic
    ``step_size``            0.03 to 1, logarithmic
    -----------------------  ------------------------------------------------------
    `BackpropMLP`
    `BackpropMLPRegressor`
    ``hidden_layer_sizes``   16 to 256 units, logarithmic
    ``activation``           "relu", "silu", "tanh"
    ``alpha``                1e-6 to 1, logarithmic
    ``batch_size``           "auto", 32, 64
    ``dropout``              0 to 0.5
    ``learning_rate_init``   3e-4 to 1e-2, with "sgd" 1e-3 to 0.3, logarithmic
    =======================  ======================================================

    The last three are left out with the solver "lbfgs". An estimator that has several
    hidden layers, or none, keeps them. Anything may be changed in the result, which is
    a new dict at each call. What is fitted (`objective`, `loss`, `class_weight`) and
    for how long (`max_iter`, `early_stopping`) is the caller's choice, and so is the
    solver.

    Parameters
    ----------
    estimator : estimator
        One of the estimators of this package, or a pipeline or any other estimator
        that has some of them among its parameters, at any depth.

    Returns
    -------
    dict of optuna.distributions.BaseDistribution
        By the names that ``estimator.set_params`` knows, such as "alpha" or, in a
        pipeline, "backpropmlp__alpha".

    Raises
    ------
    TypeError
        When `estimator` is no estimator or contains none of these.

    See Also
    --------
    suggest_params : The same space, for a trial.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skperceptron import HillClimbMLP
    >>> from skperceptron.tuning import param_distributions
    >>> space = param_distributions(make_pipeline(StandardScaler(), HillClimbMLP()))
    >>> list(space)[:2]
    ['hillclimbmlp__hidden_layer_sizes', 'hillclimbmlp__activation']
    >>> space["hillclimbmlp__step_size"]
    FloatDistribution(high=1.0, log=True, low=0.03, step=None)
    """
    return {
        prefix + name: distribution
        for prefix, network in find_networks(estimator).items()
        for name, distribution in _space_of(network).items()
    }


def suggest_params(trial: BaseTrial, estimator: Any) -> dict[str, Any]:
    """Let a trial choose the hyperparameters of an estimator.

    Parameters
    ----------
    trial : optuna.trial.BaseTrial
        The trial.

    estimator : estimator
        As in `param_distributions`, which describes the space.

    Returns
    -------
    dict
        Parameters for ``estimator.set_params(**params)``.

    Raises
    ------
    TypeError
        When `trial` is not an Optuna trial, or `estimator` is no estimator or contains
        none of the estimators of this package.

    See Also
    --------
    param_distributions : The same space, for `OptunaSearchCV`.
    PruningCallback : End the fits of trials that do not promise much.

    Examples
    --------
    >>> import optuna
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from skperceptron import HillClimbPerceptron
    >>> from skperceptron.tuning import suggest_params
    >>> X, y = load_iris(return_X_y=True)
    >>> def objective(trial):
    ...     clf = HillClimbPerceptron(max_iter=50, random_state=0)
    ...     clf.set_params(**suggest_params(trial, clf))
    ...     return cross_val_score(clf, X, y, cv=3).mean()
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(direction="maximize")
    >>> study.optimize(objective, n_trials=3)
    >>> best = HillClimbPerceptron().set_params(**study.best_params)
    """
    check_trial(trial)
    return {
        name: _suggest(trial, name, distribution)
        for name, distribution in param_distributions(estimator).items()
    }


def _space_of(network: BaseNetwork) -> Space:
    if isinstance(network, BaseBackprop):
        return _without_layers(network, _backprop_space(network.solver))
    if isinstance(network, HillClimbPerceptron):
        return _PERCEPTRON
    return _without_layers(network, _CLIMBING_MLP)


def _backprop_space(solver: str) -> Space:
    if solver == "lbfgs":
        return _BACKPROP
    rate = _SGD_RATE if solver == "sgd" else _ADAPTIVE_RATE
    return {**_BACKPROP, **_MINI_BATCHES, "learning_rate_init": rate}


def _without_layers(network: BaseMLP, space: Space) -> Space:
    """Leave out what a network with several hidden layers, or none, has no use for."""
    n_hidden = np.size(network.hidden_layer_sizes)
    useless = set()
    if n_hidden != 1:
        useless.add("hidden_layer_sizes")
    if n_hidden == 0:
        useless |= {"activation", "dropout"}
    return {name: space[name] for name in space if name not in useless}


def _suggest(trial: BaseTrial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
        case IntDistribution(low=low, high=high, log=log):
            return trial.suggest_int(name, low, high, log=log)
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
