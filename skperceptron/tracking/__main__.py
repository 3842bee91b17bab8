"""Show what waits in the journal, and deliver it."""

from __future__ import annotations

import argparse
import sys
import time
import warnings

from skperceptron.tracking import TrackingWarning, flush
from skperceptron.tracking._flush import waiting
from skperceptron.tracking.journal._folders import where_runs_wait


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m skperceptron.tracking",
        description="Show the runs that wait for their delivery to MLflow, and deliver "
        "them.",
    )
    parser.add_argument(
        "--show", action="store_true", help="show them only, deliver nothing"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="how long to wait for the stores, and to retry those that are away "
        "(default: until each has answered, without a retry)",
    )
    options = parser.parse_args()
    n_waiting = _show()
    if options.show:
        return 0
    with warnings.catch_warnings(record=True, action="always") as problems:
        n_left = flush(options.timeout)
    for problem in problems:
        if issubclass(problem.category, TrackingWarning):
            print(problem.message, file=sys.stderr)
    # Other processes may have written, and delivered, in the meantime.
    print(f"{max(n_waiting - n_left, 0)} delivered, {n_left} still waiting")
    return 1 if n_left else 0


def _show() -> int:
    """Print one line for each run that waits, and count them."""
    print(f"journal {where_runs_wait()}")
    rows = [row for _, row in waiting()]
    for row in rows:
        started = time.strftime(
            "%Y-%m-%d %H:%M:%S", time.localtime(row["start_time"] / 1000)
        )
        status = row["status"] or "unfinished"
        if row["lacks_files"]:
            status = "its files"
        store = row["store"] or "the default store"
        print(f"  {started}  {_plain(row['name'])}  {status}  -> {_plain(store)}")
    print(f"{len(rows)} waiting")
    return len(rows)


def _plain(text: str) -> str:
    """Leave out what a terminal might take for a command."""
    return "".join(c if c.isprintable() else "?" for c in text)


if __name__ == "__main__":
    sys.exit(main())
