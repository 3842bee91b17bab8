"""Tuning with Optuna: search spaces of the estimators, and pruning.

Importing this package imports Optuna.
"""

from skperceptron.tuning._pruning import PruningCallback
from skperceptron.tuning._spaces import param_distributions, suggest_params

__all__ = ["PruningCallback", "param_distributions", "suggest_params"]
