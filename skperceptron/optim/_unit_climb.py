"""Hill climbing that moves one unit of a network at a time, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skperceptron.network import Layers
from skperceptron.optim._climb import Climb
from skperceptron.optim._hill_climb import GROWTH, SHRINKAGE, largest_step

Array = NDArray[np.floating]

# Candidates whose noise is drawn together.
_CANDIDATES_PER_CALL = 256
# Each kept candidate adds a rounding error to the sums.
_ACCEPTED_BEFORE_REFRESH = 64


class UnitClimb(Climb):
    """`HillClimb` with ``groups=layers.unit_groups()`` on a built-in objective.

    It finds what `HillClimb` finds with the same random numbers, up to rounding, at a
    fraction of the cost: a candidate changes the sums of one unit, and those of the
    next layer by a rank-one update. Sums and outputs of all units are kept between
    candidates, so that nothing else before and beside the unit is computed again.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Where to start. Not written to.

    X : ndarray of shape (n_samples, n_features)
        Samples.

    y : ndarray of int of shape (n_samples,)
        Index of the true class.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.

    layers : Layers
        The network; one output unit for two classes, else one each.

    objective : {"accuracy", "log_loss"}
        What is maximised (the log loss is negated).

    step_size, rng, adapt
        As in `HillClimb`.
    """

    def __init__(
        self,
        params: Array,
        X: Array,
        y: NDArray[np.intp],
        sample_weight: NDArray[np.float64] | None,
        layers: Layers,
        objective: str,
        *,
        step_size: float | Array,
        rng: np.random.Generator,
        adapt: bool = False,
    ) -> None:
        from skperceptron.optim._network_kernels import ACTIVATION_CODES

        self.params = params
        self.layers = layers
        self.rng = rng
        self.adapt = adapt
        self._X = np.ascontiguousarray(X)
        self._y = y
        self._weight = np.empty(0) if sample_weight is None else sample_weight
        self._total = len(y) if sample_weight is None else float(sample_weight.sum())
        self._use_accuracy = objective == "accuracy"
        self._units = np.array(layers.units)
        self._codes = np.array(
            [ACTIVATION_CODES[name] for name in layers.activations], dtype=np.intp
        )
        sizes = [fan_in * fan_out for fan_in, fan_out in layers.shapes]
        self._coef_start = np.cumsum([0, *sizes])[:-1]
        self._bias_start = layers.n_coefs + np.cumsum([0, *layers.units[1:]])[:-1]
        self._row_start = np.cumsum([0, *layers.units[1:]])[:-1]
        n_rows = sum(layers.units[1:])
        self._layer_of = np.repeat(np.arange(len(sizes)), layers.units[1:])
        self._unit_of = np.arange(n_rows) - self._row_start[self._layer_of]
        self._group_sizes = [len(group) for group in layers.unit_groups()]
        self.step_size = np.array(np.broadcast_to(step_size, n_rows), dtype=np.float64)
        shape = (n_rows, len(y))
        self._sums, self._outputs, self._new_sums, self._new_outputs = (
            np.zeros(shape, params.dtype) for _ in range(4)
        )
        self._scratch = np.empty((5, len(y)))
        self._bits = np.empty(len(y), dtype=np.int64)
        self._raw_value = -np.inf
        self._refresh()
        self.value = self._raw_value / self._total

    def _advance(self, values: NDArray[np.float64]) -> None:
        self.params = self.params.copy()
        for start in range(0, len(values), _CANDIDATES_PER_CALL):
            self._scan(values[start : start + _CANDIDATES_PER_CALL])
        self.value = self._raw_value / self._total
        values /= self._total

    def _scan(self, values: NDArray[np.float64]) -> None:
        from skperceptron.optim import _network_kernels

        if self.n_accepted - self._n_accepted_then > _ACCEPTED_BEFORE_REFRESH:
            self._refresh()
        noise, group_of = self._draw(len(values))
        state = np.array([self._raw_value, float(self.n_accepted)])
        _network_kernels.scan_units(
            self._X,
            self._y,
            self._weight,
            self._use_accuracy,
            self._units,
            self._codes,
            self._coef_start,
            self._bias_start,
            self._row_start,
            self._layer_of,
            self._unit_of,
            self.params,
            self._sums,
            self._outputs,
            self._new_sums,
            self._new_outputs,
            noise,
            group_of,
            self.step_size,
            GROWTH if self.adapt else 1.0,
            SHRINKAGE if self.adapt else 1.0,
            largest_step(self.params.dtype) if self.adapt else np.inf,
            state,
            values,
            self._scratch,
            self._bits,
        )
        self._raw_value, self.n_accepted = float(state[0]), int(state[1])

    def _draw(self, n_candidates: int) -> tuple[Array, NDArray[np.intp]]:
        """Draw groups and noise as `HillClimb` does, candidate by candidate."""
        dtype = self.params.dtype
        noise = np.zeros((n_candidates, max(self._group_sizes)), dtype=dtype)
        group_of = np.empty(n_candidates, dtype=np.intp)
        for i in range(n_candidates):
            group_of[i] = group = int(self.rng.integers(len(self._group_sizes)))
            size = self._group_sizes[group]
            self.rng.standard_normal(size, dtype=dtype, out=noise[i, :size])
        return noise, group_of

    def _refresh(self) -> None:
        """Compute sums and value anew, so that rounding errors do not add up."""
        from skperceptron.optim import _network_kernels

        self._n_accepted_then = self.n_accepted
        coefs, intercepts = self.layers.unpack(self.params)
        first = self.layers.units[1]
        with np.errstate(over="ignore", invalid="ignore"):
            self._sums[:first] = (self._X @ coefs[0] + intercepts[0]).T
        _network_kernels.propagate(
            0,
            self._units,
            self._codes,
            self._coef_start,
            self._bias_start,
            self._row_start,
            self.params,
            self._sums,
            self._outputs,
            self._scratch,
            self._bits,
        )
        self._raw_value = _network_kernels.evaluate(
            self._use_accuracy,
            self._sums[self._row_start[-1] :],
            self._y,
            self._weight,
            self._scratch,
            self._bits,
        )
