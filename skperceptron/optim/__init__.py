"""The two ways of moving a network's parameters: gradients and hill climbing."""

from skperceptron.optim._metric import Metric, MetricOfSums
from skperceptron.optim.climbs._climb import Climb
from skperceptron.optim.climbs._descent import Descent
from skperceptron.optim.climbs._forward_climb import ForwardClimb
from skperceptron.optim.climbs._guided_climb import GuidedClimb, SignificanceTest
from skperceptron.optim.climbs._hill_climb import HillClimb
from skperceptron.optim.climbs._hyperplane_climb import MOST_FEATURES, HyperplaneClimb
from skperceptron.optim.climbs._lean_unit_climb import (
    MOST_BYTES_KEPT,
    MOST_TIMES_KEPT,
    LeanUnitClimb,
)
from skperceptron.optim.climbs._make_climb import find_climb
from skperceptron.optim.climbs._mutation import Mutation, Streams
from skperceptron.optim.climbs._screened_climb import ScreenedClimb
from skperceptron.optim.climbs._streaming_climb import StreamingClimb
from skperceptron.optim.climbs._threshold_climb import ThresholdClimb
from skperceptron.optim.climbs._unit_climb import UnitClimb
from skperceptron.optim.gradient._backprop import Dropout, EpochLoop, minimize_lbfgs
from skperceptron.optim.gradient._gradient import ROWS_TOGETHER, RegularizedLoss
from skperceptron.optim.gradient._solvers import SGD, Adam, RMSProp, Solver, make_solver

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
    "GuidedClimb",
    "HillClimb",
    "HyperplaneClimb",
    "LeanUnitClimb",
    "Metric",
    "MetricOfSums",
    "Mutation",
    "RMSProp",
    "RegularizedLoss",
    "ScreenedClimb",
    "SignificanceTest",
    "Solver",
    "StreamingClimb",
    "Streams",
    "ThresholdClimb",
    "UnitClimb",
    "find_climb",
    "make_solver",
    "minimize_lbfgs",
]
