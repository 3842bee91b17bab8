"""Hill climbs: one on any objective, and the same, compiled, on built-in ones."""

from skperceptron.optim.climbs._climb import Climb
from skperceptron.optim.climbs._guided_climb import (
    Guide,
    GuidedClimb,
    SignificanceTest,
)
from skperceptron.optim.climbs._hill_climb import HillClimb
from skperceptron.optim.climbs._make_climb import make_climb, make_plain_climb
from skperceptron.optim.climbs._mutation import Mutation, Streams
from skperceptron.optim.climbs._problem import Problem

__all__ = [
    "Climb",
    "Guide",
    "GuidedClimb",
    "HillClimb",
    "Mutation",
    "Problem",
    "SignificanceTest",
    "Streams",
    "make_climb",
    "make_plain_climb",
]
