"""The two ways of moving a network's parameters: gradients and hill climbing."""

from skperceptron.optim._backprop import Dropout, EpochLoop, minimize_lbfgs
from skperceptron.optim._climb import Climb
from skperceptron.optim._descent import Descent
from skperceptron.optim._forward_climb import ForwardClimb
from skperceptron.optim._gradient import ROWS_TOGETHER, RegularizedLoss
from skperceptron.optim._hill_climb import HillClimb
from skperceptron.optim._hyperplane_climb import MOST_FEATURES, HyperplaneClimb
from skperceptron.optim._lean_unit_climb import (
    MOST_BYTES_KEPT,
    MOST_TIMES_KEPT,
    LeanUnitClimb,
)
from skperceptron.optim._make_climb import find_climb
from skperceptron.optim._metric import Metric, MetricOfSums
from skperceptron.optim._mutation import Mutation, Streams
from skperceptron.optim._screened_climb import ScreenedClimb
from skperceptron.optim._solvers import SGD, Adam, RMSProp, Solver, make_solver
from skperceptron.optim._streaming_climb import StreamingClimb
from skperceptron.optim._threshold_climb import ThresholdClimb
from skperceptron.optim._unit_climb import UnitClimb

__all__ = [
    "MOST_BYTES_KEPT",
    "MOST_FEATURES",
    "MOST_TIMES_KEPT",
    "ROWS_TOGETHER",
    "SGD",
    "Adam",
    "Climb",
    "Descent",
    "Dropout",
    "EpochLoop",
    "ForwardClimb",
    "HillClimb",
    "HyperplaneClimb",
    "LeanUnitClimb",
    "Metric",
    "MetricOfSums",
    "Mutation",
    "RMSProp",
    "RegularizedLoss",
    "ScreenedClimb",
    "Solver",
    "StreamingClimb",
    "Streams",
    "ThresholdClimb",
    "UnitClimb",
    "find_climb",
    "make_solver",
    "minimize_lbfgs",
]
