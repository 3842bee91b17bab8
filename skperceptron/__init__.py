"""Neural networks for scikit-learn, every fit an MLflow run."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from skperceptron._config import config_context, get_config, set_config
from skperceptron._version import __version__

if TYPE_CHECKING:
    from skperceptron.classifiers import (
        BackpropMLP,
        BackpropMLPRegressor,
        HillClimbMLP,
        HillClimbMLPRegressor,
        HillClimbPerceptron,
    )

__all__ = [
    "BackpropMLP",
    "BackpropMLPRegressor",
    "HillClimbMLP",
    "HillClimbMLPRegressor",
    "HillClimbPerceptron",
    "__version__",
    "config_context",
    "get_config",
    "set_config",
]
_PARTS = ("classifiers", "tracking")


def __getattr__(name: str) -> Any:
    # The process that delivers runs needs no classifier: to import scikit-learn would
    # take it as long as all else.
    if name in __all__:
        return getattr(import_module("skperceptron.classifiers"), name)
    if name in _PARTS:
        return import_module(f"skperceptron.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PARTS})
