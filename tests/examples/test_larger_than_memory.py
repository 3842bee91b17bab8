"""The example of a large file trains on each sample once, and holds none of them."""

from itertools import islice

import numpy as np
import pytest

from examples import larger_than_memory as example

pytestmark = pytest.mark.usefixtures("untracked")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(example, "CHUNK", 20_000)


def test_chunks_come_back_as_they_were_written(tmp_path):
    example.write_file(tmp_path / "file", 3)
    chunks = list(example.read_chunks(tmp_path / "file"))
    assert [X.shape for X, _ in chunks] == [(20_000, example.N_FEATURES)] * 3
    assert {X.dtype for X, _ in chunks} == {np.dtype(np.float32)}
    rng = np.random.default_rng(0)
    for X, y in chunks:
        written = example.make_chunk(rng)
        np.testing.assert_array_equal(X[:, 1], written["x1"].to_numpy())
        np.testing.assert_array_equal(y, written["y"].to_numpy())


def test_accuracy_rises_from_chunk_to_chunk(tmp_path):
    example.write_file(tmp_path / "file", 9)
    chunks = example.read_chunks(tmp_path / "file")
    ((X_test, y_test),) = islice(chunks, 1)
    clf, table = example.train(chunks, X_test, y_test)
    accuracy = table["test accuracy"]
    assert table["samples"].tolist() == [20_000 * i for i in range(1, 9)]
    assert accuracy.iloc[-1] > max(accuracy.iloc[0], 0.75)
    assert clf.t_ == 160_000
    assert len(example.draw(table).axes) == 2
