"""Neural-network classifiers for scikit-learn, every fit an MLflow run."""

from skperceptron._config import config_context, get_config, set_config
from skperceptron.classifiers import BackpropMLP, HillClimbMLP, HillClimbPerceptron

__version__ = "0.1.0"

__all__ = [
    "BackpropMLP",
    "HillClimbMLP",
    "HillClimbPerceptron",
    "__version__",
    "config_context",
    "get_config",
    "set_config",
]
