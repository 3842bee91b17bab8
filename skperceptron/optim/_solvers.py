"""Update rules: how a gradient moves the parameters."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

# Below this learning rate the adaptive schedule gives up, as in MLPClassifier.
SMALLEST_LEARNING_RATE = 1e-6
# What the adaptive schedule divides the learning rate by.
ADAPTIVE_FACTOR = 5.0


class SGD:
    """Stochastic gradient descent with momentum (Sutskever et al., 2013).

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        The parameters to move; only shape and dtype matter here.

    learning_rate_init : float
        Learning rate of the first epoch.

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
        self.learning_rate_init = learning_rate_init
        self.schedule = learning_rate
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.learning_rate = float(learning_rate_init)
        self.velocity = np.zeros_like(params)

    def update(self, params: Array, gradient: Array) -> None:
        """Move `params` in place by one step."""
        step = self.learning_rate * gradient
        self.velocity *= self.momentum
        self.velocity -= step
        if self.nesterovs_momentum:
            params += self.momentum * self.velocity - step
        else:
            params += self.velocity

    @property
    def has_overflowed(self) -> bool:
        """Whether the state of the solver is not finite any more."""
        return not np.isfinite(self.velocity).all()

    def end_epoch(self, n_samples_seen: int) -> None:
        """Adapt the learning rate after an epoch."""
        if self.schedule == "invscaling":
            self.learning_rate = (
                self.learning_rate_init / (n_samples_seen + 1) ** self.power_t
            )

    def stalled(self) -> tuple[bool, str]:
        """React to a lack of progress.

        Returns
        -------
        stop : bool
            Whether training is over.

        message : str
            What was decided, for the verbose output.
        """
        if self.schedule != "adaptive":
            return True, "Stopping."
        if self.learning_rate <= SMALLEST_LEARNING_RATE:
            return True, "Learning rate too small. Stopping."
        self.learning_rate /= ADAPTIVE_FACTOR
        return False, f"Setting learning rate to {self.learning_rate:f}"


class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1 in the form of its section 2).

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        The parameters to move; only shape and dtype matter here.

    learning_rate_init : float
        Learning rate.

    beta_1, beta_2 : float in [0, 1)
        Decay rates of the first and second moment of the gradient.

    epsilon : float
        Keeps the division finite.
    """

    def __init__(
        self,
        params: Array,
        *,
        learning_rate_init: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
    ) -> None:
        self.learning_rate_init = learning_rate_init
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_updates = 0
        self.first_moment = np.zeros_like(params)
        self.second_moment = np.zeros_like(params)

    def update(self, params: Array, gradient: Array) -> None:
        """Move `params` in place by one step."""
        self.n_updates += 1
        self.first_moment *= self.beta_1
        self.first_moment += (1 - self.beta_1) * gradient
        self.second_moment *= self.beta_2
        self.second_moment += (1 - self.beta_2) * gradient**2
        correction = np.sqrt(1 - self.beta_2**self.n_updates) / (
            1 - self.beta_1**self.n_updates
        )
        learning_rate = float(self.learning_rate_init * correction)
        params -= (
            learning_rate
            * self.first_moment
            / (np.sqrt(self.second_moment) + self.epsilon)
        )

    @property
    def has_overflowed(self) -> bool:
        """Whether the state of the solver is not finite any more."""
        # An infinite second moment would stop all movement without a sign of it.
        return not np.isfinite(self.second_moment).all()

    def end_epoch(self, n_samples_seen: int) -> None:
        """Nothing to adapt: Adam scales every step by itself."""

    def stalled(self) -> tuple[bool, str]:
        """React to a lack of progress, as `SGD.stalled` does."""
        return True, "Stopping."


Solver = SGD | Adam
