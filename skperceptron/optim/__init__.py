"""The two ways of moving a network's parameters: gradients and hill climbing."""

from skperceptron.optim._metric import Metric
from skperceptron.optim._metric_of_sums import MetricOfSums
from skperceptron.optim._regression_metric import RegressionMetric
from skperceptron.optim.climbs import (
    Climb,
    Guide,
    GuidedClimb,
    HillClimb,
    Mutation,
    Problem,
    SignificanceTest,
    Streams,
    make_climb,
    make_plain_climb,
)
from skperceptron.optim.gradient import (
    ROWS_TOGETHER,
    SGD,
    Adam,
    Dropout,
    EpochLoop,
    RegularizedLoss,
    RMSProp,
    Solver,
    make_solver,
    minimize_lbfgs,
)

__all__ = [
    "ROWS_TOGETHER",
    "SGD",
    "Adam",
    "Climb",
    "Dropout",
    "EpochLoop",
    "Guide",
    "GuidedClimb",
    "HillClimb",
    "Metric",
    "MetricOfSums",
    "Mutation",
    "Problem",
    "RMSProp",
    "RegressionMetric",
    "RegularizedLoss",
    "SignificanceTest",
    "Solver",
    "Streams",
    "make_climb",
    "make_plain_climb",
    "make_solver",
    "minimize_lbfgs",
]
