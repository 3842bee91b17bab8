"""A network is a flat parameter vector and a description of its layers.

Pure functions on arrays; nothing here knows how the parameters are found.
"""

from skperceptron.network._activations import (
    ACTIVATIONS,
    DIFFERENTIABLE,
    OUTPUT_ACTIVATIONS,
    Activation,
)
from skperceptron.network._forward import forward, forward_trace
from skperceptron.network._initialization import INITIALIZATIONS, initialize
from skperceptron.network._layers import Layers
from skperceptron.network._losses import binary_log_loss, log_likelihood, log_loss

__all__ = [
    "ACTIVATIONS",
    "DIFFERENTIABLE",
    "INITIALIZATIONS",
    "OUTPUT_ACTIVATIONS",
    "Activation",
    "Layers",
    "binary_log_loss",
    "forward",
    "forward_trace",
    "initialize",
    "log_likelihood",
    "log_loss",
]
