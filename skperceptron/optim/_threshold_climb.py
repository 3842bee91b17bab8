"""Hill climbing on the accuracy of threshold units, many candidates at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from skperceptron.network import Layers
from skperceptron.optim._climb import Climb
from skperceptron.optim._hill_climb import GROWTH, SHRINKAGE, largest_step

Array = NDArray[np.floating]

# Candidates whose noise is multiplied with the data in one matrix product. The product
# should stay in the processor's cache, but BLAS also wants enough candidates to reuse
# what it has read of large data; half of the data's size is never a burden.
_FEWEST_CANDIDATES = 4
_MOST_CANDIDATES = 256
_CACHE_BYTES = 2**20
_MOST_BYTES = 2**28
# Each kept candidate adds a rounding error to the sums.
_ACCEPTED_BEFORE_REFRESH = 64
# Data up to this size is also kept transposed, with a row of ones for the biases: BLAS
# likes that for few features, and it saves going over the product once more.
_SMALL_BYTES = 2**20


@dataclass
class _Block:
    """Candidates that are prepared together.

    Attributes
    ----------
    noise, group_of, added, reach
        As the kernel takes them.

    rng_state : dict
        State of the generator before their noise was drawn.

    n_left : int
        Candidates not decided yet, the last ones.
    """

    noise: Array
    group_of: NDArray[np.intp]
    added: Array
    reach: Array
    rng_state: Mapping[str, Any]
    n_left: int

    @property
    def n_taken(self) -> int:
        """Candidates that are decided."""
        return len(self.noise) - self.n_left

    def take(self, size: int) -> _Block:
        """View the next candidates."""
        rows = slice(self.n_taken, self.n_taken + size)
        self.n_left -= size
        return _Block(
            self.noise[rows],
            self.group_of[rows],
            self.added[rows],
            self.reach[rows],
            rng_state=self.rng_state,
            n_left=size,
        )


class ThresholdClimb(Climb):
    """`HillClimb` on the accuracy of a single layer of threshold units.

    It finds what `HillClimb` finds with the same random numbers, sooner: the sums of
    the units are linear in the noise, so that one matrix product serves a block of
    candidates, and a compiled scan decides over them one after the other, adding what
    the noise of a kept one changes.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Where to start. Not written to.

    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Samples.

    y : ndarray of int of shape (n_samples,)
        Index of the true class.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    layers : Layers
        One unit for two classes (class 1 where its sum is at least 0), else one each
        (the largest sum wins).

    n_iter : int
        Iterations that are planned. Candidates are prepared for so many and no more.

    step_size, rng, adapt, share, groups
        As in `HillClimb`; `groups` are those of ``layers.unit_groups()``.
    """

    def __init__(
        self,
        params: Array,
        X: Any,
        y: NDArray[np.intp],
        sample_weight: NDArray[np.float64] | None,
        layers: Layers,
        *,
        n_iter: int,
        step_size: float | Array,
        rng: np.random.Generator,
        adapt: bool = False,
        share: float | None = None,
        groups: list[NDArray[np.intp]] | None = None,
    ) -> None:
        self.params = params
        self.layers = layers
        self.rng = rng
        self.adapt = adapt
        self.share = share
        self._X = X
        self._X_T_ones: Array | None = None
        if not issparse(X) and X.nbytes <= _SMALL_BYTES:
            self._X_T_ones = np.vstack([X.T, np.ones(len(X), X.dtype)])
        self._y = y == 1 if layers.units[-1] == 1 else y
        self._weight = np.empty(0) if sample_weight is None else sample_weight
        self._total = len(y) if sample_weight is None else float(sample_weight.sum())
        self._by_unit = groups is not None
        self._groups = (
            np.arange(layers.n_params)[np.newaxis]
            if groups is None
            else np.array(groups)
        )
        self.step_size = np.array(
            np.broadcast_to(step_size, len(self._groups)), dtype=np.float64
        )
        self._n_correct = -np.inf
        self._largest_norm = np.sqrt(_squared_row_norms(X).max()) + 1
        self._largest_step = largest_step(params.dtype) if adapt else np.inf
        self._n_planned = n_iter
        self._block: _Block | None = None
        self._memory: Array | None = None
        self._most_candidates = _most_candidates(
            X, 1 if self._by_unit else layers.units[-1]
        )
        self._refresh()
        self.value = self._n_correct / self._total

    def _advance(self, values: NDArray[np.float64]) -> None:
        n_iter = len(values)
        self.params = self.params.copy()
        done = 0
        while done < n_iter:
            if self._block is None or self._block.n_left == 0:
                self._block = self._prepare(max(self._n_planned, n_iter - done))
            size = min(self._block.n_left, n_iter - done)
            self._scan(self._block.take(size), values[done : done + size])
            done += size
            self._n_planned -= size
        self.value = self._n_correct / self._total
        values /= self._total

    def rewind(self) -> None:
        """Give back the random numbers of candidates that were prepared in vain."""
        if self._block is not None and self._block.n_left > 0:
            self.rng.bit_generator.state = self._block.rng_state
            self._draw(self._block.n_taken)
        self._block = None

    def _prepare(self, n_wanted: int) -> _Block:
        if self.n_accepted - self._n_accepted_then > _ACCEPTED_BEFORE_REFRESH:
            self._refresh()
        state = self.rng.bit_generator.state
        noise, group_of = self._draw(min(n_wanted, self._most_candidates))
        norms = np.sqrt(np.einsum("ij,ij->i", noise, noise, dtype=float))
        # A candidate that overflows is one of the worse ones.
        with np.errstate(over="ignore", invalid="ignore"):
            added = self._added_to_sums(noise)
        return _Block(
            noise,
            group_of,
            added=added,
            reach=norms * self._largest_norm,
            rng_state=state,
            n_left=len(noise),
        )

    def _scan(self, block: _Block, values: NDArray[np.float64]) -> None:
        from skperceptron.optim import _kernels

        state = np.array([self._n_correct, float(self.n_accepted)])
        _kernels.scan(
            self._sums,
            block.added,
            block.reach,
            self._limits,
            self._y,
            self._weight,
            self.params,
            block.noise,
            self._groups,
            block.group_of,
            self.step_size,
            GROWTH if self.adapt else 1.0,
            SHRINKAGE if self.adapt else 1.0,
            self._largest_step,
            state,
            values,
        )
        self._n_correct, self.n_accepted = float(state[0]), int(state[1])

    def _draw(self, n_candidates: int) -> tuple[Array, NDArray[np.intp]]:
        """Draw noise and groups as `HillClimb` does, candidate by candidate."""
        n_groups, size = self._groups.shape
        dtype = self.params.dtype
        group_of = np.zeros(n_candidates, dtype=np.intp)
        # Choosing from one group takes no random numbers.
        if self.share is None and n_groups == 1:
            return self.rng.standard_normal((n_candidates, size), dtype=dtype), group_of
        noise = np.empty((n_candidates, size), dtype=dtype)
        for i in range(n_candidates):
            if self.share is None:
                group_of[i] = self.rng.integers(n_groups)
                self.rng.standard_normal(size, dtype=dtype, out=noise[i])
            else:
                moved = self.rng.random(size) < self.share
                self.rng.standard_normal(size, dtype=dtype, out=noise[i])
                noise[i] *= moved
                group_of[i] = 0 if np.any(moved) else -1
        return noise, group_of

    def _added_to_sums(self, noise: Array) -> Array:
        """Multiply the data with the noise.

        Returns an array of shape (n_candidates, n_moved_units, n_samples).
        """
        n_features, n_units = self.layers.units
        n_candidates = len(noise)
        if not self._by_unit and n_units > 1:
            # One row per unit: its weights, then its bias.
            noise = noise.reshape(n_candidates, n_features + 1, n_units)
            noise = noise.transpose(0, 2, 1).reshape(-1, n_features + 1)
        if issparse(self._X):
            product = np.ascontiguousarray((self._X @ noise[:, :n_features].T).T)
            product += noise[:, n_features:]
        elif self._X_T_ones is not None:
            product = np.matmul(noise, self._X_T_ones, out=self._product(len(noise)))
        else:
            product = self._product(len(noise))
            np.matmul(noise[:, :n_features], self._X.T, out=product)
            product += noise[:, n_features:]
        return product.reshape(n_candidates, -1, product.shape[1])

    def _product(self, n_rows: int) -> Array:
        """Memory for a product, used again by the next block."""
        if self._memory is None or len(self._memory) < n_rows:
            self._memory = np.empty((n_rows, len(self._y)), self.params.dtype)
        return self._memory[:n_rows]

    def _refresh(self) -> None:
        """Compute sums and value anew, so that rounding errors do not add up."""
        from skperceptron.optim import _kernels

        self._n_accepted_then = self.n_accepted
        (coef,), (intercept,) = self.layers.unpack(self.params)
        with np.errstate(over="ignore", invalid="ignore"):
            self._sums = np.ascontiguousarray((self._X @ coef + intercept).T)
        dtype = self._sums.dtype
        self._limits = np.array([np.abs(self._sums).max(), np.finfo(dtype).max / 4])
        self._n_correct = -np.inf
        if np.isfinite(self._sums).all():
            nothing = np.zeros((1, self._sums.shape[1]), dtype)
            self._n_correct = _kernels.correct(
                self._sums, nothing, 0, 0.0, self._y, self._weight
            )


def _most_candidates(X: Any, n_moved_units: int) -> int:
    """Choose how many candidates to prepare together."""
    n_bytes = np.clip(_n_bytes(X) // 2, _CACHE_BYTES, _MOST_BYTES)
    fitting = n_bytes // (n_moved_units * X.shape[0] * X.dtype.itemsize)
    return int(np.clip(fitting, _FEWEST_CANDIDATES, _MOST_CANDIDATES))


def _n_bytes(X: Any) -> int:
    return X.data.nbytes if issparse(X) else X.nbytes


def _squared_row_norms(X: Any) -> Array:
    if issparse(X):
        return np.asarray(X.multiply(X).sum(axis=1)).ravel()
    with np.errstate(over="ignore"):  # infinite for huge values, and so is the bound
        return np.einsum("ij,ij->i", X, X)
