"""Keeps what is known of the fits of one display, and draws it now and then."""

from __future__ import annotations

import math
import time
from threading import RLock
from typing import Any

from skperceptron.callbacks._fit_curve import FitCurve
from skperceptron.callbacks._screen import Screen, make_screen

# Drawing takes at most this share of the time.
_MAX_SHARE = 0.1


class Board:
    """Keeps what is known of the fits of one display, and draws it now and then.

    Parameters
    ----------
    min_interval : float
        Minimum time between two drawings, in seconds.
    """

    def __init__(self, min_interval: float) -> None:
        self._min_interval = min_interval
        self._lock = RLock()
        self._fits: dict[Any, FitCurve] = {}
        self._n_open = 0
        self._screen: Screen | None = None
        self._next_time = -math.inf

    def receive(self, message: tuple[Any, ...]) -> None:
        """Do what a callback says, in any thread.

        Parameters
        ----------
        message : tuple
            ``("open",)``, ``("close",)``, or ``("curve", key of the fit, FitCurve)``.
        """
        with self._lock:
            match message:
                case ("open",):
                    self._open()
                case ("close",):
                    self._close()
                case ("curve", key, curve):
                    self._update(key, curve)

    def _open(self) -> None:
        if self._n_open == 0:
            self._fits.clear()
            self._screen = make_screen()
            self._next_time = -math.inf
        self._n_open += 1

    def _close(self) -> None:
        self._n_open -= 1
        if self._n_open == 0 and self._screen is not None:
            if self._fits:
                self._screen.draw(list(self._fits.values()))
            self._screen.close()
            self._screen = None

    def _update(self, key: Any, curve: FitCurve) -> None:
        self._fits.pop(key, None)  # the last one is the present one
        self._fits[key] = curve
        started = time.monotonic()
        if self._screen is None or started < self._next_time:
            return
        self._screen.draw(list(self._fits.values()))
        ended = time.monotonic()
        pause = max(self._min_interval, (ended - started) / _MAX_SHARE)
        self._next_time = ended + pause
