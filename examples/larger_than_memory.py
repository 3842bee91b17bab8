"""Data larger than memory.

A Parquet file of a chosen size is written to a temporary folder: noisy points of two
classes that no straight line divides. `partial_fit` trains a network on it, one chunk
after the other as pyarrow reads them; each call is one epoch of mini-batches over its
chunk, and all calls together are one MLflow run. The first chunks are held out.

The figure shows that the accuracy rises from chunk to chunk, while the memory of the
process stays constant, whatever the size of the file. By default, that is 0.4 GB:

    .venv/bin/python examples/larger_than_memory.py 10

takes 10 GB on the disk, but no more memory.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from skperceptron import BackpropMLP

FIGURE = Path(__file__).with_name("figures") / "larger_than_memory.png"
N_FEATURES = 50
# A call of partial_fit takes half a millisecond besides training, so that chunks should
# have tens of thousands of samples; one takes 20 MB.
CHUNK = 100_000
N_HELD_OUT = 2  # chunks
NAMES = [f"x{i}" for i in range(N_FEATURES)]


def make_chunk(rng) -> pa.RecordBatch:
    """Draw samples whose class is that of the nearer of two spheres."""
    X = rng.standard_normal((CHUNK, N_FEATURES), dtype=np.float32)
    noise = rng.standard_normal(CHUNK, dtype=np.float32)
    y = (X[:, :10] ** 2).sum(axis=1) + noise > 9.5
    columns = [*map(pa.array, X.T), pa.array(y.astype(np.int8))]
    return pa.record_batch(columns, names=[*NAMES, "y"])


def write_file(path, n_chunks) -> None:
    rng = np.random.default_rng(0)
    schema = pa.schema([*((name, pa.float32()) for name in NAMES), ("y", pa.int8())])
    # Random numbers do not repeat.
    with pq.ParquetWriter(
        path, schema, compression="none", use_dictionary=False
    ) as writer:
        for _ in range(n_chunks):
            writer.write_batch(make_chunk(rng))


def read_chunks(path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read features, row by row, and labels; there is never more than one chunk."""
    # Without buffers ahead of the chunk, which would be as large as a row group.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=CHUNK):
            yield batch.select(NAMES).to_tensor().to_numpy(), batch["y"].to_numpy()


def peak_memory() -> float:
    """Tell how many MB this process has held at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def train(chunks, X_test, y_test) -> tuple[BackpropMLP, pd.DataFrame]:
    """Train on one chunk after the other, and note what each of them took."""
    clf = BackpropMLP((64,), learning_rate_init=0.003, random_state=0)
    rows = []
    n_samples, started = 0, time.perf_counter()
    for X, y in chunks:
        clf.partial_fit(X, y, classes=[0, 1])
        n_samples += len(y)
        rows.append(
            {
                "samples": n_samples,
                "seconds": time.perf_counter() - started,
                "peak memory, MB": peak_memory(),
                # Unlike `score`, it leaves no test score in the run at each chunk.
                "test accuracy": float(np.mean(clf.predict(X_test) == y_test)),
            }
        )
    return clf, pd.DataFrame(rows)


def draw(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    millions = table["samples"] / 1e6
    left.plot(millions, table["test accuracy"])
    left.set(title="Accuracy rises with each chunk", ylabel="test accuracy")
    right.plot(millions, table["peak memory, MB"], "C1", label="the process")
    size = table["samples"] * 4 * N_FEATURES / 1e6
    right.plot(millions, size, "C7--", label="the data read until then")
    right.set(title="Memory does not", ylabel="MB", ylim=(0, None))
    right.legend(loc="center left")
    for ax in (left, right):
        ax.set_xlabel("samples seen, millions")
    return figure


def main(gigabytes=0.4) -> None:
    n_chunks = max(2, round(gigabytes * 1e9 / (4 * N_FEATURES * CHUNK)))
    mlflow.set_experiment(Path(__file__).stem)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_name="chunks"):
        path = Path(folder) / "samples.parquet"
        write_file(path, N_HELD_OUT + n_chunks)
        print(f"{path.stat().st_size / 1e9:.2f} GB, {n_chunks} chunks to train on")
        chunks = read_chunks(path)
        held_out = islice(chunks, N_HELD_OUT)
        X_test, y_test = map(np.concatenate, zip(*held_out, strict=True))
        clf, table = train(chunks, X_test, y_test)
        accuracy = clf.score(X_test, y_test)
        FIGURE.parent.mkdir(exist_ok=True)
        draw(table).savefig(FIGURE)
        mlflow.log_artifact(FIGURE)

    memory = table["peak memory, MB"]
    n_samples, seconds = table[["samples", "seconds"]].iloc[-1]
    print(f"{n_samples / seconds:,.0f} rows per second")
    print(f"peak memory: {memory.iloc[0]:.0f} MB by the first chunk,")
    print(f"             {memory.iloc[-1]:.0f} MB by the last one")
    print(f"accuracy on the test data: {accuracy:.3f}")
    print(f"\nFigure: {FIGURE}")
    store = mlflow.get_tracking_uri()
    print(f"Runs: {sys.executable} -m mlflow ui --backend-store-uri {store}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
