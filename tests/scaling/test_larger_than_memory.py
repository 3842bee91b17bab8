"""Training on chunks of a file: the same as on arrays, in memory that stays flat."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from benchmarks._memory import anonymous_bytes
from skperceptron import BackpropMLP, HillClimbMLP, HillClimbPerceptron, config_context
from skperceptron.tracking import flush

N_SAMPLES, N_FEATURES, CHUNK = 200_000, 20, 20_000
CLASSIFIERS = [
    BackpropMLP((16,), random_state=0),
    HillClimbMLP((16,), max_iter=200, random_state=0),
    HillClimbPerceptron(max_iter=200, random_state=0),
]


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_SAMPLES, N_FEATURES), dtype=np.float32)
    return X, (X[:, :5].sum(axis=1) > 0).astype(np.int64)


@pytest.fixture(scope="module")
def files(arrays, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    X, y = arrays
    np.save(folder / "X.npy", X)
    columns = {f"x{i}": column for i, column in enumerate(X.T)}
    pq.write_table(pa.table({**columns, "y": y}), folder / "table.parquet")
    return folder


def parts():
    return [slice(i, i + CHUNK) for i in range(0, N_SAMPLES, CHUNK)]


def chunks_of_map(files, y):
    X = np.load(files / "X.npy", mmap_mode="r")
    return ((X[part], y[part]) for part in parts())


def chunks_of_table(files, y):
    with pq.ParquetFile(files / "table.parquet") as file:
        for batch in file.iter_batches(batch_size=CHUNK):
            features = batch.drop_columns(["y"]).to_tensor().to_numpy()
            yield features, batch["y"].to_numpy()


def train(clf, chunks):
    for X, y in chunks:
        clf.partial_fit(X, y, classes=[0, 1])
    return clf


@pytest.mark.usefixtures("untracked")
@pytest.mark.parametrize("read", [chunks_of_map, chunks_of_table])
@pytest.mark.parametrize("clf", CLASSIFIERS, ids=lambda clf: type(clf).__name__)
def test_chunks_of_a_file_train_as_those_of_an_array(clf, read, files, arrays):
    X, y = arrays
    on_file = train(clone(clf), read(files, y))
    in_memory = train(clone(clf), ((X[part], y[part]) for part in parts()))
    assert_array_equal(on_file.predict(X), in_memory.predict(X))
    for one, other in zip(*map(weights, (on_file, in_memory)), strict=True):
        assert_array_equal(one, other)


def weights(clf):
    coefs, intercepts = clf._get_weights()
    return [*coefs, *intercepts]


@pytest.mark.parametrize("tracking", [False, True])
@pytest.mark.parametrize("clf", CLASSIFIERS, ids=lambda clf: type(clf).__name__)
def test_memory_stays_flat_over_many_chunks(clf, tracking, files, arrays):
    _, y = arrays
    clf = clone(clf)
    memory = []
    with config_context(tracking=tracking):
        for _ in range(7):
            train(clf, chunks_of_map(files, y))
            flush()
            memory.append(anonymous_bytes())
    # A process takes and gives back memory for its own reasons, once or twice. A chunk
    # (1.6 MB) that stays shows in every pass.
    assert np.median(np.diff(memory)) < 1.6e6
