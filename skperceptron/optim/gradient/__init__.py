"""Gradients, and the rules by which they move parameters."""

from skperceptron.optim.gradient._backprop import Dropout, EpochLoop, minimize_lbfgs
from skperceptron.optim.gradient._gradient import ROWS_TOGETHER, RegularizedLoss
from skperceptron.optim.gradient._solvers import (
    SGD,
    Adam,
    RMSProp,
    Solver,
    make_solver,
)

__all__ = [
    "ROWS_TOGETHER",
    "SGD",
    "Adam",
    "Dropout",
    "EpochLoop",
    "RMSProp",
    "RegularizedLoss",
    "Solver",
    "make_solver",
    "minimize_lbfgs",
]
