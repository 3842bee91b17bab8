"""What is computed together takes little memory, and enough to be fast."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from skperceptron.network import Layers
from skperceptron.optim import Mutation, Streams, ThresholdClimb, UnitClimb
from skperceptron.optim._block_climb import candidates_within
from skperceptron.optim._gradient import rows_per_chunk


@pytest.mark.parametrize(
    ("n_bytes", "data_bytes", "bytes_each", "expected"),
    [
        (2**20, 0, 2**14, 64),
        (2**20, 2**24, 2**14, 256),  # a quarter of the data
        (2**20, 2**22, 2**14, 64),
        (2**20, 2**40, 2**23, 32),  # 256 MB at most
        (2**20, 0, 2**20, 4),  # enough for BLAS
        (2**20, 0, 1, 256),
        (2**20, 0, 0, 256),
    ],
)
def test_candidates_share_the_cache(n_bytes, data_bytes, bytes_each, expected):
    assert candidates_within(n_bytes, data_bytes, bytes_each) == expected


@pytest.mark.parametrize(
    ("X", "n_masked", "expected"),
    [
        (np.zeros((3000, 64)), 0, 512),
        (np.zeros((3000, 32)), 32, 512),
        (np.zeros((3000, 64), np.float32), 0, 1024),
        (np.zeros((3000, 60_000)), 0, 8),  # at least one mini-batch
        # Of each value its place, too, and one number for each row.
        (csr_array(np.tile(np.eye(100), (30, 2))), 0, 6552),
    ],
)
def test_chunks_of_samples_fit_into_the_cache(X, n_masked, expected):
    assert rows_per_chunk(X, 8, n_masked) == expected


@pytest.mark.parametrize("by_unit", [False, True])
def test_candidates_that_move_one_unit_take_the_memory_of_one(by_unit):
    layers = Layers((5, 4))
    X = np.zeros((1024, 5))
    mutation = Mutation(
        Streams.from_seed(0),
        layers.n_params,
        X.dtype,
        groups=layers.unit_groups() if by_unit else None,
    )
    climb = ThresholdClimb(
        np.zeros(layers.n_params),
        mutation,
        layers,
        X,
        np.arange(1024) % 4,
        None,
        n_iter=500,
        step_size=1.0,
    )
    assert climb._most_candidates == (128 if by_unit else 32)


@pytest.mark.parametrize("n_outputs", [2, 5])
def test_rows_that_a_climb_keeps_are_counted(n_outputs):
    layers = Layers((3, 7, n_outputs), ("tanh",))
    mutation = Mutation(
        Streams.from_seed(0),
        layers.n_params,
        np.float64,
        groups=layers.unit_groups(),
    )
    climb = UnitClimb(
        np.zeros(layers.n_params),
        mutation,
        layers,
        np.zeros((32, 3)),
        np.arange(32) % n_outputs,
        None,
        "log_loss",
        n_iter=10,
        step_size=1.0,
    )
    odds, total, _ = climb._terms
    kept = [*climb._memory, odds, total[np.newaxis]]
    assert UnitClimb.n_rows_kept(layers) == sum(len(rows) for rows in kept)
