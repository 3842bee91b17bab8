"""Update rules: how a gradient moves the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

# Below this learning rate the adaptive schedule gives up, as in MLPClassifier.
SMALLEST_LEARNING_RATE = 1e-6
# What the adaptive schedule divides the learning rate by.
ADAPTIVE_FACTOR = 5.0


class Solver:
    """A rule by which a gradient moves the parameters, and what it remembers.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        The parameters to move; only shape and dtype matter here.

    learning_rate_init : float
        Learning rate of the first epoch.

    beta_1, beta_2 : float in [0, 1], default=0
        How much of the moments is kept.

    epsilon : float, default=0
        Keeps divisions finite.

    weight_decay : float, default=0
        Share, times the learning rate, by which weights shrink at each update.
    """

    # Name of the rule in `skperceptron.optim.gradient._updates_kernel`.
    _rule: str
    # Whether the rule has a first and a second moment.
    _has_moments = (True, True)

    def __init__(
        self,
        params: Array,
        *,
        learning_rate_init: float,
        beta_1: float = 0.0,
        beta_2: float = 0.0,
        epsilon: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate_init = learning_rate_init
        self._numbers = np.array(
            [learning_rate_init, beta_1, beta_2, epsilon, weight_decay, 0], float
        )
        self.moments = tuple(
            np.zeros(params.size if wanted else 0, params.dtype)
            for wanted in self._has_moments
        )

    @property
    def learning_rate(self) -> float:
        """Present learning rate."""
        return float(self._numbers[0])

    @property
    def compiled(self) -> tuple[int, Array, tuple[Array, ...]]:
        """The solver as compiled code wants to know it."""
        from skperceptron.optim.gradient import _updates_kernel

        return getattr(_updates_kernel, self._rule), self._numbers, self.moments

    @property
    def has_overflowed(self) -> bool:
        """Whether the state of the solver is not finite any more.

        An infinite second moment would stop all movement without a sign of it.
        """
        return not all(np.isfinite(moment).all() for moment in self.moments)

    def end_epoch(self, n_samples_seen: int) -> None:
        """Adapt the learning rate after an epoch; most solvers have nothing to do."""

    def stalled(self) -> tuple[bool, str]:
        """React to a lack of progress.

        Returns
        -------
        stop : bool
            Whether training is over.

        message : str
            What was decided, for the verbose output.
        """
        return True, "Stopping."


class SGD(Solver):
    """Stochastic gradient descent with momentum (Sutskever et al., 2013).

    Parameters
    ----------
    params, learning_rate_init
        As in `Solver`.

    learning_rate : {"constant", "invscaling", "adaptive"}
        How it changes: not at all; by ``learning_rate_init / (t + 1) ** power_t`` after
        `t` samples; divided by 5 whenever progress stalls.

    power_t : float
        Exponent of "invscaling".

    momentum : float in [0, 1]
        Share of the last update that is kept.

    nesterovs_momentum : bool
        Whether to look ahead by the momentum.
    """

    _has_moments = (True, False)

    def __init__(
        self,
        params: Array,
        *,
        learning_rate_init: float,
        learning_rate: Literal["constant", "invscaling", "adaptive"],
        power_t: float,
        momentum: float,
        nesterovs_momentum: bool,
    ) -> None:
        super().__init__(params, learning_rate_init=learning_rate_init, beta_1=momentum)
        self.schedule = learning_rate
        self.power_t = power_t
        self._rule = "NESTEROV" if nesterovs_momentum else "SGD"

    def end_epoch(self, n_samples_seen: int) -> None:
        """Adapt the learning rate after an epoch."""
        if self.schedule == "invscaling":
            self._numbers[0] = (
                self.learning_rate_init * (n_samples_seen + 1.0) ** -self.power_t
            )

    def stalled(self) -> tuple[bool, str]:
        """React to a lack of progress, as `Solver.stalled` says."""
        if self.schedule != "adaptive":
            return True, "Stopping."
        if self.learning_rate <= SMALLEST_LEARNING_RATE:
            return True, "Learning rate too small. Stopping."
        self._numbers[0] /= ADAPTIVE_FACTOR
        return False, f"Setting learning rate to {self.learning_rate:f}"


class Adam(Solver):
    """Adam (Kingma and Ba, 2015, algorithm 1 in the form of its section 2).

    With a weight decay it is AdamW (Loshchilov and Hutter, 2019, algorithm 2).

    Parameters are those of `Solver`.
    """

    _rule = "ADAM"


class RMSProp(Solver):
    """RMSProp (Hinton, Srivastava and Swersky, 2012, lecture 6e).

    Parameters are those of `Solver`; there is no first moment.
    """

    _rule = "RMSPROP"
    _has_moments = (False, True)


def make_solver(params: Array, options: Mapping[str, Any]) -> Solver:
    """Create the solver that the parameters of BackpropMLP name.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        The parameters to move; only shape and dtype matter here.

    options : mapping
        Parameters of BackpropMLP, `solver` among them; others are ignored.
    """

    def pick(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names}

    name = options["solver"]
    if name == "sgd":
        return SGD(
            params,
            **pick(
                "learning_rate_init",
                "learning_rate",
                "power_t",
                "momentum",
                "nesterovs_momentum",
            ),
        )
    if name == "rmsprop":
        return RMSProp(params, **pick("learning_rate_init", "beta_2", "epsilon"))
    return Adam(
        params,
        **pick("learning_rate_init", "beta_1", "beta_2", "epsilon"),
        weight_decay=options["alpha"] if name == "adamw" else 0.0,
    )
