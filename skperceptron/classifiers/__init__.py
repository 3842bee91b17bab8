"""The estimators: scikit-learn faces over one network and two ways to train it."""

from skperceptron.classifiers._backprop import BackpropMLP
from skperceptron.classifiers._backprop_regressor import BackpropMLPRegressor
from skperceptron.classifiers._hill_climb_mlp import HillClimbMLP
from skperceptron.classifiers._hill_climb_mlp_regressor import HillClimbMLPRegressor
from skperceptron.classifiers._hill_climb_perceptron import HillClimbPerceptron

__all__ = [
    "BackpropMLP",
    "BackpropMLPRegressor",
    "HillClimbMLP",
    "HillClimbMLPRegressor",
    "HillClimbPerceptron",
]
