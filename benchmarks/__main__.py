"""Run one benchmark: ``python -m benchmarks hill_climb``."""

import argparse
import os
from importlib import import_module

# One core unless a benchmark says otherwise; set before NumPy is imported.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["SKPERCEPTRON_TRACKING"] = "0"

BENCHMARKS = [
    "hill_climb",
    "backprop",
    "regression",
    "latency",
    "tracking",
    "team_server",
    "defaults",
    "objectives",
    "tuning",
    "scaling",
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    import_module(f"benchmarks.{parser.parse_args().name}").main()


if __name__ == "__main__":
    main()
