"""Which name was meant, where one is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

# What other libraries and textbooks call it, and its names here: of these, the first
# one that is allowed where the name was given.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    # activations
    "sigmoid": ("logistic",),
    "expit": ("logistic",),
    "linear": ("identity",),
    "none": ("identity",),
    "swish": ("silu",),
    "heaviside": ("step",),
    "threshold": ("step",),
    "hardlim": ("step",),
    "signum": ("sign",),
    "bipolar": ("sign",),
    "rectifier": ("relu",),
    "hyperbolic_tangent": ("tanh",),
    # start weights
    "xavier": ("glorot", "glorot_uniform"),
    "xavier_uniform": ("glorot_uniform", "glorot"),
    "xavier_normal": ("glorot_normal",),
    "glorot": ("glorot_uniform",),
    "glorot_uniform": ("glorot",),
    "he": ("he_normal",),
    "kaiming": ("he_normal",),
    "kaiming_uniform": ("he_uniform",),
    "kaiming_normal": ("he_normal",),
    "gaussian": ("normal",),
    "random": ("uniform", "normal"),
    # combinations of climbs
    "mean": ("average",),
    # losses, objectives and solvers
    "acc": ("accuracy",),
    "auc": ("roc_auc",),
    "zero_one_loss": ("accuracy",),
    "hamming_loss": ("accuracy",),
    "cross_entropy": ("log_loss",),
    "crossentropy": ("log_loss",),
    "binary_crossentropy": ("log_loss",),
    "categorical_crossentropy": ("log_loss",),
    "mse": ("squared_error", "neg_mean_squared_error"),
    "mean_squared_error": ("squared_error", "neg_mean_squared_error"),
    "l_bfgs": ("lbfgs",),
    "l_bfgs_b": ("lbfgs",),
    "gradient_descent": ("sgd",),
    # parameters
    "hidden_nodes": ("hidden_layer_sizes",),
    "hidden_units": ("hidden_layer_sizes",),
    "hidden_layers": ("hidden_layer_sizes",),
    "hidden_sizes": ("hidden_layer_sizes",),
    "n_hidden": ("hidden_layer_sizes",),
    "layers": ("hidden_layer_sizes",),
    "metric": ("objective", "loss"),
    "scoring": ("objective", "loss"),
    "fitness": ("objective", "loss"),
    "criterion": ("loss", "objective"),
    "loss_function": ("loss", "objective"),
    "loss": ("objective",),
    "n_iter": ("max_iter",),
    "n_iterations": ("max_iter",),
    "iterations": ("max_iter",),
    "max_iters": ("max_iter",),
    "epochs": ("max_iter",),
    "n_epochs": ("max_iter",),
    "max_epochs": ("max_iter",),
    "lr": ("learning_rate_init", "step_size"),
    "eta": ("learning_rate_init", "step_size"),
    "eta0": ("learning_rate_init", "step_size"),
    "learning_rate": ("step_size",),
    "learning_rate_init": ("step_size",),
    "sigma": ("step_size",),
    "optimizer": ("solver",),
    "algorithm": ("solver",),
    "seed": ("random_state",),
    "restarts": ("n_restarts",),
    "n_init": ("n_restarts",),
    "patience": ("n_iter_no_change",),
    "weight_decay": ("alpha",),
    "l2": ("alpha",),
    "dropout_rate": ("dropout",),
    "clipnorm": ("max_grad_norm",),
    "nesterov": ("nesterovs_momentum",),
}


def did_you_mean(name: Any, allowed: Iterable[str]) -> str:
    """Ask for the name that was probably meant.

    Parameters
    ----------
    name : object
        What was given.

    allowed : iterable of str
        The names that are known.

    Returns
    -------
    str
        A question that begins with a space; empty when nothing comes close.
    """
    known = [n for n in allowed if isinstance(n, str)]
    meant = _closest(name, known) if isinstance(name, str) else None
    return "" if meant is None else f" Did you mean {meant!r}?"


def _closest(name: str, known: list[str]) -> str | None:
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    bare = plain.removesuffix("_score").removesuffix("_loss")
    for candidate in (
        plain,
        *_SYNONYMS.get(plain, ()),
        *(f"neg_{plain}", bare, f"neg_{bare}"),
    ):
        if candidate in known:
            return candidate
    lower = {n.lower(): n for n in known}
    matches = get_close_matches(plain, lower, n=1)
    return lower[matches[0]] if matches else None
