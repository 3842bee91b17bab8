"""Show what waits in the journal, and deliver it."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from contextlib import suppress

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
    with warnings.catch_warnings(record=True, action="always") as problems:
        n_waiting = _show()
        n_left = 0 if options.show else flush(options.timeout)
    for problem in problems:
        if issubclass(problem.category, TrackingWarning):
            print(problem.message, file=sys.stderr)
    if options.show:
        return 0
    # Other processes may have written, and delivered, in the meantime.
    print(f"{max(n_waiting - n_left, 0)} delivered, {n_left} still waiting")
    return 1 if n_left else 0


def _show() -> int:
    """Print one line for each run that waits, and count them."""
    print(f"journal {where_runs_wait()}")
    rows = waiting()
    for row in rows:
        status = row["status"] or "unfinished"
        if row["lacks_files"]:
            status = "its files"
        store = row["store"] or "the default store"
        texts = _moment(row["start_time"]), row["name"], status, f"-> {store}"
        print("", *map(_plain, texts), sep="  ")
    print(f"{len(rows)} waiting")
    return len(rows)


def _moment(milliseconds: int) -> str:
    with suppress(OverflowError, ValueError, TypeError):  # not a valid time
        return time.strftime("%F %T", time.localtime(milliseconds / 1000))
    return "unknown time"


def _plain(text: object) -> str:
    """Replace characters that a terminal might take for a command."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


if __name__ == "__main__":
    sys.exit(main())
