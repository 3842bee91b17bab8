"""A network is a flat parameter vector and a description of its layers.

Pure functions on arrays; nothing here knows how the parameters are found.
"""

from skperceptron.network._activations import (
    ACTIVATIONS,
    DIFFERENTIABLE,
    OUTPUT_ACTIVATIONS,
    Activation,
)
from skperceptron.network._custom_activation import ActivationLike, activate
from skperceptron.network._forward import forward
from skperceptron.network._initialization import INITIALIZATIONS, initialize
from skperceptron.network._layers import Layers
from skperceptron.network._losses import (
    LOSSES,
    binary_log_loss,
    log_likelihood,
    log_loss,
    squared_error,
)

__all__ = [
    "ACTIVATIONS",
    "DIFFERENTIABLE",
    "INITIALIZATIONS",
    "LOSSES",
    "OUTPUT_ACTIVATIONS",
    "Activation",
    "ActivationLike",
    "Layers",
    "activate",
    "binary_log_loss",
    "forward",
    "initialize",
    "log_likelihood",
    "log_loss",
    "squared_error",
]
