"""What is computed together takes little memory, and enough to be fast."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from skperceptron.network import Layers
from skperceptron.optim import Metric, Mutation, Problem, Streams
from skperceptron.optim.climbs import _unit_climb
from skperceptron.optim.climbs._block_climb import candidates_within
from skperceptron.optim.climbs._forward_climb import ForwardClimb
from skperceptron.optim.climbs._screened_climb import ScreenedClimb
from skperceptron.optim.climbs._unit_climb import UnitClimb
from skperceptron.optim.gradient._gradient import rows_per_chunk


def make_climb(climb, layers, X, y, metric="accuracy", groups=None):
    mutation = Mutation(Streams.from_seed(0), layers.n_params, X.dtype, groups=groups)
    start = np.zeros(layers.n_params)
    options = {"n_iter": 500, "step_size": 1.0}
    problem = Problem(layers, X, y, metric=Metric(metric))
    return climb(start, mutation, problem, **options)


@pytest.mark.parametrize(
    ("n_bytes", "data_bytes", "bytes_each", "expected"),
    [
        (2**20, 0, 2**14, 64),
        (2**20, 2**24, 2**14, 256),  # a quarter of the data
        (2**20, 2**22, 2**14, 64),
        (2**20, 2**40, 2**23, 32),  # 256 MB at most
        (2**20, 0, 2**20, 4),  # enough for BLAS
        (2**20, 0, 2**28, 1),
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


@pytest.mark.parametrize(("units", "expected"), [((5, 4), 128), ((1023, 32), 16)])
def test_noise_of_networks_takes_no_more_than_4_mb(units, expected):
    layers = Layers(units)
    y = np.arange(64) % units[-1]
    X = np.zeros((64, units[0]))
    made = make_climb(ForwardClimb, layers, X, y, "log_loss")
    assert made._max_candidates == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2**14, 8), 32),  # a megabyte in all
        ((2**14, 64), 128),  # half of the data's size
        ((2**17, 100), 128),  # what the allocator keeps, and enough for BLAS
    ],
)
def test_products_of_one_unit_take_little_memory(shape, expected):
    layers = Layers((shape[1], 1))
    y = np.zeros(shape[0], int)
    made = make_climb(ScreenedClimb, layers, np.zeros(shape), y)
    assert made._max_candidates == expected


@pytest.mark.parametrize(("n_features", "expected"), [(4, 4), (20, 5), (400, 32)])
def test_lean_climbs_keep_no_more_rows_than_the_data_has(
    n_features, expected, monkeypatch
):
    monkeypatch.setattr(_unit_climb, "MAX_BYTES_KEPT", 0)
    monkeypatch.setattr(_unit_climb, "_MAX_TIMES", 0)
    layers = Layers((n_features, 40, 3), ("relu",))
    assert _unit_climb.choose_n_kept(layers, 8 * n_features, 8) == expected


@pytest.mark.parametrize("n_outputs", [2, 5])
def test_rows_that_a_climb_keeps_are_counted(n_outputs):
    layers = Layers((3, 7, n_outputs), ("tanh",))
    X, y = np.zeros((32, 3)), np.arange(32) % n_outputs
    groups = layers.unit_groups()
    climb = make_climb(UnitClimb, layers, X, y, "log_loss", groups=groups)
    memory, terms = climb._memory, climb._terms
    kept = [rows for rows in memory if rows.ndim == 2]
    kept += [terms.odds, terms.total[np.newaxis]]
    assert _unit_climb.n_rows_kept(layers) == sum(len(rows) for rows in kept)


# Of 225 numbers for each sample, 298261 samples would take 512 MB.
@pytest.mark.parametrize(("n_samples", "expected"), [(298_000, 100), (299_000, 4)])
def test_climbs_that_would_keep_half_a_gigabyte_are_lean(n_samples, expected):
    layers = Layers((10, 100, 3), ("relu",))
    row_bytes = 8 * n_samples
    assert _unit_climb.choose_n_kept(layers, 10 * row_bytes, row_bytes) == expected
