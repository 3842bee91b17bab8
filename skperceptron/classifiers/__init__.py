"""The classifiers: scikit-learn faces over one network and two ways to train it."""

from skperceptron.classifiers._backprop import BackpropMLP
from skperceptron.classifiers._hill_climb_mlp import HillClimbMLP
from skperceptron.classifiers._hill_climb_perceptron import HillClimbPerceptron

__all__ = ["BackpropMLP", "HillClimbMLP", "HillClimbPerceptron"]
