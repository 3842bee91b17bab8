"""The classifiers: scikit-learn faces over one network and two ways to train it."""

from skperceptron.classifiers._backprop import BackpropMLP
from skperceptron.classifiers._hill_climb import HillClimbMLP, HillClimbPerceptron

__all__ = ["BackpropMLP", "HillClimbMLP", "HillClimbPerceptron"]
