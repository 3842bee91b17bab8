"""Runs cases of the corpus in a process of their own, which they may bring down.

Called as ``python -m tests.reliability.run_cases SECONDS STRIDE FIRST GROUP...``, it
runs every STRIDEth case of the groups, from number FIRST on. It prints how many cases
there are, and for each that it runs first its number and name and then what is wrong
with it. A case that takes longer than SECONDS ends the process, with its stack.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import warnings

import matplotlib

from tests.reliability.corpus import cases, outcome


def main() -> None:
    """Run the cases."""
    matplotlib.use("agg")
    faulthandler.enable()
    warnings.simplefilter("ignore")
    # What the cases print themselves goes elsewhere.
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    seconds, stride, first = map(float, sys.argv[1:4])
    table = cases(*sys.argv[4:])
    print(len({case.name for case in table}), file=results)
    for number in range(int(first), len(table), int(stride)):
        print(json.dumps([number, table[number].name]), file=results)
        faulthandler.dump_traceback_later(seconds, exit=True)
        fault = outcome(table[number])
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(fault), file=results)


if __name__ == "__main__":
    main()
