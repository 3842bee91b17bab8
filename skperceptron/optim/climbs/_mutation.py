"""The random part of a climb: what a candidate moves, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass
class Streams:
    """Sources of random numbers of one climb.

    Two of them, so that the noise of many candidates can be drawn at once whatever
    else is random.

    Attributes
    ----------
    noise : numpy.random.Generator
        Gives the start weights, then the noise.

    choice : numpy.random.Generator
        Chooses what each candidate moves.
    """

    noise: np.random.Generator
    choice: np.random.Generator

    @classmethod
    def from_seed(cls, seed: int) -> Self:
        """Start new streams; the second is a child of the first."""
        return cls._from_rng(np.random.default_rng(seed))

    def spawn(self, n: int) -> list[Self]:
        """Start streams that are independent of these and of each other."""
        return [self._from_rng(rng) for rng in self.noise.spawn(n)]

    @classmethod
    def _from_rng(cls, rng: np.random.Generator) -> Self:
        return cls(noise=rng, choice=rng.spawn(1)[0])

    @property
    def state(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Where the streams are; setting it takes them back."""
        return self.noise.bit_generator.state, self.choice.bit_generator.state

    @state.setter
    def state(self, state: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
        self.noise.bit_generator.state, self.choice.bit_generator.state = state


class Mutation:
    """Draws candidates.

    Each candidate takes, in the dtype of the parameters, as many standard normals from
    ``streams.noise`` as it could move parameters; and from ``streams.choice`` one
    integer where it moves a group, or a uniform number per parameter where it moves a
    share of them.

    Parameters
    ----------
    streams : Streams
        The random numbers.

    n_params : int
        Number of parameters.

    dtype : numpy dtype
        Their type.

    share : float in (0, 1] or None, default=None
        Move each parameter only with this probability.

    groups : list of ndarray of int or None, default=None
        Move only the parameters of one random group at a time.
    """

    def __init__(
        self,
        streams: Streams,
        n_params: int,
        dtype: np.dtype,
        *,
        share: float | None = None,
        groups: list[NDArray[np.intp]] | None = None,
    ) -> None:
        self.streams = streams
        self.dtype = np.dtype(dtype)
        self.share = share
        self.by_group = groups is not None
        self.groups = [np.arange(n_params)] if groups is None else groups
        self._sizes = np.array([len(group) for group in self.groups])

    def draw(self, n_candidates: int) -> tuple[Array, NDArray[np.intp]]:
        """Draw the next candidates.

        Parameters
        ----------
        n_candidates : int
            How many. Drawing them one by one gives the same.

        Returns
        -------
        noise : ndarray of shape (n_candidates, largest_group)
            What is added, at step size 1, to the parameters of a candidate's group, in
            their order; zero behind them.

        group_of : ndarray of int of shape (n_candidates,)
            The group; -1 where a share of the parameters happens to be none.
        """
        streams, size = self.streams, self._sizes.max()
        if not self.by_group:
            shape = (n_candidates, size)
            noise = streams.noise.standard_normal(shape, dtype=self.dtype)
            group_of = np.zeros(n_candidates, dtype=np.intp)
            if self.share is not None:
                moved = streams.choice.random(shape) < self.share
                noise *= moved
                group_of[~moved.any(axis=1)] = -1
            return noise, group_of
        group_of = streams.choice.integers(len(self.groups), size=n_candidates)
        sizes = self._sizes[group_of]
        flat = streams.noise.standard_normal(sizes.sum(), dtype=self.dtype)
        noise = np.zeros((n_candidates, size), dtype=self.dtype)
        noise[np.arange(size) < sizes[:, np.newaxis]] = flat
        return noise, group_of
