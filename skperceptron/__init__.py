"""Neural-network classifiers for scikit-learn, every fit an MLflow run."""

from skperceptron._config import config_context, get_config, set_config
from skperceptron._version import __version__
from skperceptron.classifiers import BackpropMLP, HillClimbMLP, HillClimbPerceptron

__all__ = [
    "BackpropMLP",
    "HillClimbMLP",
    "HillClimbPerceptron",
    "__version__",
    "config_context",
    "get_config",
    "set_config",
]
