"""The two ways of moving a network's parameters: gradients and hill climbing."""

from skperceptron.optim._backprop import minimize_lbfgs, train_epoch
from skperceptron.optim._gradient import RegularizedLoss
from skperceptron.optim._hill_climb import HillClimb
from skperceptron.optim._solvers import SGD, Adam, Solver

__all__ = [
    "SGD",
    "Adam",
    "HillClimb",
    "RegularizedLoss",
    "Solver",
    "minimize_lbfgs",
    "train_epoch",
]
